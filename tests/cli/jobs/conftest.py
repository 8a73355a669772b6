from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from mlhelpers.cli import main


class Answer(NamedTuple):
    """What a command said."""

    code: int
    out: str
    err: str


Run = Callable[..., Answer]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Give a function that runs `mlhelpers jobs …` in this process, in a folder that holds the package trainer."""
    package = tmp_path / "project" / "trainer"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "task.py").write_text("print('trained')")
    monkeypatch.chdir(package.parent)

    def run_words(*words: str) -> Answer:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main(["jobs", *words])
        return Answer(int(stopped.value.code or 0), *capsys.readouterr())

    return run_words
