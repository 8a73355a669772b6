"""Failed replicas are started again, failed jobs are tried again, and a limit of time ends a job."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from mlhelpers import jobs
from mlhelpers.errors import JobError
from mlhelpers.jobs import JobState, Pool

Submit = Callable[..., jobs.Job]
Until = Callable[..., None]

# counts its own starts in a file of the working folder, by role and index
_COUNTS = """
import json, os, pathlib, sys, time
task = json.loads(os.environ["TF_CONFIG"])["task"]
who = f"{task.get('type', 'only')}{task.get('index', '')}"
file = pathlib.Path(f"starts.{who}")
start = int(file.read_text()) + 1 if file.exists() else 1
file.write_text(str(start))
print("start", start, flush=True)
"""
_TWO = {
    "scale_tier": "CUSTOM",
    "master": Pool(machine_type="n1-standard-4"),
    "workers": Pool(machine_type="n1-standard-4", count=1),
}


def _told(job: jobs.Job) -> list[str]:
    return [entry.message for entry in job.follow("service")]


def test_a_replica_that_fails_is_started_again_and_the_job_succeeds(submit: Submit) -> None:
    job = submit(_COUNTS + "sys.exit(0 if start == 3 else 7)")

    assert JobState.SUCCEEDED is job.wait(30)

    assert job.log() == "start 1\nstart 2\nstart 3\n"
    assert _told(job)[1:3] == [
        "master-replica-0 exited with code 7; it is started again (1 of 5)",
        "master-replica-0 exited with code 7; it is started again (2 of 5)",
    ]
    replica = job.describe()["localOutput"]["replicas"][0]
    assert (replica["restarts"], replica["exitCode"]) == (2, 0)
    assert job.progress == {"restarts": 2}


def test_a_replica_that_is_killed_is_started_again(submit: Submit, until: Until) -> None:
    job = submit(_COUNTS + "if start == 1: time.sleep(60)")
    until(lambda: "start 1" in job.log())

    psutil.Process(job.describe()["localOutput"]["replicas"][0]["pid"]).kill()

    assert JobState.SUCCEEDED is job.wait(30)
    assert job.log() == "start 1\nstart 2\n"


def test_five_restarts_and_three_retries_are_made_and_not_one_more(submit: Submit) -> None:
    job = submit(_COUNTS + "raise ValueError('the loss is nan')")

    with pytest.raises(JobError) as caught:
        job.wait(90)

    assert job.log().count("start ") == 6 * 4
    assert "The trainer exited with code 1." in str(caught.value)
    assert "started again 5 times, after the whole job had been tried again 3 times." in str(caught.value)
    assert "  ValueError: the loss is nan" in str(caught.value)
    assert str(caught.value).count("start ") == 1, "the lines are those of the last start alone"
    assert sum("the job is tried again" in line for line in _told(job)) == 3
    resource = job.describe()["localOutput"]
    assert (resource["retries"], resource["replicas"][0]["restarts"]) == (3, 5)


def test_a_failure_tells_of_the_restarts_that_were_made_and_of_no_other(submit: Submit) -> None:
    first = submit(_COUNTS + "sys.exit(1 if start < 3 else 2)")
    with pytest.raises(JobError, match=r"exited with code 2.\nIt had been started again 2 times.\n"):
        first.wait(30)

    second = submit(_COUNTS.replace("starts.", "others.") + "sys.exit(1)", "second", max_restarts=0, max_retries=1)
    with pytest.raises(JobError, match=r"started again 0 times, after the whole job had been tried again once.\n"):
        second.wait(30)


@pytest.mark.parametrize(
    "slip",
    ["import no_such_module", "if:", "sys.exit(2)", "sys.exit(65)", "open('gs://bucket/x')"],
)
def test_a_failure_that_would_come_again_ends_the_job_at_once(submit: Submit, slip: str) -> None:
    job = submit(_COUNTS + slip) if slip != "if:" else submit("if:")

    with pytest.raises(JobError):
        job.wait(30)

    assert job.log().count("start ") == (slip != "if:")
    assert job.describe()["localOutput"]["replicas"][0]["restarts"] == 0


def test_a_job_that_failed_goes_on_from_what_it_saved(submit: Submit) -> None:
    job = submit(
        """
        import pathlib, sys
        saved = pathlib.Path("checkpoint")
        step = int(saved.read_text()) if saved.exists() else 0
        for step in range(step, 10):
            print("step", step, flush=True)
            saved.write_text(str(step + 1))
            if step == 4:
                sys.exit(1)
        """
    )

    assert JobState.SUCCEEDED is job.wait(30)
    assert job.log() == "".join(f"step {n}\n" for n in range(10))


def test_a_failing_worker_is_started_again_while_the_first_replica_lives(submit: Submit) -> None:
    job = submit(
        _COUNTS
        + """
if who == "worker0":
    sys.exit(0 if start == 3 else 1)
while not pathlib.Path("starts.worker0").exists() or pathlib.Path("starts.worker0").read_text() != "3":
    time.sleep(0.02)
""",
        **_TWO,
    )

    assert JobState.SUCCEEDED is job.wait(30)
    assert job.log() == "start 1\n"
    assert job.log(task="worker-replica-0") == "start 1\nstart 2\nstart 3\n"


def test_a_worker_that_is_beyond_help_ends_the_job_and_is_named(submit: Submit) -> None:
    job = submit(_COUNTS + "time.sleep(60) if who == 'chief0' else sys.exit(2)", **_TWO)

    with pytest.raises(JobError, match=r"The replica worker-replica-0 exited with code 2"):
        job.wait(30)


def test_when_the_first_replica_is_done_the_others_are_given_time_and_then_ended(
    submit: Submit,
) -> None:
    job = submit(_COUNTS + "time.sleep(60) if who == 'worker0' else time.sleep(0.3)", grace_s=0.5, **_TWO)
    begin = time.monotonic()

    assert JobState.SUCCEEDED is job.wait(30)
    assert time.monotonic() - begin < 10  # that none is left is seen by the fixture no_process_is_left


def test_a_parameter_server_is_not_waited_for(submit: Submit) -> None:
    job = submit(
        _COUNTS + "time.sleep(60) if who == 'ps0' else time.sleep(0.3)",
        grace_s=30,
        scale_tier="CUSTOM",
        master=Pool(machine_type="m"),
        parameter_servers=Pool(machine_type="m", count=1),
    )

    assert JobState.SUCCEEDED is job.wait(10)


def test_a_job_is_ended_when_its_time_is_over(submit: Submit) -> None:
    job = submit("import time\nprint('started')\ntime.sleep(60)", max_running_s=1.0)

    assert JobState.CANCELLED is job.wait(20)

    assert "had run for 1 s, its maxRunningTime" in job.describe()["errorMessage"]


def test_a_trainer_that_is_restarted_finds_the_same_addresses_and_a_retried_job_free_ones(
    submit: Submit, tmp_path: Path
) -> None:
    job = submit(
        _COUNTS
        + """
print(json.loads(os.environ["TF_CONFIG"])["cluster"]["worker"][0], flush=True)
if who == "chief0":
    time.sleep(60 if start < 2 else 0)
else:
    sys.exit(0 if start == 3 else 1)
""",
        max_restarts=1,
        max_retries=1,
        **_TWO,
    )
    job.wait(30)

    first, second, third = job.log(task="worker-replica-0").split("\n")[1::2]
    assert first == second != third
