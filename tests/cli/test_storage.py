"""`mlhelpers storage …`."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import yaml

from mlhelpers import storage
from mlhelpers.cli import main


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["storage", *words])
    return int(stopped.value.code or 0)


@pytest.fixture
def bucket(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """Make gs://my-bucket with two files below data/, by the commands."""
    monkeypatch.chdir(tmp_path)
    Path("one.txt").write_text("1")
    Path("two.txt").write_text("22")
    assert run("mb", "gs://my-bucket", "--location", "us-central1") == 0
    assert run("cp", "one.txt", "two.txt", "gs://my-bucket/data/") == 0
    told = capsys.readouterr()
    assert (told.out, told.err.splitlines()[-1]) == ("", "Copied 2 files to gs://my-bucket/data/")
    return home / "buckets" / "my-bucket"


def test_ls_prints_addresses(bucket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("ls") == 0
    assert run("ls", "gs://my-bucket") == 0
    assert run("ls", "-r", "gs://my-bucket") == 0

    assert capsys.readouterr().out.splitlines() == [
        "gs://my-bucket/",
        "gs://my-bucket/data/",
        "gs://my-bucket/data/one.txt",
        "gs://my-bucket/data/two.txt",
    ]


def test_ls_long_has_sizes_times_and_the_sum(bucket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("ls", "-l", "gs://my-bucket/**") == 0

    one, two, total = capsys.readouterr().out.splitlines()
    assert (one.split()[0], one.split()[2]) == ("1", "gs://my-bucket/data/one.txt")
    assert two.split()[0] == "2"
    assert total == "TOTAL: 2 objects, 3 bytes"


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_ls_in_json_and_yaml(bucket: Path, form: str, read: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("ls", "gs://my-bucket/data", "--format", form) == 0

    rows = read(capsys.readouterr().out)  # type: ignore[operator]
    assert [(row["address"], row["size"]) for row in rows] == [
        ("gs://my-bucket/data/one.txt", 1),
        ("gs://my-bucket/data/two.txt", 2),
    ]


def test_rm_says_what_it_deletes_and_asks_nobody_in_a_script(bucket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("rm", "-r", "gs://my-bucket/data") == 0

    assert capsys.readouterr().err == "Removing gs://my-bucket/data/ with 2 files\n"
    assert list(bucket.iterdir()) == []


def test_rm_counts_no_files_behind_a_link_out_of_the_bucket(bucket: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("outside").mkdir()
    Path("outside/mine").touch()
    (bucket / "link").symlink_to(Path("outside").absolute())

    assert run("rm", "-r", "gs://my-bucket/link") == 0

    assert capsys.readouterr().err == "Removing gs://my-bucket/link\n"
    assert Path("outside/mine").exists()


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "code", "left"), [("n\n", 1, 2), ("y\n", 0, 0)])
def test_rm_asks_at_a_terminal(
    bucket: Path, typed: str, code: int, left: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", _Terminal(typed))

    assert run("rm", "gs://my-bucket/data/*") == code
    assert "Delete them? [y/N]" in capsys.readouterr().err
    assert len(list(bucket.rglob("*.txt"))) == left


def test_rm_with_yes_does_not_ask(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", _Terminal(""))

    assert run("rm", "--yes", "gs://my-bucket/data/one.txt") == 0
    assert [path.name for path in bucket.rglob("*.txt")] == ["two.txt"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["mb", "gs://my-bucket"], 1, "There is a bucket gs://my-bucket already"),
        (["mb", "My_Bucket"], 2, "is in no bucket. Write gs://BUCKET"),
        (["ls", "gs://my-bukcet"], 1, "Did you mean gs://my-bucket? Make it with  mlhelpers storage mb"),
        (["cp", "one.txt"], 2, "Name what to copy, and where to"),
        (["cp", "one.txt", "one.txt"], 2, "would be copied onto itself"),
        (["cp", "none.txt", "gs://my-bucket"], 1, "There is nothing at 'none.txt'. Did you mean 'one.txt'?"),
        (["rm", "gs://my-bucket/data"], 2, "is a folder. Delete it with all that is in it with  -r"),
        (["rm", "one.txt"], 2, "'one.txt' is in no bucket"),
    ],
)
def test_wrong_words_are_refused(
    bucket: Path, words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == code
    assert message in " ".join(capsys.readouterr().err.split("\n"))
    assert Path("one.txt").exists()


def test_what_gsutil_took_is_taken(home: Path) -> None:
    assert run("mb", "-c", "regional", "-l", "us-central1", "gs://old-words") == 0
    assert (home / "buckets" / "old-words").is_dir()

    assert run("-m", "rm", "-rf", "gs://old-words/nothing", "gs://old-words") == 0
    assert not (home / "buckets" / "old-words").exists()
    assert run("rm", "-r", "gs://old-words/nothing") == 1


def test_a_copy_of_many_files_shows_its_progress_at_a_terminal(bucket: Path) -> None:
    for number in range(12):
        Path(f"{number}.csv").write_text("")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    root = str(Path(storage.__file__).parents[2])
    env = os.environ | {"PYTHONPATH": os.pathsep.join([root, os.environ["PYTHONPATH"]])}
    command = [sys.executable, "-m", "mlhelpers.cli", "storage", "cp", "*.csv", "gs://my-bucket"]

    subprocess.run(command, env=env, stderr=theirs, check=True, timeout=60)

    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "12/12" in shown
    assert "Copied 12 files to gs://my-bucket" in shown
