"""A busy server is asked again, within the time limit; real connections to a real server that does as it is told."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from mlhelpers import serving
from mlhelpers.errors import ModelError, PredictionError
from mlhelpers.serving.registry.resources import UnknownModelError

_SIGNATURE = {
    "format": 1,
    "name": "echo",
    "default_signature": "d",
    "signatures": {
        "d": {
            "inputs": {"x": {"dtype": "float32", "shape": [None]}},
            "outputs": {"y": {"dtype": "float32", "shape": [None]}},
        },
        "t": {
            "inputs": {"text": {"dtype": "string", "shape": [None]}},
            "outputs": {"y": {"dtype": "string", "shape": [None]}},
        },
    },
}
_HANG_UP = 0


class Scripted:
    """A server that answers each prediction as the next entry of `script` says, then always with 200.

    Attributes:
        script: (status, headers); the status 0 cuts the connection without an answer.
        asked: When each prediction came, in seconds.
        bodies: What was sent, unpacked.
        packed: Whether each body came compressed.
        sizes: How many bytes each body had, unpacked.
        limit: The longest body that is not answered with 413, in bytes.
    """

    def __init__(self) -> None:
        self.script: list[tuple[int, dict[str, str]]] = []
        self.asked: list[float] = []
        self.bodies: list[Any] = []
        self.packed: list[bool] = []
        self.sizes: list[int] = []
        self.limit = 1_500_000
        scripted = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.reply(200, {"signature": _SIGNATURE})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                scripted.asked.append(time.monotonic())
                scripted.packed.append(self.headers.get("Content-Encoding") == "gzip")
                if scripted.packed[-1]:
                    body = gzip.decompress(body)
                request = json.loads(body)
                scripted.sizes.append(len(body))
                scripted.bodies.append(request)
                status, headers = scripted.script.pop(0) if scripted.script else (200, {})
                if len(body) > scripted.limit:
                    status = 413
                if status == _HANG_UP:
                    # a reset, not an orderly end
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.close_connection = True
                    self.connection.close()
                    return
                answers = [{"y": next(iter(instance.values()))} for instance in request["instances"]]
                self.reply(status, {"predictions": answers} if status == 200 else {"error": "no"}, headers)

            def reply(self, status: int, document: Any, headers: dict[str, str] | None = None) -> None:
                content = json.dumps(document).encode()
                self.send_response(status)
                for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def finish(self) -> None:
                with contextlib.suppress(OSError):
                    super().finish()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.port = self.server.server_port


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """Return a server at work that does as its script says."""
    made = Scripted()
    threading.Thread(target=made.server.serve_forever, daemon=True).start()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def client(scripted: Scripted) -> Iterator[serving.Predictor]:
    """Return a predictor of the scripted server that waits three seconds at most."""
    with serving.connect("echo", address=f"http://127.0.0.1:{scripted.port}", timeout_s=3) as predictor:
        yield predictor


@pytest.mark.parametrize("script", [[(429, {})], [(503, {})], [(_HANG_UP, {})], [(503, {}), (_HANG_UP, {}), (429, {})]])
def test_a_server_that_is_busy_loading_or_gone_for_a_moment_is_asked_again(
    script: list[tuple[int, dict[str, str]]], scripted: Scripted, client: serving.Predictor
) -> None:
    scripted.script = list(script)

    assert client.predict([{"x": 1.0}]) == [{"y": 1.0}]
    assert scripted.bodies == [{"instances": [{"x": 1.0}]}] * (len(script) + 1)


def test_retry_after_is_waited_for(scripted: Scripted, client: serving.Predictor) -> None:
    scripted.script = [(429, {"Retry-After": "1"})]

    client.predict([{"x": 1.0}])

    assert 1.0 < scripted.asked[1] - scripted.asked[0] < 3.0


def test_a_retry_after_beyond_the_limit_is_not_waited_for(scripted: Scripted, client: serving.Predictor) -> None:
    scripted.script = [(503, {"Retry-After": "3600"})]
    begin = time.monotonic()

    with pytest.raises(PredictionError, match="answered 503"):
        client.predict([{"x": 1.0}])
    assert time.monotonic() - begin < 1
    assert len(scripted.asked) == 1


def test_a_retry_after_that_is_no_time_does_no_harm(scripted: Scripted, client: serving.Predictor) -> None:
    scripted.script = [(429, {"Retry-After": "soon"})]

    assert client.predict([{"x": 2.0}]) == [{"y": 2.0}]


def test_the_time_for_all_tries_is_bounded_and_the_waits_grow(scripted: Scripted, client: serving.Predictor) -> None:
    scripted.script = [(503, {})] * 100
    begin = time.monotonic()

    with pytest.raises(PredictionError, match="answered 503"):
        client.predict([{"x": 1.0}])

    assert 1 < time.monotonic() - begin < 3.5
    waits = np.diff(scripted.asked)
    assert 3 <= len(waits) <= 8
    assert waits[-1] > 2 * waits[0]


def test_many_that_are_turned_away_together_do_not_come_back_together(
    scripted: Scripted, client: serving.Predictor
) -> None:
    scripted.script = [(429, {}), (200, {})] * 12
    waits = []
    for _ in range(12):
        client.predict([{"x": 1.0}])
        waits.append(scripted.asked[-1] - scripted.asked[-2])

    assert max(waits) - min(waits) > 0.01


def test_a_server_that_always_hangs_up_is_given_up(scripted: Scripted, client: serving.Predictor) -> None:
    scripted.script = [(_HANG_UP, {})] * 100

    with pytest.raises(PredictionError, match="No prediction server answers at"):
        client.predict([{"x": 1.0}])
    assert len(scripted.asked) == 4


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, PredictionError),
        (401, PredictionError),
        (404, UnknownModelError),
        (413, PredictionError),
        (500, ModelError),
    ],
)
def test_a_refusal_is_told_at_once_as_the_error_it_is_in_process(
    status: int, kind: type[Exception], scripted: Scripted, client: serving.Predictor
) -> None:
    scripted.script = [(status, {})]

    with pytest.raises(kind, match=f"answered {status}: no"):
        client.predict([{"x": 1.0}])
    assert len(scripted.asked) == 1


def test_a_large_body_is_compressed_on_its_way_over_a_network_only(scripted: Scripted) -> None:
    many = [{"x": float(number)} for number in range(3000)]
    # 127.1 is the same machine under a name that the client does not take for loopback
    for host, wanted in (("127.0.0.1", [False, False]), ("127.1", [False, True])):
        scripted.packed.clear()
        with serving.connect("echo", address=f"http://{host}:{scripted.port}") as predictor:
            predictor.predict(many[:2])
            assert [one["y"] for one in predictor.predict(many)] == [one["x"] for one in many]
        assert scripted.packed == wanted


def test_a_long_table_goes_in_requests_of_what_the_service_takes(scripted: Scripted, client: serving.Predictor) -> None:
    import polars as pl

    frame = pl.DataFrame({"key": range(5000), "x": [number / 7 for number in range(5000)]})

    answer = client.predict_frame(frame)

    assert answer["y"].to_list() == pytest.approx((frame["x"]).to_list(), rel=1e-6)
    assert answer["key"].to_list() == list(range(5000))
    assert sum(len(body["instances"]) for body in scripted.bodies) == 5000
    assert all("key" not in instance for body in scripted.bodies for instance in body["instances"])


def test_no_request_is_longer_than_the_service_takes(scripted: Scripted, client: serving.Predictor) -> None:
    import polars as pl

    texts = [f"{number} " + "é" * 3000 for number in range(1000)]

    assert client.predict_frame(pl.DataFrame({"text": texts}))["y"].to_list() == texts
    assert max(scripted.sizes) <= 1_500_000
    assert len(scripted.sizes) == -(-sum(scripted.sizes) // 1_500_000)  # and no more requests than it takes


def test_a_server_with_a_lower_limit_gets_smaller_requests(scripted: Scripted, client: serving.Predictor) -> None:
    import polars as pl

    scripted.limit = 5000
    frame = pl.DataFrame({"x": [float(number) for number in range(2000)]})

    assert client.predict_frame(frame)["y"].to_list() == frame["x"].to_list()
    scripted.limit = 10
    with pytest.raises(PredictionError, match="answered 413"):
        client.predict_frame(frame)
