"""The queue: jobs start in the order of their submission, as many at once as the setting `max_jobs` says.

A queued job is a row in the store and a folder, no process, so that thousands may wait and a reboot loses none. Only
the job at the head has its supervisor already, waiting for a free place. Whoever ends, submits or looks calls
`start_next`, which gives the head of the queue its supervisor where it has none. A job that was submitted by a job
starts at once: the outer one has a place already, and may wait for it.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from mlhelpers.jobs.local.lost import held, true_row
from mlhelpers.jobs.local.store import Store

__all__ = ["Start", "start_next", "start_supervisor"]


Start = Callable[[Path, int], str]


def start_supervisor(folder: Path, lock: int) -> str:
    """Start a job's supervisor and wait until it stands on its own.

    Args:
        folder: The job's folder.
        lock: The file descriptor of its lock, which the supervisor inherits.

    Returns:
        Why it did not start; an empty text where it did.
    """
    launch = json.loads((folder / "launch.json").read_bytes())
    with open(folder / "supervisor.log", "ab") as output:
        done = subprocess.run(
            [launch["python"], "-m", "mlhelpers.jobs.local.supervisor", str(folder), str(lock)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            env=launch["inherited"],
            pass_fds=(lock,),
            start_new_session=True,
            check=False,
        )
    return "" if done.returncode == 0 else _last_line(folder / "supervisor.log") or f"code {done.returncode}"


def start_next(store: Store, max_jobs: int, start: Start = start_supervisor) -> None:
    """Start the supervisors of the jobs at the head of the queue: one for each free place, and one that waits.

    A job whose supervisor does not start has failed, and its row says why.

    Args:
        store: The store.
        max_jobs: How many jobs run at once.
        start: What starts a supervisor.
    """
    for name in store.head(max_jobs):
        try:
            with held(store.folder / name) as lock:
                # the lock says that no supervisor is there, the row that none has just come and gone
                if lock is not None and (row := store.job(name)) and row["state"] == "QUEUED":
                    _start(store, name, lock, start)
        except FileNotFoundError:
            if row := store.job(name):
                true_row(store, row)


def _start(store: Store, name: str, lock: int, start: Start) -> None:
    folder = store.folder / name
    try:
        reason = start(folder, lock)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error)
    if reason:
        store.finish(name, "FAILED", f"The process that looks after the job did not start: {reason}", None)
        (folder / "launch.json").unlink(missing_ok=True)


def _last_line(path: Path) -> str:
    return path.read_text(errors="replace").strip().rpartition("\n")[2] if os.path.exists(path) else ""
