"""A state that never lies: the supervisor, the trainer or the submitter killed at a bad moment, a disk that is full."""

from __future__ import annotations

import itertools
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from mlhelpers import jobs
from mlhelpers.errors import JobError
from mlhelpers.jobs import JobSpec, JobState
from mlhelpers.jobs.local.store import Store

Submit = Callable[..., jobs.Job]
Until = Callable[..., None]

_WITH_CHILDREN = """
    import subprocess, sys, time
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    subprocess.Popen(sleep)
    subprocess.Popen(sleep, start_new_session=True)
    print("started")
    time.sleep(60)
"""


def _supervisor(job: jobs.Job, home: Path) -> psutil.Process:
    row = Store(home / "jobs").job(job.name)
    assert row is not None
    return psutil.Process(int(row["supervisor"].split("/")[-2]))


def test_a_killed_supervisor_is_told_within_two_seconds_and_nothing_runs_on(
    submit: Submit, until: Until, home: Path, no_process_is_left: Callable[[], list]
) -> None:
    job = submit(_WITH_CHILDREN)
    until(lambda: "started" in job.log())
    supervisor = _supervisor(job, home)

    supervisor.kill()
    begin = time.monotonic()
    until(lambda: job.state.is_final, seconds=2)
    resource = job.describe()

    assert time.monotonic() - begin < 2
    assert resource["state"] == "FAILED"
    assert f"(pid {supervisor.pid}) was killed from outside, so the job did not finish" in resource["errorMessage"]
    assert no_process_is_left() == []
    assert job.log() == "started\n"


def test_a_job_that_nobody_looked_at_ended_when_it_last_printed(submit: Submit, until: Until, home: Path) -> None:
    job = submit(_WITH_CHILDREN)
    until(lambda: "started" in job.log() and job.state is JobState.RUNNING)
    _supervisor(job, home).kill()
    time.sleep(1.5)

    told = job.describe()
    (entry,) = job.follow("master-replica-0")
    time.sleep(0.5)

    ended = datetime.fromisoformat(told["endTime"]).timestamp()
    assert time.time() - ended > 1.5
    assert told["endTime"] >= told["startTime"]
    assert next(iter(job.follow("master-replica-0"))).time == entry.time


def test_a_job_is_cancelled_where_the_store_cannot_be_written(
    submit: Submit, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit(_WITH_CHILDREN)
    until(lambda: "started" in job.log() and job.state is JobState.RUNNING)

    def fail(*_: object, **__: object) -> bool:
        raise JobError("The disk seems to be full")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "move", fail)
        job.cancel()

    assert JobState.CANCELLED is job.wait(10)


def test_a_list_tells_of_a_killed_supervisor_too(submit: Submit, until: Until, home: Path) -> None:
    job = submit(_WITH_CHILDREN)
    until(lambda: "started" in job.log())

    _supervisor(job, home).kill()

    until(lambda: [row["state"] for row in jobs.list_jobs()] == ["FAILED"], seconds=2)


def test_a_supervisor_killed_while_cancelling_leaves_a_cancelled_job(submit: Submit, until: Until, home: Path) -> None:
    job = submit("import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('started')\ntime.sleep(60)")
    until(lambda: "started" in job.log())
    supervisor = _supervisor(job, home)
    job.cancel()

    supervisor.kill()

    until(lambda: job.state is JobState.CANCELLED, seconds=3)


def test_a_supervisor_asked_to_end_as_at_shutdown_stops_the_job_and_says_so(
    submit: Submit, until: Until, home: Path
) -> None:
    job = submit(_WITH_CHILDREN)
    until(lambda: "started" in job.log())

    _supervisor(job, home).terminate()

    with pytest.raises(JobError, match=r"ended from outside \(SIGTERM\), as when the machine is shut down"):
        job.wait(10)


def test_a_machine_that_was_restarted_is_named_as_the_cause(submit: Submit, home: Path, until: Until) -> None:
    job = submit("print('done')")
    job.wait(30)
    # what a store looks like that was left by another boot: no supervisor holds the lock, and the boot's name differs
    store = Store(home / "jobs")
    with sqlite3.connect(store.folder / "jobs.sqlite") as database:
        database.execute("UPDATE jobs SET state = 'RUNNING', end_time = NULL, supervisor = 'another-boot/1/2/3'")

    until(lambda: job.state is JobState.FAILED, seconds=2)
    assert "The machine was restarted while the job ran" in job.describe()["errorMessage"]


