"""The store under several processes at once, and when its file is damaged or the disk is full."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlhelpers import jobs
from mlhelpers.errors import JobError
from mlhelpers.jobs.local.store import Store, now

_ROW = {"name": "first", "token": "t", "labels": {}, "training_input": {}}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "jobs")
    store.prepare()
    return store


def _many(code: str, count: int, env: dict[str, str]) -> list[subprocess.CompletedProcess[str]]:
    """Run the same code in several processes at the same time; it finds its number in sys.argv[1]."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(number)],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    return [subprocess.CompletedProcess("", (p.wait(), p.returncode)[1], *p.communicate()) for p in running]


def test_several_processes_may_make_and_fill_a_store_at_once(tmp_path: Path, child_environment: dict[str, str]) -> None:
    code = f"""
import sys
from pathlib import Path
from mlhelpers.jobs.local.store import Store
store = Store(Path({str(tmp_path)!r}) / "jobs")
for count in range(20):
    store.prepare()
    name = f"job_{{sys.argv[1]}}_{{count}}"
    store.add({{"name": name, "token": "t", "labels": {{}}, "training_input": {{}}}}, then=lambda: None)
    store.move(name, "PREPARING", ("QUEUED",))
    store.finish(name, "SUCCEEDED", None, 0)
"""
    done = _many(code, 6, child_environment)

    assert [process.stderr for process in done] == [""] * 6
    rows = Store(tmp_path / "jobs").jobs()
    assert len(rows) == 120
    assert {row["state"] for row in rows} == {"SUCCEEDED"}
    with sqlite3.connect(tmp_path / "jobs" / "jobs.sqlite") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_of_several_submissions_under_one_name_one_wins(
    tmp_path: Path, home: Path, child_environment: dict[str, str]
) -> None:
    code = """
from mlhelpers import jobs
try:
    jobs.submit(jobs.JobSpec("first", "json.tool", args=["--help"]))
    print("won")
except Exception as error:
    print("lost" if "is taken" in str(error) else error)
"""
    done = _many(code, 5, child_environment)
    jobs.attach("first").wait(30)

    assert sorted(process.stdout.strip() for process in done) == ["lost"] * 4 + ["won"]
    assert "usage:" in jobs.attach("first").log()
    assert [path.name for path in (home / "jobs").iterdir() if path.is_dir()] == ["first"]


def test_a_final_state_is_never_overwritten(store: Store) -> None:
    store.add(_ROW, then=lambda: None)
    store.finish("first", "SUCCEEDED", None, 0)
    before = store.job("first")

    assert not store.finish("first", "FAILED", "late", 1)
    assert not store.move("first", "CANCELLING", ("QUEUED", "PREPARING", "RUNNING"))
    store.running("first", 0)

    assert store.job("first") == before


def test_a_step_is_taken_from_the_allowed_states_alone(store: Store) -> None:
    store.add(_ROW, then=lambda: None)

    assert not store.move("first", "RUNNING", ("PREPARING",))
    assert store.move("first", "PREPARING", ("QUEUED",))
    assert store.job("first")["state"] == "PREPARING"


def test_a_start_leaves_a_cancellation_standing(store: Store) -> None:
    store.add(_ROW, then=lambda: None)
    store.move("first", "CANCELLING", ("QUEUED",))

    store.running("first", 0)

    assert store.job("first")["state"] == "CANCELLING"


def test_a_job_whose_folder_cannot_be_placed_is_not_added(store: Store) -> None:
    def fail() -> None:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        store.add(_ROW, then=fail)

    assert store.job("first") is None


def test_a_free_name_counts_on(store: Store) -> None:
    for name in ("first", "first_2", "run_9"):
        store.add(_ROW | {"name": name}, then=lambda: None)

    assert [store.free_name(name) for name in ("first", "first_2", "run_9", "x" * 128)] == [
        "first_3",
        "first_3",
        "run_10",
        "x" * 110 + "_2",
    ]


def test_a_damaged_store_is_named_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "jobs.sqlite").write_bytes(b"no database at all" * 100)

    with pytest.raises(
        JobError, match=r"The job store .*jobs.sqlite cannot be used: .* The file is damaged: move it away"
    ):
        Store(tmp_path / "jobs").jobs()


def test_on_a_full_disk_the_room_put_by_takes_the_end(tmp_path: Path, child_environment: dict[str, str]) -> None:
    # a database that may not grow is to SQLite what a full disk is; it may grow again once the spare file is gone
    code = f"""
import sqlite3
from pathlib import Path
from mlhelpers.jobs.local import store as module
class Full(sqlite3.Connection):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if spare.exists():
            pages = self.execute("PRAGMA page_count").fetchone()[0]
            self.execute(f"PRAGMA max_page_count = {{pages}}")
store = module.Store(Path({str(tmp_path)!r}) / "jobs")
spare = store.folder / "spare"
store.prepare()
store.add({{"name": "first", "token": "t", "labels": {{}}, "training_input": {{}}}}, then=lambda: None)
connect = sqlite3.connect
sqlite3.connect = lambda *args, **kwargs: connect(*args, factory=Full, **kwargs)
store.finish("first", "FAILED", "x" * 100_000, 1)
"""
    (done,) = _many(code, 1, child_environment)

    store = Store(tmp_path / "jobs")
    assert done.stderr == ""
    assert store.job("first")["state"] == "FAILED"
    assert not (tmp_path / "jobs" / "spare").exists()


def test_ten_thousand_jobs_are_listed_in_under_a_third_of_a_second(store: Store) -> None:
    rows = [(f"job_{n}", now(), now(), now(), json.dumps({"n": str(n)})) for n in range(10_000)]
    with sqlite3.connect(store.folder / "jobs.sqlite") as database:
        database.executemany(
            "INSERT INTO jobs (name, state, create_time, start_time, end_time, labels, training_input, token) "
            "VALUES (?, 'SUCCEEDED', ?, ?, ?, ?, '{}', 't')",
            rows,
        )
    from mlhelpers.jobs.local.engine import LocalBackend

    times = []  # of this process's own work: on a busy machine the clock on the wall says little
    for _ in range(3):
        begin = time.process_time()
        listed = LocalBackend(store.folder).list(None)
        times.append(time.process_time() - begin)

    assert listed[0]["jobId"] == "job_9999"
    assert len(listed) == 10_000
    assert min(times) < 0.3, times


def test_this_moment_is_told_in_utc() -> None:
    assert time.strftime("%Y-%m-%dT%H:%M", time.gmtime()) == now()[:16]
    assert now().endswith("Z")


def test_the_end_of_a_study_cancels_its_trials_in_the_same_breath_and_no_others(store: Store) -> None:
    for name, study, trial in (
        ("study", None, None),
        ("study.1", "study", 1),
        ("study.2", "study", 2),
        ("other", None, None),
    ):
        row = {"name": name, "token": name, "labels": {}, "training_input": {}, "study": study, "trial": trial}
        store.add(row, then=lambda: None)
    for name in ("study", "study.1", "other"):
        store.move(name, "RUNNING", ("QUEUED",))

    store.finish("study", "FAILED", "killed", None)

    states = {row["name"]: row["state"] for row in [*store.trials("study"), *store.jobs()]}
    assert states == {"study.1": "CANCELLING", "study.2": "CANCELLED", "study": "FAILED", "other": "RUNNING"}
    assert [row["name"] for row in store.jobs()] == ["other", "study"]
