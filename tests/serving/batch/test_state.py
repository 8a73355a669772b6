"""What is known of a batch while it runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mlhelpers import storage
from mlhelpers.serving.batch.shards import Shard
from mlhelpers.serving.batch.state import Counts, State


@pytest.fixture
def state(tmp_path: Path) -> State:
    made = State(tmp_path / "out")
    with made.held() as mine:
        assert mine
    return made


def test_shards_and_counts_come_back_as_they_were(state: State) -> None:
    shards = [Shard("/a", 0, 5, 0, 2), Shard("/b", 0, 9, 0, None)]
    state.begin("job", "print", shards)
    for path in state.under_way(1):
        path.write_text("1")

    state.finish(1, 2, Counts(3, 1, 0.5, "line 2: no"))

    assert state.shards() == shards
    assert state.request()["job"] == "job"
    assert state.finished() == {1: Counts(3, 1, 0.5, "line 2: no")}
    assert sorted(path.name for path in state.output.glob("pred*")) == [
        "prediction.errors_stats-00001-of-00002",
        "prediction.results-00001-of-00002",
    ]


def test_counts_add_up_and_the_first_error_stays() -> None:
    assert Counts(1, 2, 0.5) + Counts(3, 4, 0.25, "a") + Counts(0, 1, 0, "b") == Counts(4, 7, 0.75, "a")


def test_one_process_alone_holds_an_output_folder_and_its_end_frees_it(state: State) -> None:
    code = (
        "import sys, pathlib, os\nfrom mlhelpers.serving.batch.state import State\n"
        "with State(pathlib.Path(sys.argv[1])).held() as mine:\n    print(mine, flush=True)\n    sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(state.output)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "True\n"

    assert state.is_held()
    with state.held() as mine:
        assert not mine
    other.kill()
    other.wait()
    other.stdout.close()
    assert not state.is_held()


def test_what_is_under_way_is_seen_by_no_storage_command_and_goes_at_the_end(home: Path) -> None:
    state = State(storage.local_path("gs://my-bucket/out"))
    with state.held():
        (state.output / "prediction.results-00000-of-00001").touch()

    assert [entry.address for entry in storage.list_entries("gs://my-bucket/out")] == [
        "gs://my-bucket/out/prediction.results-00000-of-00001"
    ]
    state.clear()
    assert [path.name for path in state.output.iterdir()] == ["prediction.results-00000-of-00001"]


def test_where_nothing_has_begun_nothing_is_held_and_nothing_is_made(tmp_path: Path) -> None:
    state = State(tmp_path / "none")

    assert not state.is_held()
    assert state.request() == {}
    assert not state.output.exists()
