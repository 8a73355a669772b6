from __future__ import annotations

import functools
import hashlib
import http.server
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlhelpers import settings
from mlhelpers.datasets import base
from mlhelpers.datasets.base import DataFile, fetch
from mlhelpers.errors import DataError, UsageError

CONTENT = bytes(range(256)) * 2000
FILE = DataFile("digits.gz", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with one true file."""
    folder = tmp_path / "data"
    (folder / "toy").mkdir(parents=True)
    (folder / "toy" / FILE.name).write_bytes(CONTENT)
    monkeypatch.setattr(base, "shipped_data", lambda: folder)
    return folder


class _Server(http.server.ThreadingHTTPServer):
    """A web server that knows ranges, and breaks off after `breaks.pop()` bytes as often as `breaks` says."""

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.breaks: list[int] = []
        self.ranges: list[str | None] = []
        self.knows_ranges = True
        self.status = 200


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self.server.ranges.append(self.headers.get("Range"))
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.knows_ranges else 0
        if start >= len(self.server.content) > 0:
            self.send_error(416)
            return
        body = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.breaks.pop()] if self.server.breaks else body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server(CONTENT) as server:
        thread = threading.Thread(target=functools.partial(server.serve_forever, poll_interval=0.01))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _address(server: _Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def test_without_a_mirror_the_shipped_file_is_used(shipped: Path) -> None:
    assert (shipped / "toy" / FILE.name, "shipped") == fetch("toy", FILE)


def test_an_altered_shipped_file_is_refused_with_both_sums(shipped: Path) -> None:
    (shipped / "toy" / FILE.name).write_bytes(CONTENT[:-1] + b"?")

    with pytest.raises(
        DataError, match=f"digits.gz from .* .truncated or altered.* expected SHA-256 {FILE.sha256}, got "
    ):
        fetch("toy", FILE)


def test_a_missing_shipped_file_says_where_else_it_can_come_from(shipped: Path) -> None:
    (shipped / "toy" / FILE.name).unlink()

    with pytest.raises(DataError, match=r"missing .*--source mirror .*--source public"):
        fetch("toy", FILE)


def test_an_unknown_source_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no source 'mirorr'. Did you mean 'mirror'\? Known: mirror, public, shipped"):
        fetch("toy", FILE, "mirorr")


def test_the_mirror_as_source_wants_a_mirror_set() -> None:
    with pytest.raises(UsageError, match=r"no mirror is set\. Set MLHELPERS_MIRROR"):
        fetch("toy", FILE, "mirror")


def test_a_mirror_folder_goes_before_what_is_shipped(shipped: Path, tmp_path: Path) -> None:
    (tmp_path / "stick" / "toy").mkdir(parents=True)
    (tmp_path / "stick" / "toy" / FILE.name).write_bytes(CONTENT)

    with settings.using(mirror=tmp_path / "stick"):
        assert (tmp_path / "stick" / "toy" / FILE.name, "mirror") == fetch("toy", FILE)


def test_an_incomplete_mirror_is_named_in_one_line_and_the_shipped_file_used(
    shipped: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with settings.using(mirror=tmp_path / "empty"), caplog.at_level(logging.WARNING):
        path, source = fetch("toy", FILE)

    assert (shipped / "toy" / FILE.name, "shipped") == (path, source)
    assert [f"The mirror has no {tmp_path}/empty/toy/digits.gz; the shipped file is used."] == caplog.messages


@pytest.mark.parametrize("status", [404, 403])
def test_a_mirror_that_answers_with_an_error_is_named_and_the_shipped_file_used(
    status: int, shipped: Path, server: _Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.status = status

    with settings.using(mirror=_address(server)):
        path, source = fetch("toy", FILE)

    assert source == "shipped"
    assert path.is_file()
    assert len(caplog.messages) == 1
    assert f"the server answered {status}" in caplog.messages[0]


def test_a_dead_mirror_is_named_and_the_shipped_file_used(
    shipped: Path, server: _Server, caplog: pytest.LogCaptureFixture
) -> None:
    address = _address(server)
    server.server_close()
    server.shutdown()

    with settings.using(mirror=address):
        assert fetch("toy", FILE)[1] == "shipped"

    own = [record.message for record in caplog.records if record.name.startswith("mlhelpers")]
    assert len(own) == 1
    assert "cannot be reached" in own[0]


def test_a_mirror_with_other_bytes_is_refused_not_passed_over(shipped: Path, server: _Server, home: Path) -> None:
    server.content = CONTENT[:-1] + b"?"

    with (
        settings.using(mirror=_address(server)),
        pytest.raises(DataError, match=rf"digits.gz from {_address(server)}/toy/digits.gz .*expected SHA-256 .*, got "),
    ):
        fetch("toy", FILE)

    assert list((home / "cache" / "toy").glob("digits.gz*.part")) == []
    assert not (home / "cache" / "toy" / "digits.gz").exists()


def test_a_download_is_kept_and_not_asked_for_twice(server: _Server, home: Path) -> None:
    with settings.using(mirror=_address(server)):
        first = fetch("toy", FILE)
        second = fetch("toy", FILE)

    assert (home / "cache" / "toy" / "digits.gz", "mirror") == first == second
    assert len(server.ranges) == 1


def test_a_connection_that_breaks_off_is_taken_up_where_it_broke(server: _Server) -> None:
    server.breaks = [300_000]

    with settings.using(mirror=_address(server)):
        path, _ = fetch("toy", FILE)

    assert path.read_bytes() == CONTENT
    assert server.ranges[0] is None
    start = int((server.ranges[1] or "").removeprefix("bytes=").rstrip("-"))
    assert 0 < start <= 300_000


def test_a_later_process_goes_on_from_what_came_before(server: _Server, home: Path) -> None:
    part = home / "cache" / "toy" / f"digits.gz.{FILE.sha256[:12]}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[:100_000])

    with settings.using(mirror=_address(server)):
        path, _ = fetch("toy", FILE)

    assert path.read_bytes() == CONTENT
    assert server.ranges == ["bytes=100000-"]


def test_a_part_that_is_whole_already_is_used(server: _Server, home: Path) -> None:
    part = home / "cache" / "toy" / f"digits.gz.{FILE.sha256[:12]}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT)

    with settings.using(mirror=_address(server)):
        assert fetch("toy", FILE)[0].read_bytes() == CONTENT


def test_a_server_without_ranges_sends_it_all_again(server: _Server, home: Path) -> None:
    server.knows_ranges = False
    part = home / "cache" / "toy" / f"digits.gz.{FILE.sha256[:12]}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"?" * 100)

    with settings.using(mirror=_address(server)):
        assert fetch("toy", FILE)[0].read_bytes() == CONTENT


def test_a_file_that_grows_beyond_its_limit_is_given_up(server: _Server) -> None:
    small = DataFile(FILE.name, FILE.sha256, FILE.size_bytes, max_size_bytes=1000)

    with settings.using(mirror=_address(server)), pytest.raises(DataError, match="more than the 1,000 bytes expected"):
        fetch("toy", small)


def test_the_public_address_is_only_asked_when_it_is_asked_for(shipped: Path, server: _Server) -> None:
    public = DataFile(FILE.name, FILE.sha256, FILE.size_bytes, public_url=f"{_address(server)}/digits.gz")

    assert fetch("toy", public)[1] == "shipped"
    assert server.ranges == []
    assert fetch("toy", public, "public")[1] == "public"
    assert server.ranges == [None]


def test_a_public_address_that_cannot_be_reached_says_what_works_offline(server: _Server) -> None:
    server.status = 404
    public = DataFile(FILE.name, FILE.sha256, FILE.size_bytes, public_url=f"{_address(server)}/digits.gz")

    with pytest.raises(DataError, match=r"cannot be downloaded: the server answered 404 .*--source shipped"):
        fetch("toy", public, "public")


def test_a_file_that_is_not_shipped_says_the_ways_to_get_it(tmp_path: Path) -> None:
    file = DataFile("digits.gz", FILE.sha256, 2_500_000, is_shipped=False)
    ways = r"not part of the repository.*--source public downloads it \(2.5 MB\); --source mirror .* MLHELPERS_MIRROR"

    with pytest.raises(DataError, match=ways):
        fetch("toy", file)
    with settings.using(mirror=str(tmp_path)), pytest.raises(DataError, match=ways):
        fetch("toy", file)
