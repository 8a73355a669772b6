"""A server as a process of its own, for notebooks and tests; it never outlives the one who started it."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import IO, Self, TypeVar

import requests

from mlhelpers import settings
from mlhelpers.errors import ModelError, UsageError
from mlhelpers.serving.server.container import VARIABLES

__all__ = ["ADDRESS_LINE", "RunningServer", "launch", "start"]

ADDRESS_LINE = "Serving at "  # what a server prints before its address
_STOP_S = 8.0

_Running = TypeVar("_Running", bound="RunningServer")


class RunningServer:
    """A server at work.

    Leaving its `with` block stops it; so does the end of this process, however it comes about.

    Attributes:
        address: Where it answers, for instance "http://127.0.0.1:40123".
    """

    def __init__(self, process: subprocess.Popen[str], address: str, log: IO[bytes]) -> None:
        self.address = address
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self._process.poll() is None

    def log(self) -> str:
        """Return what the server has written to its log."""
        return "" if self._log.closed else _read(self._log)

    def stop(self) -> None:
        """Stop the server; stopping twice is fine."""
        _stop(self._process)
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        if not self.is_running:
            return f"<Server {self.address}: stopped>"
        return f"<Server {self.address}: running, process {self.pid}; stop() ends it>"


def start(
    port: int = 0,
    *,
    models: Mapping[str, str | os.PathLike[str]] | None = None,
    token: str | None = None,
    timeout_s: float = 60.0,
) -> RunningServer:
    """Start `mlhelpers serve` on loopback as a process of its own, and wait until it answers.

    Args:
        port: The port; 0 takes a free one.
        models: Export folders to serve by name, beside the models of the store.
        token: What callers have to bring; None lets this machine's callers in.
        timeout_s: How long to wait for it, in seconds.

    Returns:
        The server, a context manager.

    Raises:
        UsageError: The port cannot be bound, or a name is malformed.
        ModelError: A folder holds no model, or the server did not come up; the message has its last words.
    """
    command = [sys.executable, "-m", "mlhelpers.cli", "serve", "--port", str(port), "--until-stdin-closes"]
    for name, folder in (models or {}).items():
        command += ["--model", f"{name}={os.fspath(folder)}"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "MLHELPERS_HOME": str(settings.current().home)}
    for variable in ("MLHELPERS_SERVE_TOKEN", *VARIABLES):  # a process of ours is no container of the platform's
        environment.pop(variable, None)
    if token:
        environment["MLHELPERS_SERVE_TOKEN"] = token  # not an argument, which every user of the machine could read
    return launch(RunningServer, command, environment, timeout_s, "prediction server", "mlhelpers serve")


def launch(
    kind: Callable[[subprocess.Popen[str], str, IO[bytes]], _Running],
    command: Sequence[str],
    environment: Mapping[str, str],
    timeout_s: float,
    what: str,
    by_hand: str,
) -> _Running:
    """Start a server's command and wait until it answers on /healthz.

    Args:
        kind: What is made of the process, its address and its log.
        command: The command; it prints `ADDRESS_LINE` and stops when its stdin closes.
        environment: Its environment variables.
        timeout_s: How long to wait for it, in seconds.
        what: What the messages call it.
        by_hand: The command with which a person would start it to see what is wrong.

    Returns:
        What `kind` made.

    Raises:
        UsageError: The command was asked wrongly.
        ModelError: It did not come up; the message has its last words.
    """
    log = tempfile.TemporaryFile()  # noqa: SIM115  kept open for as long as the server runs
    process = subprocess.Popen(
        list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=dict(environment)
    )
    try:
        address = _await_address(process, timeout_s)
        if address is None:
            raise _failure(process, log, timeout_s, what)
        if not _is_healthy(process, address, timeout_s):
            raise ModelError(f"The {what} at {address} does not answer. Start it by hand to see why:  {by_hand}")
    except BaseException:
        _stop(process)
        log.close()
        raise
    return kind(process, address, log)


def _await_address(process: subprocess.Popen[str], timeout_s: float) -> str | None:
    """Read the address that the server prints; None where it ended, or said nothing in time."""
    lines: queue.Queue[str] = queue.Queue()
    output = process.stdout
    if output is None:
        return None

    def read() -> None:
        with contextlib.suppress(ValueError):  # closed under us: the server was stopped
            for line in output:
                lines.put(line)
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            line = lines.get(timeout=max(deadline - time.monotonic(), 0.01))
        except queue.Empty:
            return None
        if not line:
            return None
        if line.startswith(ADDRESS_LINE):
            return line.removeprefix(ADDRESS_LINE).split()[0]


def _is_healthy(process: subprocess.Popen[str], address: str, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    with requests.Session() as session:
        session.trust_env = False
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(requests.RequestException):
                if session.get(f"{address}/healthz", timeout=5).ok:
                    return True
            time.sleep(0.05)
    return False


def _failure(process: subprocess.Popen[str], log: IO[bytes], timeout_s: float, what: str) -> Exception:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1)
    words = _read(log).strip()
    if process.returncode is None:
        return ModelError(f"The {what} said nothing for {timeout_s:g} s. Its last words: {words[-2000:]}")
    text = words.removeprefix("mlhelpers: ")[-2000:] or f"The {what} ended with code {process.returncode}."
    return UsageError(text) if process.returncode == 2 else ModelError(text)


def _read(log: IO[bytes]) -> str:
    return os.pread(log.fileno(), 1_000_000, 0).decode("utf-8", "replace") if hasattr(os, "pread") else ""


def _stop(process: subprocess.Popen[str]) -> None:
    if process.stdin is not None and not process.stdin.closed:
        process.stdin.close()  # what the server waits for
    with contextlib.suppress(ProcessLookupError, OSError):
        process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
