"""What every place to run must do: one contract over the table of backends.

"vertex" is Google's own client against the emulator on loopback, behind which the local engine runs the work.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from vertex_jobs import MakeSpec, in_an_image

from mlhelpers import jobs
from mlhelpers.errors import JobError, UsageError
from mlhelpers.jobs import JobSpec, JobState
from mlhelpers.settings import current

__all__ = ["in_an_image"]

_numbers = itertools.count()


@pytest.fixture(params=sorted(jobs.BACKENDS))
def backend(request: pytest.FixtureRequest) -> str:
    if request.param == "vertex":
        request.getfixturevalue("vertex")
    return str(request.param)


@pytest.fixture
def spec(backend: str, in_an_image: MakeSpec, write_trainer: Callable[..., Path]) -> Callable[..., JobSpec]:
    """Give a function that makes the spec of a job which runs some code, under a name that is new in that place."""

    def make(code: str = "print('trained')", **fields: object) -> JobSpec:
        name = f"job_{os.getpid()}_{next(_numbers)}"
        if backend == "vertex":
            return in_an_image(name, code, **fields)
        return JobSpec(name, "trainer.task", package_path=write_trainer(code), **fields)  # type: ignore[arg-type]

    return make


def test_a_plan_starts_and_writes_nothing(backend: str, spec: Callable[..., JobSpec], home: Path) -> None:
    one = spec()
    plan = jobs.plan(one, backend)

    assert one.name in str(plan)
    assert not list(home.rglob("*.json"))
    assert one.name not in [row["jobId"] for row in jobs.list_jobs(backend=backend)]


def test_a_job_runs_prints_and_is_described(backend: str, spec: Callable[..., JobSpec]) -> None:
    one = spec("import sys\nprint('given', sys.argv[1:])", args=["--x", "1"], labels={"team": "blue"})
    job = jobs.run(one, backend)

    assert job.state is JobState.SUCCEEDED
    assert [entry.message for entry in job.follow("master-replica-0")][-1] == "given ['--x', '1']"
    assert job.log().endswith("given ['--x', '1']\n")
    assert job.tail(1) == ["given ['--x', '1']"]
    told = job.describe()
    assert (told["jobId"], told["state"], told["labels"]) == (one.name, "SUCCEEDED", {"team": "blue"})
    assert told["trainingInput"]["args"] == ["--x", "1"]
    assert told["trainingInput"]["pythonModule"] == one.module
    assert told["createTime"] <= told["endTime"]
    assert one.name in [row["jobId"] for row in jobs.list_jobs(limit=5, backend=backend)]
    assert "master-replica-0" in job.tasks
    job.cancel()
    assert job.state is JobState.SUCCEEDED


def test_a_failure_is_told_with_the_last_lines(backend: str, spec: Callable[..., JobSpec]) -> None:
    job = jobs.submit(spec("raise SystemExit('there is no such data')", max_restarts=0, max_retries=0), backend)

    with pytest.raises(JobError, match="there is no such data"):
        job.wait(60, progress=False)
    assert job.state is JobState.FAILED


def test_cancelling_twice_is_as_cancelling_once(backend: str, spec: Callable[..., JobSpec]) -> None:
    job = jobs.submit(spec("import time\ntime.sleep(60)"), backend)

    job.cancel()
    job.cancel()

    assert job.wait(30, progress=False) is JobState.CANCELLED
    job.cancel()
    assert job.state is JobState.CANCELLED


def test_a_name_is_used_once(backend: str, spec: Callable[..., JobSpec]) -> None:
    one = spec()
    job = jobs.submit(one, backend)

    with pytest.raises(JobError, match=f"{one.name}.*is taken"):
        jobs.submit(one, backend)
    job.wait(60, progress=False)


def test_another_process_takes_a_job_up_by_its_handle(
    backend: str, spec: Callable[..., JobSpec], child_environment: dict[str, str]
) -> None:
    job = jobs.submit(spec("import time\ntime.sleep(1)"), backend)
    settings = current()
    environment = child_environment | {"MLHELPERS_VERTEX_ENDPOINT": settings.vertex_endpoint or ""}
    code = f"from mlhelpers import jobs; print(jobs.attach({job.handle!r}).wait(60, progress=False))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=90, check=False
    )

    assert done.stdout.strip() == "SUCCEEDED", done.stderr


def test_what_is_not_there_is_refused_by_name(backend: str, spec: Callable[..., JobSpec]) -> None:
    with pytest.raises(JobError, match="no job 'nowhere_to_be_seen'"):
        jobs.attach("nowhere_to_be_seen", backend)
    job = jobs.run(spec(), backend)
    with pytest.raises(UsageError, match="no task 'worker-replica-7'"):
        job.log(task="worker-replica-7")


def test_a_wait_that_takes_too_long_says_how_to_stop_the_job(backend: str, spec: Callable[..., JobSpec]) -> None:
    job = jobs.submit(spec("import time\ntime.sleep(60)"), backend)
    begun = time.monotonic()

    with pytest.raises(JobError, match=r"after 0.3 s of waiting. It goes on.*mlhelpers jobs cancel"):
        job.wait(0.3, progress=False)

    assert time.monotonic() - begun < 20
    job.cancel()
    job.wait(30, progress=False)
