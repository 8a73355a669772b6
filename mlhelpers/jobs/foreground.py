"""A trainer in the foreground: it prints into this terminal, its exit code is the answer, it ends with this process."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from mlhelpers.jobs import processes
from mlhelpers.jobs.base import JobSpec
from mlhelpers.jobs.environment import base_environment, python_path, trainer_arguments, trainer_environment
from mlhelpers.jobs.identity import TOKEN_VARIABLE, die_with_parent
from mlhelpers.jobs.package import check_module, package_folder

__all__ = ["run_foreground"]

_GRACE_S = 10.0


class _AskedToEnd(Exception):  # noqa: N818  # a signal on its way to the wait below, no error
    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run_foreground(spec: JobSpec) -> int:
    """Run a trainer here and now, in the folder that holds its package, and wait for it.

    On Ctrl-C, SIGTERM or SIGHUP the trainer and all it started are ended before this returns.

    Args:
        spec: What to run; its name, labels and scale tier are not used.

    Returns:
        The trainer's exit code; 128 and the signal's number where a signal ended it.

    Raises:
        UsageError: The package or the module is not there.
    """
    package = _package(spec)
    cwd = Path.cwd() if package is None else package.parent
    check_module(spec.module, package, cwd)
    job_dir = None if spec.job_dir is None else str(spec.job_dir)
    words = trainer_arguments(spec.words, job_dir)
    token = secrets.token_hex(16)
    environment = base_environment() | trainer_environment(spec.module, words, job_dir) | dict(spec.env)
    environment |= {"PYTHONPATH": python_path([], spec.env), TOKEN_VARIABLE: token}
    sys.stdout.flush()
    before = {number: signal.signal(number, _ask) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        trainer = subprocess.Popen(
            [sys.executable, "-m", spec.module, *words],
            cwd=cwd,
            env=environment,
            preexec_fn=die_with_parent,
        )
        code = _wait(trainer, token)
    finally:
        processes.stop(lambda: processes.of_token(token), 1.0)
        for number, handler in before.items():
            signal.signal(number, handler)
    return 128 - code if code < 0 else code


def _package(spec: JobSpec) -> Path | None:
    """Return the package's folder; the working folder itself where that is the package that the module names."""
    if spec.package_path is not None:
        return package_folder(str(spec.package_path))
    here = Path.cwd()
    is_package = (here / "__init__.py").is_file() and here.name == spec.module.split(".")[0]
    return here if is_package else None


def _wait(trainer: subprocess.Popen[bytes], token: str) -> int:
    try:
        return trainer.wait()
    except KeyboardInterrupt:
        if _shares_terminal():  # then it has got the Ctrl-C itself, and may be saving its work
            try:
                return trainer.wait(_GRACE_S)
            except (subprocess.TimeoutExpired, KeyboardInterrupt, _AskedToEnd):
                pass
    except _AskedToEnd:
        pass
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    processes.stop(lambda: processes.of_token(token), _GRACE_S)
    return trainer.wait()


def _shares_terminal() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _ask(number: int, frame: FrameType | None) -> None:
    raise _AskedToEnd(number)
