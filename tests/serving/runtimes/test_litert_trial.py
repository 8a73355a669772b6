"""A stranger's model is tried in a process of its own; whatever becomes of that process is an error with the cure."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from foreign_model import Foreign

from mlhelpers.errors import ModelError
from mlhelpers.serving.runtimes import litert_trial
from mlhelpers.serving.signature import parse_signature

Kind = Callable[[str], Foreign]


@pytest.fixture
def interpreter_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that puts a LiteRT of this behaviour before the real one, in processes started from here."""

    def place(code: str) -> None:
        package = tmp_path / "instead" / "ai_edge_litert"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "interpreter.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(package.parent), os.environ.get("PYTHONPATH", "")]))

    return place


def test_the_document_comes_back(foreign: Callable[[str], Foreign]) -> None:
    signature = parse_signature(litert_trial.try_model(foreign("lite").folder, "model.tflite"))

    assert list(signature.signatures["flowers"].outputs) == ["best", "scores"]


def test_a_process_that_crashes_is_told_with_its_signal(foreign: Kind, interpreter_that: Callable[[str], None]) -> None:
    interpreter_that("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")

    with pytest.raises(ModelError, match=r"LiteRT itself fails on it \(signal 11\), so it is damaged\. Export"):
        litert_trial.try_model(foreign("lite").folder, "model.tflite")


def test_a_process_that_hangs_is_ended(
    foreign: Kind, interpreter_that: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter_that("import time\ntime.sleep(600)\n")
    monkeypatch.setattr(litert_trial, "_SECONDS", 2.0)

    with pytest.raises(ModelError, match=r"does not answer within 2 s, as damaged files do\. Export"):
        litert_trial.try_model(foreign("lite").folder, "model.tflite")


def test_a_damaged_file_brings_litert_s_own_reason(foreign: Kind) -> None:
    folder = foreign("lite").folder
    (folder / "model.tflite").write_bytes(b"\x1c\x00\x00\x00TFL3")

    with pytest.raises(ModelError, match=r"model\.tflite cannot be loaded: .* Export the model again"):
        litert_trial.try_model(folder, "model.tflite")
