"""So many jobs run at once as the setting says; the others wait in order, through the death of everybody."""

from __future__ import annotations

import itertools
import os
import resource
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from mlhelpers import jobs
from mlhelpers.errors import JobError
from mlhelpers.jobs import JobState
from mlhelpers.jobs.local.engine import LocalBackend
from mlhelpers.jobs.local.lost import held
from mlhelpers.jobs.local.store import Store, now

Submit = Callable[..., jobs.Job]
Until = Callable[..., None]

# runs until a file of its own name lies in the working folder
_UNTIL_TOLD = """
    import os, pathlib, time
    name = os.environ["CLOUD_ML_JOB_ID"]
    print("started", flush=True)
    while not pathlib.Path(f"end.{name}").exists():
        time.sleep(0.02)
"""


@pytest.fixture(autouse=True)
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLHELPERS_MAX_JOBS", "1")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "jobs")
    store.prepare()
    return store


def _states() -> dict[str, str]:
    return {row["jobId"]: row["state"] for row in jobs.list_jobs()}


def test_a_job_waits_for_its_place_and_then_runs(submit: Submit, until: Until, tmp_path: Path) -> None:
    first, second = submit(_UNTIL_TOLD, "first"), submit(_UNTIL_TOLD, "second")
    until(lambda: "started" in first.log())
    time.sleep(0.5)
    assert _states() == {"first": "RUNNING", "second": "QUEUED"}
    assert second.log() == ""

    (tmp_path / "project" / "end.first").touch()

    until(lambda: "started" in second.log())
    assert _states() == {"first": "SUCCEEDED", "second": "RUNNING"}
    (tmp_path / "project" / "end.second").touch()
    assert JobState.SUCCEEDED is second.wait(10)


def test_jobs_start_in_the_order_of_their_submission(submit: Submit) -> None:
    names = [f"job_{n}" for n in range(6)]
    made = [submit("print('done')", name) for name in names]

    for job in made:
        job.wait(30)

    starts = {job.name: job.describe()["startTime"] for job in made}
    ends = {job.name: job.describe()["endTime"] for job in made}
    assert sorted(names, key=starts.__getitem__) == names
    assert all(ends[before] <= starts[after] for before, after in itertools.pairwise(names))


def test_waiting_takes_one_process_however_many_wait(
    submit: Submit, until: Until, no_process_is_left: Callable[[], list[psutil.Process]]
) -> None:
    first = submit(_UNTIL_TOLD, "first")
    until(lambda: "started" in first.log())
    for n in range(5):
        submit("print('done')", f"job_{n}")

    # the supervisor and the trainer of the first, the supervisor of the next
    assert len(no_process_is_left()) == 3
    for name in _states():
        jobs.attach(name).cancel()
    until(lambda: set(_states().values()) == {"CANCELLED"})


def test_a_queued_job_is_cancelled_without_having_run(submit: Submit, until: Until, tmp_path: Path) -> None:
    first, second, third = (submit(_UNTIL_TOLD, name) for name in ("first", "second", "third"))
    until(lambda: "started" in first.log())

    second.cancel()

    assert JobState.CANCELLED is second.state
    (tmp_path / "project" / "end.first").touch()
    until(lambda: "started" in third.log())
    assert second.log() == ""
    third.cancel()
    third.wait(10)


def test_when_the_running_jobs_supervisor_is_killed_the_next_job_starts_by_itself(
    submit: Submit, until: Until, home: Path
) -> None:
    first, second = submit(_UNTIL_TOLD, "first"), submit(_UNTIL_TOLD, "second")
    until(lambda: "started" in first.log())
    store = Store(home / "jobs")

    psutil.Process(int(store.job("first")["supervisor"].split("/")[-2])).kill()

    # nobody asks for a state here: the waiting supervisor sees it alone
    until(lambda: (home / "jobs" / "second" / "logs" / "master-replica-0.log").read_text() == "started\n")
    assert store.job("first")["state"] == "FAILED"
    second.cancel()
    second.wait(10)


def test_queued_jobs_survive_the_death_of_every_process(
    submit: Submit, until: Until, no_process_is_left: Callable[[], list[psutil.Process]]
) -> None:
    first = submit(_UNTIL_TOLD, "first")
    until(lambda: "started" in first.log())
    waiting = [submit("print('done')", f"job_{n}") for n in range(3)]

    for process in no_process_is_left():  # as at a loss of power
        process.kill()

    assert [job.wait(20) for job in waiting] == [JobState.SUCCEEDED] * 3
    assert _states()["first"] == "FAILED"


