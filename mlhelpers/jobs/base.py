"""What to run (`JobSpec`), the request made of it (`Plan`), the states of a job, and what a backend must be able to do.

Imports nothing that knows a place: backends import this module, never the other way round.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from mlhelpers.errors import UsageError, unknown_name

__all__ = ["SCALE_TIERS", "Backend", "JobSpec", "JobState", "Plan"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,127}")
_LABEL = re.compile(r"[a-z0-9_-]{1,63}")

# tier -> what it was on the service
SCALE_TIERS = {
    "BASIC": "one machine",
    "STANDARD_1": "a master, 4 workers and 3 parameter servers",
    "PREMIUM_1": "a master, 19 workers and 11 parameter servers",
    "BASIC_GPU": "one machine with a GPU",
    "BASIC_TPU": "one machine with a TPU",
    "CUSTOM": "machines of your own choice",
}


class JobState(StrEnum):
    """Where a job is on its way: QUEUED, PREPARING, RUNNING, then one of the three final states.

    CANCELLING stands between a cancellation and CANCELLED. A final state never changes again.
    """

    QUEUED = "QUEUED"
    PREPARING = "PREPARING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        """Tell whether the job is over."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True)
class JobSpec:
    """What to run, in words that every backend understands; checked when it is made.

    Attributes:
        name: The job's name: a letter, then letters, digits and underscores, 128 at most. A name is used once.
        module: The trainer's module, run as `python -m MODULE`, for instance "mlhelpers.trainers.mnist".
        args: The trainer's arguments: a list as on a command line, or a mapping from flag to value, in which
            True becomes `--flag`, False `--no-flag`, None is left out and anything else `--flag=value`.
        env: Environment variables on top of those of the submitting process.
        package_path: Folder of a package of your own that holds the module; None for an installed module.
        job_dir: Folder or gs:// address for results, handed to the trainer as a last argument `--job-dir`.
        scale_tier: One of `SCALE_TIERS`; `standard-1` and `STANDARD_1` are the same.
        labels: Your own marks, lower-case text.
        region: Where to run in the cloud; noted, and without effect on this machine.
        grace_s: Seconds that a cancelled trainer is given to end by itself.

    Raises:
        UsageError: A field that is malformed; the message says which, and what is allowed.

    Example:
        >>> JobSpec("first", "trainer.task", args={"train_steps": 200, "augment": False}).args
        ('--train_steps=200', '--no-augment')
    """

    name: str
    module: str
    args: Sequence[str] | Mapping[str, object] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    package_path: str | os.PathLike[str] | None = None
    job_dir: str | os.PathLike[str] | None = None
    scale_tier: str = "BASIC"
    labels: Mapping[str, str] = field(default_factory=dict)
    region: str | None = None
    grace_s: float = 10.0

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise UsageError(
                f"{self.name!r} is no job name. A name starts with a letter and has letters, digits and underscores "
                f"alone, 128 at most{_suggestion(self.name)}."
            )
        if not isinstance(self.module, str) or not all(part.isidentifier() for part in self.module.split(".")):
            raise UsageError(
                f"{self.module!r} is no module name. Write it as in an import, without '.py' and with dots for "
                "slashes: for instance trainer.task."
            )
        if self.grace_s < 0:
            raise UsageError(
                f"grace_s={self.grace_s!r} is negative. Give the seconds that a trainer has to end by itself."
            )
        tier = str(self.scale_tier).upper().replace("-", "_")
        if tier not in SCALE_TIERS:
            raise unknown_name("scale tier", self.scale_tier, SCALE_TIERS)
        object.__setattr__(self, "scale_tier", tier)
        object.__setattr__(self, "args", _words(self.args))
        object.__setattr__(self, "env", _text_mapping("env", self.env))
        object.__setattr__(self, "labels", _labels(self.labels))
        for name in ("package_path", "job_dir"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, os.fspath(value))

    @property
    def words(self) -> tuple[str, ...]:
        """The trainer's arguments as words of a command line."""
        return tuple(self.args)

    def named(self, name: str) -> JobSpec:
        """Return the same spec under another name, to run it again."""
        return replace(self, name=name)


@dataclass(frozen=True)
class Plan:
    """The complete request of one job, made without starting anything.

    Attributes:
        backend: The backend's name.
        spec: What it was made of.
        request: What will be done, as plain data; its text form is YAML.
    """

    backend: str
    spec: JobSpec
    request: Mapping[str, Any]

    def __str__(self) -> str:
        import yaml

        return yaml.safe_dump(dict(self.request), sort_keys=False, allow_unicode=True, width=110)


class Backend(ABC):
    """One place to run. Every method takes a job's name and raises JobError where there is no such job."""

    name: str

    @abstractmethod
    def plan(self, spec: JobSpec) -> Plan:
        """Check the spec for this place and return the request, without starting or writing anything."""

    @abstractmethod
    def submit(self, plan: Plan) -> None:
        """Start the job and return at once."""

    @abstractmethod
    def state(self, name: str) -> JobState:
        """Return the true state now."""

    @abstractmethod
    def log(self, name: str, start: int) -> tuple[bytes, int]:
        """Return at most a megabyte of log from a byte offset (negative: from the end), and the offset after it."""

    @abstractmethod
    def cancel(self, name: str) -> None:
        """Ask the job to end; nothing happens to one that is over or being cancelled."""

    @abstractmethod
    def list(self, limit: int | None) -> list[dict[str, Any]]:
        """Return short rows of the jobs, newest first."""

    @abstractmethod
    def describe(self, name: str) -> dict[str, Any]:
        """Return the job as the service's Job resource."""

    @abstractmethod
    def progress(self, name: str) -> dict[str, Any]:
        """Return what the trainer last reported (step, total_steps, …), or an empty dict."""


def _words(args: object) -> tuple[str, ...]:
    if isinstance(args, str):
        raise UsageError(f"args={args!r} is one text. Give a list of words, ['--train_steps', '200'], or a mapping.")
    if not isinstance(args, Mapping):
        return tuple(os.fspath(word) if isinstance(word, os.PathLike) else str(word) for word in args)  # type: ignore[attr-defined]
    words = []
    for flag, value in args.items():
        bare = str(flag).removeprefix("--")
        if value is None:
            continue
        if isinstance(value, bool):
            words.append(f"--{bare}" if value else f"--no-{bare}")
        elif isinstance(value, str | int | float | os.PathLike):
            words.append(f"--{bare}={os.fspath(value) if isinstance(value, os.PathLike) else value}")
        else:
            raise UsageError(
                f"The argument {bare!r} has the value {value!r}. Give a text, a number, a path or True/False."
            )
    return tuple(words)


def _text_mapping(what: str, mapping: Mapping[str, str]) -> dict[str, str]:
    for key, value in mapping.items():
        if not isinstance(key, str) or not isinstance(value, str) or not key or "=" in key or "\0" in key + value:
            raise UsageError(
                f"{what} has {key!r}: {value!r}. Names and values must be texts, for instance {{'SEED': '1'}}."
            )
    return dict(mapping)


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    for key, value in labels.items():
        if not _LABEL.fullmatch(str(key)) or (value and not _LABEL.fullmatch(str(value))):
            raise UsageError(
                f"The label {key}={value} is refused. Keys and values are lower-case letters, digits, '-' and '_', "
                "63 at most."
            )
    return _text_mapping("labels", labels)


def _suggestion(name: object) -> str:
    bare = re.sub(r"[^A-Za-z0-9_]+", "_", str(name)).lstrip("_0123456789")[:128]
    return f", for instance {bare!r}" if bare else ""
