"""Copies between buckets and folders."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlhelpers import storage
from mlhelpers.errors import DataError, UsageError


@pytest.fixture(autouse=True)
def bucket(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make gs://my-bucket, and stand in a folder with a few files."""
    here = tmp_path / "here"
    for name in ("a.csv", "b.csv", "data/c.csv", "data/deep/d.csv"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(name)
    monkeypatch.chdir(here)
    return storage.make_bucket("gs://my-bucket")


def _copy(*paths: str, recursive: bool = False) -> None:
    storage.copy(storage.plan_copy(paths[:-1], paths[-1], recursive))


def _files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("words", "recursive", "files"),
    [
        (("a.csv", "gs://my-bucket"), False, {"a.csv": "a.csv"}),
        (("a.csv", "gs://my-bucket/"), False, {"a.csv": "a.csv"}),
        (("a.csv", "gs://my-bucket/x"), False, {"x": "a.csv"}),
        (("a.csv", "gs://my-bucket/x/"), False, {"x/a.csv": "a.csv"}),
        (("a.csv", "b.csv", "gs://my-bucket/x/"), False, {"x/a.csv": "a.csv", "x/b.csv": "b.csv"}),
        (("*.csv", "gs://my-bucket"), False, {"a.csv": "a.csv", "b.csv": "b.csv"}),
        (("data", "gs://my-bucket"), True, {"data/c.csv": "data/c.csv", "data/deep/d.csv": "data/deep/d.csv"}),
        (("data", "gs://my-bucket/new"), True, {"new/c.csv": "data/c.csv", "new/deep/d.csv": "data/deep/d.csv"}),
        (("data/**", "gs://my-bucket"), False, {"c.csv": "data/c.csv", "d.csv": "data/deep/d.csv"}),
    ],
)
def test_files_and_folders_find_their_place(
    bucket: Path, words: tuple[str, ...], recursive: bool, files: dict[str, str]
) -> None:
    _copy(*words, recursive=recursive)

    assert _files(bucket) == files


def test_from_a_bucket_to_a_bucket_and_back(bucket: Path, tmp_path: Path) -> None:
    storage.make_bucket("gs://other-bucket")
    _copy("data", "gs://my-bucket", recursive=True)

    _copy("gs://my-bucket/data", "gs://other-bucket/x", recursive=True)
    _copy("gs://other-bucket/x", "back", recursive=True)

    assert _files(tmp_path / "here" / "back") == {"c.csv": "data/c.csv", "deep/d.csv": "data/deep/d.csv"}


@pytest.mark.parametrize(
    ("words", "recursive", "message"),
    [
        (("data", "gs://my-bucket"), False, "'data' is a folder. Copy it with all that is in it with  -r"),
        (("a.csv", "b.csv", "gs://my-bucket/x"), False, "2 things cannot become the one file 'gs://my-bucket/x'"),
        (("a.csv", "a.csv"), False, "would be copied onto itself"),
        (("a.csv", "."), False, "would be copied onto itself"),
        (("data", "data/deep"), True, "'data' cannot be copied into itself"),
        (("data", "."), True, "'data' cannot be copied into itself"),
        (("a.csv", "data/../a.csv"), False, "would be copied onto itself"),
        (("a.csv", "gs://my-bucket/../x"), False, "a path inside a bucket has no"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    bucket: Path, words: tuple[str, ...], recursive: bool, message: str
) -> None:
    before = _files(Path.cwd())

    with pytest.raises(UsageError) as refused:
        _copy(*words, recursive=recursive)

    assert message in str(refused.value)
    assert _files(bucket) == {}
    assert _files(Path.cwd()) == before


def test_two_files_that_would_become_one_are_refused(bucket: Path) -> None:
    Path("data/a.csv").write_text("other")

    with pytest.raises(UsageError, match="would both become"):
        _copy("a.csv", "data/a.csv", "gs://my-bucket")


def test_a_bucket_that_is_not_there_is_told_with_the_way_to_make_it() -> None:
    with pytest.raises(DataError, match=r"no bucket gs://my-bukcet\. Did you mean gs://my-bucket\?.* storage mb"):
        _copy("a.csv", "gs://my-bukcet/x")


def test_a_source_that_is_not_there_is_told_with_the_nearest() -> None:
    with pytest.raises(DataError, match=r"There is nothing at 'aa\.csv'\. Did you mean 'a\.csv'\?"):
        _copy("aa.csv", "gs://my-bucket")


def test_a_link_does_not_lead_a_copy_out_of_its_bucket(bucket: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (bucket / "link").symlink_to(tmp_path / "outside")

    with pytest.raises(UsageError, match="a link leads out of the bucket"):
        _copy("a.csv", "gs://my-bucket/link/a.csv")


def test_a_link_out_of_the_bucket_is_not_copied(bucket: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "mine").write_text("mine")
    (bucket / "link").symlink_to(tmp_path / "outside")

    with pytest.raises(UsageError, match="a link leads out of the bucket"):
        _copy("gs://my-bucket/link", "back", recursive=True)
    assert not Path("back").exists()


@pytest.mark.parametrize("place", ["file/c", "file/deep/c", "file/"])
def test_a_place_inside_a_file_is_refused(bucket: Path, place: str) -> None:
    (bucket / "file").write_text("old")
    Path("plain").write_text("old")

    with pytest.raises(UsageError, match="'gs://my-bucket/file' is a file, so nothing can be copied into it"):
        _copy("a.csv", f"gs://my-bucket/{place}")
    with pytest.raises(UsageError, match="'plain' is a file"):
        _copy("a.csv", place.replace("file", "plain"))


def test_a_file_with_the_signs_of_wildcards_in_its_name_is_copied(bucket: Path) -> None:
    Path("we[i]rd").write_text("1")

    _copy("we[i]rd", "gs://my-bucket")

    assert _files(bucket) == {"we[i]rd": "1"}


def test_an_old_file_stays_when_the_new_one_cannot_be_written(bucket: Path) -> None:
    (bucket / "x").write_text("old")
    Path("big").write_bytes(b"x" * (1 << 20))
    code = (
        "import resource, signal; from mlhelpers import storage; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16));"
        "storage.copy(storage.plan_copy(['big'], 'gs://my-bucket/x'))"
    )
    root = str(Path(storage.__file__).parents[2])
    env = os.environ | {"PYTHONPATH": os.pathsep.join([root, os.environ["PYTHONPATH"]])}

    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)

    assert "File too large" in done.stderr
    assert _files(bucket) == {"x": "old"}


def test_each_file_is_told() -> None:
    told: list[str] = []

    storage.copy(storage.plan_copy(["*.csv"], "gs://my-bucket"), lambda one: told.append(one.target.name))

    assert told == ["a.csv", "b.csv"]