def test_a_process_that_has_the_old_number_of_a_supervisor_is_left_alone(
    submit: Submit, home: Path, until: Until
) -> None:
    job = submit("print('done')")
    job.wait(30)
    bystander = subprocess.Popen(["sleep", "60"], env={"PATH": os.environ["PATH"]})
    store = Store(home / "jobs")
    with sqlite3.connect(store.folder / "jobs.sqlite") as database:
        boot = store.job("first")["supervisor"].rsplit("/", 2)[0]
        database.execute("UPDATE jobs SET state = 'RUNNING', supervisor = ?", (f"{boot}/{bystander.pid}/1",))

    job.cancel()

    # the true supervisor may hold the lock for the moment between its last word and its exit
    until(lambda: job.state.is_final, seconds=5)
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_a_submitter_killed_before_the_start_leaves_a_job_that_starts_when_somebody_looks(
    submit: Submit, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("mlhelpers.jobs.local.engine.start_next", lambda *_: None)
        job = submit("print('done')")  # as if the submitter had been killed right after the row was written
        assert job.state is JobState.QUEUED

    assert JobState.SUCCEEDED is jobs.attach("first").wait(20)
    assert job.log() == "done\n"


def test_a_leftover_folder_without_a_row_is_no_obstacle(submit: Submit, home: Path) -> None:
    (home / "jobs" / "first").mkdir(parents=True)
    (home / "jobs" / "first" / "logs").write_text("of another time")

    job = submit("print('done')")
    job.wait(30)

    assert job.log() == "done\n"


def test_a_job_whose_folder_is_removed_is_stopped_and_says_so(submit: Submit, until: Until, home: Path) -> None:
    job = submit(_WITH_CHILDREN)
    until(lambda: "started" in job.log())

    shutil.rmtree(home / "jobs" / "first")

    assert JobState.FAILED is job.state
    assert "folder was removed" in job.describe()["errorMessage"]


def test_an_end_that_the_store_has_no_room_for_is_told_all_the_same(submit: Submit, until: Until, home: Path) -> None:
    job = submit(
        """
        import pathlib, sys, time
        print("started")
        while not pathlib.Path("go").exists():
            time.sleep(0.02)
        sys.exit(3)
        """,
        max_restarts=0,
        max_retries=0,
    )
    until(lambda: "started" in job.log() and job.state == "RUNNING")
    # from here on no file of the supervisor's may grow beyond the room that was kept for the job's end
    _supervisor(job, home).rlimit(resource.RLIMIT_FSIZE, (16384, 16384))

    (home.parent / "project" / "go").touch()

    with pytest.raises(JobError, match=r"The trainer exited with code 3"):
        job.wait(10)
    assert json.loads((home / "jobs" / "first" / "outcome").read_text())["exit_code"] == 3
    assert job.describe()["localOutput"]["replicas"][0]["exitCode"] == 3


def test_a_trainer_that_fills_the_disk_fails_with_that_reason(
    write_trainer, home: Path, child_environment: dict[str, str]
) -> None:
    package = write_trainer("while True: print('x' * 10000)")
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))\n"
        "from mlhelpers import jobs\n"
        f"jobs.submit(jobs.JobSpec('first', 'trainer.task', package_path={str(package)!r}))"
    )
    subprocess.run([sys.executable, "-c", code], env=child_environment, check=True)

    with pytest.raises(JobError, match=r"The disk is full: free some room"):
        jobs.attach("first").wait(20)


def test_a_full_disk_at_submission_is_named_and_leaves_nothing(
    write_trainer, home: Path, child_environment: dict[str, str]
) -> None:
    package = write_trainer("print('never')")
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "from mlhelpers import jobs\n"
        f"jobs.submit(jobs.JobSpec('first', 'trainer.task', package_path={str(package)!r}))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        env=child_environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "The disk seems to be full: free some room on it." in done.stderr
    assert jobs.list_jobs() == []
    assert [path for path in (home / "jobs").iterdir() if path.is_dir()] == []


