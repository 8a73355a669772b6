"""Marks of time in a log."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest

from mlhelpers.jobs.local import logs


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    times = [1000.0]
    monkeypatch.setattr(logs.time, "time", lambda: times[0])
    return times


def _at(log: Path, *offsets: int) -> list[float]:
    times = logs.Times(log)
    return [datetime.fromisoformat(times.at(offset)).timestamp() for offset in offsets]


def test_each_byte_has_the_time_of_the_first_look_that_saw_it(tmp_path: Path, clock: list[float]) -> None:
    log = tmp_path / "a.log"
    marks = logs.Marks(log)
    for second, text in enumerate(["one\n", "", "two\n", "three\n"]):
        with log.open("a") as file:
            file.write(text)
        clock[0] = 1000.0 + second
        marks.look()

    assert _at(log, 0, 3, 4, 7, 8, 13) == [1000, 1000, 1002, 1002, 1003, 1003]
    assert _at(log, 8) == [1003]
    os.utime(log, (1500, 1500))
    assert _at(log, 14) == [1500], "nothing is known of it but when something was printed last"


def test_a_log_without_marks_was_printed_now(tmp_path: Path, clock: list[float]) -> None:
    assert _at(tmp_path / "a.log", 5) == [1000]


def test_many_marks_are_found_by_halving(tmp_path: Path, clock: list[float]) -> None:
    log = tmp_path / "a.log"
    marks = logs.Marks(log)
    for second in range(1000):
        with log.open("a") as file:
            file.write("x" * (second % 7 + 1))
        clock[0] = float(second)
        marks.look()
    size = log.stat().st_size

    found = [_at(log, offset)[0] for offset in range(0, size, 97)]

    assert found == sorted(found)
    lengths = [second % 7 + 1 for second in range(1000)]
    ends = [sum(lengths[: n + 1]) for n in range(1000)]
    expected = [next(n for n, end in enumerate(ends) if end > offset) for offset in range(0, size, 97)]
    assert found == expected


def test_tasks_come_in_the_order_of_their_roles_and_numbers(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for task in ("service", "worker-replica-10", "ps-replica-0", "worker-replica-2", "master-replica-0"):
        logs.log_path(tmp_path, task).touch()

    assert logs.tasks_of(tmp_path) == [
        "master-replica-0",
        "worker-replica-2",
        "worker-replica-10",
        "ps-replica-0",
        "service",
    ]
