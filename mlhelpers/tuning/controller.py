"""The process behind a study on this machine: asks the search for trials, has the local engine run them, learns.

Started by the engine as the trainer of the study's job. Whatever it knows is in the study's journal and in the engine's
store, so that it can be killed at any moment: started again, it finds its trials as they are, finished or running. A
trial is known to Optuna first and submitted then; what has a number and no job is submitted when it is found.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from math import isfinite
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from mlhelpers.errors import JobError, MLHelpersError
from mlhelpers.jobs import JobState
from mlhelpers.jobs.hints import STUDY_FAILED
from mlhelpers.jobs.local import backend
from mlhelpers.storage import write_aside
from mlhelpers.tuning.failures import too_many_failures, why
from mlhelpers.tuning.journal import carry_over, open_study, suggest, values_of
from mlhelpers.tuning.results import Trial, best_first, training_output, trials_of
from mlhelpers.tuning.search import lay_out_grid, make_pruner, make_sampler
from mlhelpers.tuning.spec import StudySpec, study_of
from mlhelpers.tuning.trial_jobs import TrialJobs

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

__all__ = ["Controller", "main"]

_POLL_S = 0.03
_TELL_EVERY_S = 1.0  # between two reports of a trial that runs
_FAILED_FOR_GOOD = 65  # EX_DATAERR: the engine does not start what ends so again


def main() -> None:
    """Run the study of the job whose folder is the first argument, and exit with a code."""
    # this process's own; it has been read, and trials inherit what is left
    os.environ.pop("OPENBLAS_NUM_THREADS", None)
    controller = Controller(Path(sys.argv[1]))
    signal.signal(signal.SIGTERM, controller.cancelled)
    try:
        controller.run()
    except MLHelpersError as error:
        print(f"{STUDY_FAILED} {error}", file=sys.stderr, flush=True)
        sys.exit(_FAILED_FOR_GOOD)


class Controller:
    """One study, from its first trial or from where a process before this one was killed.

    Args:
        folder: The folder of the study's job; its launch.json says what the study is.
    """

    def __init__(self, folder: Path) -> None:
        launch = json.loads((folder / "launch.json").read_text())
        self._folder = folder
        self._template: dict[str, Any] = launch["study"]
        self.jobs = TrialJobs(folder.name, folder.parent, self._template)
        self.spec: StudySpec = study_of(self.jobs.base_spec, self._template["seed"])
        self._running: dict[int, optuna.Trial] = {}  # by the trial's number here, 1, 2, …
        self._reported: dict[int, set[int]] = {}
        self._told_at = 0.0
        self._begun = 0  # trials that are finished or running
        self._total = self.spec.trials

    def run(self) -> None:
        """Run trials until there are as many as the study is to have.

        Raises:
            JobError: Too many trials failed, or the trainer does not report the study's metric.
        """
        self.study = self._open()
        with self.jobs.kept_warm():
            self.jobs.check_tag(self.spec)
            self._take_up()
            self._tell()
            while self._start_new() or self._running:
                if not self._look():
                    time.sleep(_POLL_S)
        self._conclude()

    def cancelled(self, number: int, frame: FrameType | None) -> None:
        """End the trials that run, then this process: the engine asks for it with SIGTERM."""
        self._cancel_running()
        os._exit(128 + number)

    def _open(self) -> optuna.Study:
        study = open_study(self._folder, self.spec.goal, make_pruner(self.spec), self._fill)
        known = study.get_trials(deepcopy=False)
        if self.spec.algorithm == "grid":
            self._total = min(self._total, len(known))
        study.sampler = make_sampler(self.spec, begun=len(known))
        return study

    def _fill(self, study: optuna.Study) -> None:
        """Give a new study what it begins with: an earlier one's trials, or the points of a grid."""
        if self._template["resume"]:
            carry_over(study, Path(self._template["resume"]), self.spec.space, self._settled)
            count = sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))
            print(f"going on from {self.spec.resume}: {count} finished trials are taken over", flush=True)
        elif self.spec.algorithm == "grid":
            lay_out_grid(study, self.spec)

    def _settled(self, trial: FrozenTrial) -> FrozenTrial | None:
        """Return a trial that an earlier study did not see end, finished, where its job has ended well."""
        from optuna.trial import create_trial

        name = trial.user_attrs.get("job", "")
        row = self.jobs.row(name)
        reports = self.jobs.reports(name).get(self.spec.metric, {})
        if row is None or row["state"] != JobState.SUCCEEDED or not reports or not isfinite(reports[max(reports)]):
            return None
        return create_trial(
            value=reports[max(reports)],
            params=trial.params,
            distributions=trial.distributions,
            user_attrs=trial.user_attrs | {"start_time": row["start_time"], "end_time": row["end_time"]},
            intermediate_values=reports,
        )

    def _take_up(self) -> None:
        """Find the trials that a process before this one has left running."""
        import optuna

        for found in self.study.get_trials(deepcopy=False):
            self._begun += found.state.name != "WAITING"
            if found.state.name == "RUNNING":
                print(f"trial {found.number + 1} is taken up again", flush=True)
                self._start(optuna.Trial(self.study, found._trial_id))

    def _start_new(self) -> bool:
        """Start a trial if there is room for one and it is to come; tell whether it did."""
        if len(self._running) >= self._template["at_once"] or self._begun >= self._total:
            return False
        self._begun += 1
        self._start(self.study.ask())
        return True

    def _start(self, trial: optuna.Trial) -> None:
        number = trial.number + 1
        suggest(trial, self.spec.space)
        values = values_of(trial.params, self.spec.space)
        name = self.jobs.name_of(number)
        if trial.user_attrs.get("job") != name:
            trial.set_user_attr("job", name)
        if self.jobs.row(name) is None:
            self.jobs.submit(number, values)
            print(f"trial {number} begins: {_shown(values)}", flush=True)
        self._running[number] = trial
        self._reported[number] = set(self._reports(number))

    def _look(self) -> bool:
        """See what the running trials have reported, and which are over; tell whether any is."""
        rows = {row["trial"]: row for row in self.jobs.rows()}
        ended = False
        for number, trial in list(self._running.items()):
            row = rows[number]
            state = JobState(row["state"])
            if row["start_time"] and not trial.user_attrs.get("start_time"):
                trial.set_user_attr("start_time", row["start_time"])
            if not state.is_final:  # the store may not know yet that its supervisor was killed
                state = backend().state(row["name"]) if self.jobs.is_due(number) else state
            self._report(number, trial)
            if state.is_final:
                self._end(number, trial, state)
                ended = True
        if ended:
            self._tell()
            self._check_failures()
        return ended

    def _report(self, number: int, trial: optuna.Trial) -> None:
        """Tell Optuna what a trial has reported since the last look; end it where it has no hope."""
        known = self._reported[number]
        reports = self.jobs.reports(self.jobs.name_of(number)).get(self.spec.metric, {})
        fresh = {step: value for step, value in reports.items() if step not in known}
        if not fresh:
            return
        for step, value in sorted(fresh.items()):
            trial.report(value, step)
            known.add(step)
        if time.monotonic() - self._told_at >= _TELL_EVERY_S:
            self._tell()
        if self.spec.early_stopping and not trial.user_attrs.get("stopped") and trial.should_prune():
            trial.set_user_attr("stopped", True)
            print(f"trial {number} is stopped early: worse than the median of the others by then", flush=True)
            backend().cancel(self.jobs.name_of(number))

    def _end(self, number: int, trial: optuna.Trial, state: JobState) -> None:
        from optuna.trial import TrialState

        row = self.jobs.row(self.jobs.name_of(number)) or {}
        for name in ("start_time", "end_time"):
            if row.get(name):
                trial.set_user_attr(name, row[name])
        del self._running[number]
        reports = self._reports(number)
        if trial.user_attrs.get("stopped") and reports and state is not JobState.FAILED:
            self.study.tell(trial, state=TrialState.PRUNED)
        elif state is JobState.SUCCEEDED and reports and isfinite(value := reports[max(reports)]):
            self.study.tell(trial, value)
        else:
            others = [] if reports else list(self.jobs.reports(self.jobs.name_of(number)))
            told = str(row.get("error_message") or "")
            trial.set_user_attr("error", why(state, told, self.spec.metric, bool(reports), others))
            self.study.tell(trial, state=TrialState.FAIL)
        (done,) = [one for one in self._trials() if one.number == number]
        best = self._best()
        told = f"best {best.objective:.6g}, trial {best.number}" if best else "no result yet"
        what = (
            done.error.partition("\n")[0] if done.state == "INFEASIBLE" else f"{self.spec.metric} {done.objective:.6g}"
        )
        print(f"trial {number} {done.state.lower().replace('_', ' ')}: {what}  ({told})", flush=True)

    def _reports(self, number: int) -> dict[int, float]:
        return self.study.get_trials(deepcopy=False)[number - 1].intermediate_values

    def _trials(self) -> list[Trial]:
        return trials_of(self.study.get_trials(deepcopy=False), self.spec.space)

    def _best(self) -> Trial | None:
        first = next(iter(best_first(self._trials(), self.spec.minimizes)), None)
        return first if first and first.is_over and first.objective is not None else None

    def _tell(self) -> None:
        """Write what others read: the service's trainingOutput, and the progress."""
        self._told_at = time.monotonic()
        trials = self._trials()
        done, best = sum(trial.is_over for trial in trials), self._best()
        output = training_output(trials, self.spec.metric, self.spec.minimizes)
        _write(self._folder / "training_output.json", output)
        if not (path := os.environ.get("MLHELPERS_PROGRESS_FILE")):
            return
        seconds = [trial.seconds for trial in trials if trial.is_over and trial.seconds]
        left = sum(seconds) / len(seconds) * (self._total - done) / self._template["at_once"] if seconds else 0.0
        running = ", ".join(map(str, sorted(self._running)))
        progress = {
            "step": done,
            "total_steps": self._total,
            "unit": "trials",
            "seconds_left": round(left, 1),
            "metrics": {f"best {self.spec.metric}": best.objective} if best else {},
            "phase": f"trial{'s' if ',' in running else ''} {running}" if running else "searching",
        }
        _write(Path(path), progress)

    def _check_failures(self) -> None:
        if reason := too_many_failures(self._trials(), self._total, self.spec.max_failed):
            self._cancel_running()
            raise JobError(reason)

    def _cancel_running(self) -> None:
        for number in self._running:
            with suppress(JobError):
                backend().cancel(self.jobs.name_of(number))

    def _conclude(self) -> None:
        self._tell()
        best = self._best()
        if best is None:
            raise JobError("No trial gave a result. See why:  mlhelpers jobs describe " + self._folder.name)
        print(
            f"the study is over: best {self.spec.metric} {best.objective:.6g}, trial {best.number}: "
            f"{_shown(best.parameters)}",
            flush=True,
        )


def _shown(values: Mapping[str, Any]) -> str:
    texts = {name: f"{value:.6g}" if isinstance(value, float) else str(value) for name, value in values.items()}
    return " ".join(f"{name}={text}" for name, text in texts.items())


def _write(path: Path, content: Any) -> None:
    with write_aside(path) as aside:
        aside.write_text(json.dumps(content, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
