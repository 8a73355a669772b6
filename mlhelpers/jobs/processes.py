"""Processes told apart for certain, and stopped with everything they started. Needs psutil alone.

A process number is used again by the system; an identity is not: it holds the machine's boot, the container, the
number and the moment of start. What a job started is found by a token in its environment, which every descendant
inherits, whatever session or parent it has moved to.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import psutil

__all__ = [
    "TOKEN_VARIABLE",
    "adopt_orphans",
    "die_with_parent",
    "find",
    "identity",
    "machine",
    "of_token",
    "stop",
    "tree",
    "wake",
]

TOKEN_VARIABLE = "MLHELPERS_JOB_TOKEN"  # noqa: S105  # a mark to recognise processes by, not a secret
_POLL_S = 0.02
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
# loaded here, for between fork and exec a child should do next to nothing
_LINUX = sys.platform == "linux"
_libc = ctypes.CDLL(None) if _LINUX else None


def die_with_parent() -> None:
    """Have the kernel kill the calling process when its parent is killed (Linux); meant as a Popen's preexec_fn."""
    if _libc is not None:
        _libc.prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def adopt_orphans() -> None:
    """Have grandchildren whose parent ended come to this process (Linux), so that none is lost sight of."""
    if _libc is not None:
        _libc.prctl(_SUBREAPER, 1, 0, 0, 0)


@cache
def machine() -> str:
    """Return a text that names this boot of this machine, and the container's own process numbers."""
    if _LINUX:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"
    return f"boot{psutil.boot_time():.0f}"


def identity(pid: int) -> str:
    """Return a text that names one running process for ever.

    Raises:
        ProcessLookupError: There is no such process.
    """
    try:
        return f"{machine()}/{pid}/{_started(pid)}"
    except (psutil.NoSuchProcess, FileNotFoundError) as error:
        raise ProcessLookupError(f"there is no process {pid}") from error


def find(known: str) -> psutil.Process | None:
    """Return the process of an identity, or None where it is gone, has ended, or ran before the last boot."""
    try:
        pid = int(known.split("/")[-2])
        process = psutil.Process(pid)
        return process if identity(pid) == known and process.status() != psutil.STATUS_ZOMBIE else None
    except (IndexError, ValueError, ProcessLookupError, psutil.Error):
        return None


def wake(known: str) -> None:
    """Send SIGTERM to the process of an identity, if it is still there."""
    if process := find(known):
        _send(process, signal.SIGTERM)


def tree(pid: int, token: str) -> list[psutil.Process]:
    """Return the living descendants of a process, without those of other jobs that were submitted from among them."""
    try:
        below = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []
    foreign: set[int] = set()
    found = []
    for process in below:  # parents come before their children
        try:
            is_foreign = process.ppid() in foreign or _token(process) not in (None, token)
        except psutil.Error:  # it has just ended
            continue
        if is_foreign:
            foreign.add(process.pid)
        elif _lives(process):
            found.append(process)
    return found


def of_token(token: str) -> list[psutil.Process]:
    """Return the living processes whose environment carries a job's token, and their descendants."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        if _token(process) == token and _lives(process):
            found[process.pid] = process
    for process in list(found.values()):
        found |= {child.pid: child for child in tree(process.pid, token)}
    found.pop(os.getpid(), None)
    return list(found.values())


def stop(members: Callable[[], list[psutil.Process]], grace_s: float) -> bool:
    """End processes: SIGTERM, then SIGKILL to those that are left when the grace is over.

    Args:
        members: Finds those that are alive; asked again until it finds none, so that late children are reached too.
        grace_s: Seconds between the two signals.

    Returns:
        Whether none is left.
    """
    for number, patience in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + patience
        told: set[psutil.Process] = set()
        while alive := members():
            for process in alive:
                if process not in told:
                    told.add(process)
                    _send(process, number)
            while any(_lives(process) for process in alive) and time.monotonic() < deadline:
                time.sleep(_POLL_S)
            if time.monotonic() >= deadline:
                break
        else:
            return True
    return not members()


def _token(process: psutil.Process) -> str | None:
    """Return the token of the job that a process belongs to; None for another user's process too."""
    try:
        token: str | None = process.environ().get(TOKEN_VARIABLE)
    except (psutil.Error, OSError):
        return None
    return token


def _started(pid: int) -> str:
    if _LINUX:  # in clock ticks since boot, which no change of the clock moves
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return f"{psutil.Process(pid).create_time():.2f}"


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.Error:
        return