def test_more_places_let_more_jobs_run(submit: Submit, until: Until, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLHELPERS_MAX_JOBS", "3")
    made = [submit(_UNTIL_TOLD, f"job_{n}") for n in range(4)]

    until(lambda: sum(state == "RUNNING" for state in _states().values()) == 3)
    time.sleep(0.5)

    assert _states() == {"job_0": "RUNNING", "job_1": "RUNNING", "job_2": "RUNNING", "job_3": "QUEUED"}
    for job in made:
        job.cancel()
    for job in made:
        job.wait(10)


def test_a_job_runs_with_the_environment_of_its_submission_however_late(
    submit: Submit, until: Until, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = submit(_UNTIL_TOLD, "first")
    monkeypatch.setenv("OF_THE_SUBMITTER", "yes")
    second = submit("import os\nprint(os.environ.get('OF_THE_SUBMITTER'))", "second")
    monkeypatch.delenv("OF_THE_SUBMITTER")
    third = submit("import os\nprint(os.environ.get('OF_THE_SUBMITTER'))", "third")

    (tmp_path / "project" / "end.first").touch()
    for job in (first, second, third):
        job.wait(20)

    assert (second.log(), third.log()) == ("yes\n", "None\n")


def test_what_a_job_was_started_with_is_kept_no_longer_than_it_may_run(
    submit: Submit, until: Until, home: Path
) -> None:
    """The environment of the submitter stands in launch.json, and there may be a secret in it."""
    first, second = submit(_UNTIL_TOLD, "first"), submit("print('never')", "second")
    until(lambda: "started" in first.log())

    second.cancel()
    first.cancel()
    first.wait(20)

    until(lambda: not list((home / "jobs").rglob("launch.json")), seconds=3)


def test_a_supervisor_that_cannot_start_fails_its_own_job_and_leaves_nothing(
    submit: Submit, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlhelpers.jobs.local.launch.sys.executable", "/nowhere/python")

    with pytest.raises(JobError, match=r"The process that looks after the job did not start: .*nowhere"):
        submit("print('never')")

    assert not list((home / "jobs").rglob("launch.json"))


def test_a_submission_that_was_killed_long_ago_leaves_nothing(submit: Submit, home: Path) -> None:
    for name, age in (("old", 7200), ("new", 60)):
        folder = home / "jobs" / f".{name}.0123abcd.part"
        folder.mkdir(parents=True)
        (folder / "launch.json").write_text("{}")
        os.utime(folder, (time.time() - age,) * 2)

    submit("print('done')").wait(20)

    assert [path.name for path in (home / "jobs").glob(".*.part")] == [".new.0123abcd.part"]


def test_a_queued_job_outlasts_a_store_that_cannot_be_written_for_a_while(
    submit: Submit,
    until: Until,
    home: Path,
    tmp_path: Path,
    no_process_is_left: Callable[[], list[psutil.Process]],
) -> None:
    first, second = submit(_UNTIL_TOLD, "first"), submit("print('done')", "second")
    until(lambda: "started" in first.log())
    (waiting,) = (process for process in no_process_is_left() if str(home / "jobs" / "second") in process.cmdline())

    # from here on no file of the waiting supervisor's may grow: to it the disk is full
    waiting.rlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    (tmp_path / "project" / "end.first").touch()
    until(lambda: first.state.is_final)
    time.sleep(1)
    assert second.state in (JobState.QUEUED, JobState.PREPARING)
    waiting.rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    assert JobState.SUCCEEDED is second.wait(20)


def test_a_long_queue_costs_no_more_to_list_than_one_that_is_over(store: Store) -> None:
    with sqlite3.connect(store.folder / "jobs.sqlite") as database:
        database.executemany(
            "INSERT INTO jobs (name, create_time, labels, training_input, token) VALUES (?, ?, '{}', '{}', 't')",
            [(f"job_{n}", now()) for n in range(5_000)],
        )
        database.execute("UPDATE jobs SET state = 'RUNNING', supervisor = 'a/1/2' WHERE name = 'job_0'")
    for name in ("job_0", "job_1"):  # who looks finds the lock of each held, as by a supervisor
        (store.folder / name).mkdir()
    backend = LocalBackend(store.folder)

    with held(store.folder / "job_0"), held(store.folder / "job_1"):
        times = []
        for _ in range(3):
            begin = time.process_time()
            listed = backend.list(None)
            times.append(time.process_time() - begin)

    assert [row["state"] for row in listed[-2:]] == ["QUEUED", "RUNNING"]
    assert min(times) < 0.3, times


def test_a_job_that_waits_for_jobs_of_its_own_does_not_wait_for_ever(submit: Submit, write_trainer) -> None:
    write_trainer("print('inner')", module="inner")
    job = submit(
        """
        import os
        from mlhelpers import jobs
        for n in range(2):
            jobs.run(jobs.JobSpec(f"inner_{n}", "trainer.inner", package_path=os.environ["OWN_PACKAGE"]))
        """,
        "outer",
        env={"OWN_PACKAGE": str(write_trainer("", module="other"))},
    )
    behind = submit("print('done')", "behind")

    assert JobState.SUCCEEDED is job.wait(20)
    assert JobState.SUCCEEDED is behind.wait(20)
    assert jobs.attach("inner_1").log() == "inner\n"
    assert behind.describe()["startTime"] >= job.describe()["endTime"]
