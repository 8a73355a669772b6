"""Bodies, paths and heads that nobody would send on purpose: always an answer of the right class, and never a crash.

One server takes it all; at the end it still answers and its log holds no failure.
"""

from __future__ import annotations

import gzip
import http.client
import json
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import psutil
import pytest
from app_server import ask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlhelpers import serving
from mlhelpers import settings as our_settings
from mlhelpers.errors import PredictionError
from mlhelpers.serving.instances import to_batch
from mlhelpers.serving.server.process import RunningServer
from mlhelpers.serving.server.refusals import RefusedError
from mlhelpers.serving.server.routes import find_route
from mlhelpers.serving.server.wire import parse_request
from mlhelpers.serving.signature import parse_signature

HALF = [0.5] * 784
GOOD = json.dumps({"instances": [HALF]}).encode()
FORM = "/api/predict"
FORM_BODY = b'{"baby_gender":"male","mother_age":26,"plurality":"1","gestation_weeks":39}'
PREDICT = ("/v1/models/tiny:predict", "/v1/projects/p/locations/l/endpoints/tiny:predict", FORM)
_FEW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def target(tiny_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Return a server of this module's own, which has to be whole at the end."""
    with our_settings.using(home=tmp_path_factory.mktemp("abused")):
        server = serving.start(models={"tiny": tiny_export, "babyweight": tiny_export})  # whom the form asks
    with server:
        yield server
        assert ask(server.address, "POST", PREDICT[0], GOOD).status == 200
        assert "Traceback" not in server.log()


class _Line:
    """One connection, kept open as long as the server keeps it."""

    def __init__(self, server: RunningServer) -> None:
        self._address = urlsplit(server.address).netloc
        self._connection = http.client.HTTPConnection(self._address, timeout=20)

    def send(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        for _ in range(2):
            try:
                self._connection.request("POST", path, body, headers)
                answer = self._connection.getresponse()
                return answer.status, answer.read()
            except (http.client.RemoteDisconnected, ConnectionError):  # closed after an earlier refusal
                self._connection.close()
        raise AssertionError(f"no answer: {body[:200]!r}")


def _check(status: int, answer: bytes, body: bytes, export: Path, predicted: str = "predictions") -> None:
    assert status in (200, 400, 404, 408, 413, 415, 429), (status, answer[:300], body[:300])
    document = json.loads(answer)
    assert (predicted in document) == (status == 200)
    assert ("error" in document) == (status != 200)
    assert len(answer) < 5000 or status == 200
    for secret in (str(export), str(export.parent), "Traceback", "site-packages"):
        assert secret.encode() not in answer


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([HALF, [0.5] * 10, {}, []]),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(
            st.sampled_from(["inputs", "pixels", "key", "b64", "x"]) | st.text(max_size=5), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@_FEW
@given(st.lists(_JSON, max_size=3), st.none() | st.sampled_from(["pixels", "serving_default"]) | _JSON, _JSON)
def test_any_instances_are_taken_or_refused(
    target: RunningServer, tiny_export: Path, instances: list[Any], name: Any, parameters: Any
) -> None:
    request = {"instances": instances, "signature_name": name, "parameters": parameters}
    body = json.dumps(request).encode("utf-8", "surrogatepass")
    answer = ask(target.address, "POST", PREDICT[0], body)

    _check(answer.status, answer.body, body, tiny_export)


@_FEW
@given(st.binary(max_size=300))
def test_any_bytes_are_no_request(body: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        parse_request(body)
    assert caught.value.status == 400


_TENSOR = {
    "numbers": {"dtype": "float32", "shape": [None, None]},
    "whole": {"dtype": "int32", "shape": [None, 2, 2]},
    "text": {"dtype": "string", "shape": [None], "pattern": "[a-z]*"},
}
_TYPED = parse_signature(
    {
        "format": 1,
        "signatures": {
            name: {"inputs": {"x": tensor}, "outputs": {"y": {"dtype": "float32", "shape": [None]}}}
            for name, tensor in _TENSOR.items()
        },
    }
)


@_FEW
@given(st.lists(_JSON, max_size=3), st.sampled_from(list(_TENSOR)))
def test_instances_become_arrays_of_the_signature_or_an_error(instances: list[Any], name: str) -> None:
    try:
        batch = to_batch(_TYPED, instances, name)
    except PredictionError:
        return
    array = batch.arrays["x"]
    assert array.shape[0] == batch.size == len(instances)
    assert array.ndim == len(_TENSOR[name]["shape"])
    assert array.dtype == (object if name == "text" else _TENSOR[name]["dtype"])


@_FEW
@given(st.text(max_size=40) | st.lists(st.sampled_from(["v1", "models", "..", "tiny", ":predict", "%2e", "\0", "etc"])))
def test_any_path_is_read_or_404(parts: str | list[str]) -> None:
    path = parts if isinstance(parts, str) else "/" + "/".join(parts)
    try:
        route = find_route(path)
    except RefusedError as refused:
        status = refused.status
    else:
        status = 404
        assert "/" not in route.model
        assert "/" not in (route.version or "")
    assert status == 404


TRICKS = [
    "../../../../etc/passwd",
    "..",
    ".",
    "....//....//etc",
    "/etc/passwd",
    "tiny/../../..",
    "C:\\Windows",
    "tiny\0",
    "tiny\0.tflite",
    "tiny\n",
    "~root",
    "%2e%2e%2f",
    "ti ny",
    "tıny",
    "＂tiny＂",
    "a" * 129,
    "-rf",
]


@pytest.mark.parametrize("name", TRICKS, ids=repr)
def test_a_name_that_is_a_path_leads_nowhere(target: RunningServer, tiny_export: Path, name: str) -> None:
    once = quote(name, safe="")
    for spelled in (once, quote(once, safe="")):
        for path in (
            f"/v1/models/{spelled}:predict",
            f"/v1/models/tiny/versions/{spelled}:predict",
            f"/v1/projects/p/locations/l/endpoints/{spelled}:predict",
        ):
            answer = ask(target.address, "POST", path, GOOD)
            assert answer.status == 404
            _check(answer.status, answer.body, path.encode(), tiny_export)
        assert ask(target.address, "GET", f"/v1/models/{spelled}/metadata").status == 404


def _bodies(seed: int) -> Iterator[tuple[bytes, dict[str, str]]]:
    """Yield mutated requests without end: cut, doubled, nested, swapped, huge numbers, random bytes, packed or not."""
    draw = random.Random(seed)
    numbers = [
        b"1e999",
        b"-1e999",
        b"1" * 400,
        b"0.1e-500",
        b"NaN",
        b"Infinity",
        b"-0",
        b"1e5",
        b"256",
        b"true",
        b"null",
    ]
    whole = [GOOD, b'{"instances":[{"pixels":[1,2]},{"inputs":[0.5]}]}', b'{"instances":[]}', FORM_BODY]
    while True:
        body = bytearray(draw.choice(whole))
        for _ in range(draw.randrange(4)):
            at = draw.randrange(len(body) + 1)
            kind = draw.randrange(7)
            if kind == 0:
                del body[at:]
            elif kind == 1:
                body[at : at + draw.randrange(9)] = draw.randbytes(draw.randrange(9))
            elif kind == 2:
                body[at:at] = draw.choice(numbers)
            elif kind == 3:
                depth = draw.choice([3, 70, 2000, 50_000])
                body[at:at] = b"[" * depth + b"]" * draw.choice([depth, depth - 1])
            elif kind == 4:
                body[at:at] = body[: draw.randrange(len(body) + 1)]
            elif kind == 5:
                body = body.replace(b"0.5", draw.choice(numbers), draw.choice([1, -1]))
            else:
                body[at:at] = b'"' + b"k" * draw.choice([1, 300, 100_000]) + b'":'
        headers: dict[str, str] = {}
        packing = draw.randrange(12)
        sent = bytes(body[:1_600_000])
        if packing == 0:
            headers, sent = {"Content-Encoding": "gzip"}, gzip.compress(sent, 1)
        elif packing == 1:
            headers = {"Content-Encoding": draw.choice(["gzip", "deflate", "\xff", "identity", ",,,"])}
        elif packing == 2:
            headers = {"X-Server-Timeout": draw.choice(["1e400", "-0", "9" * 50, "0x1", "5"])}
        yield sent, headers


def _fuzz(target: RunningServer, export: Path, seed: int, count: int, until: float = float("inf")) -> int:
    line, done, answered = _Line(target), 0, 0
    for body, headers in _bodies(seed):
        if done == count or time.monotonic() > until:
            break
        began = time.monotonic()
        path = PREDICT[done % len(PREDICT)]
        status, answer = line.send(path, body, headers)
        assert time.monotonic() - began < 10
        _check(status, answer, body, export, "result" if path == FORM else "predictions")
        answered += status == 200 and path != FORM
        done += 1
    assert answered > done // 100  # some are still whole: else the fuzzer only knocks at the door
    return done


def test_ten_thousand_random_bodies(target: RunningServer, tiny_export: Path) -> None:
    before = psutil.Process(target.pid).memory_info().rss

    assert _fuzz(target, tiny_export, 2, 10_000) == 10_000
    assert psutil.Process(target.pid).memory_info().rss < before + 150_000_000


@pytest.mark.soak
def test_three_minutes_of_random_bodies(target: RunningServer, tiny_export: Path) -> None:
    seed = time.time_ns()
    print("seed", seed)

    assert _fuzz(target, tiny_export, seed, 10**9, time.monotonic() + 180) > 10_000


def test_random_heads_and_dropped_connections(target: RunningServer) -> None:
    draw, host = random.Random(3), urlsplit(target.address)
    heads = [
        b"POST /v1/models/tiny:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n",
        b'POST /v1/models/tiny:predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"ins',
        b"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X-Long: " + b"y" * 200_000 + b"\r\n\r\n",
    ]
    for turn in range(300):
        words = bytearray(draw.choice(heads))
        for _ in range(draw.randrange(3)):
            words[draw.randrange(len(words))] = draw.randrange(256)
        with socket.create_connection((str(host.hostname), host.port or 0), timeout=10) as connection:
            try:
                connection.sendall(bytes(words[: draw.randrange(len(words) + 1)]))
                if turn % 3 == 0:  # gone at once, with a reset
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            except OSError:
                pass

    assert ask(target.address, "POST", PREDICT[0], GOOD).status == 200
    assert target.is_running
