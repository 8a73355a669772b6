"""A trainer in the foreground: it prints into this terminal, its exit code is the answer, it ends with this process."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from mlhelpers.errors import UsageError
from mlhelpers.jobs.hints import ending
from mlhelpers.jobs.local import processes
from mlhelpers.jobs.local.cluster import Task, free_addresses, replica_environment
from mlhelpers.jobs.local.environment import base_environment, python_path, trainer_arguments, trainer_environment
from mlhelpers.jobs.local.identity import TOKEN_VARIABLE, die_with_parent
from mlhelpers.jobs.packaging.package import check_module, package_folder
from mlhelpers.jobs.spec import JobSpec
from mlhelpers.settings import cores

__all__ = ["START_PORT", "run_foreground"]

START_PORT = 27182  # as the original command had it
_GRACE_S = 10.0
_POLL_S = 0.1


class _AskedToEnd(Exception):  # noqa: N818  # a signal on its way to the wait below, no error
    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run_foreground(spec: JobSpec, counts: Mapping[str, int] | None = None, start_port: int = START_PORT) -> int:
    """Run a trainer here and now, in the folder that holds its package, and wait for it.

    On Ctrl-C, SIGTERM or SIGHUP the trainer and all it started are ended before this returns.

    Args:
        spec: What to run; its name, labels and scale tier are not used.
        counts: Role in TF_CONFIG's words -> how many replicas, the first replica's role first; one replica that knows
            of no cluster where None. When the first one ends, or any other fails, the others are ended.
        start_port: The first of the consecutive ports that the replicas of a cluster are given.

    Returns:
        The first replica's exit code, or that of another that failed before it ended; 128 and the signal's number
        where a signal ended it.

    Raises:
        UsageError: The package or the module is not there, or a port is taken.
    """
    package = _package(spec)
    cwd = Path.cwd() if package is None else package.parent
    check_module(spec.module, package, cwd)
    job_dir = None if spec.job_dir is None else str(spec.job_dir)
    words = trainer_arguments(spec.words, job_dir)
    token = secrets.token_hex(16)
    environment = base_environment() | trainer_environment(job_dir) | dict(spec.env)
    environment |= {"PYTHONPATH": python_path([], spec.env), TOKEN_VARIABLE: token}
    job = {"job_name": spec.module, "args": list(spec.words)}
    sys.stdout.flush()
    before = {number: signal.signal(number, _ask) for number in (signal.SIGTERM, signal.SIGHUP)}
    replicas: dict[Task, subprocess.Popen[bytes]] = {}
    try:
        for task, own in _tasks(counts, start_port, job):
            replicas[task] = subprocess.Popen(
                [sys.executable, "-m", spec.module, *words],
                cwd=cwd,
                env=environment | own,
                preexec_fn=die_with_parent,
            )
        code = _wait(replicas, token)
    finally:
        processes.stop(lambda: processes.of_token(token), 1.0)
        for number, handler in before.items():
            signal.signal(number, handler)
    return 128 - code if code < 0 else code


def _tasks(
    counts: Mapping[str, int] | None, start_port: int, job: Mapping[str, Any]
) -> Iterator[tuple[Task, dict[str, str]]]:
    """Yield each replica's place with the variables by which it knows it."""
    try:
        addresses = free_addresses(counts or {"chief": 1}, start_port if counts else None)
    except OSError as error:
        raise UsageError(
            f"Port {error.filename} is taken, and the cluster needs {sum((counts or {}).values())} ports from "
            f"{start_port} on. Choose another first one with --start-port."
        ) from error
    share = {"threads": max(1, cores() // sum(counts.values())) if counts else None, "gpus": ()}
    for role, listed in addresses.items():
        for index in range(len(listed)):
            task = Task(role, index)
            yield task, replica_environment(task, addresses, job, share)


def _package(spec: JobSpec) -> Path | None:
    """Return the package's folder; the working folder itself where that is the package that the module names."""
    if spec.package_path is not None:
        return package_folder(str(spec.package_path))
    here = Path.cwd()
    is_package = (here / "__init__.py").is_file() and here.name == spec.module.split(".")[0]
    return here if is_package else None


def _wait(replicas: Mapping[Task, subprocess.Popen[bytes]], token: str) -> int:
    """Wait for the first replica, or for any other that fails; return its exit code."""
    first = next(iter(replicas.values()))
    try:
        return _first_end(replicas)
    except KeyboardInterrupt:
        if _shares_terminal():  # then it has got the Ctrl-C itself, and may be saving its work
            try:
                return first.wait(_GRACE_S)
            except (subprocess.TimeoutExpired, KeyboardInterrupt, _AskedToEnd):
                pass
    except _AskedToEnd:
        pass
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    processes.stop(lambda: processes.of_token(token), _GRACE_S)
    return first.wait()


def _first_end(replicas: Mapping[Task, subprocess.Popen[bytes]]) -> int:
    first, *others = replicas.items()
    if not others:
        return first[1].wait()
    while (code := first[1].poll()) is None:
        for task, replica in others:
            if replica.poll():
                print(f"mlhelpers: {task.name} {ending(replica.returncode)}; the others are ended.", file=sys.stderr)
                return replica.returncode
        time.sleep(_POLL_S)
    return code


def _shares_terminal() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _ask(number: int, frame: FrameType | None) -> None:
    raise _AskedToEnd(number)
