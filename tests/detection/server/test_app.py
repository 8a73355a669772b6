"""The web app over HTTP: what is answered, what is refused and how, what is in every head."""

from __future__ import annotations

import http.client
import io
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
from colour_detector import PASSWORD, ColourDetector, ask, basic, picture_file, scene, web_app
from PIL import Image

from mlhelpers.detection.server.capacity import Limits
from mlhelpers.errors import ModelError, UsageError

_SCENE = picture_file(scene())


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with web_app() as found:
        yield found


def _said(answer: Any) -> Any:
    return json.loads(answer.body)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_is_answered_with_boxes_scores_and_names(address: str, kind: str) -> None:
    answer = ask(address, "POST", "/api/detect", picture_file(scene(), kind))

    said = _said(answer)
    assert answer.status == 200
    assert (said["model"], said["size"]) == ("colours", {"width": 400, "height": 300})
    assert said["counts"] == {"person": 1, "dog": 1}
    assert [one["name"] for one in said["detections"]] == ["person", "dog"]
    np.testing.assert_allclose(said["detections"][0]["box"], [0.2, 0.1, 0.9, 0.3], atol=0.01)


def test_the_question_is_heard(address: str) -> None:
    low = _said(ask(address, "POST", "/api/detect?threshold=0.3&model=slow%20colours", _SCENE))
    one = _said(ask(address, "POST", "/api/detect?limit=1", _SCENE))

    assert (low["model"], low["counts"]) == ("slow colours", {"person": 1, "dog": 1, "kite": 1})
    assert one["counts"] == {"person": 1}


def test_a_form_is_answered_as_requests_and_curl_send_it(address: str) -> None:
    answer = requests.post(
        f"{address}/api/detect",
        auth=("any", PASSWORD),
        files={"image": ("photo", io.BytesIO(_SCENE))},
        data={"threshold": "0.9"},
        timeout=30,
    )

    assert answer.json()["counts"] == {"person": 1}


