"""How a study shows itself in a notebook: its trials as a picture and as a table, in the panel that jobs have."""

from __future__ import annotations

import base64
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import partial
from typing import Any

from mlhelpers.errors import MLHelpersError
from mlhelpers.jobs.bar import number
from mlhelpers.jobs.job import Job
from mlhelpers.jobs.view import Piece, Snapshot, take_snapshot
from mlhelpers.jobs.view.panel import clock, elapsed, escaped
from mlhelpers.tuning.record import Record
from mlhelpers.tuning.results import Trial, best_first
from mlhelpers.tuning.spec import StudySpec

__all__ = ["StudySnapshot", "StudySubject"]

_BEST = 10  # rows of the table that is open
_FAILED = 3  # and the newest failed ones below
_REST = 200  # rows that are folded away; a study of thousands is read as study.trials
_SHOWN_CHARACTERS, _TOLD_CHARACTERS = 160, 2000  # of an error
_SIZE = (7.8, 2.7)  # of the picture, in inches
_DRAW_EVERY_S, _DRAW_WITHIN_S = 2.0, 10.0
_DRAW_SHARE = 0.05  # of a core, at most: the trials need it more

_MARKS = {"SUCCEEDED": "●", "STOPPED_EARLY": "▼", "RUNNING": "○", "INFEASIBLE": "✕", "QUEUED": "…"}
_WORDS = {"STOPPED_EARLY": "stopped early", "INFEASIBLE": "failed"}


@dataclass(frozen=True)
class StudySnapshot(Snapshot):
    """A study at one moment.

    Attributes:
        trials: Its trials, best first.
    """

    trials: Sequence[Trial] = ()


class StudySubject:
    """A study, as a panel shows it.

    Args:
        job: The study's job.
        record: Of the study; the panel's own, for it lives in a thread.
        is_live: Whether it is looked at again and again; where not, each look waits for its picture.
    """

    what = "study"
    has_choice = False

    def __init__(self, job: Job, record: Record, is_live: bool = True) -> None:
        self._job, self._spec, self._is_live = job, record.spec, is_live
        self.name, self.handle = job.name, job.handle
        self._read = record.read
        self._picture = _Picture(record.spec)

    def look(self, task: str | None) -> Snapshot:
        """Look at the study; what cannot be read is told in the snapshot, never raised."""
        seen = take_snapshot(self._job, task)
        if seen.trouble:
            return seen
        values: dict[str, Any] = {each.name: getattr(seen, each.name) for each in fields(seen)}
        try:
            trials = best_first(self._read(), self._spec.minimizes)
        except (MLHelpersError, OSError) as error:
            return Snapshot(**values | {"trouble": str(error)})
        if trials:
            values["lines"] = ()  # the controller's: of use only while it prepares the first trial
        return StudySnapshot(**values, trials=[_as_seen(trial, seen) for trial in trials])

    def time(self, snapshot: Snapshot) -> str:
        """Return how long the study has run, how many trials are over, and how long it will go on."""
        trials = _trials(snapshot)
        replicas = snapshot.resource.get("localOutput", {}).get("replicas", [])
        progress = (replicas[0].get("progress") if replicas else None) or {}
        total = int(number(progress.get("total_steps")) or self._spec.trials)
        parts = [elapsed(snapshot), f"{sum(trial.is_over for trial in trials)} of {total} trials"]
        left = number(progress.get("seconds_left"))
        if left and not snapshot.is_over:
            parts.append(f"about {clock(left)} left")
        return ", ".join(filter(None, parts))

    def pieces(self, snapshot: Snapshot) -> Sequence[Piece]:
        """Return the picture, the table of the trials that matter, and that of the rest."""
        trials = _trials(snapshot)
        over = [trial for trial in trials if trial.is_over and trial.state != "INFEASIBLE"]
        going = [trial for trial in trials if not trial.is_over]
        failed = sorted((trial for trial in trials if trial.state == "INFEASIBLE"), key=lambda trial: -trial.number)
        shown = over[:_BEST] + going + failed[:_FAILED]
        rest = over[_BEST:] + failed[_FAILED:]
        picture = self._picture.html(trials, is_last=snapshot.is_over or not self._is_live)
        return [
            Piece(picture),
            Piece(self._table(shown, "Trials of the study, best first")),
            Piece(self._rest(rest), "The other trials"),
        ]

    def cancel(self) -> None:
        """End the study and the trials that run."""
        self._job.cancel()

    def text(self) -> str:
        """Return what a terminal shows of the study."""
        from mlhelpers.tuning.study import Study

        return repr(Study(self._job))

    def _rest(self, trials: Sequence[Trial]) -> str:
        more = len(trials) - _REST
        note = f'<div class="mlh-job-soft">and {more:,} more: study.trials</div>' if more > 0 else ""
        return self._table(trials[:_REST], "The other trials, best first") + note

    def _table(self, trials: Sequence[Trial], label: str) -> str:
        if not trials:
            return ""
        names = ("trial", self._spec.metric, "step", *self._spec.space, "state", "seconds")
        head = "".join(f'<th scope="col">{escaped(name)}</th>' for name in names)
        rows = "".join(f"<tr>{self._cells(trial)}</tr>" for trial in trials)
        return (
            f'<div style="overflow-x:auto"><table class="mlh-job-replicas mlh-study-trials" aria-label="{label}">'
            f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        )

    def _cells(self, trial: Trial) -> str:
        state = f"{_MARKS.get(trial.state, '')} {_WORDS.get(trial.state, trial.state.lower())}"
        if trial.error:  # in one line; its last lines where the pointer rests on it
            first = trial.error.partition("\n")[0][:_SHOWN_CHARACTERS]
            whole = escaped(trial.error[-_TOLD_CHARACTERS:])
            state = f'<span title="{whole}">{state}: {escaped(first)}</span>'
        cells = [
            _shown(trial.objective),
            "" if trial.step is None else f"{trial.step:,}",
            *(escaped(_shown(trial.parameters.get(name))) for name in self._spec.space),
            state,
            "" if trial.seconds is None else f"{trial.seconds:,.1f}",
        ]
        return f'<th scope="row">{trial.number}</th>' + "".join(f"<td>{cell}</td>" for cell in cells)


