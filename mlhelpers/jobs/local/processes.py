"""The processes of a job: found by a token in their environment, and stopped with everything they started.

A descendant inherits the token whatever session or parent it has moved to. One that was given an environment of its
own is found as a descendant, as long as the supervisor lives, to which the kernel hands orphans; when the supervisor
was killed, one that has both an environment and a session of its own is out of reach.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import psutil

from mlhelpers.jobs.local.identity import CANCEL_SIGNAL, TOKEN_VARIABLE, identity

__all__ = ["find", "of_token", "stop", "tell_to_cancel", "tree"]

_POLL_S = 0.02


def find(known: str) -> psutil.Process | None:
    """Return the process of an identity, or None where it is gone, has ended, or ran before the last boot."""
    try:
        pid = int(known.split("/")[-2])
        process = psutil.Process(pid)
        return process if identity(pid) == known and process.status() != psutil.STATUS_ZOMBIE else None
    except (IndexError, ValueError, ProcessLookupError, psutil.Error):
        return None


def tell_to_cancel(known: str) -> None:
    """Send the signal that cancels a job to the supervisor of an identity, if it is still there."""
    if process := find(known):
        _send(process, CANCEL_SIGNAL)


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
