from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from mlhelpers import serving
from mlhelpers.cli import main


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    return int(stopped.value.code or 0)


@contextmanager
def _serve(*words: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `mlhelpers serve` as a person would, and give the process and the address it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mlhelpers.cli", "serve", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("Serving at http"), process.stderr.read()
        yield process, line.split()[2]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def test_port_0_prints_the_address_it_took(store: serving.ModelStore) -> None:
    with _serve("--port", "0") as (_, address):
        answer = requests.post(f"{address}/v1/models/MNIST:predict", json={"instances": [[0.5] * 784]}, timeout=20)

    assert answer.json()["predictions"] == serving.load("MNIST").predict([[0.5] * 784])


def test_a_folder_is_served_without_a_store(home: Path, tiny_export: Path) -> None:
    with _serve("--port", "0", "--model", f"digits={tiny_export}") as (_, address):
        answer = requests.post(f"{address}/v1/models/digits:predict", json={"instances": [[0.5] * 784]}, timeout=20)

    assert answer.status_code == 200
    assert not home.exists()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_without_a_traceback(home: Path, how: signal.Signals) -> None:
    with _serve("--port", "0") as (process, address):
        assert requests.get(f"{address}/healthz", timeout=20).ok
        process.send_signal(how)
        _, errors = process.communicate(timeout=20)

    assert "Traceback" not in errors


def test_another_host_is_served_with_the_token_of_the_environment(home: Path) -> None:
    with _serve("--port", "0", "--host", "0.0.0.0", MLHELPERS_SERVE_TOKEN="a-secret") as (_, address):
        assert requests.get(f"{address}/v1/models", timeout=20).status_code == 401
        headers = {"Authorization": "Bearer a-secret"}
        assert requests.get(f"{address}/v1/models", headers=headers, timeout=20).json() == {"models": []}


def test_the_limit_can_be_raised_and_lowered(tiny_export: Path) -> None:
    with _serve("--port", "0", "--model", f"tiny={tiny_export}", "--max-request-bytes", "1000") as (_, address):
        answer = requests.post(f"{address}/v1/models/tiny:predict", json={"instances": [[0.5] * 784]}, timeout=20)

    assert answer.status_code == 413
    assert "longer than the 0.001 MB" in answer.json()["error"]


def test_the_form_asks_the_model_that_is_named(tiny_export: Path) -> None:
    with _serve("--port", "0", "--model", f"tiny={tiny_export}", "--form", "tiny/v1") as (_, address):
        answer = requests.get(f"{address}/api/form", timeout=20)

    assert answer.status_code == 400
    assert "of tiny the signature" in answer.json()["error"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--host", "0.0.0.0"], 2, "lets other machines in, and that wants a token"),
        (["--port", "70000"], 2, "70000 is no port"),
        (["--port", "http"], 2, "'http' is not a valid integer"),
        (["--model", "tiny"], 2, "--model 'tiny' should be NAME=FOLDER"),
        (["--model", "a-b=."], 2, "'a-b' is no model name"),
        (["--model", "tiny=/nowhere"], 1, "'/nowhere' does not exist"),
        (["--max-request-bytes", "0"], 2, "x>=1"),
        (["--form", "a-b"], 2, "--form 'a-b' should be MODEL or MODEL/VERSION"),
    ],
)
def test_wrong_words_are_refused(words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("serve", *words) == code
    assert message in capsys.readouterr().err