_ON_A_SMALL_DISK = """
import json, os, sys, time
from mlhelpers import jobs
from mlhelpers.errors import JobError
package, disk = sys.argv[1:]
job = jobs.submit(jobs.JobSpec("first", "trainer.task", package_path=package, env={"DISK": disk}))
told = ""
try:
    job.wait(30, progress=False)
except JobError as error:
    told = str(error)
with open(os.path.join(disk, "the last byte"), "wb", buffering=0) as file:
    try:
        while True: file.write(bytes(512))
    except OSError:
        pass
print(json.dumps([told, job.state, jobs.list_jobs()[0]["state"], os.statvfs(disk).f_bavail]))
"""


def test_on_a_disk_without_a_byte_left_the_state_is_told_and_true(
    write_trainer, tmp_path: Path, child_environment: dict[str, str]
) -> None:
    package = write_trainer(
        """
        import os
        file = open(os.environ["DISK"] + "/hog", "wb", buffering=0)
        while True:
            file.write(bytes(4096))
        """
    )
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "run.py").write_text(_ON_A_SMALL_DISK)
    words = [sys.executable, str(tmp_path / "run.py"), str(package), str(disk)]
    mount = f"mount -t tmpfs -o size=6m tmpfs {disk} && exec " + " ".join(words)
    try:
        subprocess.run(["unshare", "-rm", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("NOT RUN: no small disk can be mounted here (unshare -rm); the file-size tests above stand in")

    env = child_environment | {"MLHELPERS_HOME": str(disk / "home")}
    done = subprocess.run(["unshare", "-rm", "sh", "-c", mount], env=env, capture_output=True, text=True, check=True)
    told, state, listed, bytes_left = json.loads(done.stdout)

    assert "Hint: The disk is full: free some room" in told
    assert (state, listed, bytes_left) == ("FAILED", "FAILED", 0)


def test_a_log_of_a_hundred_megabytes_fills_no_memory(submit: Submit, home: Path, until: Until) -> None:
    job = submit(
        """
        import sys, time
        line = "x" * 99 + "\\n"
        for _ in range(100):
            sys.stdout.write(line * 10000)
        print("all")
        time.sleep(60)
        """
    )
    until(lambda: job.log(-10).endswith("all\n"), seconds=30)
    supervisor = _supervisor(job, home)

    assert supervisor.memory_info().rss < 80e6
    before = psutil.Process().memory_info().rss
    assert len(next(itertools.islice(job.follow(), 500_000, None)).message) == 99
    assert psutil.Process().memory_info().rss - before < 20e6
    job.cancel()
    job.wait(10)


def test_processes_of_others_are_not_touched(submit: Submit) -> None:
    bystander = subprocess.Popen(["sleep", "60"])
    job = submit("import time\ntime.sleep(60)")

    job.cancel()
    job.wait(10)

    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_a_job_started_by_a_job_lives_on_when_the_outer_one_ends(write_trainer) -> None:
    write_trainer("import time\ntime.sleep(1.5)\nprint('inner done')", module="inner")
    package = write_trainer(
        """
        from mlhelpers import jobs
        jobs.submit(jobs.JobSpec("inner", "trainer.inner", package_path=__import__("os").environ["OWN_PACKAGE"]))
        """
    )

    jobs.run(JobSpec("outer", "trainer.task", package_path=package, env={"OWN_PACKAGE": str(package)}))
    inner = jobs.attach("inner")

    assert JobState.SUCCEEDED is inner.wait(20)
    assert inner.log() == "inner done\n"


def test_a_trainer_starts_within_half_a_second_of_plain_python(submit: Submit) -> None:
    times = []
    for attempt in range(3):
        begin = time.time()
        plain = float(subprocess.check_output([sys.executable, "-c", "import time; print(time.time())"])) - begin
        begin = time.time()
        job = submit("import time\nprint(time.time())", name=f"job_{attempt}")
        job.wait(30)
        times.append((float(job.log()) - begin - plain, plain))

    # a plain start takes about 0.02 s; where it takes longer the machine is busy, and everything does
    assert any(extra < max(0.5, 10 * plain) for extra, plain in times), times
