"""The password is made or given, never a default, and asked for everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from colour_detector import basic

from mlhelpers.detection.server.access import PASSWORD_VARIABLE, Access, find_password
from mlhelpers.errors import UsageError
from mlhelpers.serving.server.refusals import RefusedError


@pytest.fixture(autouse=True)
def _no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)


def test_a_password_is_made_anew_each_time() -> None:
    made = {find_password() for _ in range(20)}

    assert len(made) == 20
    assert all(len(password) == 16 and is_made for password, is_made in made)


def test_the_environment_gives_one_and_a_file_goes_before_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "from the environment")
    file = tmp_path / "password"
    file.write_text("of the file ü\nand a remark\n", "utf-8")

    assert find_password() == ("from the environment", False)
    assert find_password(file) == ("of the file ü", False)


@pytest.mark.parametrize("text", ["", "short77"])
def test_a_short_one_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, text)
    with pytest.raises(UsageError, match=rf"{PASSWORD_VARIABLE} has {len(text)} characters; .* 8 or more"):
        find_password()
    file = tmp_path / "password"
    file.write_text(f"{text}\n")
    with pytest.raises(UsageError, match="The first line of"):
        find_password(file)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        find_password(tmp_path / "none")


def test_the_password_opens_under_any_name() -> None:
    access = Access("pass:word ü")

    for user in ("any", "", "Ünal"):
        access.check(basic("pass:word ü", user).encode())
    access.check(basic("pass:word ü").replace("Basic", "bAsIc").encode())


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"Basic",
        b"Basic ",
        b"Basic !!!",
        b"Basic bm9jb2xvbg==",
        b"Bearer pass:word",
        b"\xff\xfe \xff",
        b"Basic \xff",
    ]
    + [basic(word).encode() for word in ("", "pass", "pass:wor", "pass:word2", "PASS:WORD")],
)
def test_anything_else_is_refused_and_asked_for(given: bytes) -> None:
    with pytest.raises(RefusedError, match="wants the password") as refused:
        Access("pass:word").check(given)

    assert refused.value.status == 401
    assert refused.value.headers[0][1].startswith(b"Basic realm=")