def test_a_photo_on_its_side_is_answered_upright(address: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = picture_file(scene((300, 400)).transpose(Image.Transpose.ROTATE_90), exif=exif)

    said = _said(ask(address, "POST", "/api/detect", data))

    assert said["size"] == {"width": 300, "height": 400}
    np.testing.assert_allclose(said["detections"][0]["box"], [0.2, 0.1, 0.9, 0.3], atol=0.02)


def test_a_large_photo_keeps_its_size_and_its_boxes(address: str) -> None:
    said = _said(ask(address, "POST", "/api/detect", picture_file(scene((3000, 2100)))))

    assert said["size"] == {"width": 3000, "height": 2100}
    np.testing.assert_allclose(said["detections"][0]["box"], [0.2, 0.1, 0.9, 0.3], atol=0.005)


_REFUSALS = [
    ("POST", "/api/detect", _SCENE[:900], {}, 400, "The picture cannot be read"),
    ("POST", "/api/detect", b"", {}, 400, "The file is empty"),
    ("POST", "/api/detect?threshold=2", _SCENE, {}, 400, "threshold is '2'"),
    ("POST", "/api/detect?modell=x", _SCENE, {}, 400, "Did you mean 'model'"),
    ("POST", "/api/detect?model=x", _SCENE, {}, 404, "There is no model 'x'"),
    ("POST", "/api/detect", b"GIF89a....", {}, 415, "This is a GIF"),
    ("POST", "/api/detect", b"<svg onload=alert(1)>", {"Content-Type": "image/jpeg"}, 415, "This is an SVG"),
    ("POST", "/api/detect", _SCENE, {"Content-Encoding": "gzip"}, 415, "packed as 'gzip'"),
    ("POST", "/api/detect", _SCENE, {"Sec-Fetch-Site": "cross-site"}, 403, "A page of another site"),
    ("POST", "/api/detect", b"x", {"Content-Type": "multipart/form-data"}, 400, "names no boundary"),
    ("GET", "/api/detect", None, {}, 405, "/api/detect takes POST, not GET"),
    ("DELETE", "/", None, {}, 405, "not DELETE"),
    ("GET", "/pages/../app.py", None, {}, 404, "There is nothing at"),
    ("GET", "/pages/%2e%2e/app.py", None, {}, 404, "There is nothing at"),
    ("GET", "/api/models/", None, {}, 404, "There is nothing at"),
]


@pytest.mark.parametrize(("method", "path", "body", "headers", "status", "words"), _REFUSALS)
def test_what_is_wrong_has_its_status_and_one_sentence(
    address: str, method: str, path: str, body: bytes | None, headers: dict[str, str], status: int, words: str
) -> None:
    answer = ask(address, method, path, body, headers)

    assert answer.status == status
    assert set(_said(answer)) == {"error"}
    assert words in _said(answer)["error"]


def test_too_many_bytes_or_pixels_are_refused(address: str) -> None:
    with web_app(limits=Limits(max_bytes=2_000_000, max_pixels=100_000)) as small:
        long = ask(small, "POST", "/api/detect", bytes(3_000_000))
        form = requests.post(f"{small}/api/detect", auth=("a", PASSWORD), files={"f": bytes(2_010_000)}, timeout=30)
        vast = ask(small, "POST", "/api/detect", _SCENE)
        fits = ask(small, "POST", "/api/detect", picture_file(scene((300, 200))))

    assert (long.status, form.status_code, vast.status, fits.status) == (413, 413, 413, 200)
    assert "The file is longer than the 2 MB that are taken" in _said(long)["error"]
    assert "up to 2,000,000 are taken" in form.json()["error"]
    assert "has 400x300 pixels; up to 0.1 million are read" in _said(vast)["error"]


def test_a_body_without_an_announced_length_is_bounded_too() -> None:
    with web_app(limits=Limits(max_bytes=1_000_000)) as small:
        fits = ask(small, "POST", "/api/detect", iter([_SCENE[:100], _SCENE[100:]]))
        long = ask(small, "POST", "/api/detect", (bytes(100_000) for _ in range(15)))

    assert (fits.status, long.status) == (200, 413)


@pytest.mark.parametrize("path", ["/", "/pages/detect.js", "/api/models", "/api/detect", "/nothing"])
def test_nothing_but_the_health_is_told_without_the_password(address: str, path: str) -> None:
    method = "POST" if path == "/api/detect" else "GET"
    for headers in ({}, {"Authorization": basic("wrong")}):
        answer = ask(address, method, path, None, headers, login=False)
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Basic realm=")
        assert "wants the password" in _said(answer)["error"]
    assert ask(address, "GET", "/healthz", login=False).status == 200


def test_a_large_picture_without_the_password_is_refused_before_it_is_looked_at() -> None:
    detector = ColourDetector()
    with web_app({"colours": detector}) as address:
        assert (
            ask(address, "POST", "/api/detect", picture_file(scene(), "PNG") + bytes(5_000_000), login=False).status
            == 401
        )
    assert detector.calls == 0


def test_every_answer_is_guarded_and_pictures_are_not_kept(address: str) -> None:
    for method, path, body, status in (
        ("GET", "/", None, 200),
        ("GET", "/nothing", None, 404),
        ("POST", "/api/detect", _SCENE, 200),
        ("POST", "/api/detect", b"x", 415),
    ):
        answer = ask(address, method, path, body)
        assert answer.status == status
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        if path == "/api/detect":
            assert answer.headers["cache-control"] == "no-store"
    assert ask(address, "GET", "/", login=False).headers["x-content-type-options"] == "nosniff"


def test_the_pages_name_nothing_from_elsewhere(address: str) -> None:
    for path in ("/", "/pages/detect.js", "/pages/boxes.js", "/pages/camera.js", "/pages/detect.css"):
        text = ask(address, "GET", path).body.decode()
        assert "http://" not in text
        assert "https://" not in text
        assert "innerHTML" not in text
        assert " style=" not in text


def test_the_models_on_offer_are_named(address: str) -> None:
    said = _said(ask(address, "GET", "/api/models"))

    assert said["default"] == "colours"
    assert said["models"][1] == {"name": "slow colours", "title": "Slow colours", "about": "About slow colours."}
    assert said["limits"] == {"max_bytes": 20_000_000, "max_pixels": 60_000_000}


def test_sixteen_at_once_are_all_answered_and_no_more_than_two_are_worked_on() -> None:
    at_once: Counter[str] = Counter()
    lock = threading.Lock()

    def work() -> None:
        with lock:
            at_once["now"] += 1
            at_once["most"] = max(at_once["most"], at_once["now"])
        time.sleep(0.02)
        with lock:
            at_once["now"] -= 1

    with (
        web_app({"colours": ColourDetector(before=work)}, Limits(workers=2)) as address,
        ThreadPoolExecutor(16) as crowd,
    ):
        answers = list(crowd.map(lambda _: ask(address, "POST", "/api/detect", _SCENE), range(16)))

    assert [answer.status for answer in answers] == [200] * 16
    assert at_once["most"] == 2


def test_who_comes_to_a_full_house_is_told_to_come_again_and_then_answered() -> None:
    go_on = threading.Event()
    detector = ColourDetector(before=lambda: go_on.wait(10) and None)
    with web_app({"colours": detector}, Limits(max_waiting=3, workers=1)) as address, ThreadPoolExecutor(3) as crowd:
        waiting = [crowd.submit(ask, address, "POST", "/api/detect", _SCENE) for _ in range(3)]
        _until(lambda: address.app.capacity.pictures == 3)
        full = ask(address, "POST", "/api/detect", _SCENE)
        go_on.set()
        statuses = [one.result(10).status for one in waiting]
        after = ask(address, "POST", "/api/detect", _SCENE)

    assert full.status == 429
    assert full.headers["retry-after"] == "1"
    assert "3 pictures are being looked at or wait already" in _said(full)["error"]
    assert statuses == [200, 200, 200]
    assert after.status == 200


def _until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_so()


def test_many_large_files_are_bounded_by_their_bytes() -> None:
    go_on = threading.Event()
    detector = ColourDetector(before=lambda: go_on.wait(10) and None)
    limits = Limits(max_waiting_bytes=len(_SCENE) + 10, workers=1)
    with web_app({"colours": detector}, limits) as address, ThreadPoolExecutor(1) as crowd:
        first = crowd.submit(ask, address, "POST", "/api/detect", _SCENE)
        _until(lambda: address.app.capacity.pictures == 1)
        full = ask(address, "POST", "/api/detect", _SCENE[:50])
        go_on.set()
        assert first.result(10).status == 200
    assert full.status == 429


def test_a_body_that_dawdles_is_given_up_and_makes_room() -> None:
    with web_app(limits=Limits(max_waiting=1, body_s=0.3)) as address:
        place = urlsplit(address)
        with socket.create_connection((place.hostname or "", place.port or 0), timeout=10) as slow:
            head = (
                f"POST /api/detect HTTP/1.1\r\nHost: x\r\nAuthorization: {basic()}\r\nContent-Length: 1000\r\n\r\nabc"
            )
            slow.sendall(head.encode())
            answer = http.client.HTTPResponse(slow)
            answer.begin()
            said = answer.read()
        assert answer.status == 408
        assert b"did not arrive within 0.3 s" in said
        assert ask(address, "POST", "/api/detect", _SCENE).status == 200


def test_who_hangs_up_is_not_worked_for() -> None:
    go_on = threading.Event()
    detector = ColourDetector(before=lambda: go_on.wait(10) and None)
    with web_app({"colours": detector}, Limits(workers=1)) as address, ThreadPoolExecutor(1) as crowd:
        first = crowd.submit(ask, address, "POST", "/api/detect", _SCENE)
        _until(lambda: address.app.capacity.pictures == 1)
        place = urlsplit(address)
        for number in range(3):
            with socket.create_connection((place.hostname or "", place.port or 0), timeout=10) as gone:
                head = f"POST /api/detect HTTP/1.1\r\nHost: x\r\nAuthorization: {basic()}\r\n"
                gone.sendall(f"{head}Content-Length: {len(_SCENE)}\r\n\r\n".encode() + _SCENE)
                _until(lambda waiting=number + 2: address.app.capacity.pictures == waiting)
        go_on.set()
        assert first.result(10).status == 200
        assert ask(address, "POST", "/api/detect", _SCENE).status == 200
    assert detector.calls == 2


@pytest.mark.parametrize("fault", [RuntimeError("secret path /home/x"), ModelError("secret"), UsageError("secret")])
def test_a_model_that_fails_is_not_the_callers_fault_and_its_words_stay_here(fault: Exception) -> None:
    def fail() -> None:
        raise fault

    with web_app({"colours": ColourDetector(before=fail), "fine": ColourDetector()}) as address:
        answer = ask(address, "POST", "/api/detect", _SCENE)
        other = ask(address, "POST", "/api/detect?model=fine", _SCENE)

    assert (answer.status, other.status) == (500, 200)
    assert _said(answer) == {"error": "The model 'colours' cannot answer; the server's log says why."}


def test_damaged_uploads_of_all_kinds_leave_the_server_well(address: str) -> None:
    rng = np.random.default_rng(1)
    statuses = Counter()
    for _ in range(150):
        data = bytearray(_SCENE)
        for place in rng.integers(0, len(data), 5):
            data[place] = rng.integers(0, 256)
        statuses[ask(address, "POST", "/api/detect", bytes(data[: rng.integers(1, len(data))])).status] += 1

    assert set(statuses) <= {200, 400, 413, 415}
    assert ask(address, "POST", "/api/detect", _SCENE).status == 200
