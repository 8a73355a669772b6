"""The trials of a tuning job, as Google's own message class writes them, become ours."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from google.cloud.aiplatform_v1 import types
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Value

from mlhelpers.tuning import Choice, Float, Int, Space
from mlhelpers.tuning.vertex.trials import trials_from

_SPACE: Space = {"rate": Float(0.0, 1.0), "layers": Int(1, 4), "batch": Choice([16, 32]), "act": Choice(["relu", "id"])}


def _measured(step: int, loss: float, **others: float) -> types.Measurement:
    metrics = {"loss": loss, **others}
    return types.Measurement(
        step_count=step,
        metrics=[types.Measurement.Metric(metric_id=name, value=value) for name, value in metrics.items()],
    )


def _trial(number: int, state: str, **fields: Any) -> types.Trial:
    values = {
        "rate": Value(number_value=0.0),
        "layers": Value(number_value=3.0),
        "batch": Value(number_value=32.0),
        "act": Value(string_value="id"),
    }
    parameters = [types.Trial.Parameter(parameter_id=name, value=value) for name, value in values.items()]
    return types.Trial(id=str(number), state=types.Trial.State[state], parameters=parameters, **fields)


def _read(*trials: types.Trial) -> Any:
    message = types.HyperparameterTuningJob(trials=list(trials))
    written = json_format.MessageToDict(types.HyperparameterTuningJob.pb(message))
    return trials_from(written, _SPACE, "loss")


def test_each_state_has_its_own_here() -> None:
    states = ["INFEASIBLE", "SUCCEEDED", "STOPPING", "ACTIVE", "REQUESTED", "STATE_UNSPECIFIED"]
    trials = _read(*(_trial(number, state) for number, state in enumerate(states, 1)))

    assert [trial.state for trial in trials] == ["INFEASIBLE", "SUCCEEDED", "RUNNING", "RUNNING", "QUEUED", "QUEUED"]


def test_they_come_in_the_order_of_their_numbers() -> None:
    trials = _read(_trial(10, "ACTIVE"), _trial(2, "SUCCEEDED"), _trial(1, "SUCCEEDED"))

    assert [trial.number for trial in trials] == [1, 2, 10]


def test_a_parameter_is_of_its_own_kind_again() -> None:
    (trial,) = _read(_trial(1, "ACTIVE"))

    assert trial.parameters == {"rate": 0.0, "layers": 3, "batch": 32, "act": "id"}
    assert [type(value) for value in trial.parameters.values()] == [float, int, int, str]


def test_the_objective_is_the_final_measurement_of_the_studys_metric() -> None:
    measured = [_measured(1, 0.5, other=9.0), _measured(2, 0.25)]
    (trial,) = _read(_trial(1, "SUCCEEDED", measurements=measured, final_measurement=_measured(3, 0.0, other=1.0)))

    assert (trial.objective, trial.step) == (0.0, 3)  # JSON leaves a value of 0 out
    assert trial.curve == {1: 0.5, 2: 0.25, 3: 0.0}


def test_a_trial_that_runs_has_what_it_reported_last() -> None:
    (trial,) = _read(_trial(1, "ACTIVE", measurements=[_measured(1, 0.5), _measured(2, 0.25)]))

    assert (trial.objective, trial.step, trial.is_over) == (0.25, 2, False)


def test_a_failed_trial_has_its_reason_and_no_objective() -> None:
    told, untold = _read(
        _trial(1, "INFEASIBLE", infeasible_reason="exit code 1", final_measurement=_measured(1, 0.1)),
        _trial(2, "INFEASIBLE"),
    )

    assert (told.objective, told.error) == (None, "exit code 1")
    assert untold.error == "The service tells no reason."


def test_its_seconds_go_from_start_to_end() -> None:
    begin, end = datetime(2026, 5, 1, 12, tzinfo=UTC), datetime(2026, 5, 1, 12, 1, 30, 500_000, tzinfo=UTC)
    over, waiting = _read(_trial(1, "SUCCEEDED", start_time=begin, end_time=end), _trial(2, "REQUESTED"))

    assert (over.seconds, over.start_time) == (90.5, "2026-05-01T12:00:00Z")
    assert waiting.seconds is None
