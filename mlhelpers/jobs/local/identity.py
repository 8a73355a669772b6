"""What a process is called for certain, and its ties to the process that started it.

A process number is used again by the system; an identity is not: it holds the machine's boot, the container, the
number and the moment of start.

The supervisor imports this before it starts the trainer, so on Linux it needs the standard library alone.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from functools import cache
from pathlib import Path

__all__ = [
    "CANCEL_SIGNAL",
    "NO_TOKEN",
    "TOKEN_VARIABLE",
    "TokenPlace",
    "adopt_orphans",
    "die_with_parent",
    "identity",
    "machine",
]

TOKEN_VARIABLE = "MLHELPERS_JOB_TOKEN"  # noqa: S105  # a mark to recognise processes by, not a secret
NO_TOKEN = "0" * 32  # as long as the engine's tokens, which are written over it
CANCEL_SIGNAL = signal.SIGUSR1  # tells a supervisor to cancel its job, also where the store cannot be written
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
_LINUX = sys.platform == "linux"
# loaded here, for between fork and exec a child should do next to nothing
_libc = ctypes.CDLL(None) if _LINUX else None


@cache
def machine() -> str:
    """Return a text that names this boot of this machine, and the container's own process numbers."""
    if _LINUX:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"
    import psutil

    return f"boot{psutil.boot_time():.0f}"


def identity(pid: int) -> str:
    """Return a text that names one running process for ever.

    Raises:
        ProcessLookupError: There is no such process.
    """
    if not _LINUX:
        return f"{machine()}/{pid}/{_started_elsewhere(pid)}"
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError) as error:
        raise ProcessLookupError(f"there is no process {pid}") from error
    return f"{machine()}/{pid}/{fields[19]}"  # in clock ticks since boot, which no change of the clock moves


def die_with_parent() -> None:
    """Have the kernel kill the calling process when its parent is killed (Linux); meant as a Popen's preexec_fn."""
    if _libc is not None:
        _libc.prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def adopt_orphans() -> None:
    """Have grandchildren whose parent ended come to this process (Linux), so that none is lost sight of."""
    if _libc is not None:
        _libc.prctl(_SUBREAPER, 1, 0, 0, 0)


def _started_elsewhere(pid: int) -> str:
    import psutil

    try:
        return f"{psutil.Process(pid).create_time():.2f}"
    except psutil.NoSuchProcess as error:
        raise ProcessLookupError(f"there is no process {pid}") from error


class TokenPlace:
    """The place in this process's own memory at which /proc/PID/environ shows the job's token.

    A change of os.environ is not seen there, for the kernel shows the block with which the process was started; so the
    block itself is written over. Made before anything else touches the variable.
    """

    def __init__(self) -> None:
        self._length = len(os.environb.get(TOKEN_VARIABLE.encode(), b""))
        self._address = _address_in_environ(TOKEN_VARIABLE) if self._length else None

    def fits(self, token: bytes) -> bool:
        """Tell whether a token can be put there."""
        return self._address is not None and len(token) == self._length

    def write(self, token: bytes) -> None:
        """Put a token there, which must fit."""
        assert self._address is not None
        ctypes.memmove(self._address, token, len(token))


def _address_in_environ(name: str) -> int | None:
    """Return the address of a variable's value, if it lies where the kernel looks for the environment."""
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_void_p
    found: int | None = getenv(name.encode())
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    begin, end = int(fields[47]), int(fields[48])  # env_start and env_end, the 50th and 51st of proc(5)
    return found if found is not None and begin <= found < end else None
