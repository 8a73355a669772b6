"""Forms as browsers, curl and requests send them give the file's bytes; malformed ones are told what is wrong."""

from __future__ import annotations

import os
import random

import pytest
import requests

from mlhelpers.detection.server.uploads import Upload, read_upload
from mlhelpers.serving.server.refusals import RefusedError


def _form(files: object, data: dict[str, str] | None = None) -> tuple[str, bytes]:
    """Let the library requests write the form."""
    made = requests.Request("POST", "http://localhost/", files=files, data=data).prepare()  # type: ignore[arg-type]
    return str(made.headers["content-type"]), bytes(made.body)  # type: ignore[arg-type]


@pytest.mark.parametrize("content_type", ["", "image/jpeg", "application/octet-stream", "text/plain; charset=x"])
def test_a_body_that_is_no_form_is_the_file(content_type: str) -> None:
    assert read_upload(content_type, b"bytes") == Upload(b"bytes", {})


@pytest.mark.parametrize(
    "content", [b"", b"\r\n", b"\r\n--", b"--\r\n\r\n", bytes(range(256)) * 9, b"a\r\n\r\nb\n\n\r"]
)
def test_the_file_of_a_form_comes_out_byte_for_byte(content: bytes) -> None:
    kind, body = _form({"image": ('ph"oto ü.jpg', content)}, {"model": "nano ü", "threshold": "0.3"})

    assert read_upload(kind, body) == Upload(content, {"model": "nano ü", "threshold": "0.3"})


def test_curls_and_browsers_forms_are_read() -> None:
    boundary = "------------------------d74496d66958873e"
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n'
        f"Content-Type: image/jpeg\r\n\r\nJPEG\r\n--{boundary}--\r\n"
    ).encode()

    assert read_upload(f"multipart/form-data; boundary={boundary}", body).content == b"JPEG"
    assert (
        read_upload(f'Multipart/Form-Data; boundary="{boundary}"', b"preamble\r\n" + body + b"end").content == b"JPEG"
    )


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a": ("a", b"1"), "b": ("b", b"2")}, "The form has 2 files; send one picture at a time"),
        ({"model": (None, "x")}, "The form has 0 files"),
        ([("m", (None, "x")), ("m", (None, "y"))], "'m' stands there twice"),
        ([("m", (None, b"\xff"))], "is no text in UTF-8"),
        ([(f"m{number}", (None, "x")) for number in range(30)], "more than 20 parts"),
        ([("m", (None, "x" * 2000))], "or is too long"),
    ],
)
def test_forms_that_are_wrong_are_told_so(files: object, words: str) -> None:
    with pytest.raises(RefusedError, match=words) as refused:
        read_upload(*_form(files))

    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        ("multipart/form-data", b"x", "names no boundary"),
        ("multipart/form-data; boundary=" + "b" * 80, b"x", "names no boundary"),
        ("multipart/form-data; boundary=b", b"", "cut off"),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\nx', "cut off"),
        ("multipart/form-data; boundary=b", b"--b\r\nX: y\r\n\r\nx\r\n--b--", "has no name"),
        ("multipart/form-data; boundary=b", b"--bad\r\n\r\nx\r\n--b--", "malformed after a boundary"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="f"\r\nContent-Transfer-Encoding: base64\r\n\r\nx\r\n--b--',
            "is coded",
        ),
    ],
)
def test_bodies_that_are_no_such_form_are_told_so(kind: str, body: bytes, words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        read_upload(kind, body)


def test_damage_anywhere_is_refused_or_read_and_nothing_else() -> None:
    chance = random.Random(3)
    kind, body = _form({"image": ("photo.jpg", os.urandom(200))}, {"model": "nanodet"})
    for _ in range(3000):
        damaged = bytearray(body)
        for _ in range(chance.randint(1, 5)):
            damaged[chance.randrange(len(damaged))] = chance.choice(b'\r\n-:;"= \xff\0a')
        try:
            found = read_upload(kind, bytes(damaged))
        except RefusedError:
            continue
        assert isinstance(found.content, bytes)
