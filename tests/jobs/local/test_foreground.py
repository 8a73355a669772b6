"""A cluster in the foreground: its replicas share the terminal, and the first one's end is the end."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[[Path, int], subprocess.CompletedProcess[str]]

_RUN = """
import sys
from mlhelpers.errors import UsageError
from mlhelpers.jobs import JobSpec
from mlhelpers.jobs.local.foreground import run_foreground
counts = {"chief": 1, "ps": 1, "worker": 1}
try:
    sys.exit(run_foreground(JobSpec("local", "trainer.task", package_path=sys.argv[1]), counts, int(sys.argv[2])))
except UsageError as error:
    sys.exit(str(error))
"""


def _free_ports() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def run(child_environment: dict[str, str]) -> Run:
    """Give a function that runs a package as a cluster in the foreground, from a port on."""

    def run_package(package: Path, port: int) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-c", _RUN, str(package), str(port)]
        return subprocess.run(words, env=child_environment, capture_output=True, text=True, check=False)

    return run_package


def test_each_replica_finds_the_cluster_on_consecutive_ports(write_trainer, run: Run) -> None:
    port = _free_ports()
    package = write_trainer(
        """
        import json, os, time
        config = json.loads(os.environ["TF_CONFIG"])
        print(json.dumps([config["task"], config["cluster"], config["job"]["job_name"]]) + "\\n", end="", flush=True)
        time.sleep(60 if config["task"]["type"] == "ps" else 1)
        """
    )

    done = run(package, port)

    cluster = f'{{"chief": ["localhost:{port}"], "ps": ["localhost:{port + 1}"], "worker": ["localhost:{port + 2}"]}}'
    expected = [f'[{{"type": "{role}", "index": 0}}, {cluster}, "trainer.task"]' for role in ("chief", "ps", "worker")]
    assert sorted(done.stdout.splitlines()) == expected
    assert done.returncode == 0, done.stderr


def test_the_exit_code_is_the_first_replicas(write_trainer, run: Run) -> None:
    package = write_trainer(
        "import json, os, sys, time\n"
        "first = json.loads(os.environ['TF_CONFIG'])['task']['type'] == 'chief'\n"
        "sys.exit(7) if first else time.sleep(60)"
    )
    begin = time.monotonic()

    assert run(package, _free_ports()).returncode == 7
    assert time.monotonic() - begin < 20


def test_another_replica_that_fails_ends_the_run_and_is_named(write_trainer, run: Run) -> None:
    package = write_trainer(
        "import json, os, sys, time\n"
        "worker = json.loads(os.environ['TF_CONFIG'])['task']['type'] == 'worker'\n"
        "sys.exit(9) if worker else time.sleep(60)"
    )

    done = run(package, _free_ports())

    assert done.returncode == 9
    assert "worker-replica-0 exited with code 9; the others are ended." in done.stderr


def test_a_taken_port_is_named_and_nothing_is_started(write_trainer, run: Run) -> None:
    package = write_trainer("print('never')")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        taken = listener.getsockname()[1]
        done = run(package, taken - 1)

    assert done.stdout == ""
    assert f"Port {taken} is taken" in done.stderr
    assert "the cluster needs 3 ports" in done.stderr
    assert "--start-port" in done.stderr
