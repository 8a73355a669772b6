"""What a panel shows: `Subject` says what it needs, `JobSubject` is a job; a study is one in `mlhelpers.tuning`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mlhelpers.jobs.view.panel import Snapshot, elapsed, framed, replicas_html, take_snapshot

if TYPE_CHECKING:
    from mlhelpers.jobs.job import Job

__all__ = ["JobSubject", "Piece", "Subject", "subject_html"]


@dataclass(frozen=True)
class Piece:
    """A part of a panel's middle.

    Attributes:
        html: It.
        title: Where it is folded away below a title, that title; empty where it is open.
    """

    html: str
    title: str = ""


class Subject(Protocol):
    """What a panel shows: a job, or something that is made of jobs.

    Attributes:
        what: What it is, in a word: "job".
        name: Its name.
        handle: Its handle.
        has_choice: Whether the log of one of several tasks can be chosen.
    """

    what: str
    name: str
    handle: str
    has_choice: bool

    def look(self, task: str | None) -> Snapshot:
        """Look at it; what cannot be read is told in the snapshot, never raised.

        Args:
            task: Whose last lines to read; the first one's where None.
        """
        ...

    def time(self, snapshot: Snapshot) -> str:
        """Return what stands beside the state, as HTML: how long it has run."""
        ...

    def pieces(self, snapshot: Snapshot) -> Sequence[Piece]:
        """Return the panel's middle: always as many pieces, with the same titles."""
        ...

    def cancel(self) -> None:
        """Ask it to end."""
        ...

    def text(self) -> str:
        """Return it as a terminal shows it."""
        ...


class JobSubject:
    """A job, as a panel shows it.

    Args:
        job: The job.
    """

    what = "job"
    has_choice = True

    def __init__(self, job: Job) -> None:
        self._job = job
        self.name, self.handle = job.name, job.handle

    def look(self, task: str | None) -> Snapshot:
        """See `take_snapshot`."""
        return take_snapshot(self._job, task)

    def time(self, snapshot: Snapshot) -> str:
        """See `elapsed`."""
        return elapsed(snapshot)

    def pieces(self, snapshot: Snapshot) -> Sequence[Piece]:
        """Return the table of the replicas."""
        return [Piece(replicas_html(snapshot))]

    def cancel(self) -> None:
        """Ask the job to end."""
        self._job.cancel()

    def text(self) -> str:
        """Return what a terminal shows of the job."""
        return repr(self._job)


def subject_html(subject: Subject, snapshot: Snapshot) -> str:
    """Return the whole panel of a subject, as a stored notebook keeps it.

    Args:
        subject: What is shown.
        snapshot: What was seen of it.
    """
    parts = [
        f"<details><summary>{piece.title}</summary>{piece.html}</details>" if piece.title and piece.html else piece.html
        for piece in subject.pieces(snapshot)
    ]
    return framed(snapshot, subject.time(snapshot), "".join(parts))
