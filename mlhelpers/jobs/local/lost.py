"""Jobs whose supervisor is gone: the first who sees one stops what is left of it and records how it ended.

Nobody has to tell: a supervisor holds its job's lock for as long as it lives, and not a moment longer.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlhelpers.errors import JobError
from mlhelpers.jobs.local import outcome
from mlhelpers.jobs.local.identity import machine
from mlhelpers.jobs.local.logs import rfc3339
from mlhelpers.jobs.local.outcome import Outcome
from mlhelpers.jobs.local.store import FINAL, Store

__all__ = ["held", "true_row"]


@contextmanager
def held(folder: Path) -> Iterator[int | None]:
    """Hold a job's lock if nobody else does: inside the block this process then has the job to itself.

    Args:
        folder: The job's folder.

    Yields:
        The locked file's number, which a supervisor can inherit; None where another process holds the lock or where
        it is not ours to take.

    Raises:
        FileNotFoundError: The folder was removed.
    """
    try:
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        raise
    except OSError:  # another user's, or on a disk that cannot be written
        yield None
        return
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield None
        else:
            yield lock
    finally:
        os.close(lock)


def true_row(store: Store, row: dict[str, Any]) -> dict[str, Any]:
    """Return a job's row as it truly is: where its supervisor is gone, the end is recorded first.

    A queued job has no supervisor until its turn is near, so it stays queued; only one whose folder was removed ends.

    Args:
        store: The store.
        row: The row as it was read.
    """
    if row["state"] in FINAL:
        return row
    folder = store.folder / row["name"]
    try:
        if row["state"] == "QUEUED":
            return row if folder.is_dir() else _bury(store, row["name"])
        with held(folder) as lock:
            return row if lock is None else _bury(store, row["name"])
    except FileNotFoundError:
        return _bury(store, row["name"])


def _bury(store: Store, name: str) -> dict[str, Any]:
    row = store.job(name)
    assert row is not None
    folder = store.folder / name
    # it may have ended meanwhile, or just have been put in place
    if row["state"] in FINAL or (row["state"] == "QUEUED" and folder.is_dir()):
        return row
    from mlhelpers.jobs.local import processes  # its psutil is slow to import, and the supervisor imports this module

    processes.stop(lambda: processes.of_token(row["token"]), 0.5)
    end = outcome.read(folder / "outcome") or _epitaph(row, folder.is_dir())
    try:
        store.finish(name, end.state, end.message, end.exit_code, _last_sign_of_life(folder, row))
    except JobError:  # the disk is full: tell the truth all the same
        return row | {"state": end.state, "error_message": end.message, "exit_code": end.exit_code}
    (folder / "launch.json").unlink(missing_ok=True)
    return store.job(name) or row


def _last_sign_of_life(folder: Path, row: Mapping[str, Any]) -> str | None:
    """Return when a job last printed something, which is not before its start; None where nothing is left of it."""
    try:
        printed = max((path.stat().st_mtime for path in (folder / "logs").iterdir()), default=0.0)
    except OSError:
        return None
    began: str = row["start_time"] or row["create_time"]
    return max(rfc3339(printed), began)


def _epitaph(row: Mapping[str, Any], has_folder: bool) -> Outcome:
    """Say what is known of a job whose supervisor left no word."""
    supervisor = row["supervisor"] or ""
    if row["state"] == "CANCELLING":
        message = "Cancelled; the process that looked after the job had been killed, what was left of it was stopped."
        return Outcome("CANCELLED", message)
    if not has_folder:
        return Outcome("FAILED", "The job's folder was removed, so the job was stopped.")
    if not supervisor.startswith(machine()):
        return Outcome("FAILED", "The machine was restarted while the job ran, so it did not finish.")
    message = (
        f"The process that looked after the job (pid {supervisor.split('/')[-2]}) was killed from outside, so the job "
        "did not finish; what was left of it was stopped. The log holds what was printed until then. Submitted again "
        "under another name and with the same folders, a trainer that saves checkpoints goes on from the last one."
    )
    return Outcome("FAILED", message)
