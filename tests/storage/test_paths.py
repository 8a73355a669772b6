"""Files alike wherever they are, and never half of one."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from mlhelpers.errors import DataError, UsageError
from mlhelpers.storage import bucket_path, local_path, write_aside


def test_a_plain_path_stays_itself(tmp_path: Path) -> None:
    assert local_path(tmp_path / "x.csv") == tmp_path / "x.csv"
    assert local_path("relative/x.csv") == Path("relative/x.csv")


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    assert local_path("~/x") == tmp_path / "x"


def test_the_home_folder_of_nobody_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'~no_such_user/x' begins with a home folder, and there is no user 'no_such"):
        local_path("~no_such_user/x")


def test_a_bucket_is_a_folder_of_the_local_store(home: Path) -> None:
    assert local_path("gs://my-bucket/a/b.txt") == home / "buckets" / "my-bucket" / "a" / "b.txt"
    assert local_path("gs://my-bucket") == home / "buckets" / "my-bucket"


@pytest.mark.parametrize("uri", ["gs://", "gs:///x", "gs://Big/x", "gs://ab", "gs://-x-/y", "gs://a b c/x"])
def test_a_malformed_bucket_is_refused_with_the_rule(uri: str) -> None:
    with pytest.raises(UsageError, match=r"names no bucket: .* should be 3 to 63 lower-case letters"):
        local_path(uri)


@pytest.mark.parametrize("uri", ["gs://bucket/../x", "gs://bucket/a/../../x", "gs://bucket/a\0b"])
def test_a_path_cannot_climb_out_of_its_bucket(uri: str) -> None:
    with pytest.raises(UsageError, match=r"is refused: a path inside a bucket has no '\.\.'"):
        local_path(uri)


def test_two_dots_inside_a_name_are_fine(home: Path) -> None:
    assert local_path("gs://bucket/a..b") == home / "buckets" / "bucket" / "a..b"


def test_write_aside_shows_the_file_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "x.txt"

    with write_aside(target) as aside:
        aside.write_text("whole")
        assert not target.exists()
        assert aside.parent == target.parent

    assert target.read_text() == "whole"
    assert os.listdir(target.parent) == ["x.txt"]


def test_write_aside_leaves_the_old_file_after_an_error(tmp_path: Path) -> None:
    target = tmp_path / "x.txt"
    target.write_text("old")

    with suppress(RuntimeError), write_aside(target) as aside:
        aside.write_text("half")
        raise RuntimeError

    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["x.txt"]


def test_write_aside_where_nothing_can_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with (
        pytest.raises(DataError, match=r"cannot be written: .*Choose a folder you may write to"),
        write_aside(tmp_path / "file" / "x.txt") as aside,
    ):
        aside.write_text("never")


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    def fill(aside: Path) -> None:
        aside.write_text("half")
        with open("/dev/full", "w") as full:
            full.write("x" * 100_000)

    with pytest.raises(DataError, match="No space left on device"), write_aside(tmp_path / "x.txt") as aside:
        fill(aside)

    assert os.listdir(tmp_path) == []


def test_a_bucket_may_be_named_bare_with_its_scheme_or_as_a_folder(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)

    assert bucket_path("my-bucket") == bucket_path("gs://my-bucket") == home / "buckets" / "my-bucket"
    assert bucket_path("folder") == Path("folder")
    assert bucket_path("./missing") == Path("missing")
    with pytest.raises(UsageError, match="names no bucket: 'My Bucket'"):
        bucket_path("My Bucket")
