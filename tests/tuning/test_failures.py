from __future__ import annotations

import pytest

from mlhelpers.jobs import JobState
from mlhelpers.tuning.failures import too_many_failures, why
from mlhelpers.tuning.results import Trial


def _trials(states: str) -> list[Trial]:
    names = {"f": "INFEASIBLE", "s": "SUCCEEDED", "e": "STOPPED_EARLY", "r": "RUNNING"}
    return [Trial(n, names[state], {}, error=f"error {n}") for n, state in enumerate(states, start=1)]


@pytest.mark.parametrize(
    ("states", "total", "max_failed", "ends"),
    [
        ("ff", 20, 0, False),
        ("fff", 20, 0, True),
        ("ffsf", 20, 0, False),
        ("ffef", 20, 0, False),
        ("ffrf", 20, 0, True),
        ("s" + "f" * 10, 20, 0, False),
        ("s" + "f" * 11, 20, 0, True),
        ("sff", 3, 0, False),
        ("ffff", 20, 5, False),
        ("ssfssf", 20, 2, False),
        ("ssfssff", 20, 2, True),
    ],
)
def test_a_study_ends_with_so_many_failures_and_not_before(
    states: str, total: int, max_failed: int, ends: bool
) -> None:
    assert bool(too_many_failures(_trials(states), total, max_failed)) == ends


def test_the_reason_counts_and_names_the_last_one() -> None:
    assert too_many_failures(_trials("sff"), 20, 1) == (
        "2 of 3 trials failed (maxFailedTrials is 1). The last one, trial 3: error 3"
    )


def test_why_a_trial_failed_stands_in_its_first_line() -> None:
    told = "The trainer exited with code 1.\nIts last lines:\n  step 1\n  ValueError: no"
    assert why(JobState.FAILED, told, "loss", False, ()).splitlines()[0] == (
        "The trainer exited with code 1: ValueError: no"
    )
    assert why(JobState.FAILED, "The disk is full.", "loss", False, ()) == "The disk is full."
    assert why(JobState.SUCCEEDED, "", "loss", True, ()) == "The trainer's last loss was not a number."
    assert why(JobState.SUCCEEDED, "", "loss", False, ["rmse", "mae"]).endswith("it reported mae, rmse.")
    assert why(JobState.CANCELLED, "", "loss", False, ()) == "The trial was cancelled."
