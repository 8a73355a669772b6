"""The trials of a study as plain data: best first, as a table, and as the service's `trainingOutput`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlhelpers.tuning.journal import values_of
from mlhelpers.tuning.space import Space, Value

if TYPE_CHECKING:
    import polars
    from optuna.trial import FrozenTrial

__all__ = ["Trial", "best_first", "table", "training_output", "trial_of", "trials_of"]

# Optuna's state -> ours
_STATES = {
    "COMPLETE": "SUCCEEDED",
    "PRUNED": "STOPPED_EARLY",
    "FAIL": "INFEASIBLE",
    "RUNNING": "RUNNING",
    "WAITING": "QUEUED",
}


@dataclass(frozen=True)
class Trial:
    """One trial of a study.

    Attributes:
        number: 1, 2, 3, … in the order in which they began.
        state: SUCCEEDED; STOPPED_EARLY, whose last value counts; INFEASIBLE, which failed and has an error; RUNNING;
            QUEUED, of a study taken up again or a grid; UNFINISHED, of a study that has ended before it.
        parameters: What the trainer was given.
        objective: What the trial reported last; None where it has reported nothing, or failed.
        step: The training step of that report.
        seconds: How long it has trained; None where it has not begun.
        error: Why it failed, or empty.
        job: The name of its job.
        curve: Step -> value, all that it has reported.
        start_time: When it began, RFC 3339; empty where it has not.
        end_time: When it ended, RFC 3339; empty where it has not.
    """

    number: int
    state: str
    parameters: dict[str, Value]
    objective: float | None = None
    step: int | None = None
    seconds: float | None = None
    error: str = ""
    job: str = ""
    curve: dict[int, float] = field(default_factory=dict)
    start_time: str = ""
    end_time: str = ""

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more is to come of it."""
        return self.state in ("SUCCEEDED", "STOPPED_EARLY", "INFEASIBLE")


def trials_of(found: Sequence[FrozenTrial], space: Space) -> list[Trial]:
    """Return Optuna's trials as ours, in the order of their numbers."""
    return [trial_of(trial, space) for trial in found]


def best_first(trials: Sequence[Trial], minimizes: bool) -> list[Trial]:
    """Sort trials: those that ended by their objective, then those that run by what they reported, then failed ones."""

    def place(trial: Trial) -> tuple[int, float, int]:
        known = trial.objective is not None and not math.isnan(trial.objective)
        group = 3 if trial.state == "INFEASIBLE" else 0 if trial.is_over and known else 1 if known else 2
        value = (trial.objective or 0.0) if known else 0.0
        return group, value if minimizes else -value, trial.number

    return sorted(trials, key=place)


def table(trials: Sequence[Trial], space: Space) -> polars.DataFrame:
    """Return one row a trial, in the order given: trial, objective, step, the parameters, state, seconds, error.

    Args:
        trials: The trials.
        space: Names and kinds of the parameters.
    """
    import polars

    columns: dict[str, Any] = {
        "trial": [trial.number for trial in trials],
        "objective": polars.Series([trial.objective for trial in trials], dtype=polars.Float64),
        "step": polars.Series([trial.step for trial in trials], dtype=polars.Int64),
    }
    for name in space:
        key = f"{name} (parameter)" if name in {*columns, "state", "seconds", "error"} else name
        columns[key] = [trial.parameters.get(name) for trial in trials]
    columns["state"] = polars.Series([trial.state for trial in trials], dtype=polars.String)
    columns["seconds"] = polars.Series([trial.seconds for trial in trials], dtype=polars.Float64)
    columns["error"] = polars.Series([trial.error.partition("\n")[0] for trial in trials], dtype=polars.String)
    return polars.DataFrame(columns, strict=False)


def training_output(trials: Sequence[Trial], tag: str, minimizes: bool) -> dict[str, Any]:
    """Return the service's `trainingOutput` of a tuning job, its trials best first and all values as texts.

    Args:
        trials: The trials.
        tag: The metric's.
        minimizes: Whether smaller is better.
    """
    return {
        "completedTrialCount": str(sum(trial.is_over for trial in trials)),
        "isHyperparameterTuningJob": True,
        "hyperparameterMetricTag": tag,
        "trials": [_resource(trial) for trial in best_first(trials, minimizes)],
    }


def _resource(trial: Trial) -> dict[str, Any]:
    failed = trial.state == "INFEASIBLE"
    found: dict[str, Any] = {
        "trialId": str(trial.number),
        "hyperparameters": {name: str(value) for name, value in trial.parameters.items()},
        "state": {"STOPPED_EARLY": "SUCCEEDED", "INFEASIBLE": "FAILED"}.get(trial.state, trial.state),
    }
    if trial.objective is not None:
        found["finalMetric"] = {"objectiveValue": trial.objective, "trainingStep": str(trial.step or 0)}
    times = {"startTime": trial.start_time, "endTime": trial.end_time, "errorMessage": trial.error if failed else ""}
    found |= {name: text for name, text in times.items() if text}
    if trial.state == "STOPPED_EARLY":
        found["isTrialStoppedEarly"] = True
    return found


def trial_of(found: Any, space: Space) -> Trial:
    """Return a trial of Optuna, or a record with the same attributes, as ours."""
    attributes = found.user_attrs
    state = _STATES[found.state.name]
    curve = {step: float(value) for step, value in sorted(found.intermediate_values.items())}
    last = next(reversed(curve), None)
    value = found.value if state == "SUCCEEDED" else None if last is None else curve[last]
    start, end = attributes.get("start_time", ""), attributes.get("end_time", "")
    return Trial(
        number=found.number + 1,
        state=state,
        parameters=values_of(found.params or found.system_attrs.get("fixed_params", {}), space),
        objective=None if state == "INFEASIBLE" else value,
        step=last,
        seconds=_seconds(start, end),
        error=attributes.get("error", ""),
        job=attributes.get("job", ""),
        curve=curve,
        start_time=start,
        end_time=end,
    )


def _seconds(start: str, end: str) -> float | None:
    if not start:
        return None
    until = datetime.fromisoformat(end) if end else datetime.now(UTC)
    return round(max(0.0, (until - datetime.fromisoformat(start)).total_seconds()), 1)
