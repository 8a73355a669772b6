"""`Study`, the handle of one study: its trials as a table, the best one, waiting, cancelling, going on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlhelpers import jobs
from mlhelpers.errors import JobError
from mlhelpers.jobs import Job, JobSpec, JobState
from mlhelpers.tuning.record import Record
from mlhelpers.tuning.results import Trial, best_first, table
from mlhelpers.tuning.spec import StudySpec

if TYPE_CHECKING:
    import polars
    from matplotlib.axes import Axes

    from mlhelpers.tuning.view import StudySubject

__all__ = ["Best", "Study", "stamped"]


class Study:
    """One study, wherever it runs. It holds a name alone, so it can be made again at any time with `tuning.attach`.

    Args:
        job: The study's job.

    Raises:
        JobError: The job is no study.

    Example:
        study = tuning.tune("mlhelpers.trainers.babyweight", {"batch_size": tuning.Int(8, 512, scale="log")}, …)
        study.wait()
        study.best

    Taught in notebook 07.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self._record = self._opened()
        self.spec: StudySpec = self._record.spec

    @property
    def name(self) -> str:
        """The name of the study, also where it was taken up by a number."""
        return self.spec.job.name

    @property
    def handle(self) -> str:
        """The text with which any process takes the study up again, for instance "local://babies"."""
        return self.job.handle

    @property
    def backend(self) -> str:
        """The place where it runs, a key of `tuning.BACKENDS`."""
        return self.handle.partition("://")[0]

    @property
    def state(self) -> JobState:
        """The state of the study's job now, as it truly is."""
        return self.job.state

    @property
    def results(self) -> list[Trial]:
        """The trials begun by now, best first; failed ones last, with their errors.

        What a study has left behind that was cancelled or killed is UNFINISHED.
        """
        found = self._record.read()
        if self.state.is_final:
            found = [trial if trial.is_over else replace(trial, state="UNFINISHED") for trial in found]
        return best_first(found, self.spec.minimizes)

    @property
    def trials(self) -> polars.DataFrame:
        """A table with a row for each trial begun by now, best first.

        Its columns are trial (1, 2, …), objective, step (of that report), a column for each parameter, state
        (SUCCEEDED, STOPPED_EARLY, INFEASIBLE, RUNNING, QUEUED, UNFINISHED), seconds and error.
        """
        return table(self.results, self.spec.space)

    @property
    def best(self) -> Best:
        """The best trial by now.

        Raises:
            JobError: No trial has given a result yet.
        """
        first = next(iter(self.results), None)
        if first is None or first.objective is None or not first.is_over:
            raise JobError(f"No trial of {self.name!r} has given a result yet. The study is {self.state}.")
        return Best(**{each.name: getattr(first, each.name) for each in fields(Trial)}, study=self)

    def wait(self, timeout_s: float | None = None, progress: bool = True) -> JobState:
        """Wait until the study is over, with a bar of its trials.

        Args:
            timeout_s: Give up waiting after so many seconds; the study goes on.
            progress: Whether to show the bar.

        Returns:
            SUCCEEDED or CANCELLED.

        Raises:
            JobError: The study failed, or the time is over.
        """
        return self.job.wait(timeout_s, progress)

    def cancel(self) -> None:
        """End the study and the trials that run; those that have finished stay."""
        self.job.cancel()

    def resume(self, name: str | None = None, trials: int | None = None) -> Study:
        """Go on with a study that has ended: finished trials are taken over, unfinished ones run again.

        Args:
            name: Of the new study; this one's with a number behind it where None.
            trials: How many trials in all; as many as this study was to have where None.

        Returns:
            The new study.

        Raises:
            JobError: This study still runs.
            UsageError: Its place goes on from no study, as Vertex AI.
        """
        from mlhelpers import tuning

        job = self.spec.job.named(name or stamped(self.name))
        study = replace(self.spec, job=job, resume=self.name, trials=trials or self.spec.trials)
        return tuning.submit(study, self.backend)

    def plot(self, kind: str = "history", *, ax: Axes | None = None) -> Any:
        """Draw the study as far as it has come.

        Args:
            kind: "history", the objective of each trial and the best so far; "curves", what each trial reported over
                its steps; of the trials that succeeded: "parallel", the parameters of each beside its objective,
                "slices", the objective over each parameter, "importance", which parameters decide whether a trial is
                among the best (PED-ANOVA, https://arxiv.org/abs/2304.10255). The last three are Optuna's.
            ax: Axes for "history" or "curves" to draw on; a new figure where None.

        Returns:
            The axes; an array of axes for "slices" over several parameters.

        Raises:
            UsageError: There is no such plot.
            JobError: It needs more trials than there are; the message says how many.
        """
        from mlhelpers.tuning.pictures import plot

        return plot(self.spec, self.results, kind, ax)

    def __repr__(self) -> str:
        trials = self.results
        over = [trial for trial in trials if trial.is_over]
        lines = [f"Study {self.handle}  {self.state}  {len(over)} of {self.spec.trials} trials"]
        if over and over[0].objective is not None:
            best = trials[0]
            lines.append(f"  best {self.spec.metric} {best.objective:.6g}, trial {best.number}: {best.parameters}")
        return "\n".join([*lines, *(f"  {what:<9} {command}" for what, command in self.job.hints().items())])

    def _repr_html_(self) -> str:
        from mlhelpers.jobs.view import subject_html

        subject = self._subject(is_live=False)
        return subject_html(subject, subject.look(None))

    def _ipython_display_(self) -> None:
        """Show the study live in a notebook; elsewhere leave the showing to `__repr__`."""
        from mlhelpers.jobs.view import show

        if show(self._subject()) is None:
            raise NotImplementedError  # which tells IPython to take the next form

    def _subject(self, is_live: bool = True) -> StudySubject:
        from mlhelpers.tuning.view import StudySubject

        return StudySubject(self.job, self._opened(), is_live)

    def _opened(self) -> Record:
        from mlhelpers import tuning

        record: Record = tuning.place(self.backend).record(self.job)
        return record


