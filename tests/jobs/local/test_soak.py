"""Whoever is killed at whatever moment, the state is true, nothing runs on, no line is lost, and a new job resumes.

Each round submits a job from a process of its own (the client, which then waits for it), kills one or two of the
processes at a random moment with SIGKILL, and looks. `make test` makes 10 rounds, `make soak` 200 others.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from mlhelpers import jobs
from mlhelpers.errors import JobError
from mlhelpers.jobs import JobSpec, JobState
from mlhelpers.jobs.local.store import Store

Processes = Callable[[], list[psutil.Process]]

_STEPS = 40
# prints a step, then saves it: what is saved has been printed
_TRAINER = f"""
    import os, pathlib, subprocess, sys, time
    saved = pathlib.Path(sys.argv[sys.argv.index("--job-dir") + 1]) / "checkpoint"
    first = int(saved.read_text()) if saved.exists() else 0
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    for step in range(first, {_STEPS}):
        print("step", step, flush=True)
        aside = saved.with_suffix(".part")
        aside.write_text(str(step + 1))
        os.replace(aside, saved)
        time.sleep(0.02)
"""
_CLIENT = """
import sys
from mlhelpers import jobs
name, package, job_dir = sys.argv[1:]
job = jobs.submit(jobs.JobSpec(name, "trainer.task", package_path=package, job_dir=job_dir))
print("submitted", flush=True)
job.wait(progress=False)
"""


@pytest.mark.parametrize("seed", range(10))
def test_whoever_is_killed_the_truth_is_told_and_nothing_is_lost(
    seed: int,
    write_trainer,
    home: Path,
    tmp_path: Path,
    no_process_is_left: Processes,
    until: Callable[..., None],
    child_environment: dict[str, str],
) -> None:
    _round(seed, write_trainer(_TRAINER), home, tmp_path / "out", no_process_is_left, until, child_environment)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_two_hundred_times(
    seed: int,
    write_trainer,
    home: Path,
    tmp_path: Path,
    no_process_is_left: Processes,
    until: Callable[..., None],
    child_environment: dict[str, str],
) -> None:
    _round(seed, write_trainer(_TRAINER), home, tmp_path / "out", no_process_is_left, until, child_environment)


def _round(
    seed: int,
    package: Path,
    home: Path,
    out: Path,
    job_processes: Processes,
    until: Callable[..., None],
    environment: dict[str, str],
) -> None:
    pick = random.Random(seed)
    client = subprocess.Popen(
        [sys.executable, "-c", _CLIENT, "first", str(package), str(out)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        # some kills come before the submission is through, most while the job starts, runs or ends
        if pick.random() < 0.8:
            assert client.stdout is not None
            client.stdout.readline()
        time.sleep(pick.uniform(0, 1.6))
        killed = _kill(pick, client, home, job_processes)
        saved = _saved(out)
        _look(killed, client.pid, saved, home, job_processes, until)
        _submit_again(package, home, out)
    finally:
        client.kill()
        client.wait()


def _kill(pick: random.Random, client: subprocess.Popen[str], home: Path, job_processes: Processes) -> set[str]:
    """Kill one or two of client, supervisor and trainer; return those that were there."""
    victims = pick.sample(["client", "supervisor", "trainer"], k=pick.choice([1, 1, 2]))
    found = {"client": [client.pid] if client.poll() is None else []}
    found["supervisor"] = [p.pid for p in job_processes() if _is(p, "mlhelpers.jobs.local.supervisor")]
    found["trainer"] = [p.pid for p in job_processes() if _is(p, "trainer.task")]
    killed = set()
    for victim in victims:
        for pid in found[victim]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed.add(victim)
    deadline = time.monotonic() + 2
    # one that was killed while the disk was writing for it is there until that is done, and so is what it wrote
    while any(_lives(pid) for victim in killed for pid in found[victim]) and time.monotonic() < deadline:
        time.sleep(0.005)
    return killed


def _look(
    killed: set[str], client: int, saved: int, home: Path, job_processes: Processes, until: Callable[..., None]
) -> None:
    store = Store(home / "jobs")
    if store.job("first") is None:  # the client was killed before the submission was through, or it was not
        until(lambda: store.job("first") is not None or "client" in killed, seconds=10)
        if store.job("first") is None:
            return
    job = jobs.attach("first")
    begin = time.monotonic()
    if "supervisor" in killed and store.job("first")["supervisor"]:  # else it was killed while it waited for its place
        until(lambda: job.state.is_final, seconds=2)
        assert job.state in (JobState.FAILED, JobState.SUCCEEDED)  # it may have been over at that very moment
    described = job.describe()["state"]
    assert time.monotonic() - begin < 2
    if described not in ("FAILED", "SUCCEEDED"):  # a killed trainer is started again, a killed client is not missed
        # unless it was the process that was to become the supervisor
        with pytest.raises(JobError, match="did not start: code -9") if _fails(job) else contextlib.nullcontext():
            assert job.wait(30, progress=False) is JobState.SUCCEEDED
        assert job.state is JobState.SUCCEEDED or "supervisor" in killed
    until(lambda: not [process for process in job_processes() if process.pid != client], seconds=2)
    with sqlite3.connect(home / "jobs" / "jobs.sqlite") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    printed = {line for line in job.log().splitlines() if line.startswith("step ")}
    assert {f"step {step}" for step in range(saved)} <= printed, "a line that was printed before the kill is lost"


def _submit_again(package: Path, home: Path, out: Path) -> None:
    saved = _saved(out)
    again = jobs.submit(JobSpec("again", "trainer.task", package_path=package, job_dir=out))
    assert again.wait(30, progress=False) is JobState.SUCCEEDED
    lines = again.log().splitlines()
    assert lines == [f"step {step}" for step in range(saved, _STEPS)]


def _saved(out: Path) -> int:
    checkpoint = out / "checkpoint"
    return int(checkpoint.read_text()) if checkpoint.exists() else 0


def _fails(job: jobs.Job) -> bool:
    """Wait for the end of a job; tell whether it failed."""
    with contextlib.suppress(JobError):
        job.wait(30, progress=False)
    return job.state is JobState.FAILED


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _is(process: psutil.Process, word: str) -> bool:
    try:
        return word in process.cmdline()
    except psutil.Error:
        return False
