"""What a request may cost: bytes, seconds, a place in the queue; and how the server stops."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from app_server import Answer, ask, serving_with

from mlhelpers import serving
from mlhelpers.serving.server.admission import Limits
from mlhelpers.serving.server.process import RunningServer

PATH = "/v1/models/tiny:predict"
BODY = json.dumps({"instances": [[0.5] * 784]}).encode()


def _slow(seconds: float) -> Any:
    def run(name: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        time.sleep(seconds)
        n = len(next(iter(arrays.values())))
        return {"classes": np.zeros(n, np.int64), "probabilities": np.zeros((n, 10), np.float32)}

    return run


def _error(answer: Answer) -> str:
    return str(json.loads(answer.body)["error"])


def test_over_the_number_that_may_wait_is_429_with_a_time_to_come_again(
    monkeypatch: pytest.MonkeyPatch, tiny_export: Path
) -> None:
    with serving_with(monkeypatch, tiny_export, _slow(0.5), Limits(max_waiting=3)) as (address, _):
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: ask(address, "POST", PATH, BODY), range(8)))
        refused = [one for one in answers if one.status == 429]

        assert sorted(one.status for one in answers).count(200) == 3
        assert len(refused) == 5
        assert refused[0].headers["retry-after"] == "1"
        assert "3 requests already wait for 'tiny'" in _error(refused[0])
        assert ask(address, "POST", PATH, BODY).status == 200
        assert ask(address, "GET", "/healthz").status == 200


def test_bytes_that_wait_are_limited_too(monkeypatch: pytest.MonkeyPatch, tiny_export: Path) -> None:
    with serving_with(monkeypatch, tiny_export, _slow(0.5), Limits(max_bytes=40_000_000)) as (address, _):
        long = BODY + b" " * 30_000_000
        with ThreadPoolExecutor(3) as pool:
            statuses = sorted(pool.map(lambda _: ask(address, "POST", PATH, long).status, range(3)))

        assert statuses == [200, 200, 429]


def test_an_answer_that_takes_too_long_is_504_and_the_next_is_fine(
    monkeypatch: pytest.MonkeyPatch, tiny_export: Path
) -> None:
    with serving_with(monkeypatch, tiny_export, _slow(0.4)) as (address, _):
        late = ask(address, "POST", PATH, BODY, X_Server_Timeout="0.1")

        assert late.status == 504
        assert "not there within 0.1 s" in _error(late)
        assert "X-Server-Timeout" in _error(late)
        assert ask(address, "POST", PATH, BODY, X_Server_Timeout="5").status == 200


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf", ""])
def test_a_time_limit_that_is_none_is_refused(shared_server: RunningServer, text: str) -> None:
    answer = ask(shared_server.address, "POST", PATH, BODY, X_Server_Timeout=text)

    assert answer.status == 400
    assert "it takes a number of seconds above 0" in _error(answer)


def test_a_body_that_never_comes_is_408(monkeypatch: pytest.MonkeyPatch, tiny_export: Path) -> None:
    with serving_with(monkeypatch, tiny_export, _slow(0), Limits(body_s=0.3)) as (address, _):
        host = urlsplit(address)
        for sent in (b"", b'{"inst'):
            with socket.create_connection((str(host.hostname), host.port or 0), timeout=10) as connection:
                head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n".encode()
                connection.sendall(head + sent)
                got = b""
                while part := connection.recv(4096):  # until the server closes
                    got += part
            assert got.startswith(b"HTTP/1.1 408 ")
            assert b"did not arrive within 0.3 s" in got
        assert ask(address, "POST", PATH, BODY).status == 200


def test_a_model_that_loads_long_is_503_until_it_is_there(monkeypatch: pytest.MonkeyPatch, tiny_export: Path) -> None:
    from mlhelpers.serving.server import loading

    with serving_with(monkeypatch, tiny_export, _slow(0), Limits(load_s=0.1)) as (address, _):
        quick, go = loading.load_model, threading.Event()

        def slowly(*args: Any, **kwargs: Any) -> Any:
            go.wait(10)
            return quick(*args, **kwargs)

        monkeypatch.setattr(loading, "load_model", slowly)
        early = ask(address, "POST", PATH, BODY)
        state = json.loads(ask(address, "GET", "/v1/models/tiny").body)["model_version_status"][0]["state"]
        go.set()

        assert (early.status, early.headers["retry-after"]) == (503, "2")
        assert "tiny version v1 is still loading" in _error(early)
        assert state == "LOADING"
        deadline = time.monotonic() + 10
        while (late := ask(address, "POST", PATH, BODY)).status == 503 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert late.status == 200


def test_a_packed_body_is_taken_also_in_several_members(shared_server: RunningServer) -> None:
    plain = ask(shared_server.address, "POST", PATH, BODY)
    packed = ask(shared_server.address, "POST", PATH, gzip.compress(BODY), Content_Encoding="gzip")
    members = gzip.compress(BODY[:100]) + gzip.compress(BODY[100:])
    several = ask(shared_server.address, "POST", PATH, members, Content_Encoding="gzip")

    assert (packed.status, packed.body) == (200, plain.body)
    assert (several.status, several.body) == (200, plain.body)


def test_a_small_body_that_unpacks_to_gigabytes_is_413(shared_server: RunningServer) -> None:
    bomb = gzip.compress(b" " * 100_000_000)
    assert len(bomb) < 150_000
    answer = ask(shared_server.address, "POST", PATH, bomb, Content_Encoding="gzip")

    assert answer.status == 413
    assert "The unpacked body is longer than the 1.5 MB" in _error(answer)


@pytest.mark.parametrize(
    ("body", "encoding", "status", "message"),
    [
        (gzip.compress(BODY)[:-20], "gzip", 400, "cut off"),
        (BODY, "gzip", 400, "no gzip"),
        (b"", "gzip", 400, "cut off"),
        (gzip.compress(BODY) + b"x", "gzip", 400, "cut off"),
        (BODY, "br", 415, "packed as 'br'"),
        (BODY, "gzip, gzip", 415, "packed as 'gzip, gzip'"),
    ],
    ids=["cut off", "not packed", "empty", "one byte more", "brotli", "twice"],
)
def test_what_is_packed_otherwise_or_badly_is_refused(
    shared_server: RunningServer, body: bytes, encoding: str, status: int, message: str
) -> None:
    answer = ask(shared_server.address, "POST", PATH, body, Content_Encoding=encoding)

    assert answer.status == status
    assert message in _error(answer)


def test_a_long_answer_is_packed_for_those_who_ask(shared_server: RunningServer) -> None:
    body = json.dumps({"instances": [[0.5] * 784] * 200}).encode()
    plain = ask(shared_server.address, "POST", PATH, body)
    packed = ask(shared_server.address, "POST", PATH, body, Accept_Encoding="br;q=1, gzip;q=0.8")
    unwanted = ask(shared_server.address, "POST", PATH, body, Accept_Encoding="gzip;q=0")
    short = ask(shared_server.address, "POST", PATH, BODY, Accept_Encoding="gzip")

    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "accept-encoding"
    assert len(packed.body) < len(plain.body) / 2
    assert gzip.decompress(packed.body) == plain.body == unwanted.body
    assert "content-encoding" not in short.headers


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_stopping_server_finishes_what_it_has_and_takes_no_more(tmp_path: Path, tiny_export: Path) -> None:
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from mlhelpers.serving.server import loading, run\n"
        "real = loading.load_model\n"
        "def load(folder, **said):\n"
        "    model = real(folder, **said); quick = model._run\n"
        "    def slow(name, arrays): time.sleep(1.5); return quick(name, arrays)\n"
        "    object.__setattr__(model, '_run', slow); return model\n"
        "loading.load_model = load\n"
        "run.serve(port=0, folders={'tiny': Path(sys.argv[2])}, announce=lambda a: print(a, flush=True))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), str(tiny_export)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    host = urlsplit(address)
    with ThreadPoolExecutor(1) as pool, socket.create_connection((str(host.hostname), host.port or 0)) as idle:
        begun = pool.submit(ask, address, "POST", PATH, BODY)
        time.sleep(0.7)
        half = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()
        process.send_signal(signal.SIGTERM)
        idle.sendall(half + BODY)
        idle.settimeout(10)
        late = idle.recv(4096)
        stopped = time.monotonic()

        assert begun.result().status == 200
        assert process.wait(10) in (0, -signal.SIGTERM)
        assert time.monotonic() - stopped < 7
        assert late == b"" or late.startswith(b"HTTP/1.1 503 ")
    process.stdout.close()


def test_connections_that_say_nothing_or_half_a_head_are_closed(
    monkeypatch: pytest.MonkeyPatch, tiny_export: Path
) -> None:
    import asyncio

    import uvicorn

    from mlhelpers.serving.server import run
    from mlhelpers.serving.server.slow_heads import HeadWatch

    monkeypatch.setattr(run, "_HEAD_TICKS", 3)

    async def job() -> tuple[bytes, bytes, bytes]:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await asyncio.sleep(1.2)  # longer than the watch's patience, but a request is open
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok"})

        server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_level="error", ws="none"))
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup()
        port = server.servers[0].sockets[0].getsockname()[1]
        watch = HeadWatch()

        async def talk(words: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(words)
            got = await reader.read(4096)
            writer.close()
            return got

        async def look() -> None:
            for _ in range(6):
                await asyncio.sleep(0.2)
                watch.look(server.server_state.connections)

        head = b"GET / HTTP/1.1\r\nHost: x\r\n"
        *answers, _ = await asyncio.gather(talk(b""), talk(head), talk(head + b"\r\n"), look())
        await server.shutdown()
        return tuple(answers)

    silent, half, whole = asyncio.run(asyncio.wait_for(job(), 20))
    assert silent.startswith(b"HTTP/1.1 408 ")
    assert half.startswith(b"HTTP/1.1 408 ")
    head, _, body = half.partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head
    assert json.loads(body)["error"]
    assert whole.startswith(b"HTTP/1.1 200 ")


def test_a_model_in_the_store_answers_through_all_of_it(store: serving.ModelStore) -> None:
    with serving.start() as server:
        answer = ask(server.address, "POST", "/v1/models/MNIST:predict", BODY)

        assert (answer.status, answer.headers["x-model-version"]) == (200, "v1")
