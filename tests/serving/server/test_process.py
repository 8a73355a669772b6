"""The server as a process of its own: up, down, and never an orphan."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import requests

from mlhelpers import serving
from mlhelpers.errors import ModelError, UsageError


def _gone(pid: int, within_s: float = 10.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def test_a_server_runs_for_the_length_of_its_block(
    store: serving.ModelStore, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving.start() as server:
        assert server.is_running
        assert repr(server) == f"<Server {server.address}: running, process {server.pid}; stop() ends it>"
        assert serving.connect("MNIST", address=server.address).predict([[0.5] * 784])

    assert not server.is_running
    assert repr(server) == f"<Server {server.address}: stopped>"
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{server.address}/healthz", timeout=5)
    server.stop()
    assert capfd.readouterr() == ("", "")


def test_an_error_inside_the_block_stops_the_server_too(home: Path) -> None:
    with pytest.raises(RuntimeError, match="mine"), serving.start() as server:
        raise RuntimeError("mine")

    assert not server.is_running


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_starter_leaves_no_orphan(home: Path, how: signal.Signals) -> None:
    code = "from mlhelpers import serving; import time; s = serving.start(); print(s.pid, flush=True); time.sleep(60)"
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    assert psutil.pid_exists(pid)

    starter.send_signal(how)
    starter.wait(10)
    starter.stdout.close()

    assert _gone(pid)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_that_holds_the_pipe_does_not_keep_the_server_alive(home: Path) -> None:
    code = (
        "from mlhelpers import serving; import os, time\n"
        "s = serving.start()\n"
        "child = os.fork()\n"
        "if child == 0: time.sleep(30); os._exit(0)\n"
        "print(s.pid, child, flush=True); time.sleep(60)"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    pid, fork = map(int, starter.stdout.readline().split())

    starter.kill()
    starter.wait(10)
    try:
        assert _gone(pid)
    finally:
        os.kill(fork, signal.SIGKILL)
        starter.stdout.close()


def test_a_forgotten_server_ends_with_the_process(home: Path) -> None:
    code = "from mlhelpers import serving; print(serving.start().pid)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert _gone(int(done.stdout))


def test_a_taken_port_is_named(home: Path) -> None:
    with serving.start() as server:
        port = int(server.address.rsplit(":", 1)[1])
        with pytest.raises(UsageError, match=rf"127\.0\.0\.1:{port} cannot be bound: .* choose another --port"):
            serving.start(port)


def test_a_folder_without_a_model_is_named(home: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="There is no model in"):
        serving.start(models={"tiny": tmp_path})
    with pytest.raises(UsageError, match="'my-model' is no model name"):
        serving.start(models={"my-model": tmp_path})


def test_the_token_is_not_among_the_arguments_anyone_can_read(home: Path) -> None:
    with serving.start(token="a-secret") as server:
        assert "a-secret" not in " ".join(psutil.Process(server.pid).cmdline())
        assert requests.get(f"{server.address}/v1/models", timeout=5).status_code == 401
