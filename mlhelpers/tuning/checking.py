"""What a trainer says of itself: its flags and the metrics it reports, asked for before the first trial.

Our trainers answer `--help` without importing a framework, and say there which tags they report. Of another trainer
the flags are read from its help page, and the tag is looked for in a short run.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from mlhelpers.errors import UsageError, unknown_name

__all__ = ["Help", "ask_for_help", "check_flags", "check_tag"]

_FLAG = re.compile(r"(?<![\w-])--([A-Za-z][\w-]*)")
_REPORTS = re.compile(r"reports to tuning: *([^\n]+)")
_NOBODYS = {"help", "no-help", "version"}
_PATIENCE_S = 60.0  # a trainer that imports TensorFlow first takes ten seconds and more


@dataclass(frozen=True)
class Help:
    """A trainer's help page.

    Attributes:
        flags: Its flags without the dashes, with underscores; None where the page could not be read.
        tags: The metrics that it reports; None where the page does not say.
    """

    flags: frozenset[str] | None = None
    tags: tuple[str, ...] | None = None


def ask_for_help(
    command: Sequence[str], environment: Mapping[str, str], cwd: str, patience_s: float = _PATIENCE_S
) -> Help:
    """Run a trainer with `--help` and read what it prints.

    Args:
        command: The trainer's command without arguments.
        environment: Its whole environment.
        cwd: Where it is started.
        patience_s: Seconds after which it is ended: it may take no `--help`, and train.
    """
    # the page is as wide as the terminal it is written for; a narrow one breaks long lines
    environment = {**environment, "COLUMNS": "1000"}
    process = subprocess.Popen(
        [*command, "--help"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=cwd,
        env=environment,
        start_new_session=True,
    )
    try:
        text, _ = process.communicate(timeout=patience_s)
    except subprocess.TimeoutExpired:
        return Help()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    flags = {name.replace("-", "_") for name in _FLAG.findall(text) if name not in _NOBODYS}
    if not flags or "Traceback (most recent call last)" in text:
        return Help()
    said = _REPORTS.search(text)
    tags = tuple(tag.strip() for tag in said[1].split(",")) if said else None
    return Help(frozenset(flags), tags)


def check_flags(help_page: Help, names: Sequence[str], module: str) -> None:
    """Refuse a parameter that is no flag of the trainer; nothing happens where the flags are not known.

    Raises:
        UsageError: With the nearest flag, and the flags there are.
    """
    if help_page.flags is None:
        return
    for name in names:
        if name.replace("-", "_") not in help_page.flags:
            hint = f"A parameter of a study is a flag of its trainer: python -m {module} --help"
            raise unknown_name(f"flag of {module}", name, help_page.flags, hint)


def check_tag(tags: Sequence[str], tag: str, module: str) -> None:
    """Refuse a metric that the trainer does not report.

    Raises:
        UsageError: With the nearest tag, and those that it reports.
    """
    if tag in tags:
        return
    if not tags:
        raise UsageError(
            f"{module} reports no metric, so a study of {tag!r} would learn nothing. Report it with cloudml-hypertune "
            f"or, in a Keras trainer, with mlhelpers.trainers.base.hypertune_callback({tag!r})."
        )
    hint = "The study's metric (hyperparameterMetricTag) is one of these tags."
    raise unknown_name(f"metric reported by {module}", tag, tags, hint)
