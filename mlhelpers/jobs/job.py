"""`Job`, the handle of one job: waiting, following, describing and cancelling, the same in every place to run."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlhelpers.errors import JobError, MLHelpersError, UnreachableError
from mlhelpers.jobs.base import Backend, JobState, LogEntry
from mlhelpers.jobs.lines import last_lines
from mlhelpers.labels import checked_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mlhelpers.board import Board

__all__ = ["Job"]

_TAIL_BYTES = 8192
_GROWTH = 1.5  # of the pause between two questions


class Job:
    """One job, wherever it runs. It holds a name alone, so it can be made again at any time with `jobs.attach`.

    Example:
        job = jobs.submit(jobs.JobSpec("first", "mlhelpers.trainers.mnist", args={"train_steps": 200}))
        job.wait()

    Taught in notebook 05.
    """

    def __init__(self, name: str, backend: Backend) -> None:
        self._name = name
        self._backend = backend

    @property
    def name(self) -> str:
        """The job's name."""
        return self._name

    @property
    def handle(self) -> str:
        """The text with which any process takes the job up again, for instance "local://first"."""
        return self._backend.handle(self._name)

    @property
    def state(self) -> JobState:
        """The state now, as it truly is: a job whose process was killed is seen as FAILED."""
        return self._backend.state(self._name)

    @property
    def progress(self) -> dict[str, Any]:
        """What the trainer last reported: step, total_steps, steps_per_second, seconds_left, metrics, phase."""
        return self._backend.progress(self._name)

    def wait(self, timeout_s: float | None = None, progress: bool = True) -> JobState:
        """Wait until the job is over, showing a progress bar in a terminal or a notebook.

        Interrupting the wait leaves the job running.

        Args:
            timeout_s: Give up waiting after so many seconds; the job goes on.
            progress: Whether to show the bar.

        Returns:
            SUCCEEDED or CANCELLED.

        Raises:
            JobError: The job failed (at once, with its last log lines and exit code), or the time is over.
        """
        from mlhelpers.jobs.bar import ProgressBar

        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        pauses = self._pauses()
        with ProgressBar(self._name, shown=progress) as bar:
            while (state := self._state_if_known()) is None or not state.is_final:
                if state is not None and bar.is_due(state):
                    bar.show(state, self.progress)
                if deadline is not None and time.monotonic() >= deadline:
                    raise JobError(
                        f"The job {self._name!r} is still {state or 'out of sight'} after {timeout_s:g} s of waiting. "
                        f"It goes on: wait again, or stop it with  {self.hints()['cancel']}"
                    )
                time.sleep(next(pauses))
            bar.show(state, self.progress)
        if state is JobState.FAILED:
            raise JobError(f"The job {self._name!r} failed. {self.describe().get('errorMessage', '')}".rstrip())
        return state

    @property
    def tasks(self) -> list[str]:
        """The replicas that have a log by now, the first one first; "service" for what the engine itself tells."""
        return self._backend.tasks(self._name)

    def log(self, start: int = 0, task: str | None = None) -> str:
        """Return the log of one replica as text, from a byte offset to what is there now.

        Args:
            start: Where to begin; negative: so many bytes before the end, which suits a log of gigabytes.
            task: Which replica, one of `tasks`; the first where None.

        Raises:
            UsageError: There is no such task.
        """
        pieces = []
        piece, end = self._backend.log(self._name, start, task)
        while piece:
            pieces.append(piece)
            piece, end = self._backend.log(self._name, end, task)
        return b"".join(pieces).decode(errors="replace")

    def tail(self, lines: int = 20, task: str | None = None) -> list[str]:
        """Return the last lines of one replica's log as a terminal would show them, without empty ones.

        Reads a few kilobytes, whatever the log's size.

        Args:
            lines: How many at most; each is cut after 300 characters.
            task: Which replica, one of `tasks`; the first where None.

        Raises:
            UsageError: There is no such task.
        """
        return last_lines(self._backend.log(self._name, -_TAIL_BYTES, task)[0], lines)

    def follow(self, task: str | None = None) -> Iterator[LogEntry]:
        """Yield the log's lines, waiting for new ones until the job is over.

        A line that a progress bar rewrote is given as it stood at last; memory stays small whatever the log's size.

        Args:
            task: Only the lines of this replica, one of `tasks`; of all, by time, where None.

        Raises:
            UsageError: There is no such task.
        """
        cursor: Mapping[str, int] = {}
        pauses = self._pauses()
        ended = math.inf
        while True:
            state = self._state_if_known()  # asked before reading, so that the last lines are not missed
            if state is not None and state.is_final:
                ended = min(ended, time.monotonic())
            try:
                entries, after = self._backend.entries(self._name, cursor, task)
            except UnreachableError:
                entries, after = [], cursor
                ended = math.inf  # what there was to read is not known yet
            yield from entries
            if after == cursor:
                if time.monotonic() >= ended + self._backend.lines_come_late_s:
                    return
                time.sleep(next(pauses))
            else:
                pauses = self._pauses()
            cursor = after

    def cancel(self) -> None:
        """Ask the job to end, children and all; returns at once. Twice is fine, and a finished job stays finished."""
        self._backend.cancel(self._name)

    def relabel(self, labels: Mapping[str, str | None], clear: bool = False) -> None:
        """Change the job's labels, also when it is over.

        Args:
            labels: Key -> value to set, or None to take the label away; one that is not there is no error.
            clear: Take all labels away first.

        Raises:
            UsageError: A key or value is not of the form that labels have.
        """
        checked_labels({key: value for key, value in labels.items() if value is not None})
        self._backend.relabel(self._name, labels, clear)

    def describe(self) -> dict[str, Any]:
        """Return the job as plain data: jobId, state, trainingInput (or predictionInput), errorMessage if any."""
        return self._backend.describe(self._name)

    def plot(self, metric: str | None = None, *, ax: Axes | None = None) -> list[Axes]:
        """Draw what the trainer has reported so far: each metric over the steps, training and validation.

        Reads TensorBoard's event files in the job dir and in every folder that the arguments name, and where there are
        none the metric file of hyperparameter tuning; any trainer's, also while it runs.

        Args:
            metric: Draw this one alone; "loss" and five others at most where None.
            ax: Axes to draw one metric on, "loss" or the first where none is named; a new figure where None.

        Returns:
            The axes, one for each metric.

        Raises:
            JobError: Nothing was reported yet.
            UsageError: There is no such metric.
        """
        from mlhelpers import plots
        from mlhelpers.jobs.curves import chosen_curves, read_curves

        curves = read_curves(self.describe())
        if ax is not None and metric is None:
            metric = next(iter(curves))
        return plots.metric_curves(chosen_curves(curves, metric), title=self._name, ax=ax)

    def tensorboard(self, height: int = 560) -> Board:
        """Open TensorBoard on the folder to which the trainer reports; it also shows what comes later.

        Args:
            height: Of the frame in the notebook, in pixels.

        Raises:
            JobError: Nothing was reported yet, and the job has no job dir.
        """
        from mlhelpers import board
        from mlhelpers.jobs.curves import log_folder

        return board.show(log_folder(self.describe()), height)

    def hints(self) -> dict[str, str]:
        """Return the commands with which to follow, describe and cancel this job, and what else can be done there."""
        # a shell knows what its environment says, and nothing of this process's own settings
        is_default = self._backend.name == os.environ.get("MLHELPERS_BACKEND", "local")
        job = self._name if is_default else f"{self._name} --backend {self._backend.name}"
        return {
            "follow": f"mlhelpers jobs stream-logs {job}",
            "describe": f"mlhelpers jobs describe {job}",
            "cancel": f"mlhelpers jobs cancel {job}",
            **self._backend.hints(self._name),
        }

    def _pauses(self) -> Iterator[float]:
        """Yield the seconds to wait between two questions, longer and longer."""
        pause, longest = self._backend.pauses_s
        while True:
            yield pause
            pause = min(pause * _GROWTH, longest)

    def _state_if_known(self) -> JobState | None:
        """Return the state, or None where it cannot be asked for: a lost connection says nothing about the job."""
        try:
            return self.state
        except UnreachableError:
            return None

    def __repr__(self) -> str:
        head, *rest = self._summary()
        return "\n".join([f"Job {head}", *(f"  {line}" for line in rest)])

    def _repr_html_(self) -> str:
        from mlhelpers.jobs.view import panel_html, take_snapshot

        return panel_html(take_snapshot(self))

    def _ipython_display_(self) -> None:
        """Show the job live in a notebook; elsewhere leave the showing to `__repr__`."""
        from mlhelpers.jobs.view import JobSubject, show

        if show(JobSubject(self)) is None:
            raise NotImplementedError  # which tells IPython to take the next form

    def _summary(self) -> list[str]:
        try:
            resource = self.describe()
        except (MLHelpersError, OSError) as error:
            return [self.handle, str(error)]
        from mlhelpers.jobs.view.panel import Snapshot, elapsed

        state = JobState(resource["state"])
        took = elapsed(Snapshot(self.handle, datetime.now(UTC), state, resource))
        lines = [f"{self.handle}  {state}  {took}".rstrip()]
        if resource.get("errorMessage"):
            lines.append(str(resource["errorMessage"]).splitlines()[0])
        hints = self.hints()
        if state.is_final:
            del hints["cancel"]
        hints.pop("clean up", None)
        return lines + [f"{what:<9} {command}" for what, command in hints.items()]
