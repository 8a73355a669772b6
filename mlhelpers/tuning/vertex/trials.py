"""The trials of a tuning job as ours: what the service keeps of each, a `Trial` of google.cloud.aiplatform.v1."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mlhelpers.tuning.results import Trial
from mlhelpers.tuning.space import Choice, Parameter, Space, Value

__all__ = ["trials_from"]

_STATES = {
    "REQUESTED": "QUEUED",
    "ACTIVE": "RUNNING",
    "STOPPING": "RUNNING",
    "SUCCEEDED": "SUCCEEDED",
    "INFEASIBLE": "INFEASIBLE",
}


def trials_from(found: Mapping[str, Any], space: Space, metric: str) -> list[Trial]:
    """Return the trials of a tuning job, in the order of their numbers; the service sorts them in no way.

    Args:
        found: The `HyperparameterTuningJob` in REST's JSON.
        space: The study's parameters.
        metric: The study's.
    """
    trials = [_trial(one, space, metric) for one in found.get("trials", [])]
    return sorted(trials, key=lambda trial: trial.number)


def _trial(found: Mapping[str, Any], space: Space, metric: str) -> Trial:
    state = _STATES.get(found.get("state", ""), "QUEUED")
    last: Mapping[str, Any] = found.get("finalMeasurement") or next(reversed(found.get("measurements", [])), {})
    curve = {
        step: value
        for measurement in found.get("measurements", [])
        for step, value in [_reported(measurement, metric)]
        if value is not None
    }
    step, objective = _reported(last, metric)
    if objective is not None:
        curve[step] = objective
    error = str(found.get("infeasibleReason", "")) or ("The service tells no reason." if state == "INFEASIBLE" else "")
    start, end = found.get("startTime", ""), found.get("endTime", "")
    return Trial(
        number=int(found.get("id", 0)),
        state=state,
        parameters=_parameters(found, space),
        objective=None if state == "INFEASIBLE" else objective,
        step=None if objective is None else step,
        seconds=_seconds(start, end),
        error=error if state == "INFEASIBLE" else "",
        job=str(found.get("customJob", "")),
        curve=dict(sorted(curve.items())),
        start_time=start,
        end_time=end,
    )


def _reported(measurement: Mapping[str, Any], metric: str) -> tuple[int, float | None]:
    """Return the step of a measurement, and what it says of the metric; JSON leaves a 0 out."""
    for one in measurement.get("metrics", []):
        if one.get("metricId") == metric:
            return int(measurement.get("stepCount", 0)), float(one.get("value", 0.0))
    return 0, None


def _parameters(found: Mapping[str, Any], space: Space) -> dict[str, Value]:
    given = {one["parameterId"]: one.get("value") for one in found.get("parameters", [])}
    return {name: _value(space[name], given[name]) for name in space if name in given}


def _value(parameter: Parameter, value: Any) -> Value:
    """Return a parameter's value in its own kind: all numbers are floats in JSON's Value."""
    if isinstance(parameter, Choice):
        if parameter.kind == "CATEGORICAL":
            return str(value)
        return min(parameter.values, key=lambda one: abs(float(one) - float(value)))
    return round(float(value)) if parameter.kind == "INTEGER" else float(value)


def _seconds(start: str, end: str) -> float | None:
    if not start:
        return None
    until = datetime.fromisoformat(end) if end else datetime.now(UTC)
    return round(max(0.0, (until - datetime.fromisoformat(start)).total_seconds()), 1)
