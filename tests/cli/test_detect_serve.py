"""`mlhelpers detect serve`: what it refuses, and the unit that it prints."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlhelpers import cli
from mlhelpers.errors import ModelError, UsageError


def _run(*words: str) -> str:
    answer = CliRunner().invoke(cli._root, ["detect", "serve", *words], catch_exceptions=False)
    assert answer.exit_code == 0
    return answer.output


def test_it_prints_a_unit_for_what_was_asked(tmp_path: Path) -> None:
    own = tmp_path / "birds.tflite"
    own.write_bytes(b"x")

    said = _run("--print-unit", "--port", "9000", "--model", str(own), "--model", "nanodet", "--max-megabytes", "5")

    command = next(line for line in said.splitlines() if line.startswith("ExecStart="))
    assert command.startswith(f"ExecStart={sys.executable} -m mlhelpers.cli detect serve --host 127.0.0.1 --port 9000")
    assert f"--model {own} --model nanodet --max-megabytes 5 --max-megapixels 60 --max-waiting 32" in command


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "nanodett"], "There is no detector 'nanodett'. Did you mean 'nanodet'"),
        (["--port", "70000"], "70000 is no port"),
        (["--host", "192.0.2.1", "--port", "0"], "cannot be bound"),
        (["--password-file", "/nowhere/at/all"], "The password file /nowhere/at/all cannot be read"),
    ],
)
def test_what_is_wrong_is_told_before_anything_starts(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as refused:
        _run(*words)
    assert message in str(refused.value)


def test_a_short_password_of_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLHELPERS_DETECT_PASSWORD", "passw0r")
    with pytest.raises(UsageError, match="MLHELPERS_DETECT_PASSWORD has 7 characters"):
        _run("--port", "0")


def test_a_model_that_cannot_be_loaded_is_told_and_its_port_is_free_again(tmp_path: Path) -> None:
    model = tmp_path / "broken.tflite"
    model.write_bytes(b"no model")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    with pytest.raises(ModelError, match=r"broken\.tflite"):
        _run("--port", str(port), "--model", str(model))

    with socket.create_server(("127.0.0.1", port)):
        pass