@dataclass(frozen=True)
class Best(Trial):
    """The best trial of a study, which can be trained once more."""

    study: Study | None = field(default=None, repr=False, compare=False)

    def rerun(
        self,
        name: str | None = None,
        args: Mapping[str, object] | None = None,
        job_dir: str | None = None,
        backend: str | None = None,
    ) -> Job:
        """Train with these parameters, on more data or for longer if `args` says so; return at once.

        Args:
            name: Of the job; the study's with "best" and the time behind it where None.
            args: Flag -> value, in place of what the study's trials were given or besides that.
            job_dir: For results; none where None, for the study's own holds the trials.
            backend: Where; the setting `backend` where None.

        Returns:
            The job.
        """
        assert self.study is not None
        spec = self.study.spec.job
        changed = JobSpec("words", spec.module, args=dict(args or {})).words
        own = JobSpec("words", spec.module, args=dict(self.parameters)).words
        given = {_flag(word) for word in changed}
        words = _without(spec.words, given) + [word for word in own if _flag(word) not in given] + list(changed)
        name = name or stamped(f"{self.study.name[:100]}_best")
        return jobs.submit(replace(spec, name=name, args=words, job_dir=job_dir), backend)


def stamped(name: str) -> str:
    """Return a name with this moment behind it, as the tutorials do: babyweight_261121_174500."""
    return f"{name}_{datetime.now():%y%m%d_%H%M%S}"


def _without(words: Sequence[str], flags: set[str]) -> list[str]:
    """Return a command line's words without some flags and what stands behind these."""
    kept: list[str] = []
    is_kept = True
    for word in words:
        if word.startswith("--"):
            is_kept = _flag(word) not in flags
        if is_kept:
            kept.append(word)
    return kept


def _flag(word: str) -> str:
    return word.partition("=")[0].lstrip("-").removeprefix("no-").replace("-", "_")
