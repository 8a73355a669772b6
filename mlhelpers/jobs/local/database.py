"""One SQLite database that any number of processes may use at once, and that keeps working on a full disk.

Each operation opens the database, does one transaction and closes it, so that nothing is shared over threads or
forks. Some room is put by in a file of its own, and given up when the disk is full, so that the last words of a job
can still be written.

Imported by the supervisor, so beyond the floor it needs the standard library alone.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlhelpers.errors import JobError
from mlhelpers.storage import write_aside

__all__ = ["Database"]

_SPARE_BYTES = 1 << 20
_VERSION = 3  # of the schema; counted up whenever that changes


class Database:
    """A database in write-ahead mode.

    Args:
        path: The database's file.
        spare: The file that holds the room put by.
    """

    def __init__(self, path: Path, spare: Path) -> None:
        self.path = path
        self._spare = spare

    def prepare(self, schema: str) -> None:
        """Make the database if it is not there, and put by some room for the day on which the disk is full.

        Args:
            schema: The statements that make the tables.

        Raises:
            DataError: The folder cannot be written, or has no room.
            JobError: The database cannot be made, or another version of mlhelpers made it.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():
            self._create(schema)
        if not self._spare.exists():
            with write_aside(self._spare) as aside:
                aside.write_bytes(bytes(_SPARE_BYTES))

    def given_up_bytes(self) -> int:
        """Return how much of the disk is free only because the room put by was given up."""
        return 0 if self._spare.exists() else _SPARE_BYTES

    def rows(self, query: str, values: tuple[object, ...] = ()) -> list[dict[str, Any]]:
        """Return the rows of a query; none where there is no database yet.

        Raises:
            JobError: The database cannot be read.
        """
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

    def change(self, work: Callable[[sqlite3.Connection], bool]) -> bool:
        """Do one transaction; on a full disk once more, in the room that was put by.

        Raises:
            JobError: The database cannot be written.
        """
        try:
            with self.writing() as database:
                return work(database)
        except JobError as error:
            if not _is_full(error.__cause__) or not self._spare.exists():
                raise
        self._spare.unlink(missing_ok=True)
        with self.writing() as database:
            return work(database)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give a connection inside a transaction, which is taken back when the block raises.

        Raises:
            JobError: The database cannot be written.
        """
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.commit()
            except BaseException:
                database.rollback()
                raise

    def _create(self, schema: str) -> None:
        """Make the whole database aside and link it into place, so that no process meets one without its tables."""
        aside = self.path.with_name(f".jobs.{os.urandom(4).hex()}.sqlite")
        database = sqlite3.connect(aside, isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.executescript(schema)
            database.execute(f"PRAGMA user_version = {_VERSION}")
            database.close()
            os.link(aside, self.path)
        except FileExistsError:  # another process was quicker, with the same
            pass
        except sqlite3.Error as error:
            raise JobError(self._trouble(error)) from error
        finally:
            database.close()
            aside.unlink(missing_ok=True)

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

    @contextmanager
    def _open(self, path: Path | None = None) -> Iterator[sqlite3.Connection]:
        try:
            database = sqlite3.connect(path or self.path, timeout=20, isolation_level=None)
        except sqlite3.Error as error:
            raise JobError(self._trouble(error)) from error
        try:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version != _VERSION:
                raise JobError(
                    f"The job store {self.path} was made by another version of mlhelpers (its tables are version "
                    f"{version}, this one knows {_VERSION}). Move it away, or set MLHELPERS_HOME to another folder."
                )
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


def _is_full(error: BaseException | None) -> bool:
    return isinstance(error, sqlite3.OperationalError) and ("full" in str(error) or "disk I/O" in str(error))