class _Picture:
    """The picture of a study's history, drawn again only where a value has changed, and not too often.

    It is drawn in a thread of its own: the first time matplotlib is imported, which takes seconds, and the panel with
    its button is not to wait for it.

    Args:
        spec: The study.
    """

    def __init__(self, spec: StudySpec) -> None:
        self._spec = spec
        self._drawn: tuple[object, ...] = ()
        self._html = ""
        self._next_at = 0.0
        self._thread: threading.Thread | None = None

    def html(self, trials: Sequence[Trial], is_last: bool) -> str:
        """Return the picture that there is, and have another drawn where it is time for it.

        Args:
            trials: Best first.
            is_last: Whether no other will follow: then it is waited for.
        """
        seen = tuple((trial.number, trial.state, trial.objective) for trial in trials)
        if not any(trial.objective is not None for trial in trials):
            return self._html
        if is_last:
            if self._thread is not None:
                self._thread.join()
            if seen != self._drawn:
                self._draw(trials, seen)
        elif seen != self._drawn and time.monotonic() >= self._next_at and not self._is_drawing():
            name = "mlhelpers-study-picture"
            self._thread = threading.Thread(target=self._draw, args=(trials, seen), name=name, daemon=True)
            self._thread.start()
        return self._html

    def _is_drawing(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _draw(self, trials: Sequence[Trial], seen: tuple[object, ...]) -> None:
        began = time.thread_time()
        try:
            from mlhelpers import plots  # the first time it takes seconds, which say nothing of the next drawing

            began = time.thread_time()
            self._html = self._image(plots, trials)
        except Exception as error:  # nobody would see it raised in a thread
            self._html = f'<div class="mlh-job-soft">No picture: {escaped(str(error))}</div>'
        self._drawn = seen
        pause = min(max(_DRAW_EVERY_S, (time.thread_time() - began) / _DRAW_SHARE), _DRAW_WITHIN_S)
        self._next_at = time.monotonic() + pause

    def _image(self, plots: Any, trials: Sequence[Trial]) -> str:
        draw = partial(
            plots.study_history,
            [trial.number for trial in trials],
            [math.nan if trial.objective is None else trial.objective for trial in trials],
            [trial.state for trial in trials],
            metric=self._spec.metric,
            minimizes=self._spec.minimizes,
        )
        content = base64.b64encode(plots.to_png(lambda ax: draw(ax=ax), _SIZE)).decode()
        best = trials[0]
        words = f"{self._spec.metric} of {len(trials)} trials"
        if best.is_over and best.objective is not None:
            words += f"; the best so far is {best.objective:.6g}, trial {best.number}"
        return (
            f'<img class="mlh-study-history" alt="{escaped(words)}" src="data:image/png;base64,{content}" '
            f'style="width:100%;max-width:{_SIZE[0] * 100:.0f}px">'
        )


def _as_seen(trial: Trial, seen: Snapshot) -> Trial:
    """Return a trial that runs with its seconds by then, and one that its study has left behind as unfinished."""
    if trial.is_over:
        return trial
    if seen.is_over:
        return replace(trial, state="UNFINISHED")
    if trial.state != "RUNNING" or not trial.start_time:
        return trial
    return replace(trial, seconds=(seen.taken - datetime.fromisoformat(trial.start_time)).total_seconds())


def _trials(snapshot: Snapshot) -> Sequence[Trial]:
    return snapshot.trials if isinstance(snapshot, StudySnapshot) else ()


def _shown(value: object) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
