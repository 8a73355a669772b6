"""`mlhelpers jobs stream-logs`: columns, formats, one task, a reader that goes away."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlhelpers import jobs

Run = Callable[..., Any]
_SUBMIT = ("submit", "training", "first", "--module-name", "trainer.task", "--package-path", "trainer")
_TWO = ("--scale-tier", "custom", "--master-machine-type", "a", "--worker-machine-type", "a", "--worker-count", "1")


@pytest.fixture
def over(run: Run) -> Run:
    """Give the function that runs commands, after a job of two replicas that has succeeded."""
    Path("trainer/task.py").write_text("print('plain')\nprint('WARNING:root: careful')")
    run(*_SUBMIT, *_TWO, "--stream-logs")
    assert jobs.attach("first").state is jobs.JobState.SUCCEEDED
    return run


def test_the_columns_are_severity_time_task_trial_and_message(over: Run) -> None:
    lines = over("stream-logs", "first", "--task-name", "worker-replica-0").out.splitlines()

    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert [re.sub(time, "T", line) for line in lines] == [
        "INFO     T worker-replica-0     plain",
        "WARNING  T worker-replica-0     WARNING:root: careful",
    ]


def test_without_a_task_every_replica_and_the_engine_speak(over: Run) -> None:
    answer = over("stream-logs", "first")

    assert {line.split()[2] for line in answer.out.splitlines()} == {
        "master-replica-0",
        "worker-replica-0",
        "service",
    }
    assert "Job [first] is over: SUCCEEDED." in answer.err


def test_json_is_an_object_a_line_and_yaml_one_list(over: Run) -> None:
    words = ("stream-logs", "first", "--task-name", "master-replica-0", "--format")
    objects = [json.loads(line) for line in over(*words, "json").out.splitlines()]

    assert [(one["severity"], one["task"], one["trial"], one["message"]) for one in objects] == [
        ("INFO", "master-replica-0", "", "plain"),
        ("WARNING", "master-replica-0", "", "WARNING:root: careful"),
    ]
    assert yaml.safe_load(over(*words, "yaml").out) == objects


def test_the_originals_flags_are_taken(over: Run) -> None:
    answer = over("stream-logs", "first", "--polling-interval", "60", "--allow-multiline-logs")

    assert answer.code == 0


def test_an_unknown_task_is_refused_with_the_nearest(over: Run) -> None:
    answer = over("stream-logs", "first", "--task-name", "worker-replica-1")

    assert answer.code == 2
    assert "There is no task 'worker-replica-1'. Did you mean 'worker-replica-0'?" in answer.err


def _follow(stdout: Any, **options: Any) -> subprocess.Popen[bytes]:
    root = str(Path(jobs.__file__).parents[2])
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}
    words = [sys.executable, "-m", "mlhelpers.cli", "jobs", "stream-logs", "first"]
    return subprocess.Popen(words, env=env, stdout=stdout, stderr=subprocess.PIPE, **options)


def test_a_reader_that_goes_away_ends_it_without_a_word(run: Run) -> None:
    Path("trainer/task.py").write_text("for n in range(20_000): print('line', n)")
    run(*_SUBMIT)
    follower = _follow(subprocess.PIPE)
    assert follower.stdout is not None
    assert follower.stderr is not None

    follower.stdout.readline()
    follower.stdout.close()

    assert follower.stderr.read() == b""
    assert follower.wait(30) != 0
    follower.stderr.close()
    assert jobs.attach("first").wait(30, progress=False) is jobs.JobState.SUCCEEDED


def test_a_long_log_does_not_fill_the_followers_memory(run: Run, tmp_path: Path) -> None:
    Path("trainer/task.py").write_text("for n in range(1500): print('x' * 99_999)")  # 150 MB
    run(*_SUBMIT)
    jobs.attach("first").wait(60, progress=False)

    def at_most() -> None:  # of memory of its own: far less than the log
        resource.setrlimit(resource.RLIMIT_DATA, (120 << 20, 120 << 20))

    with open(tmp_path / "followed", "wb") as file:
        follower = _follow(file, preexec_fn=at_most)
        told = follower.communicate(timeout=120)[1]

    assert (follower.returncode, told) == (0, b"Job [first] is over: SUCCEEDED.\n")
    assert (tmp_path / "followed").stat().st_size > 150_000_000
