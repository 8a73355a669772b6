"""`mlhelpers storage … --backend vertex`, against a real server on loopback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from faults import Fault, Proxy, google_error

from mlhelpers import settings, storage
from mlhelpers.cli import main


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["storage", *words])
    return int(stopped.value.code or 0)


@pytest.fixture(autouse=True)
def here(gcs_wire: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a folder with two files, and choose the cloud by the option alone."""
    settings.use("local")
    monkeypatch.chdir(tmp_path)
    Path("one.txt").write_text("1")
    Path("two.txt").write_text("22")


def test_a_bucket_is_made_filled_listed_and_deleted(capsys: pytest.CaptureFixture[str]) -> None:
    cloud = ("--backend", "vertex")
    assert run("mb", "gs://by-command", "-l", "europe-west4", "-p", "test-project", "-c", "regional", *cloud) == 0
    assert run("cp", "one.txt", "two.txt", "gs://by-command/data/", *cloud) == 0
    assert run("cp", "one.txt", "two.txt", "gs://by-command/data/", *cloud) == 0
    assert run("ls", "-l", "gs://by-command/data", *cloud) == 0
    assert run("ls", "gs://by-command", "--format", "json", *cloud) == 0
    assert run("cp", "-r", "gs://by-command/data", "back", *cloud) == 0
    assert run("rm", "-r", "gs://by-command", *cloud) == 0
    assert run("ls", "gs://by-command", *cloud) == 1

    told = capsys.readouterr()
    assert told.err.splitlines()[:6] == [
        "Made gs://by-command in europe-west4. What is in it costs money until it is deleted.",
        "Your jobs run in us-central1, and this bucket is in europe-west4: jobs there need  "
        "export MLHELPERS_REGION=europe-west4",
        "Copied 2 files to gs://by-command/data/",
        "Copied 2 files to gs://by-command/data/ (2 there already with the same content)",
        "Copied 2 files to back",
        "Removing gs://by-command/ with 2 files",
    ]
    assert "There is no bucket gs://by-command in Cloud Storage" in told.err
    one, two, total, *rest = told.out.splitlines()
    assert (one.split()[0], one.split()[2]) == ("1", "gs://by-command/data/one.txt")
    assert (two.split()[0], total) == ("2", "TOTAL: 2 objects, 3 bytes")
    assert json.loads("".join(rest)) == [{"size": None, "modified": None, "address": "gs://by-command/data/"}]
    assert Path("back/two.txt").read_text() == "22"


def test_without_the_option_nothing_goes_to_the_cloud(gcs_wire: Proxy, home: Path) -> None:
    assert run("mb", "gs://stays-here", "-l", "us") == 0
    assert run("cp", "one.txt", "gs://stays-here") == 0

    assert (home / "buckets" / "stays-here" / "one.txt").exists()
    assert gcs_wire.asked == []


def test_an_interrupted_copy_says_how_it_goes_on(
    cloud_bucket: str, gcs_wire: Proxy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlhelpers.storage.transfers._AT_ONCE", 1)
    gcs_wire.add(Fault("POST", "/upload/", nth=2, status=403, body=google_error(403, "no"), times=9))

    assert run("cp", "one.txt", "two.txt", f"{cloud_bucket}/", "--backend", "vertex") == 1

    told = capsys.readouterr().err
    assert (
        "Stopped: 1 of 2 files went. The same command again passes over them; what was under way begins anew." in told
    )
    assert "Ask the project's owner for the role roles/storage.objectAdmin" in " ".join(told.split())
    assert [one.address for one in storage.list_entries(cloud_bucket, backend="vertex")] == [f"{cloud_bucket}/one.txt"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("mb", "gs://too-wide", "-l", "us", "--backend", "vertex"), 2, "jobs need a bucket in a single region"),
        (("ls", "--backend", "vertx"), 2, "There is no backend 'vertx'. Did you mean 'vertex'?"),
        (("cp", "one.txt", "gs://no-such-thing", "--backend", "vertex"), 1, "There is no bucket gs://no-such-thing in"),
    ],
)
def test_wrong_words_are_refused(
    words: tuple[str, ...], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == code
    assert message in " ".join(capsys.readouterr().err.split())
