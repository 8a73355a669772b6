"""The ledger: a line before the request, the name when it is known, nothing when the thing is gone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlhelpers.cloud import ledger
from mlhelpers.errors import DataError

_WHERE = ("test-project", "us-central1")


def _files(home: Path) -> list[Path]:
    return sorted((home / "ledger").glob("*"))


def test_what_is_intended_stands_there_before_it_has_a_name() -> None:
    entry = ledger.intend("custom_job", *_WHERE, "first", "http://127.0.0.1:8600", {"team": "blue"})

    assert ledger.entries() == [entry]
    assert (entry.kind, entry.title, entry.name, entry.labels) == ("custom_job", "first", "", {"team": "blue"})
    assert entry.endpoint == "http://127.0.0.1:8600"


def test_what_was_made_keeps_its_line_and_gets_its_name(home: Path) -> None:
    entry = ledger.made(ledger.intend("model", *_WHERE, "digits"), "projects/p/locations/r/models/1")

    assert ledger.entries() == [entry]
    assert entry.name == "projects/p/locations/r/models/1"
    assert len(_files(home)) == 1


def test_what_is_gone_is_forgotten_and_may_be_so_twice() -> None:
    kept, gone = ledger.intend("model", *_WHERE, "kept"), ledger.intend("model", *_WHERE, "gone")

    ledger.forget(gone)
    ledger.forget(gone)

    assert ledger.entries() == [kept]


def test_each_submission_has_a_mark_that_a_label_takes() -> None:
    marks = {ledger.intend("endpoint", *_WHERE, "same").mark for _ in range(50)}

    assert len(marks) == len(ledger.entries()) == 50
    assert all(mark.isalnum() and mark == mark.lower() and len(mark) <= 63 for mark in marks)


def test_they_come_oldest_first(home: Path) -> None:
    entries = [ledger.intend("model", *_WHERE, f"number {number}") for number in range(3)]
    for number, path in enumerate(_files(home)):
        values = json.loads(path.read_text())
        path.write_text(json.dumps(values | {"time": f"2026-05-0{3 - number}T00:00:00Z"}))

    assert [entry.time[8:10] for entry in ledger.entries()] == ["01", "02", "03"]
    assert {entry.mark for entry in ledger.entries()} == {entry.mark for entry in entries}


def test_without_a_ledger_there_is_nothing_and_none_is_made(home: Path) -> None:
    assert ledger.entries() == []
    assert not (home / "ledger").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"kind": "model"}', '{"kind": "model", "unknown": 1}'])
def test_a_damaged_line_is_named_and_no_other_is_lost(home: Path, content: str) -> None:
    ledger.intend("model", *_WHERE, "whole")
    damaged = home / "ledger" / "ffff.json"
    damaged.write_text(content)

    with pytest.raises(DataError, match=r"ffff\.json cannot be read"):
        ledger.entries()
    damaged.unlink()
    assert [entry.title for entry in ledger.entries()] == ["whole"]


def test_where_it_cannot_be_written_nothing_is_started(home: Path) -> None:
    home.mkdir()
    (home / "ledger").write_text("a file stands in its place")

    with pytest.raises(DataError, match="cannot be made"):
        ledger.intend("model", *_WHERE, "digits")


def test_a_process_killed_between_intention_and_answer_leaves_its_line(home: Path) -> None:
    code = (
        "import os, signal; from mlhelpers.cloud import ledger; "
        "ledger.intend('endpoint', 'test-project', 'us-central1', 'digits'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=60, check=False)

    assert done.returncode == -9
    (entry,) = ledger.entries()
    assert (entry.title, entry.name, entry.is_billable) == ("digits", "", True)


def test_half_a_write_is_no_line(home: Path) -> None:
    entry = ledger.intend("model", *_WHERE, "digits")
    (path,) = _files(home)
    path.with_name(f".{path.name}.abcd.part").write_text('{"kind": "mod')  # as a process killed while writing leaves it

    assert ledger.entries() == [entry]


def test_what_costs_money_is_first_in_the_order_of_deletion() -> None:
    kinds = list(ledger.KINDS)

    assert kinds[0] == "endpoint"
    assert kinds.index("object") < kinds.index("bucket")  # a bucket can be empty then
    assert kinds.index("endpoint") < kinds.index("model")  # a deployed model cannot be deleted
