"""`mlhelpers jobs …`, run as a person runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from mlhelpers import jobs

Run = Callable[..., subprocess.CompletedProcess[str]]


def _environment() -> dict[str, str]:
    root = str(Path(jobs.__file__).parents[2])
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Give a function that runs `mlhelpers jobs` with some words in the folder of the project."""
    project = tmp_path / "project"
    (project / "trainer").mkdir(parents=True)
    (project / "trainer" / "__init__.py").touch()

    def run_words(*words: str, trainer: str | None = None) -> subprocess.CompletedProcess[str]:
        if trainer is not None:
            (project / "trainer" / "task.py").write_text(textwrap.dedent(trainer))
        command = [sys.executable, "-m", "mlhelpers.cli", "jobs", *words]
        return subprocess.run(command, cwd=project, env=_environment(), capture_output=True, text=True, check=False)

    return run_words


@pytest.fixture(autouse=True)
def _no_job_goes_on() -> Iterator[None]:
    yield
    for row in jobs.list_jobs():
        jobs.attach(row["jobId"]).cancel()


def _messages(log: str, task: str = "master-replica-0") -> list[str]:
    """Return what one replica printed, from the columns severity, time, task, trial and message."""
    lines = [line.split(maxsplit=3) for line in log.splitlines()]
    return [line[3] for line in lines if line[2] == task]


_SUBMIT = ("submit", "training", "first", "--module-name", "trainer.task", "--package-path", "trainer")


def test_a_submission_prints_the_resource_and_the_next_commands(run: Run) -> None:
    done = run(*_SUBMIT, "--labels", "team=blue,n=1", "--", "--x", "1", trainer="print('hello')")

    assert done.returncode == 0
    assert yaml.safe_load(done.stdout) == {"jobId": "first", "state": "QUEUED"}
    assert "Job [first] submitted successfully." in done.stderr
    assert "BASIC meant one machine; here it is one process." in done.stderr
    for command in ("stream-logs", "describe", "cancel"):
        assert f"mlhelpers jobs {command} first" in done.stderr


def test_a_job_is_described_listed_and_followed(run: Run) -> None:
    run(
        *_SUBMIT,
        "--labels",
        "team=blue",
        "--job-dir",
        "out",
        "--",
        "--x",
        "1",
        trainer="import sys\nprint(sys.argv[1:])",
    )

    followed = run("stream-logs", "first", "--task-name", "master-replica-0")
    listed = run("list")
    described = yaml.safe_load(run("describe", "first").stdout)

    assert _messages(followed.stdout)[0].startswith("['--x', '1', '--job-dir', ")
    assert "Job [first] is over: SUCCEEDED." in followed.stderr
    assert listed.stdout.splitlines()[0].split() == ["JOB_ID", "STATUS", "CREATED"]
    assert listed.stdout.splitlines()[1].split()[:2] == ["first", "SUCCEEDED"]
    assert described["trainingInput"]["args"] == ["--x", "1"]
    assert described["labels"] == {"team": "blue"}
    assert json.loads(run("describe", "first", "--format", "json").stdout) == described
    assert json.loads(run("list", "--format", "json").stdout)[0]["jobId"] == "first"


def test_an_empty_list_says_so(run: Run) -> None:
    assert run("list").stdout == "Listed 0 items.\n"


def test_a_followed_job_that_succeeds_exits_with_zero(run: Run) -> None:
    done = run(*_SUBMIT, "--stream-logs", trainer="print('one')\nprint('two')")

    assert (done.returncode, _messages(done.stdout)) == (0, ["one", "two"])


def test_a_followed_job_that_fails_exits_with_one_and_the_reason(run: Run) -> None:
    done = run(*_SUBMIT, "--stream-logs", trainer="print('one')\nraise SystemExit(78)")

    assert (done.returncode, _messages(done.stdout)) == (1, ["one"])
    assert "The job 'first' failed." in done.stderr
    assert "exited with code 78" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dry_run_prints_the_request_and_starts_nothing(run: Run) -> None:
    done = run(*_SUBMIT, "--dry-run", "--", "--x", "1", trainer="print('never')")

    assert yaml.safe_load(done.stdout)["local"]["command"][-4:] == ["-m", "trainer.task", "--x", "1"]
    assert jobs.list_jobs() == []


def test_cancel_is_silent_and_twice_is_fine(run: Run) -> None:
    run(*_SUBMIT, trainer="import time\ntime.sleep(60)")

    first, second = run("cancel", "first"), run("cancel", "first")

    assert (first.returncode, first.stdout, first.stderr) == (0, "", "")
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert jobs.attach("first").wait(10) is jobs.JobState.CANCELLED


def test_interrupting_the_follower_leaves_the_job_running(run: Run, tmp_path: Path) -> None:
    run(*_SUBMIT, trainer="import time\nprint('started')\ntime.sleep(60)")
    follower = subprocess.Popen(
        [sys.executable, "-m", "mlhelpers.cli", "jobs", "stream-logs", "first"],
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert follower.stdout is not None
    while "started" not in follower.stdout.readline():
        pass

    follower.send_signal(signal.SIGINT)
    _, told = follower.communicate(timeout=10)

    assert follower.returncode == 1
    assert "the job goes on. End it with:  mlhelpers jobs cancel first" in told
    assert not jobs.attach("first").state.is_final


_PLAIN = ("submit", "training", "a", "--module-name", "json.tool")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["describe", "nowhere"], 1, "There is no job 'nowhere'. No job exists yet."),
        (["submit", "training", "my-job", "--module-name", "json.tool"], 2, "'my-job' is no job name."),
        (["submit", "training", "a"], 2, "The job has no trainer. Name its module: --module-name"),
        ([*_PLAIN, "--scale-tier", "huge"], 2, "There is no scale tier 'huge'"),
        ([*_PLAIN, "--labels", "x"], 2, "The label 'x' has no value. Write --labels KEY=VALUE,KEY=VALUE."),
        ([*_PLAIN, "--backend", "moon"], 2, "There is no backend 'moon'. Known: local, vertex"),
        ([*_PLAIN, "--train_steps", "5"], 2, "goes after a lone --, as in -- --train_steps"),
        ([*_PLAIN, "stray"], 2, "'stray' is not expected here."),
        (["submit", "training", "a", "--module-name", "trainer.nix", "--package-path", "trainer"], 2, "has no 'nix'"),
        (["submit", "training", "a", "--module-name", "no_such.task"], 2, "Python finds no 'no_such'"),
        (["list", "--limit", "0"], 2, "0 is not in the range x>=1"),
    ],
)
def test_a_slip_is_told_in_one_message(run: Run, words: list[str], code: int, message: str) -> None:
    done = run(*words)

    assert done.returncode == code
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert jobs.list_jobs() == []


def test_a_name_used_twice_exits_with_one(run: Run) -> None:
    run(*_SUBMIT, trainer="print('done')")

    done = run(*_SUBMIT)

    assert done.returncode == 1
    assert "The job name 'first' is taken" in done.stderr
