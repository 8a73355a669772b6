"""The HTTP surface, over real requests to a real server process."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from mlhelpers import serving
from mlhelpers.serving.server.process import RunningServer

HALF = [0.5] * 784
Answer = tuple[int, Any, http.client.HTTPMessage]


def ask(server: RunningServer, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """Send one request as it is, without a client library's help: bytes stay bytes, anything else becomes JSON."""
    connection = http.client.HTTPConnection(urlsplit(server.address).netloc, timeout=30)
    try:
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection.request(method, path, content, headers)
        answer = connection.getresponse()
        content = answer.read()
        assert answer.headers["content-type"] == "application/json"
        return answer.status, json.loads(content) if content else None, answer.headers
    finally:
        connection.close()


def predict(server: RunningServer, body: Any, path: str = "/v1/models/tiny:predict") -> Answer:
    return ask(server, "POST", path, body)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/tiny:predict",
        "/v1/models/tiny/versions/v1:predict",
        "/v1/projects/my-project/models/tiny:predict",
        "/v1/projects/my-project/models/tiny/versions/v1:predict",
    ],
)
def test_every_path_predicts_as_numpy_does(
    shared_server: RunningServer, images: np.ndarray, expected: Callable[[np.ndarray], np.ndarray], path: str
) -> None:
    status, answer, _ = predict(shared_server, {"instances": [{"pixels": image.tolist()} for image in images]}, path)

    wanted = expected(images / 255.0)
    assert status == 200
    assert list(answer) == ["predictions"]
    assert [sorted(one) for one in answer["predictions"]] == [["classes", "probabilities"]] * 5
    assert [one["classes"] for one in answer["predictions"]] == wanted.argmax(1).tolist()
    np.testing.assert_allclose([one["probabilities"] for one in answer["predictions"]], wanted, atol=1e-5)


def test_the_signature_name_chooses_for_bare_values(shared_server: RunningServer, images: np.ndarray) -> None:
    by_name = predict(shared_server, {"instances": images.tolist(), "signature_name": "pixels"})
    by_key = predict(shared_server, {"instances": [{"pixels": image.tolist()} for image in images]})

    assert by_name[:2] == by_key[:2]


def test_a_large_request_is_answered_like_many_small_ones(shared_server: RunningServer) -> None:
    pictures = np.random.default_rng(5).integers(0, 256, (300, 784)).tolist()

    status, answer, _ = predict(shared_server, {"instances": [{"pixels": picture} for picture in pictures]})

    assert status == 200
    for index in (0, 150, 299):
        _, alone, _ = predict(shared_server, {"instances": [{"pixels": pictures[index]}]})
        assert answer["predictions"][index]["classes"] == alone["predictions"][0]["classes"]
        np.testing.assert_allclose(
            answer["predictions"][index]["probabilities"], alone["predictions"][0]["probabilities"], atol=1e-6
        )


def test_requests_at_the_same_time_do_not_mix(
    shared_server: RunningServer, expected: Callable[[np.ndarray], np.ndarray]
) -> None:
    pictures = np.random.default_rng(6).integers(0, 256, (64, 784))

    def one(index: int) -> int:
        body = {"instances": [{"pixels": pictures[index].tolist()}] * (1 + 40 * (index % 4 == 0))}
        return int(predict(shared_server, body)[1]["predictions"][-1]["classes"])

    with ThreadPoolExecutor(8) as pool:
        classes = list(pool.map(one, range(64)))

    assert classes == expected(pictures / 255.0).argmax(1).tolist()


def test_a_byte_order_mark_before_the_body_is_fine(shared_server: RunningServer) -> None:
    assert predict(shared_server, b"\xef\xbb\xbf" + json.dumps({"instances": [HALF]}).encode())[0] == 200


