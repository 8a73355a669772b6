"""What a batch tells of itself while it runs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from mlhelpers.serving.batch import progress as module
from mlhelpers.serving.batch.progress import Progress
from mlhelpers.serving.batch.shards import Shard
from mlhelpers.serving.batch.state import Counts

_SHARDS = [Shard("/a", 0, 100, 0, 10), Shard("/a", 100, 300, 10, 20)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time, to be changed by the test."""
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_speed_counts_from_the_first_loaded_model_and_leaves_out_what_was_done_before(clock: list[float]) -> None:
    progress = Progress(_SHARDS, {0: Counts(9, 1)})
    clock[0] += 5
    progress.heard({"ready": True})
    clock[0] += 2
    progress.heard({"shard": 1, "share": 0.5, "done": 10})

    assert progress.figures() == {
        "step": 20,
        "total_steps": 30,
        "steps_per_second": 5.0,
        "seconds_left": 2.0,
        "unit": "instances",
        "metrics": {"errors": 1},
    }
    assert progress.line() == "20 of 30 instances, 1 error, 5 instances/s, 2 s left"


def test_how_many_a_compressed_file_has_is_estimated_by_what_was_read_of_it(clock: list[float]) -> None:
    progress = Progress([_SHARDS[0], Shard("/b.gz", 0, 300, 0, None)], {0: Counts(10)})

    progress.heard({"shard": 1, "share": 0.5, "done": 90})

    assert progress.figures()["total_steps"] == 160


def test_a_line_is_printed_every_two_seconds_and_the_file_is_written(
    clock: list[float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLHELPERS_PROGRESS_FILE", str(tmp_path / "p.json"))
    progress = Progress(_SHARDS, {})
    progress.heard({"ready": True})
    for _ in range(50):
        clock[0] += 0.1
        progress.heard(None)
    progress.heard({"finished": 0, "counts": asdict(Counts(10))})

    assert len(capsys.readouterr().out.splitlines()) == 2
    progress.close()
    written = json.loads((tmp_path / "p.json").read_text())
    assert (written["phase"], written["step"], written["total_steps"]) == ("done", 10, 30)
