"""The states of a job, the request made of a spec (`Plan`), a line of log, and what a backend must be able to do.

Imports nothing that knows a place: backends import this module, never the other way round.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mlhelpers.jobs.spec import JobSpec
from mlhelpers.yaml_text import yaml_text

__all__ = ["Backend", "Bill", "JobState", "LogEntry", "Plan"]


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
class LogEntry:
    """One line of a job's log.

    Attributes:
        time: When it was printed, RFC 3339 in UTC; on this machine to a tenth of a second.
        severity: "DEBUG", "INFO", "WARNING", "ERROR" or "CRITICAL".
        task: Which replica printed it, for instance "master-replica-0"; "service" for what the engine itself tells.
        message: The line, as a terminal would show it.
        trial: The trial of a hyperparameter study, or empty.
    """

    time: str
    severity: str
    task: str
    message: str
    trial: str = ""


@dataclass(frozen=True)
class Plan:
    """The complete request of one job, made without starting anything.

    Attributes:
        backend: The backend's name.
        spec: What it was made of.
        request: What will be done, as plain data; its text form is YAML.
        notes: What a person should know of it before it is submitted, sentence by sentence.
    """

    backend: str
    spec: JobSpec
    request: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def input(self) -> Mapping[str, Any]:
        """What the job is given, as the service's trainingInput or predictionInput."""
        found: Mapping[str, Any] = self.request.get("predictionInput") or self.request["trainingInput"]
        return found

    def __str__(self) -> str:
        return yaml_text(dict(self.request))


@dataclass(frozen=True)
class Bill:
    """What a job would run on and what that costs, to be read before it is started.

    Attributes:
        rows: One mapping a pool of machines, all with the same keys, all texts.
        lines: What there is to say below the table: sums, what is not known, what to do about it.
        is_free: Whether nothing is really rented, because an emulator answers: nobody has to be asked then.
    """

    rows: tuple[Mapping[str, str], ...]
    lines: tuple[str, ...] = ()
    is_free: bool = False


class Backend(ABC):
    """One place to run. Every method takes a job's name and raises JobError where there is no such job."""

    name: str
    # seconds between two questions for the state: at first, and at most; the pause grows while nothing happens
    pauses_s: tuple[float, float] = (0.05, 0.05)
    # seconds for which lines of a log may still come after the job is over
    lines_come_late_s: float = 0.0

    def take_up(self, reference: str) -> tuple[Backend, str]:
        """Return the backend and the name for what stands behind "BACKEND://" in a handle.

        Raises:
            UsageError: The reference is malformed.
        """
        return self, reference

    def handle(self, name: str) -> str:
        """Return the text with which any process takes the job up again."""
        return f"{self.name}://{name}"

    def hints(self, name: str) -> dict[str, str]:
        """Return what else can be done with a job here, beyond following, describing and cancelling: what -> how."""
        return {}

    def estimate(self, plan: Plan, expected_s: float | None = None) -> Bill | None:
        """Return what will run and what that costs, asking nobody; None where nothing costs money.

        Args:
            plan: The job's plan.
            expected_s: How long it is expected to run, seconds.
        """
        return None

    def bill(self, plan: Plan, expected_s: float | None = None) -> Bill | None:
        """Check what can be checked before anything is started, and return what will run and cost.

        Args:
            plan: The job's plan.
            expected_s: How long it is expected to run, seconds.

        Returns:
            The bill; None where nothing costs money.
        """
        return None

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
    def tasks(self, name: str) -> list[str]:
        """Return the replicas that have a log by now, the first one first; "service" for the engine's own, last."""

    @abstractmethod
    def log(self, name: str, start: int, task: str | None) -> tuple[bytes, int]:
        """Return at most a megabyte of one task's log (None: the first replica's) and the offset after it.

        A negative offset counts from the end.
        """

    @abstractmethod
    def entries(
        self, name: str, cursor: Mapping[str, int], task: str | None
    ) -> tuple[list[LogEntry], Mapping[str, int]]:
        """Return the next lines of all tasks or of one, a few megabytes at most, and the cursor after them.

        A cursor says where to go on; the empty one is the beginning. A line that is not ended yet is left for later,
        until the job is over.
        """

    @abstractmethod
    def cancel(self, name: str) -> None:
        """Ask the job to end; nothing happens to one that is over or being cancelled."""

    @abstractmethod
    def relabel(self, name: str, labels: Mapping[str, str | None], clear: bool) -> None:
        """Change labels: set those with a value, take away those with None, and before that all if `clear`."""

    @abstractmethod
    def list(self, limit: int | None) -> list[dict[str, Any]]:
        """Return short rows of the jobs, newest first."""

    @abstractmethod
    def describe(self, name: str) -> dict[str, Any]:
        """Return the job as the service's Job resource."""

    @abstractmethod
    def progress(self, name: str) -> dict[str, Any]:
        """Return what the first replica last reported (step, total_steps, …), or an empty dict.

        Where replicas were started again, "restarts" and "retries" say how often.
        """