BAD_REQUESTS = {
    "empty": (b"", "The body is empty. Send {\"instances\": [...]}"),
    "no json": (b"instances=5", "The body is not JSON: "),
    "cut off": (b'{"instances": [[0.5, ', "The body is not JSON: "),
    "nan": (b'{"instances": [[NaN]]}', "(JSON has no NaN or Infinity.)"),
    "no utf-8": (b'{"instances": ["\xff"]}', "The body is not JSON: "),
    "deep": (b'{"instances": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "The body is not JSON: "),
    "list": ([[0.5]], "The body is JSON, but a list and not an object"),
    "number": (b"5", "The body is JSON, but a int and not an object"),
    "no instances": ({}, "The body has no 'instances'"),
    "misspelled": ({"instance": [HALF]}, "Did you mean 'instances'?"),
    "other key": ({"instances": [HALF], "options": {}}, "no key of a prediction request 'options'"),
    "parameters": (
        {"instances": [HALF], "parameters": {"temperature": 1}},
        "parameters has 'temperature', but this model takes no parameters. Leave them out.",
    ),
    "parameters a list": ({"instances": [HALF], "parameters": []}, "parameters is a list; it should be an object"),
    "instances an object": ({"instances": {"inputs": HALF}}, "instances is an object; it should be a list"),
    "no instance": ({"instances": []}, "instances is empty"),
    "wrong shape": ({"instances": [{"inputs": HALF}, {"inputs": [1]}]}, "instances[1]: 'inputs' has the shape [1]"),
    "wrong range": ({"instances": [[255] * 784]}, "holds 255 at [0]"),
    "wrong dtype": ({"instances": [{"pixels": HALF}]}, "uint8 takes whole numbers"),
    "huge number": (b'{"instances": [[1e999]]}', "not"),
    "huge whole number": ({"instances": [[10**30] * 784]}, "holds"),
    "half a surrogate": (b'{"instances": [["\\ud800"]]}', "The body is not JSON: "),
    "unknown signature": ({"instances": [HALF], "signature_name": "pixel"}, "Did you mean 'pixels'?"),
    "signature a number": ({"instances": [HALF], "signature_name": 5}, "signature_name is the number 5"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "message"), BAD_REQUESTS.values(), ids=BAD_REQUESTS)
def test_a_bad_request_is_told_why(shared_server: RunningServer, tiny_export: Path, body: Any, message: str) -> None:
    status, answer, _ = predict(shared_server, body)

    assert status == 400
    assert list(answer) == ["error"]
    assert message in answer["error"]
    assert "Traceback" not in answer["error"]
    assert str(tiny_export.parent) not in answer["error"]


def test_a_hostile_key_is_cut_in_the_answer(shared_server: RunningServer) -> None:
    status, answer, _ = predict(shared_server, {"instances": [{"x" * 50_000: 1}]})

    assert status == 400
    assert len(answer["error"]) < 2500


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/tinny:predict",
        "/v1/models/tiny/versions/v2:predict",
        "/v1/models/..:predict",
        "/v1/models/%2e%2e%2f%2e%2e:predict",
        "/v1/models/..%2f..%2fetc:predict",
        "/v1/models/a%00b:predict",
        "/v1/models/" + "m" * 5000 + ":predict",
        "/v1/models/tiny:explain",
        "/v1/models//etc/passwd:predict",
        "/forms",
        "/v1",
        "/v2/models/tiny/infer",
    ],
)
def test_what_is_not_there_is_404_in_json(shared_server: RunningServer, path: str) -> None:
    status, answer, _ = predict(shared_server, {"instances": [HALF]}, path)

    assert status == 404
    assert len(answer["error"]) < 600


def test_404_names_what_there_is(shared_server: RunningServer) -> None:
    model = predict(shared_server, {"instances": [HALF]}, "/v1/models/tinny:predict")[1]["error"]
    version = predict(shared_server, {"instances": [HALF]}, "/v1/models/tiny/versions/v2:predict")[1]["error"]
    path = ask(shared_server, "GET", "/models")[1]["error"]

    assert model == "There is no model 'tinny'. Known: tiny."
    assert version == "There is no tiny version 'v2'. Known: v1."
    assert "POST /v1/models/MODEL:predict" in path


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/models/tiny:predict", "POST"),
        ("PUT", "/v1/models/tiny:predict", "POST"),
        ("POST", "/v1/models/tiny", "GET"),
        ("POST", "/v1/models/tiny/metadata", "GET"),
        ("DELETE", "/v1/models", "GET"),
        ("POST", "/healthz", "GET"),
    ],
)
def test_another_method_is_405_with_the_right_one(
    shared_server: RunningServer, method: str, path: str, allowed: str
) -> None:
    status, answer, headers = ask(shared_server, method, path)

    assert (status, headers["allow"]) == (405, allowed)
    assert answer["error"] == f"{method} is not taken at {path!r}; use {allowed}."


