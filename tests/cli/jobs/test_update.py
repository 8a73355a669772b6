"""`mlhelpers jobs update`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml

from mlhelpers import jobs

Run = Callable[..., Any]


@pytest.fixture
def over(run: Run) -> Run:
    """Give the function that runs commands, after a job with two labels that has succeeded."""
    words = ("--module-name", "trainer.task", "--package-path", "trainer", "--labels", "team=blue,stage=test")
    run("submit", "training", "first", *words, "--stream-logs")
    return run


@pytest.mark.parametrize(
    ("words", "labels"),
    [
        (["--update-labels", "team=red,n=1"], {"team": "red", "stage": "test", "n": "1"}),
        (["--remove-labels", "stage,none"], {"team": "blue"}),
        (["--remove-labels", "stage", "--update-labels", "stage=new"], {"team": "blue", "stage": "new"}),
        (["--clear-labels"], {}),
        (["--clear-labels", "--update-labels", "n=1"], {"n": "1"}),
    ],
)
def test_labels_are_set_and_taken_away(over: Run, words: list[str], labels: dict[str, str]) -> None:
    answer = over("update", "first", *words)

    assert yaml.safe_load(answer.out) == {"jobId": "first", "labels": labels}
    assert yaml.safe_load(over("describe", "first").out)["labels"] == labels


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "Say what to change"),
        (["--clear-labels", "--remove-labels", "team"], 2, "leave --remove-labels out"),
        (["--update-labels", "Team=x"], 2, "The label Team=x is refused"),
        (["--update-labels", "team"], 2, "The label 'team' has no value. Write --update-labels KEY=VALUE"),
    ],
)
def test_a_slip_changes_nothing(over: Run, words: list[str], code: int, message: str) -> None:
    answer = over("update", "first", *words)

    assert (answer.code, message in answer.err) == (code, True)
    assert jobs.attach("first").describe()["labels"] == {"team": "blue", "stage": "test"}


def test_a_job_that_is_not_there_is_told(over: Run) -> None:
    answer = over("update", "fisrt", "--clear-labels")

    assert (answer.code, "Did you mean 'first'?" in answer.err) == (1, True)


def test_many_who_change_different_labels_at_once_lose_none(over: Run) -> None:
    keys = [f"k{n}" for n in range(40)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: jobs.attach("first").relabel({key: "1"}), keys))

    assert set(keys) < set(jobs.attach("first").describe()["labels"])
