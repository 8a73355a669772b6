"""The program that a container starts with, run as it is sent: as text, by a Python of its own."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from mlhelpers.jobs.vertex import start
from mlhelpers.jobs.vertex.request import start_text

_CONTENT = b"a source distribution"
_DIGEST = hashlib.sha256(_CONTENT).hexdigest()
_ADDRESS = f"gs://staging/packages/{_DIGEST}/trainer-0.0.0.tar.gz"


@pytest.fixture
def image(tmp_path: Path) -> dict[str, str]:
    """Give the environment of a container whose pip only notes what it is told, and which has a module `trainer`."""
    site = tmp_path / "site"
    (site / "pip").mkdir(parents=True)
    (site / "pip" / "__init__.py").touch()
    (site / "pip" / "__main__.py").write_text(
        "import json, os, pathlib, sys\n"
        "held = [pathlib.Path(word).read_text() for word in sys.argv[1:] if os.path.isfile(word)]\n"
        "pathlib.Path(os.environ['TOLD']).write_text(json.dumps([sys.argv[1:], held]))\n"
        "sys.exit(int(os.environ.get('PIP_FAILS', 0)))\n"
    )
    (site / "trainer.py").write_text(
        "import json, os, sys\n"
        "home = os.environ.get('MLHELPERS_HOME')\n"
        "print(json.dumps([sys.argv[1:], home and os.readlink(home + '/buckets')]))\n"
    )
    return (
        os.environ
        | {
            "PYTHONPATH": str(site),
            "TOLD": str(tmp_path / "told.json"),
            "MLHELPERS_MOUNT": str(tmp_path / "gcs"),
        }
        | {"MLHELPERS_HOME": ""}
    )


def run(image: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", start_text(), *words],
        env=image,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _mount(image: dict[str, str], content: bytes = _CONTENT) -> Path:
    path = Path(image["MLHELPERS_MOUNT"], _ADDRESS.removeprefix("gs://"))
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


class _Bucket(http.server.BaseHTTPRequestHandler):
    """Cloud Storage's answer to a download, after as many refusals as are left."""

    refusals: ClassVar[list[int]] = []
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        status = self.refusals.pop() if self.refusals else 200
        self.send_response(status)
        self.end_headers()
        self.wfile.write(_CONTENT if status == 200 else b"no")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def bucket() -> Iterator[str]:
    _Bucket.refusals.clear()
    _Bucket.asked.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Bucket)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_trainer_gets_its_arguments_with_buckets_as_folders_of_the_mount(image: dict[str, str]) -> None:
    _mount(image)
    words = ["--data_dir=gs://b/mnist,gs://c/more", "--note=see gs://b", "--", "--out", "gs://b/out"]
    done = run(image, f"--package={_ADDRESS}", "--module=trainer", "--", *words)

    gcs = image["MLHELPERS_MOUNT"]
    assert done.returncode == 0, done.stderr
    told, link = json.loads(done.stdout)
    assert told == [f"--data_dir={gcs}/b/mnist,{gcs}/c/more", "--note=see gs://b", "--", "--out", f"{gcs}/b/out"]
    assert link == gcs


def test_pip_gets_the_package_and_what_is_missing_alone(image: dict[str, str]) -> None:
    _mount(image)
    needs = ["numpy>=1.0", "numpy>=999", "no-such-thing>=1", "jax[tpu]>=0.5"]
    done = run(image, f"--package={_ADDRESS}", *(f"--require={one}" for one in needs), "--module=trainer", "--")

    assert done.returncode == 0, done.stderr
    words, held = json.loads(Path(image["TOLD"]).read_text())
    assert held == [_CONTENT.decode()]
    assert words[0] == "install"
    assert words[-3:] == ["numpy>=999", "no-such-thing>=1", "jax[tpu]>=0.5"]
    assert words[-4].endswith("/trainer-0.0.0.tar.gz")


def test_a_damaged_package_ends_the_job_before_pip_sees_it(image: dict[str, str]) -> None:
    _mount(image, b"something else")
    done = run(image, f"--package={_ADDRESS}", "--module=trainer", "--")

    assert done.returncode == 1
    assert "is damaged: its SHA-256 is" in done.stderr
    assert not Path(image["TOLD"]).exists()


def test_without_a_mount_the_package_comes_from_cloud_storage(image: dict[str, str], bucket: str) -> None:
    done = run(image | {"STORAGE_EMULATOR_HOST": bucket}, f"--package={_ADDRESS}", "--module=trainer", "--", "gs://b/x")

    assert done.returncode == 0, done.stderr
    assert json.loads(Path(image["TOLD"]).read_text())[1] == [_CONTENT.decode()]
    assert _Bucket.asked == [f"/storage/v1/b/staging/o/packages%2F{_DIGEST}%2Ftrainer-0.0.0.tar.gz?alt=media"]
    assert json.loads(done.stdout)[0] == ["gs://b/x"]


def test_a_bucket_that_is_away_for_a_moment_is_asked_again(image: dict[str, str], bucket: str) -> None:
    _Bucket.refusals.append(503)
    done = run(image | {"STORAGE_EMULATOR_HOST": bucket}, f"--package={_ADDRESS}", "--module=trainer", "--")

    assert done.returncode == 0, done.stderr
    assert len(_Bucket.asked) == 2


def test_a_refusal_is_told_with_the_likely_reason(image: dict[str, str], bucket: str) -> None:
    _Bucket.refusals.append(403)
    done = run(image | {"STORAGE_EMULATOR_HOST": bucket}, f"--package={_ADDRESS}", "--module=trainer", "--")

    assert done.returncode == 1
    assert "HTTP 403. May the job's service account read the bucket?" in done.stderr


def test_a_pip_that_fails_ends_the_job(image: dict[str, str]) -> None:
    _mount(image)
    done = run(image | {"PIP_FAILS": "1"}, f"--package={_ADDRESS}", "--module=trainer", "--")

    assert done.returncode == 1
    assert "pip could not install" in done.stderr


def test_a_trainer_that_is_there_already_needs_no_pip(image: dict[str, str]) -> None:
    done = run(image, "--module=trainer", "--", "--x=1")

    assert json.loads(done.stdout)[0] == ["--x=1"]
    assert not Path(image["TOLD"]).exists()


def test_the_token_is_asked_of_the_metadata_server_and_sent_to_cloud_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, dict[str, str]]] = []

    def answer(address: str, headers: dict[str, str]) -> bytes:
        asked.append((address, headers))
        return b'{"access_token": "t0"}' if "metadata" in address else _CONTENT

    monkeypatch.setattr(start, "asked", answer)
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)

    assert start.read(_ADDRESS) == _CONTENT
    assert asked[0][1] == {"Metadata-Flavor": "Google"}
    assert asked[1][0].startswith("https://storage.googleapis.com/storage/v1/b/staging/o/")
    assert asked[1][1] == {"Authorization": "Bearer t0"}


def test_it_needs_the_standard_library_alone() -> None:
    import ast

    tree = ast.parse(start_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    names = {alias.name.partition(".")[0] for node in imports for alias in node.names}

    assert names <= sys.stdlib_module_names
