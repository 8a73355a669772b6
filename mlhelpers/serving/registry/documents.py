"""The small JSON files that say what a model or a version is, and the lock that lets one process at a time change them.

Whoever reads needs no lock: a file is replaced, and a folder moved, in one step.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mlhelpers.errors import DataError, ModelError
from mlhelpers.serving.registry.resources import is_name
from mlhelpers.storage import write_aside

__all__ = ["entries", "locked", "now", "read_document", "replace_document", "write_document"]

_LOCK = ".lock"
_PATIENCE_S = 30.0  # a change takes milliseconds: what is copied is copied before


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Keep every other process and thread from changing a store for the length of a `with` block.

    The lock goes with the process that holds it, however it ends. It cannot be taken twice by the same thread.

    Args:
        root: The store's folder; made.

    Raises:
        DataError: The folder cannot be written.
        ModelError: Somebody has held the lock for half a minute.
    """
    lock = FileLock(root / _LOCK, timeout=_PATIENCE_S)
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise ModelError(
            f"Another process has been changing the models in {root} for {_PATIENCE_S:.0f} s. Look for a program that "
            "hangs, end it, and try again."
        ) from None
    except OSError as error:
        raise DataError(
            f"{root} cannot be written: {error.strerror or error}. Set MLHELPERS_HOME to a folder you may write to, "
            "with room on its disk."
        ) from error
    try:
        yield
    finally:
        lock.release()


def entries(folder: Path, marker: str) -> list[str]:
    """Return the names of the folders that hold a file of a name, sorted.

    Args:
        folder: Where to look; it may be missing.
        marker: The file's name.
    """
    try:
        return sorted(entry.name for entry in folder.iterdir() if is_name(entry.name) and (entry / marker).is_file())
    except (FileNotFoundError, NotADirectoryError):
        return []


def read_document(path: Path) -> dict[str, Any]:
    """Return what a JSON file says.

    Raises:
        FileNotFoundError: It is not there, or not any more.
        ModelError: It cannot be read, or is no JSON object.
    """
    try:
        document = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(path) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} is damaged: {error}. {_cure(path)}") from error
    if not isinstance(document, dict):
        raise ModelError(f"{path} is damaged: it should be a JSON object. {_cure(path)}")
    return document


def replace_document(path: Path, document: Mapping[str, Any]) -> None:
    """Replace a JSON file in one step.

    Raises:
        DataError: It cannot be written; the old one is still whole.
    """
    with write_aside(path) as aside:
        write_document(aside, document)


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON file that nobody reads yet.

    Raises:
        OSError: It cannot be written.
    """
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def now() -> str:
    """Return the time, RFC 3339 in UTC, to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _cure(path: Path) -> str:
    if path.name == "version.json":
        model = path.parent.parent.parent.name
        return f"Make the version again:  mlhelpers versions delete {path.parent.name} --model {model}"
    return f"Mend the file, or delete {path.parent} and make the model again."
