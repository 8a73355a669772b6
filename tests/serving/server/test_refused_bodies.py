"""A request that is refused before its body is read: the sender, who is still at it, gets the answer and no reset."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from app_server import ask, serving_with

from mlhelpers.serving.server import drain
from mlhelpers.serving.server.admission import Limits
from mlhelpers.serving.server.bodies import read_body
from mlhelpers.serving.server.drain import Drain, Incoming

PATH = "/v1/models/tiny:predict"
BODY = json.dumps({"instances": [[0.5] * 784]}).encode()
PIECE, PIECES = b" " * 200_000, 15
TOKEN = "Authorization: Bearer a-word"


def _run(name: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    n = len(next(iter(arrays.values())))
    return {"classes": np.zeros(n, np.int64), "probabilities": np.zeros((n, 10), np.float32)}


def _connect(address: str) -> socket.socket:
    host = urlsplit(address)
    return socket.create_connection((str(host.hostname), host.port or 0), timeout=10)


def _send_slowly(connection: socket.socket, method: str, path: str, *head: str) -> tuple[int, dict[str, str], bytes]:
    """Send three million bytes in a third of a second, and only then listen."""
    length = f"Content-Length: {len(PIECE) * PIECES}"
    connection.sendall("\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", length, *head, "", ""]).encode())
    for _ in range(PIECES):
        time.sleep(0.02)
        connection.sendall(PIECE)
    with connection.makefile("rb") as answer:
        status = int(answer.readline().split()[1])
        fields = dict(line.decode().strip().lower().split(": ", 1) for line in iter(answer.readline, b"\r\n"))
        return status, fields, answer.read(int(fields["content-length"]))


REFUSED = {
    "packed otherwise": (415, "POST", PATH, [TOKEN, "Content-Encoding: deflate"]),
    "the form's, packed otherwise": (415, "POST", "/api/predict", [TOKEN, "Content-Encoding: br"]),
    "no such model": (404, "POST", "/v1/models/other:predict", [TOKEN]),
    "no such path": (404, "POST", "/nowhere", [TOKEN]),
    "no token": (401, "POST", PATH, []),
    "a page takes no POST": (405, "POST", "/docs", [TOKEN]),
    "a body that nobody asks for": (200, "GET", "/v1/models", [TOKEN]),
    "a time that is none": (400, "POST", PATH, [TOKEN, "X-Server-Timeout: soon"]),
}


@pytest.fixture(scope="module")
def guarded(tiny_export: Path) -> Iterator[str]:
    """Return the address of a server that wants a token."""
    with pytest.MonkeyPatch.context() as patch, serving_with(patch, tiny_export, _run, token="a-word") as (address, _):
        yield address


@pytest.mark.parametrize("kept", ["Connection: keep-alive", "Connection: close"])
@pytest.mark.parametrize("case", REFUSED)
def test_who_sends_a_long_body_that_is_not_wanted_gets_the_answer(guarded: str, case: str, kept: str) -> None:
    status, method, path, head = REFUSED[case]
    with _connect(guarded) as connection:
        answer = _send_slowly(connection, method, path, kept, *head)

        assert answer[0] == status
        assert json.loads(answer[2]).keys() == ({"models"} if status == 200 else {"error"})
        if answer[1].get("connection") != "close":  # what came of the body is not taken for another request
            again = _send_slowly(connection, method, path, kept, *head)
            assert (again[0], again[2]) == (answer[0], answer[2])


def test_a_full_house_and_a_stopping_server_answer_too(monkeypatch: pytest.MonkeyPatch, tiny_export: Path) -> None:
    go = threading.Event()

    def wait(name: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        go.wait(10)
        return _run(name, arrays)

    with serving_with(monkeypatch, tiny_export, wait, Limits(max_waiting=1)) as (address, app):
        first = threading.Thread(target=ask, args=(address, "POST", PATH, BODY))
        first.start()
        door = app._admission.doors
        deadline = time.monotonic() + 10
        while not (door and door["tiny"].requests) and time.monotonic() < deadline:
            time.sleep(0.01)
        with _connect(address) as connection:
            full = _send_slowly(connection, "POST", PATH, "Connection: close")
        go.set()
        first.join(10)
        app.stop()
        with _connect(address) as connection:
            stopping = _send_slowly(connection, "POST", PATH)

    assert (full[0], full[1]["retry-after"]) == (429, "1")
    assert (stopping[0], stopping[1]["retry-after"], stopping[1]["connection"]) == (503, "2", "close")


def test_a_sender_who_waits_to_be_asked_for_the_body_is_answered_at_once(guarded: str) -> None:
    with _connect(guarded) as connection:
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\nExpect: 100-continue\r\n\r\n"
        connection.sendall(head.encode())
        began = time.monotonic()
        got = b"".join(iter(lambda: connection.recv(4096), b""))

    assert got.startswith(b"HTTP/1.1 401 ")
    assert b"\r\nconnection: close\r\n" in got
    assert time.monotonic() - began < 5


def _sender(piece: int, pause: float = 0.0) -> tuple[Incoming, list[int]]:
    """A sender without end, and what has been taken from it."""
    taken: list[int] = []

    async def receive() -> MutableMapping[str, Any]:
        await asyncio.sleep(pause)
        taken.append(piece)
        return {"type": "http.request", "body": b" " * piece, "more_body": True}

    return Incoming(receive), taken


LONG = {b"transfer-encoding": b"chunked"}


def test_reading_on_ends_after_so_many_bytes() -> None:
    incoming, taken = _sender(1_000_000)

    assert not asyncio.run(Drain().read_on(incoming, LONG))
    assert sum(taken) == 33_000_000


def test_a_body_announced_as_longer_is_not_begun() -> None:
    incoming, taken = _sender(1)

    assert not asyncio.run(Drain().read_on(incoming, {b"content-length": b"32000001"}))
    assert not taken


def test_reading_on_ends_after_so_many_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "_DRAINED_S", 0.2)
    began = time.monotonic()

    assert not asyncio.run(Drain().read_on(_sender(1, 0.01)[0], LONG))
    assert 0.2 <= time.monotonic() - began < 2


def test_only_so_much_is_read_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "_DRAINED_S", 0.3)
    monkeypatch.setattr(drain, "_AT_ONCE_BYTES", 5_500_000)
    announced = {b"content-length": b"1000000"}
    senders = [_sender(1, 0.01) for _ in range(8)]

    async def flood() -> tuple[list[bool], bool]:
        ours = Drain()
        went = await asyncio.gather(*(ours.read_on(incoming, announced) for incoming, _ in senders))
        short = _sender(1)[0]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ours.read_on(short, announced), 0.1)  # there is room again
        return went, bool(short.size)

    went, again = asyncio.run(flood())
    assert went == [False] * 8
    assert [bool(taken) for _, taken in senders] == [True] * 5 + [False] * 3
    assert again


@pytest.mark.parametrize("headers", [{}, {b"content-length": b"0"}, {b"content-length": b"9"}], ids=["none", "0", "9"])
def test_a_request_without_a_body_or_read_whole_is_not_waited_for(headers: dict[bytes, bytes]) -> None:
    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"123456789"}

    async def read() -> bool:
        incoming = Incoming(receive)
        if b"9" in headers.values():
            assert await read_body(incoming, 9) == b"123456789"
            incoming._receive = asyncio.Event().wait  # from now on nothing would ever come
        return await asyncio.wait_for(Drain().read_on(incoming, headers), 5)

    assert asyncio.run(read())
