"""The suite's own fence: nothing beyond loopback, neither here nor in the processes that tests start."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from pytest_socket import SocketConnectBlockedError

_BEYOND = "192.0.2.1"  # an address that is set aside for documentation: nobody is there


def _child(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", f"import socket\n{code}"], capture_output=True, text=True, timeout=30)


@pytest.mark.filterwarnings("ignore:A test tried to use")
def test_this_process_cannot_connect_beyond_loopback() -> None:
    with pytest.raises(SocketConnectBlockedError):
        socket.create_connection((_BEYOND, 9), timeout=1)


def test_a_started_process_cannot_connect_beyond_loopback() -> None:
    ended = _child(f"socket.create_connection(('{_BEYOND}', 9), timeout=1)")

    assert ended.returncode == 1
    assert f"a test asked the network for '{_BEYOND}'; only loopback is open" in ended.stderr


def test_a_started_process_cannot_look_up_a_name() -> None:
    ended = _child("socket.getaddrinfo('example.invalid', 80)")

    assert "a test asked the network for 'example.invalid'" in ended.stderr


def test_a_started_process_may_connect_to_loopback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = _child(f"socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), timeout=5).close()")

    assert ended.returncode == 0, ended.stderr
