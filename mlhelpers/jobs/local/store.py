"""What is known of the local jobs, in one SQLite database that any number of processes may use at once.

Each operation opens the database, does one transaction and closes it, so that nothing is shared over threads or
forks. A final state is never overwritten: every change says from which states it may come.

Imported by the supervisor, so beyond the floor it needs the standard library alone.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlhelpers.errors import JobError
from mlhelpers.jobs.local.database import Database
from mlhelpers.jobs.local.logs import rfc3339

__all__ = ["FINAL", "FIRST", "Store", "now"]

FINAL = ("SUCCEEDED", "FAILED", "CANCELLED")
_BUSY = ("PREPARING", "RUNNING", "CANCELLING")
FIRST = "master-replica-0"  # the task of a job's first replica
_SCHEMA = """
CREATE TABLE jobs (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL DEFAULT 'QUEUED',
    create_time TEXT NOT NULL,
    start_time TEXT,
    end_time TEXT,
    labels TEXT NOT NULL,
    training_input TEXT NOT NULL,
    token TEXT NOT NULL,
    supervisor TEXT,
    retries INTEGER NOT NULL DEFAULT 0,
    nested INTEGER NOT NULL DEFAULT 0,
    study TEXT REFERENCES jobs(name),
    trial INTEGER,
    error_message TEXT
);
CREATE INDEX jobs_trials ON jobs(study) WHERE study IS NOT NULL;
CREATE INDEX jobs_open ON jobs(state) WHERE state NOT IN ('SUCCEEDED', 'FAILED', 'CANCELLED');
CREATE TABLE replicas (
    job TEXT NOT NULL REFERENCES jobs(name),
    task TEXT NOT NULL,
    process TEXT NOT NULL,
    start_time TEXT NOT NULL,
    end_time TEXT,
    exit_code INTEGER,
    restarts INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (job, task)
);
"""


def now() -> str:
    """Return this moment as RFC 3339 text in UTC, to the millisecond."""
    return rfc3339(time.time())


class Store:
    """The jobs of one folder.

    Args:
        folder: Holds jobs.sqlite and one folder per job.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._database = Database(folder / "jobs.sqlite", folder / "spare")

    def prepare(self) -> None:
        """Make the database if it is not there, and put by some room for the day on which the disk is full.

        Raises:
            DataError: The folder cannot be written, or has no room.
            JobError: The database cannot be made.
        """
        self._database.prepare(_SCHEMA)

    def given_up_bytes(self) -> int:
        """Return how much of the disk is free only because the room put by was given up."""
        return self._database.given_up_bytes()

    def add(self, row: Mapping[str, Any], then: Callable[[], object]) -> None:
        """Add a job and do `then` in the same transaction: both happen, or neither.

        Args:
            row: name, token, as plain data labels and training_input, and "nested" where a job submitted it: that one
                takes no place in the queue, for the job that waits for it has one already. "study" and "trial" where
                it is a trial of another job.
            then: Called before the transaction is closed; when it raises, the job is not added.

        Raises:
            JobError: The name is taken.
        """
        values = {
            "name": row["name"],
            "create_time": now(),
            "labels": json.dumps(row["labels"]),
            "training_input": json.dumps(row["training_input"]),
            "token": row["token"],
            "nested": bool(row.get("nested")),
            "study": row.get("study"),
            "trial": row.get("trial"),
        }
        insert = f"INSERT INTO jobs ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})"  # noqa: S608
        with self._database.writing() as database:
            try:
                database.execute(insert, tuple(values.values()))
            except sqlite3.IntegrityError as error:
                raise JobError(self.taken(row["name"])) from error
            then()

    def taken(self, name: str) -> str:
        """Return the sentence that refuses a name in use."""
        job = self.job(name) or {"create_time": "a moment ago", "state": "QUEUED"}
        return (
            f"The job name {name!r} is taken: a job of that name was submitted at {job['create_time']} and is "
            f"{job['state']}. A name is used once; take another, for instance {self.free_name(name)!r}."
        )

    def free_name(self, name: str) -> str:
        """Return the next name after this one that no job has: first -> first_2."""
        stem, _, number = name.rpartition("_")
        stem, count = (stem, int(number)) if stem and number.isdigit() else (name, 1)
        stem = stem[:110]
        while self.job(f"{stem}_{count + 1}"):
            count += 1
        return f"{stem}_{count + 1}"

    def job(self, name: str) -> dict[str, Any] | None:
        """Return one row, or None."""
        return next(iter(self._database.rows("SELECT * FROM jobs WHERE name = ?", (name,))), None)

    def replicas(self, name: str) -> list[dict[str, Any]]:
        """Return the replicas of a job, as far as they were started."""
        return self._database.rows("SELECT * FROM replicas WHERE job = ? ORDER BY task", (name,))

    def jobs(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Return the short columns of the jobs, newest first, without the trials of studies."""
        columns = "name, state, create_time, start_time, end_time, labels"
        query = f"SELECT {columns} FROM jobs WHERE study IS NULL ORDER BY position DESC LIMIT ?"  # noqa: S608
        return self._database.rows(query, (-1 if limit is None else limit,))

    def trials(self, study: str) -> list[dict[str, Any]]:
        """Return the short columns of a study's trials, "trial" and "error_message" among them, in their order."""
        columns = "name, trial, state, start_time, end_time, error_message"
        return self._database.rows(f"SELECT {columns} FROM jobs WHERE study = ? ORDER BY trial", (study,))  # noqa: S608

    def busy(self) -> list[dict[str, Any]]:
        """Return the rows of the jobs that have a place, in the order of their submission."""
        return self._database.rows(f"SELECT * FROM jobs WHERE state IN {_BUSY} ORDER BY position")  # noqa: S608

    def move(self, name: str, state: str, allowed: tuple[str, ...], **columns: str | None) -> bool:
        """Change a job's state if it is in one of the allowed states now.

        Args:
            name: The job.
            state: The new state.
            allowed: The states from which this step may be taken.
            **columns: Further columns to set.

        Returns:
            Whether it was changed.
        """
        values = {"state": state, **columns}
        sets = ", ".join(f"{column} = ?" for column in values)
        marks = ", ".join("?" * len(allowed))
        change = f"UPDATE jobs SET {sets} WHERE name = ? AND state IN ({marks})"  # noqa: S608
        return self._database.change(lambda database: _touched(database, change, (*values.values(), name, *allowed)))

    def head(self, max_jobs: int) -> list[str]:
        """Return the queued jobs that are next: as many as there are free places, one more, and all nested ones.

        Args:
            max_jobs: How many places there are.
        """
        queued = "SELECT name FROM jobs WHERE state = 'QUEUED' AND NOT nested ORDER BY position"
        limit = f"max(0, ? - (SELECT count(*) FROM jobs WHERE state IN {_BUSY} AND NOT nested)) + 1"  # noqa: S608
        nested = "SELECT name FROM jobs WHERE state = 'QUEUED' AND nested"
        query = f"SELECT name FROM ({queued} LIMIT {limit}) UNION ALL {nested}"  # noqa: S608
        return [row["name"] for row in self._database.rows(query, (max_jobs,))]

    def take_place(self, name: str, supervisor: str, max_jobs: int) -> bool:
        """Move a queued job to PREPARING if it is the first in the queue and there is a free place.

        Args:
            name: The job.
            supervisor: Identity of the process that looks after it.
            max_jobs: How many places there are.

        Returns:
            Whether it has got its place.
        """
        change = (
            "UPDATE jobs SET state = 'PREPARING', supervisor = ? WHERE name = ? AND state = 'QUEUED'"  # noqa: S608
            f" AND (nested OR (SELECT count(*) FROM jobs WHERE state IN {_BUSY} AND NOT nested) < ?"
            " AND position = (SELECT min(position) FROM jobs WHERE state = 'QUEUED' AND NOT nested))"
        )
        return self._database.change(lambda database: _touched(database, change, (supervisor, name, max_jobs)))

    def cancel_queued(self, name: str) -> bool:
        """Cancel a job that waits in the queue; tell whether it did."""
        change = "UPDATE jobs SET state = 'CANCELLED', end_time = ? WHERE name = ? AND state = 'QUEUED'"
        return self._database.change(lambda database: _touched(database, change, (now(), name)))

    def relabel(self, name: str, labels: Mapping[str, str | None], clear: bool) -> None:
        """Change a job's labels in one transaction, so that two who change different ones lose neither.

        Args:
            name: The job.
            labels: Key -> value to set, or None to take the label away.
            clear: Whether to take all away first.
        """

        def change(database: sqlite3.Connection) -> bool:
            found = database.execute("SELECT labels FROM jobs WHERE name = ?", (name,)).fetchone()
            after = {**({} if clear else json.loads(found[0])), **labels}
            text = json.dumps({key: value for key, value in after.items() if value is not None})
            return _touched(database, "UPDATE jobs SET labels = ? WHERE name = ?", (text, name))

        self._database.change(change)

    def finish(
        self, name: str, state: str, error_message: str | None, exit_code: int | None, end_time: str | None = None
    ) -> bool:
        """Record the end of a job and of its replicas; nothing happens where an end is recorded already.

        The trials of a study are cancelled in the same transaction: none goes on without it.

        Args:
            name: The job.
            state: The final state.
            error_message: What to tell the user, or None.
            exit_code: The first replica's, where that is known.
            end_time: When it ended, RFC 3339; now where None.

        Returns:
            Whether this was the end.
        """
        end = end_time or now()
        ended = f"UPDATE jobs SET state = ?, end_time = ?, error_message = ? WHERE name = ? AND state NOT IN {FINAL}"  # noqa: S608
        first = f"UPDATE replicas SET exit_code = ? WHERE job = ? AND task = '{FIRST}' AND exit_code IS NULL"  # noqa: S608
        replicas = "UPDATE replicas SET end_time = ? WHERE job = ? AND end_time IS NULL"
        waiting = "UPDATE jobs SET state = 'CANCELLED', end_time = ? WHERE study = ? AND state = 'QUEUED'"
        open_trials = "UPDATE jobs SET state = 'CANCELLING' WHERE study = ? AND state IN ('PREPARING', 'RUNNING')"

        def change(database: sqlite3.Connection) -> bool:
            done = _touched(database, ended, (state, end, error_message, name))
            if done:
                database.execute(first, (exit_code, name))
                database.execute(replicas, (end, name))
                database.execute(waiting, (end, name))
                database.execute(open_trials, (name,))
            return done

        return self._database.change(change)

    def started(self, name: str, task: str, process: str, restarts: int) -> None:
        """Record that a replica runs, for the first time or again."""
        replica = "INSERT OR REPLACE INTO replicas (job, task, process, start_time, restarts) VALUES (?, ?, ?, ?, ?)"
        self._database.change(lambda database: _touched(database, replica, (name, task, process, now(), restarts)))

    def ended(self, name: str, task: str, exit_code: int) -> None:
        """Record that a replica has ended."""
        replica = "UPDATE replicas SET end_time = ?, exit_code = ? WHERE job = ? AND task = ?"
        self._database.change(lambda database: _touched(database, replica, (now(), exit_code, name, task)))

    def running(self, name: str, retries: int) -> None:
        """Record that all replicas of a job run; one that is being cancelled stays so."""
        running = "UPDATE jobs SET state = 'RUNNING' WHERE name = ? AND state = 'PREPARING'"
        clock = (
            "UPDATE jobs SET start_time = coalesce(start_time, ?), retries = ?"  # noqa: S608
            f" WHERE name = ? AND state NOT IN {FINAL}"
        )

        def change(database: sqlite3.Connection) -> bool:
            database.execute(running, (name,))
            return _touched(database, clock, (now(), retries, name))

        self._database.change(change)


def _touched(database: sqlite3.Connection, change: str, values: tuple[object, ...]) -> bool:
    return database.execute(change, values).rowcount == 1
