"""Forked supervisors: like those that start by themselves, and none the worse when their origin is gone."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from mlhelpers import jobs
from mlhelpers.jobs import JobSpec, JobState
from mlhelpers.jobs.local.engine import LocalBackend
from mlhelpers.jobs.local.nursery import Nursery

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")

WriteTrainer = Callable[..., Path]


def _submit(nursery: Nursery, home: Path, package: Path, name: str = "first") -> jobs.Job:
    backend = LocalBackend(home / "jobs", nursery.start)
    backend.submit(backend.plan(JobSpec(name, "trainer.task", package_path=package)))
    return jobs.attach(name)


_SAYS_ITS_SURROUNDINGS = """
import os
print(os.getcwd())
print(sorted(name for name in os.environ if name.startswith(("MLHELPERS", "CLOUD_ML", "TF_"))))
print(os.environ["MLHELPERS_JOB_TOKEN"] != "0" * 32, os.getsid(0) == os.getpid() or os.getpgid(0) == os.getpid())
"""


def test_a_trainer_finds_the_same_as_under_a_supervisor_of_its_own(write_trainer: WriteTrainer, home: Path) -> None:
    package = write_trainer(_SAYS_ITS_SURROUNDINGS)
    own = jobs.submit(JobSpec("own", "trainer.task", package_path=package))
    own.wait(30)

    with Nursery() as nursery:
        forked = _submit(nursery, home, package)
        forked.wait(30)

    assert forked.log() == own.log()


def test_a_forked_supervisor_outlives_the_nursery(write_trainer: WriteTrainer, home: Path) -> None:
    package = write_trainer("import time\ntime.sleep(1)\nprint('done')")
    with Nursery() as nursery:
        job = _submit(nursery, home, package)

    assert job.wait(30) is JobState.SUCCEEDED
    assert job.log() == "done\n"


def test_a_forked_supervisor_is_nobodys_child_and_shows_its_own_jobs_token(
    write_trainer: WriteTrainer, home: Path, until: Callable[..., None]
) -> None:
    package = write_trainer("import time\nprint('here', flush=True)\ntime.sleep(60)")
    with Nursery() as nursery:
        jobs_of_two = [_submit(nursery, home, package, name) for name in ("first", "second")]
        supervisors = [_of_folder(home / "jobs" / job.name) for job in jobs_of_two]
        nursery_pid = nursery.pid

    for process in supervisors:
        assert process.ppid() != nursery_pid
        assert os.getsid(process.pid) != os.getsid(0)
    tokens = [process.environ()["MLHELPERS_JOB_TOKEN"] for process in supervisors]
    assert len({*tokens, "0" * 32}) == 3
    for job in jobs_of_two:
        job.cancel()
        until(lambda job=job: job.state is JobState.CANCELLED)


def _of_folder(folder: Path) -> psutil.Process:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for process in psutil.process_iter():
            try:
                if process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                    return process
            except (psutil.Error, OSError):
                continue
        time.sleep(0.05)
    raise AssertionError(f"no supervisor of {folder}")


def test_a_nursery_that_was_killed_costs_time_only(write_trainer: WriteTrainer, home: Path) -> None:
    package = write_trainer("print('done')")
    with Nursery() as nursery:
        assert nursery.pid is not None
        psutil.Process(nursery.pid).kill()
        psutil.Process(nursery.pid).wait(5)
        job = _submit(nursery, home, package)

    assert job.wait(30) is JobState.SUCCEEDED


def test_a_launch_file_that_cannot_be_read_is_a_reason(home: Path, tmp_path: Path) -> None:
    (tmp_path / "launch.json").write_text("{")
    with Nursery() as nursery, (tmp_path / "lock").open("w") as lock:
        reason = nursery.start(tmp_path, lock.fileno())

    assert reason == "code 1; supervisor.log says more"
    assert "JSONDecodeError" in (tmp_path / "supervisor.log").read_text()
