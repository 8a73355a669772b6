"""The logs of a job: one file for each replica, written by the replica itself, with a small file of times beside it.

A replica prints straight into its file: no line waits in a pipe, none is lost with the supervisor, and a log of
gigabytes takes no memory. The times are marks that the supervisor sets ten times a second: up to this byte the log
had grown by this moment.

Imported by the supervisor, so beyond the floor it needs the standard library alone.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["PIECE", "SERVICE", "Marks", "Times", "log_path", "read_piece", "rfc3339", "tasks_of", "write_service"]

PIECE = 1 << 20  # bytes that are read at once
SERVICE = "service"  # the task under which the engine itself tells what it does
_MARK = struct.Struct("<Qd")  # bytes of the log, seconds since the epoch


def log_path(folder: Path, task: str) -> Path:
    """Return where a task's log lies in a job's folder."""
    return folder / "logs" / f"{task}.log"


def tasks_of(folder: Path) -> list[str]:
    """Return the tasks that have a log, the first replica first and the engine's own last."""
    found = [path.stem for path in (folder / "logs").glob("*.log")]
    order = {"master": 0, "worker": 1, "ps": 2, "evaluator": 3, SERVICE: 4}

    def place(task: str) -> tuple[int, int, str]:
        role, _, number = task.partition("-replica-")
        return order.get(role, 5), int(number) if number.isdecimal() else 0, task

    return sorted(found, key=place)


def rfc3339(seconds: float) -> str:
    """Return a moment in seconds since the epoch as RFC 3339 text in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_piece(path: Path, start: int) -> tuple[bytes, int]:
    """Return a megabyte at most from a byte offset (negative: from the end), and the offset after it.

    Raises:
        OSError: The file cannot be read.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = max(0, size + start) if start < 0 else start
        file.seek(start)
        piece = file.read(PIECE)
    return piece, start + len(piece)


def write_service(folder: Path, line: str) -> None:
    """Add a line to what the engine itself tells of a job; a full disk loses the line, and nothing else."""
    with suppress(OSError), open(log_path(folder, SERVICE), "ab") as file:
        file.write(f"{line}\n".encode())


class Marks:
    """Sets the marks of one log.

    Args:
        log: The log's path; the marks lie beside it.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._size = 0

    def look(self) -> None:
        """Set a mark if the log has grown since the last look."""
        with suppress(OSError):  # the folder was removed, or the disk is full: the times are a nicety
            size = os.stat(self._log).st_size
            if size > self._size:
                with open(self._log.with_suffix(".times"), "ab") as file:
                    file.write(_MARK.pack(size, time.time()))
                self._size = size


class Times:
    """Tells when a byte of a log was printed. Meant for one reading pass from lower to higher bytes.

    Args:
        log: The log's path.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._path = log.with_suffix(".times")
        self._marks: Iterator[tuple[int, float]] | None = None
        self._behind, self._text = -1, ""  # the mark that was met last: bytes of the log, its time as text

    def at(self, offset: int) -> str:
        """Return the time of the first mark behind a byte, RFC 3339 in UTC; where there is none, of the last print."""
        if self._marks is None:
            self._marks = self._from(offset)
        while self._behind <= offset:
            found = next(self._marks, None)
            if found is None:
                return rfc3339(self._log.stat().st_mtime if self._log.exists() else time.time())
            self._behind, self._text = found[0], rfc3339(found[1])
        return self._text

    def _from(self, offset: int) -> Iterator[tuple[int, float]]:
        try:
            with open(self._path, "rb") as file:
                low, high = 0, os.fstat(file.fileno()).st_size // _MARK.size
                while low < high:  # the first mark behind the byte
                    middle = (low + high) // 2
                    file.seek(middle * _MARK.size)
                    if _MARK.unpack(file.read(_MARK.size))[0] <= offset:
                        low = middle + 1
                    else:
                        high = middle
                file.seek(low * _MARK.size)
                while len(mark := file.read(_MARK.size)) == _MARK.size:
                    yield _MARK.unpack(mark)
        except OSError:
            return
