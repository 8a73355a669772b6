from __future__ import annotations

from typing import Any

import polars as pl

from mlhelpers.tuning.results import Trial, best_first, table, training_output
from mlhelpers.tuning.space import Choice, Float


def _trial(number: int, state: str = "SUCCEEDED", objective: float | None = None, **more: Any) -> Trial:
    return Trial(number, state, {"x": number / 10}, objective, **more)


TRIALS = [
    _trial(1, objective=0.5, step=10),
    _trial(2, "INFEASIBLE", error="It fell over.\nIts last lines: …"),
    _trial(3, "STOPPED_EARLY", objective=0.4, step=3),
    _trial(4, "RUNNING", objective=0.1, step=2),
    _trial(5, objective=0.2, step=10, start_time="2026-01-01T00:00:00Z", end_time="2026-01-01T00:00:08Z"),
    _trial(6, "QUEUED"),
]


def test_those_that_ended_come_first_and_failed_ones_last() -> None:
    assert [trial.number for trial in best_first(TRIALS, minimizes=True)] == [5, 3, 1, 4, 6, 2]
    assert [trial.number for trial in best_first(TRIALS, minimizes=False)] == [1, 3, 5, 4, 6, 2]


def test_the_table_keeps_the_order_and_the_kinds_of_the_columns() -> None:
    found = table(TRIALS, {"x": Float(0, 1), "act": Choice(["a", "b"]), "state": Choice([1, 2])})

    assert found.columns == ["trial", "objective", "step", "x", "act", "state (parameter)", "state", "seconds", "error"]
    assert found["trial"].to_list() == [1, 2, 3, 4, 5, 6]
    assert found["objective"].dtype == pl.Float64
    assert found["act"].null_count() == 6
    assert found["error"][1] == "It fell over."


def test_an_empty_study_has_an_empty_table() -> None:
    assert table([], {"x": Float(0, 1)}).shape == (0, 7)


def test_the_services_words_are_texts_best_first_and_complete() -> None:
    output = training_output(TRIALS, "loss", minimizes=True)

    assert output["completedTrialCount"] == "4"
    assert [trial["trialId"] for trial in output["trials"]] == ["5", "3", "1", "4", "6", "2"]
    assert output["trials"][0] == {
        "trialId": "5",
        "hyperparameters": {"x": "0.5"},
        "finalMetric": {"objectiveValue": 0.2, "trainingStep": "10"},
        "state": "SUCCEEDED",
        "startTime": "2026-01-01T00:00:00Z",
        "endTime": "2026-01-01T00:00:08Z",
    }
    assert (output["trials"][1]["state"], output["trials"][1]["isTrialStoppedEarly"]) == ("SUCCEEDED", True)
    assert output["trials"][-1]["state"] == "FAILED"
    assert output["trials"][-1]["errorMessage"].startswith("It fell over.")
