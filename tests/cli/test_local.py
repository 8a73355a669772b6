"""`mlhelpers local train`, run as a person runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from mlhelpers import jobs

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Give a function that starts `mlhelpers local train` on some code, in another folder than the package's."""
    package = tmp_path / "project" / "trainer"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()

    def start_code(trainer: str, *words: str, path: Path = package) -> subprocess.Popen[str]:
        (package / "task.py").write_text(textwrap.dedent(trainer))
        root = str(Path(jobs.__file__).parents[2])
        env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}
        command = [sys.executable, "-m", "mlhelpers.cli", "local", "train", "--module-name", "trainer.task"]
        return subprocess.Popen(
            [*command, "--package-path", str(path), *words],
            cwd=tmp_path,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start_code


@pytest.fixture(autouse=True)
def _nothing_runs_on(home: Path) -> Iterator[None]:
    yield
    left = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("MLHELPERS_HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                left.append(process)
        except (psutil.Error, OSError):
            continue
    for process in left:
        process.kill()
    assert left == []


_SHOWS_ITSELF = "import json, os, sys\nprint(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]))"


def test_the_trainer_runs_beside_its_package_with_the_job_dir_last(start: Start, tmp_path: Path, home: Path) -> None:
    out, _ = start(
        _SHOWS_ITSELF, "--job-dir", "gs://bucket/out", "--", "--x", "gs://bucket/in", "--", "y"
    ).communicate()

    argv, cwd, env = json.loads(out)

    buckets = home / "buckets" / "bucket"
    assert argv == ["--x", f"{buckets}/in", "--", "y", "--job-dir", f"{buckets}/out"]
    assert cwd == str(tmp_path / "project")
    assert json.loads(env["TF_CONFIG"])["job"]["job_name"] == "trainer.task"
    assert env["AIP_MODEL_DIR"] == f"{buckets}/out/model/"


@pytest.mark.parametrize("code", [0, 1, 3, 42])
def test_the_exit_code_is_the_trainers(start: Start, code: int) -> None:
    process = start(f"print('out')\nraise SystemExit({code})")

    assert process.communicate() == ("out\n", "")
    assert process.returncode == code


def test_a_trainer_ended_by_a_signal_gives_128_and_its_number(start: Start) -> None:
    process = start("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")

    process.communicate()

    assert process.returncode == 137


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_the_trainer_ends_when_the_command_is_ended(start: Start, number: signal.Signals) -> None:
    process = start("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)")
    assert process.stdout is not None
    trainer = psutil.Process(int(process.stdout.readline()))

    process.send_signal(number)
    process.communicate(timeout=10)
    deadline = time.monotonic() + 2
    while trainer.is_running() and time.monotonic() < deadline:
        time.sleep(0.02)

    assert not trainer.is_running()
    assert process.returncode not in (0, None)


def test_children_that_the_trainer_leaves_behind_end_too(start: Start) -> None:
    process = start(
        "import subprocess\nsubprocess.Popen(['sleep', '60'], start_new_session=True, stdout=-3, stderr=-3)"
    )

    process.communicate(timeout=10)

    assert process.returncode == 0  # that nothing runs on is seen by the fixture


def test_a_package_path_that_is_no_package_is_refused(start: Start, tmp_path: Path) -> None:
    process = start("", path=tmp_path)

    _, told = process.communicate()

    assert process.returncode == 2
    assert "has no __init__.py" in told


def test_a_flag_before_the_dashes_is_refused_with_the_way(start: Start) -> None:
    process = start("", "--train_steps", "5")

    _, told = process.communicate()

    assert process.returncode == 2
    assert "goes after a lone --" in told
