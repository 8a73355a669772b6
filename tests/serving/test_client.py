"""The predictor over HTTP: same answers as in process, and clear words where no server answers."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mlhelpers import serving
from mlhelpers.errors import ModelError, PredictionError, UsageError
from mlhelpers.serving.registry.resources import UnknownModelError
from mlhelpers.serving.server.process import RunningServer


@pytest.fixture
def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_the_answers_are_those_given_in_process(
    shared_server: RunningServer, tiny_export: Path, images: np.ndarray
) -> None:
    local = serving.load(tiny_export)
    with serving.connect("tiny", address=shared_server.address) as remote:
        assert remote.signature == local.signature
        for instances in (
            list(images / 255.0),
            images / 255.0,
            [{"inputs": (image / 255.0).ravel().tolist()} for image in images],
            [{"pixels": image} for image in images],
        ):
            assert remote.predict(instances) == local.predict(instances)
        assert remote.predict(images, signature_name="pixels") == local.predict(images, signature_name="pixels")


def test_the_error_is_the_servers_own(shared_server: RunningServer) -> None:
    with (
        serving.connect("tiny", "v1", shared_server.address) as predictor,
        pytest.raises(PredictionError, match=r"answered 400: instances\[0\]: 'inputs' has the shape \[1\]"),
    ):
        predictor.predict([[1.0]])


def test_an_unknown_model_is_refused_when_connecting(shared_server: RunningServer) -> None:
    with pytest.raises(UnknownModelError, match=r"answered 404: There is no model 'tinny'\. Known: tiny"):
        serving.connect("tinny", address=shared_server.address)
    with pytest.raises(UnknownModelError, match="There is no tiny version 'v2'"):
        serving.connect("tiny", "v2", shared_server.address)


def test_nan_is_refused_before_it_is_sent(shared_server: RunningServer) -> None:
    with serving.connect("tiny", address=shared_server.address) as predictor:
        with pytest.raises(PredictionError, match="NaN and infinity are no JSON"):
            predictor.predict([[float("nan")] * 784])
        with pytest.raises(
            PredictionError,
            match="cannot be sent as JSON: it holds a set; send numbers, texts",
        ):
            predictor.predict([{1, 2}])


def test_where_no_server_runs_the_command_to_start_one_is_given(free_port: int) -> None:
    with pytest.raises(PredictionError, match=rf"No prediction server answers at .*mlhelpers serve --port {free_port}"):
        serving.connect("tiny", address=f"http://127.0.0.1:{free_port}")


@pytest.mark.parametrize("address", ["127.0.0.1:8501", "ftp://127.0.0.1", "http://", "server"])
def test_a_malformed_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match=r"is no address of a server; it looks like http://127\.0\.0\.1:8501"):
        serving.connect("tiny", address=address)


def test_a_malformed_name_is_refused(shared_server: RunningServer) -> None:
    with pytest.raises(UsageError, match="no model name"):
        serving.connect("../tiny", address=shared_server.address)


def test_a_closed_predictor_says_so(shared_server: RunningServer) -> None:
    predictor = serving.connect("tiny", address=shared_server.address)
    assert shared_server.address in repr(predictor)
    predictor.close()
    predictor.close()

    assert "closed" in repr(predictor)
    with pytest.raises(ModelError, match="Connect again"):
        predictor.predict([[0.5] * 784])


def test_a_proxy_in_the_environment_does_not_catch_loopback(
    shared_server: RunningServer, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, f"http://127.0.0.1:{free_port}")

    assert serving.connect("tiny", address=shared_server.address).predict([[0.5] * 784])


@pytest.fixture
def stranger() -> Iterator[str]:
    """Return the address of a web server that is no prediction server."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>welcome</html>")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_another_program_on_the_port_is_recognised(stranger: str) -> None:
    with pytest.raises(
        PredictionError, match=r"answered 200, but not as a prediction server does\. Is another program"
    ):
        serving.connect("tiny", address=stranger)