def test_state_and_metadata_of_a_model(shared_server: RunningServer, signature_document: dict[str, Any]) -> None:
    state = {
        "version": "v1",
        "isDefault": True,
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    for path in ("/v1/models/tiny", "/v1/models/tiny/versions/v1", "/v1/projects/p/models/tiny"):
        assert ask(shared_server, "GET", path)[:2] == (200, {"model_version_status": [state]})
        metadata = {"model": "tiny", "version": "v1", "isDefault": True, "signature": signature_document}
        assert ask(shared_server, "GET", f"{path}/metadata")[:2] == (200, metadata)
    assert ask(shared_server, "GET", "/v1/models")[:2] == (200, {"models": [{"name": "tiny"}]})
    assert ask(shared_server, "GET", "/healthz")[:2] == (200, {"status": "ok"})


def test_head_answers_without_a_body(shared_server: RunningServer) -> None:
    status, answer, headers = ask(shared_server, "HEAD", "/healthz")

    assert (status, answer, headers["content-length"]) == (200, None, "15")


@pytest.mark.parametrize("size", [1_500_001, 5_000_000, 40_000_000])
def test_a_body_over_the_limit_is_413_and_the_next_request_is_fine(shared_server: RunningServer, size: int) -> None:
    try:
        status, answer, _ = predict(shared_server, b" " * size)
    except (ConnectionError, BrokenPipeError):
        assert size > 32_000_000  # the server does not read on for ever only to be polite
    else:
        assert status == 413
        assert "longer than the 1.5 MB" in answer["error"]
        assert "--max-request-bytes" in answer["error"]

    assert predict(shared_server, {"instances": [HALF]})[0] == 200


def test_a_body_at_the_limit_is_taken(shared_server: RunningServer) -> None:
    body = json.dumps({"instances": [HALF]}).encode()

    assert predict(shared_server, body + b" " * (1_500_000 - len(body)))[0] == 200


def test_a_body_in_chunks_without_a_length_is_limited_too(shared_server: RunningServer) -> None:
    def send(total: int) -> int:
        connection = http.client.HTTPConnection(urlsplit(shared_server.address).netloc, timeout=30)
        body = json.dumps({"instances": [HALF]}).encode()
        parts = (chunk for chunk in [body, *[b" " * 100_000] * (total // 100_000)])
        connection.request("POST", "/v1/models/tiny:predict", parts, encode_chunked=True)
        try:
            return connection.getresponse().status
        finally:
            connection.close()

    assert send(200_000) == 200
    assert send(2_000_000) == 413


def test_a_body_without_end_is_not_read_to_the_end(shared_server: RunningServer) -> None:
    connection = http.client.HTTPConnection(urlsplit(shared_server.address).netloc, timeout=30)
    sent = []

    def parts() -> Iterator[bytes]:
        for _ in range(200):
            sent.append(1_000_000)
            yield b" " * 1_000_000

    with contextlib.suppress(OSError):
        connection.request("POST", "/v1/models/tiny:predict", parts(), encode_chunked=True)
    connection.close()

    assert 30_000_000 < sum(sent) < 150_000_000
    assert predict(shared_server, {"instances": [HALF]})[0] == 200


def test_a_caller_who_hangs_up_or_talks_nonsense_hurts_nobody(shared_server: RunningServer) -> None:
    host = urlsplit(shared_server.address)
    head = b"POST /v1/models/tiny:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    nonsense = (b"\x16\x03\x01\x02\x00", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n")
    for sent in (head + b"{", head, *nonsense):
        with socket.create_connection((host.hostname, host.port), timeout=10) as connection:
            connection.sendall(sent)

    assert predict(shared_server, {"instances": [HALF]})[0] == 200
    assert shared_server.is_running


def test_one_connection_carries_many_requests(shared_server: RunningServer) -> None:
    connection = http.client.HTTPConnection(urlsplit(shared_server.address).netloc, timeout=30)
    statuses = []
    for body in ({"instances": [HALF]}, {}, {"instances": [HALF]}):
        connection.request("POST", "/v1/models/tiny:predict", json.dumps(body))
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()

    assert statuses == [200, 400, 200]


def test_a_broken_model_is_a_500_without_its_path_and_the_others_go_on(
    store: serving.ModelStore, tiny_export: Path
) -> None:
    store.create_version("MNIST", "v2", tiny_export)
    (store.version("MNIST", "v2").folder / "model.tflite").write_bytes(b"broken")

    with serving.start() as server:
        status, answer, _ = predict(server, {"instances": [HALF]}, "/v1/models/MNIST/versions/v2:predict")
        assert status == 500
        assert answer == {"error": "The model cannot answer; its log says why. The request was not at fault."}
        assert predict(server, {"instances": [HALF]}, "/v1/models/MNIST:predict")[0] == 200
        assert "model.tflite cannot be loaded" in server.log()


def test_with_a_token_only_those_who_bring_it_come_in(tiny_export: Path) -> None:
    with serving.start(models={"tiny": tiny_export}, token="a-secret") as server:
        path, body = "/v1/models/tiny:predict", {"instances": [HALF]}
        for wrong in (
            {},
            {"Authorization": "Bearer a-secre"},
            {"Authorization": "a-secret"},
            {"Authorization": "Basic x"},
        ):
            status, answer, headers = ask(server, "POST", path, body, **wrong)
            assert (status, headers["www-authenticate"]) == (401, "Bearer")
            assert "Authorization: Bearer TOKEN" in answer["error"]
        assert ask(server, "GET", "/v1/models")[0] == 401
        assert ask(server, "POST", path, body, Authorization="Bearer a-secret")[0] == 200
        assert ask(server, "GET", "/healthz")[0] == 200
        assert serving.connect("tiny", address=server.address, token="a-secret").predict([HALF])
