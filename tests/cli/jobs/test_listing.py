"""`mlhelpers jobs list` and its filters."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.shell_completion import ShellComplete

from mlhelpers import cli, jobs
from mlhelpers.cli.jobs.listing import parse_filter
from mlhelpers.errors import UsageError

Run = Callable[..., Any]
_ROWS: list[dict[str, Any]] = [
    {"jobId": "mnist_1", "state": "RUNNING", "createTime": "2030-01-01T10:00:00.000Z", "labels": {"team": "blue"}},
    {
        "jobId": "iris_1",
        "state": "FAILED",
        "createTime": "2030-02-01T10:00:00.000Z",
        "endTime": "2030-02-01T11:00:00.000Z",
        "labels": {"team": "red", "n": "1"},
    },
    {"jobId": "mnist_2", "state": "SUCCEEDED", "createTime": "2030-03-01T10:00:00.000Z", "labels": {}},
]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ["mnist_1", "iris_1", "mnist_2"]),
        ("state=RUNNING", ["mnist_1"]),
        ("status=running", ["mnist_1"]),
        ("state:FAILED", ["iris_1"]),
        ("state!=FAILED", ["mnist_1", "mnist_2"]),
        ("state:*ED", ["iris_1", "mnist_2"]),
        ("labels.team=blue", ["mnist_1"]),
        ("labels.team:*", ["mnist_1", "iris_1"]),
        ("labels.team!=blue", ["iris_1"]),
        ("jobId:mnist*", ["mnist_1", "mnist_2"]),
        ("jobId:MNIST_1", ["mnist_1"]),
        ("jobId:mnist", []),
        ("job_id=iris_1", ["iris_1"]),
        ("createTime>=2030-02-01", ["iris_1", "mnist_2"]),
        ("created<2030-02-01 AND jobId:m*", ["mnist_1"]),
        ("endTime>2030", ["iris_1"]),
        ("createTime>2030-02", ["iris_1", "mnist_2"]),
        ("createTime<=2030-02-01T11:00:00+01:00", ["mnist_1", "iris_1"]),
        ("createTime:2030-02*", ["iris_1"]),
        ("state:RUN", []),
        ("state:run*", ["mnist_1"]),
        ('labels.team="red" AND state=FAILED', ["iris_1"]),
        ("labels.team=red AND state=RUNNING", []),
    ],
)
def test_a_filter_keeps_the_rows_that_it_holds_for(text: str, names: list[str]) -> None:
    holds = parse_filter(text)

    assert [row["jobId"] for row in _ROWS if holds(row)] == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stat=RUNNING", "There is no key to filter by 'stat'. Did you mean 'state'?"),
        ("state=RUNING", "There is no state 'RUNING'. Did you mean 'RUNNING'?"),
        ("state=*ED", "There is no state '*ED'"),
        ("createTime>-P1D", "createTime is compared with '-P1D', which is no time. Write it as in RFC 3339"),
        ("endTime<2030-13", "which is no time"),
        ("label.team=x", "There is no key to filter by 'label.team'"),
        ("state=RUNNING OR state=FAILED", "cannot be read at 'OR'"),
        ("mnist", "Write KEY=VALUE or KEY:PATTERN without blanks"),
        ("labels.x='a", "No closing quotation"),
    ],
)
def test_a_slip_in_a_filter_is_told(text: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_filter(text)

    assert message in str(refused.value)


@pytest.fixture
def many(home: Path) -> int:
    """Put ten thousand finished jobs into the store, every hundredth of them FAILED."""
    jobs.list_jobs()
    from mlhelpers.jobs.local.store import Store

    Store(home / "jobs").prepare()
    rows = [
        (f"job_{n}", "FAILED" if n % 100 == 0 else "SUCCEEDED", "2030-01-01T00:00:00.000Z", "{}", "{}", "")
        for n in range(10_000)
    ]
    with sqlite3.connect(home / "jobs" / "jobs.sqlite") as database:
        columns = "name, state, create_time, labels, training_input, token"
        database.executemany(f"INSERT INTO jobs ({columns}) VALUES (?, ?, ?, ?, ?, ?)", rows)
    database.close()
    return len(rows)


def test_the_newest_come_first_and_the_limit_counts_what_the_filter_left(run: Run, many: int) -> None:
    assert len(run("list").out.splitlines()) == many + 1
    assert [line.split()[0] for line in run("list", "--limit", "2").out.splitlines()[1:]] == ["job_9999", "job_9998"]
    found = json.loads(run("list", "--limit", "2", "--filter", "state=FAILED", "--format", "json").out)
    assert [row["jobId"] for row in found] == ["job_9900", "job_9800"]


def test_a_filter_that_nothing_fits_lists_0_items(run: Run, many: int) -> None:
    assert run("list", "--filter", "jobId=none").out == "Listed 0 items.\n"


@pytest.mark.parametrize("verb", ["describe", "cancel", "stream-logs"])
def test_names_of_jobs_complete_in_the_shell(many: int, verb: str) -> None:
    completion = ShellComplete(cli._root, {}, "mlhelpers", "_MLHELPERS_COMPLETE")

    found = completion.get_completions(["jobs", verb], "job_123")

    assert {item.value for item in found} == {"job_123", *(f"job_123{n}" for n in range(10))}


def test_completion_makes_nothing_of_a_store_that_cannot_be_read(home: Path) -> None:
    home.write_text("in the way")
    completion = ShellComplete(cli._root, {}, "mlhelpers", "_MLHELPERS_COMPLETE")

    assert completion.get_completions(["jobs", "describe"], "") == []
