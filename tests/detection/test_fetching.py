"""A detector's archive from a real server on loopback; archives that want out of their folder stay outside."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mlhelpers import settings
from mlhelpers.detection.fetching import SUMS, fetched, unpack
from mlhelpers.errors import DataError


def _archive(path: Path, members: dict[str, bytes | tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def _link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address under which its files are served."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(autouse=True)
def home(tmp_path: Path) -> Iterator[Path]:
    with settings.using(home=tmp_path / "home") as chosen:
        yield chosen.home / "detectors"


def test_an_archive_is_downloaded_once_and_its_sum_noted(served: tuple[Path, str], home: Path) -> None:
    folder, address = served
    archive = _archive(folder / "a.tar.gz", {"ssd_2017/frozen_inference_graph.pb": b"graph", "ssd_2017/x/y": b"2"})
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()

    first = fetched("ssd", f"{address}/a.tar.gz")
    archive.unlink()

    assert fetched("ssd", f"{address}/a.tar.gz") == first == home / "ssd"
    assert (first / "frozen_inference_graph.pb").read_bytes() == b"graph"
    assert (first / "x" / "y").read_bytes() == b"2"
    assert json.loads((home / SUMS).read_text()) == {f"{address}/a.tar.gz": sha256}
    assert not list(home.glob("*.part*.gz")) + list(home.glob(".unpacking*"))


def test_another_archive_than_at_first_use_is_refused(served: tuple[Path, str], home: Path) -> None:
    folder, address = served
    _archive(folder / "a.tar.gz", {"m/graph": b"1"})
    first = fetched("ssd", f"{address}/a.tar.gz")
    first.rename(home / "moved")
    _archive(folder / "a.tar.gz", {"m/graph": b"another"})

    with pytest.raises(DataError, match="another file than at first use"):
        fetched("ssd", f"{address}/a.tar.gz")

    assert not first.exists()


def test_a_download_that_broke_off_goes_on(served: tuple[Path, str], home: Path) -> None:
    folder, address = served
    archive = _archive(folder / "a.tar.gz", {"m/graph": bytes(range(256)) * 40})
    home.mkdir(parents=True)
    (home / "ssd.tar.gz.part").write_bytes(archive.read_bytes()[:100])

    assert (fetched("ssd", f"{address}/a.tar.gz") / "graph").read_bytes() == bytes(range(256)) * 40


def test_without_an_archive_there_the_way_out_is_told(served: tuple[Path, str]) -> None:
    with pytest.raises(DataError, match=r"404(.|\n)*mlhelpers detect models"):
        fetched("ssd", f"{served[1]}/none.tar.gz")


@pytest.mark.parametrize(
    "members",
    [
        lambda: {"../outside": b"1"},
        lambda: {"m/../../outside": b"1"},
        lambda: {"m/a": b"1", "m/link": _link("m/link", "/etc/passwd")},
        lambda: {"m/hard": _link("m/hard", "../outside", tarfile.LNKTYPE)},
        lambda: {"m/device": _link("m/device", "", tarfile.CHRTYPE)},
    ],
)
def test_an_archive_that_leads_outside_is_refused_and_leaves_nothing(
    members: Callable[[], dict[str, bytes | tarfile.TarInfo]], tmp_path: Path
) -> None:
    archive = _archive(tmp_path / "a.tar.gz", members())
    (tmp_path / "models").mkdir()

    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack(archive, tmp_path / "models" / "m")

    assert not list((tmp_path / "models").iterdir())
    assert not (tmp_path / "outside").exists()


def test_what_is_no_archive_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"<html>not found</html>")

    with pytest.raises(DataError, match=r"a\.tar\.gz cannot be unpacked"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "m")
