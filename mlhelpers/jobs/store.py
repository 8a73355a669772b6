"""What is known of the local jobs, in one SQLite database that any number of processes may use at once.

Each operation opens the database, does one transaction and closes it, so that nothing is shared over threads or
forks. A final state is never overwritten: every change says from which states it may come.

Imported by the supervisor, so beyond the floor it needs the standard library alone.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlhelpers.errors import JobError
from mlhelpers.storage import write_aside

__all__ = ["FINAL", "Store", "now"]

_SPARE_BYTES = 1 << 20
FINAL = ("SUCCEEDED", "FAILED", "CANCELLED")
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
    error_message TEXT
);
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
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Store:
    """The jobs of one folder.

    Args:
        folder: Holds jobs.sqlite and one folder per job.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "jobs.sqlite"
        self._spare = folder / "spare"

    def prepare(self) -> None:
        """Make the database if it is not there, and put by some room for the day on which the disk is full.

        Raises:
            DataError: The folder cannot be written, or has no room.
            JobError: The database cannot be made.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():
            self._create()
        if not self._spare.exists():
            with write_aside(self._spare) as aside:
                aside.write_bytes(bytes(_SPARE_BYTES))

    def given_up_bytes(self) -> int:
        """Return how much of the disk is free only because the room put by was given up."""
        return 0 if self._spare.exists() else _SPARE_BYTES

    def _create(self) -> None:
        """Make the whole database aside and link it into place, so that no process meets one without its tables."""
        aside = self.folder / f".jobs.{os.urandom(4).hex()}.sqlite"
        database = sqlite3.connect(aside, isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.executescript(_SCHEMA)
            database.close()
            os.link(aside, self.path)
        except FileExistsError:  # another process was quicker, with the same
            pass
        except sqlite3.Error as error:
            raise JobError(self._trouble(error)) from error
        finally:
            database.close()
            aside.unlink(missing_ok=True)

    def add(self, row: Mapping[str, Any], then: Callable[[], object]) -> None:
        """Add a job and do `then` in the same transaction: both happen, or neither.

        Args:
            row: name, token, and as plain data labels and training_input.
            then: Called before the transaction is closed; when it raises, the job is not added.

        Raises:
            JobError: The name is taken.
        """
        insert = "INSERT INTO jobs (name, create_time, labels, training_input, token) VALUES (?, ?, ?, ?, ?)"
        values = (row["name"], now(), json.dumps(row["labels"]), json.dumps(row["training_input"]), row["token"])
        with self._writing() as database:
            try:
                database.execute(insert, values)
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
        return next(iter(self._rows("SELECT * FROM jobs WHERE name = ?", (name,))), None)

    def replicas(self, name: str) -> list[dict[str, Any]]:
        """Return the replicas of a job, as far as they were started."""
        return self._rows("SELECT * FROM replicas WHERE job = ? ORDER BY task", (name,))

    def jobs(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Return the short columns of the jobs, newest first."""
        columns = "name, state, create_time, start_time, end_time, labels"
        query = f"SELECT {columns} FROM jobs ORDER BY position DESC LIMIT ?"  # noqa: S608
        return self._rows(query, (-1 if limit is None else limit,))

    def unfinished(self) -> list[str]:
        """Return the names of the jobs that are not over."""
        return [row["name"] for row in self._rows(f"SELECT name FROM jobs WHERE state NOT IN {FINAL}")]  # noqa: S608

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
        return self._change(lambda database: _touched(database, change, (*values.values(), name, *allowed)))

    def finish(self, name: str, state: str, error_message: str | None, exit_code: int | None) -> bool:
        """Record the end of a job and of its replica; nothing happens where an end is recorded already."""
        end = now()
        ended = f"UPDATE jobs SET state = ?, end_time = ?, error_message = ? WHERE name = ? AND state NOT IN {FINAL}"  # noqa: S608
        replica = "UPDATE replicas SET end_time = ?, exit_code = ? WHERE job = ? AND end_time IS NULL"

        def change(database: sqlite3.Connection) -> bool:
            done = _touched(database, ended, (state, end, error_message, name))
            if done:
                database.execute(replica, (end, exit_code, name))
            return done

        return self._change(change)

    def started(self, name: str, task: str, process: str) -> None:
        """Record that a replica runs, and the job with it."""
        begin = now()
        replica = "INSERT OR REPLACE INTO replicas (job, task, process, start_time) VALUES (?, ?, ?, ?)"
        running = "UPDATE jobs SET state = 'RUNNING' WHERE name = ? AND state IN ('QUEUED', 'PREPARING')"
        clock = f"UPDATE jobs SET start_time = ? WHERE name = ? AND state NOT IN {FINAL}"  # noqa: S608

        def change(database: sqlite3.Connection) -> bool:
            database.execute(replica, (name, task, process, begin))
            database.execute(running, (name,))  # leaves CANCELLING as it is
            return _touched(database, clock, (begin, name))

        self._change(change)

    def _rows(self, query: str, values: tuple[object, ...] = ()) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        try:
            return self._read(self.path, query, values)
        except JobError as error:  # reading takes some room too, for the index of the write-ahead log
            if not _is_full(error.__cause__):
                raise
        self._spare.unlink(missing_ok=True)
        try:
            return self._read(self.path, query, values)
        except JobError:
            return self._read_copy(query, values)

    def _read(self, path: Path, query: str, values: tuple[object, ...]) -> list[dict[str, Any]]:
        with self._open(path) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(query, values)]

    def _read_copy(self, query: str, values: tuple[object, ...]) -> list[dict[str, Any]]:
        """Read a copy in memory, where that is to be had: on a full disk nobody writes the original meanwhile."""
        memory = "/dev/shm"  # noqa: S108  # the folder made there has a name that nobody can guess
        with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
            for ending in ("", "-wal"):
                if (part := Path(f"{self.path}{ending}")).exists():
                    shutil.copy(part, Path(folder, part.name))
            return self._read(Path(folder, self.path.name), query, values)

    def _change(self, work: Callable[[sqlite3.Connection], bool]) -> bool:
        """Do one transaction; on a full disk once more, in the room that was put by."""
        try:
            with self._writing() as database:
                return work(database)
        except JobError as error:
            if not _is_full(error.__cause__) or not self._spare.exists():
                raise
        self._spare.unlink(missing_ok=True)
        with self._writing() as database:
            return work(database)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.commit()
            except BaseException:
                database.rollback()
                raise

    @contextmanager
    def _open(self, path: Path | None = None) -> Iterator[sqlite3.Connection]:
        try:
            database = sqlite3.connect(path or self.path, timeout=20, isolation_level=None)
        except sqlite3.Error as error:
            raise JobError(self._trouble(error)) from error
        try:
            yield database
        except sqlite3.Error as error:
            raise JobError(self._trouble(error)) from error
        finally:
            database.close()

    def _trouble(self, error: sqlite3.Error) -> str:
        text = str(error)
        if _is_full(error):
            cure = "The disk seems to be full: free some room on it."
        elif "not a database" in text or "malformed" in text:
            cure = "The file is damaged: move it away, and set MLHELPERS_HOME to a folder on a local disk."
        else:
            cure = "Set MLHELPERS_HOME to a folder on a local disk that you may write to."
        return f"The job store {self.path} cannot be used: {text}. {cure}"


def _touched(database: sqlite3.Connection, change: str, values: tuple[object, ...]) -> bool:
    return database.execute(change, values).rowcount == 1


def _is_full(error: BaseException | None) -> bool:
    return isinstance(error, sqlite3.OperationalError) and ("full" in str(error) or "disk I/O" in str(error))
