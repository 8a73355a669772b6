"""A trainer package written on the spot, and the proof after every test that no process of it is left."""

from __future__ import annotations

import os
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from mlhelpers import jobs

WriteTrainer = Callable[..., Path]


def _processes_of(home: Path) -> list[psutil.Process]:
    """Find what runs over this home, by the environment that every supervisor and trainer inherits."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("MLHELPERS_HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


@pytest.fixture(autouse=True)
def no_process_is_left(home: Path) -> Iterator[Callable[[], list[psutil.Process]]]:
    """Fail a test that leaves a supervisor, a trainer or a trainer's child; gives the way to look for them."""
    yield lambda: _processes_of(home)
    deadline = time.monotonic() + 5
    while (left := _processes_of(home)) and time.monotonic() < deadline:
        time.sleep(0.05)
    told = [" ".join(process.cmdline()) for process in left if process.is_running()]
    for process in left:
        process.kill()
    assert told == []


@pytest.fixture
def write_trainer(tmp_path: Path) -> WriteTrainer:
    """Give a function that writes trainer/task.py with some code and returns the package's folder."""

    def write(code: str, module: str = "task") -> Path:
        package = tmp_path / "project" / "trainer"
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").touch()
        (package / f"{module}.py").write_text(textwrap.dedent(code))
        return package

    return write


@pytest.fixture
def submit(write_trainer: WriteTrainer) -> Callable[..., jobs.Job]:
    """Give a function that submits a job which runs some code."""

    def submit_code(code: str, name: str = "first", **fields: object) -> jobs.Job:
        package = write_trainer(code)
        return jobs.submit(jobs.JobSpec(name, "trainer.task", package_path=package, **fields))  # type: ignore[arg-type]

    return submit_code


@pytest.fixture
def child_environment() -> dict[str, str]:
    """Give the environment of a Python process that imports the mlhelpers under test."""
    root = str(Path(jobs.__file__).parents[2])
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}


@pytest.fixture
def until() -> Callable[..., None]:
    """Give a function that waits until something holds, and fails when it does not within some seconds."""

    def wait(holds: Callable[[], object], seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, "it did not come about in time"
            time.sleep(0.02)

    return wait
