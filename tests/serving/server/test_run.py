"""Binding: loopback alone without a token, free ports, and words about taken ones."""

from __future__ import annotations

import socket

import pytest

from mlhelpers.errors import UsageError
from mlhelpers.serving.server.run import bind, check_token


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
def test_other_than_loopback_wants_a_token(host: str) -> None:
    with pytest.raises(UsageError, match="lets other machines in, and that wants a token: set MLHELPERS_SERVE_TOKEN"):
        check_token(host, None)
    check_token(host, "a-secret")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_loopback_is_free(host: str) -> None:
    check_token(host, None)


@pytest.mark.parametrize("token", ["a b", "é", "a\nb"])
def test_a_token_that_no_header_carries_is_refused(token: str) -> None:
    with pytest.raises(UsageError, match="characters that an HTTP header cannot carry"):
        check_token("127.0.0.1", token)


def test_port_0_takes_a_free_one() -> None:
    with bind("127.0.0.1", 0) as listener:
        assert listener.getsockname()[1] > 0


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(UsageError, match=rf"127\.0\.0\.1:{port} cannot be bound: .* or 0 for any free one"):
            bind("127.0.0.1", port)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_number_that_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(UsageError, match=f"{port} is no port: it takes 0"):
        bind("127.0.0.1", port)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(UsageError, match=r"192\.0\.2\.1:0 cannot be bound"):
        bind("192.0.2.1", 0)
