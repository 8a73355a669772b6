"""Copy a folder whole or not at all, and take one away so that nobody meets half of it."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import psutil

from mlhelpers.errors import DataError, ModelError

__all__ = ["MAX_FILES", "check_files", "copy_files", "discard", "is_name_free", "place_folder", "take_away"]

MAX_FILES = 1000
_ASIDE = "."  # what begins with a dot is not there yet, or not any more


def check_files(origin: Path) -> None:
    """Refuse a folder that may not be copied.

    Args:
        origin: The folder.

    Raises:
        ModelError: It holds a symbolic link, something that is no file or folder, or more than 1,000 files.
    """
    count = 0
    for parent, folders, files in os.walk(origin):
        for path in (Path(parent, name) for name in folders + files):
            shown = path.relative_to(origin)
            if path.is_symlink():
                raise ModelError(
                    f"{origin} holds the symbolic link {str(shown)!r} to {os.readlink(path)!r}. A version holds files "
                    "only: put the file itself in its place."
                )
            if not path.is_dir() and not path.is_file():
                raise ModelError(f"{origin} holds {str(shown)!r}, which is neither a file nor a folder. Remove it.")
        count += len(files)
        if count > MAX_FILES:
            raise ModelError(
                f"{origin} holds more than {MAX_FILES:,} files, the most a version takes. "
                "Give the export's own folder, not one above it."
            )


def copy_files(origin: Path, target: Path) -> None:
    """Copy every file below a folder, following no symbolic link.

    Args:
        origin: The folder to copy.
        target: Where to; made.

    Raises:
        ModelError: A file of the origin cannot be read.
        OSError: The copy cannot be written.
    """
    for parent, _, files in os.walk(origin):
        below = target / Path(parent).relative_to(origin)
        below.mkdir(parents=True, exist_ok=True)
        for name in files:
            path = Path(parent, name)
            try:
                descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
            except OSError as error:
                raise ModelError(f"{path} cannot be read: {error.strerror}. Nothing was copied.") from error
            with open(descriptor, "rb") as source, (below / name).open("xb") as copy:
                shutil.copyfileobj(source, copy)


def place_folder(
    target: Path,
    fill: Callable[[Path], None],
    scratch: Path,
    hold: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> None:
    """Make a folder aside, fill it, and move it to its place only when it is whole.

    Args:
        target: Where the folder shall be; nothing may be there.
        fill: Puts the content into the empty folder it is given.
        scratch: The folder in which it is made, on the same disk; made.
        hold: Gives the `with` block in which the folder is moved: a lock, a last look whether it still may.

    Raises:
        FileExistsError: Somebody has put something there in the meantime.
        DataError: It cannot be written (no permission, disk full); nothing is left.
    """
    aside = _aside(scratch, target)
    try:
        _sweep(scratch)
        aside.mkdir(parents=True)
        fill(aside)
        with hold():
            if not is_name_free(target):  # Windows and Linux disagree about renaming onto an empty folder
                raise FileExistsError(target)
            target.parent.mkdir(exist_ok=True)
            os.rename(aside, target)
    except OSError as error:
        if isinstance(error, FileExistsError):
            raise FileExistsError(target) from error
        raise DataError(
            f"{target} cannot be written: {error.strerror or error}. Set MLHELPERS_HOME to a folder you may write to, "
            "with room on its disk."
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def take_away(folder: Path, scratch: Path) -> Path:
    """Take a folder away in one step; `discard` then deletes what was in it.

    Args:
        folder: The folder, which has to be there.
        scratch: The folder into which it is moved, on the same disk.

    Returns:
        Where it is now.

    Raises:
        DataError: It cannot be taken away; it is then still whole.
    """
    aside = _aside(scratch, folder)
    try:
        os.rename(folder, aside)
    except OSError as error:
        raise DataError(f"{folder} cannot be deleted: {error.strerror or error}.") from error
    return aside


def discard(aside: Path) -> None:
    """Delete a folder that `take_away` has moved; what cannot be deleted is swept up later."""
    shutil.rmtree(aside, ignore_errors=True)


def is_name_free(target: Path) -> bool:
    """Tell whether nothing lies at the path, not even a dangling link."""
    return not os.path.lexists(target)


def _aside(scratch: Path, folder: Path) -> Path:
    return scratch / f"{_ASIDE}{folder.name[:100]}.{os.getpid()}.{secrets.token_hex(4)}"


def _sweep(parent: Path) -> None:
    """Delete what a process that was killed left aside."""
    for entry in parent.glob(f"{_ASIDE}*") if parent.is_dir() else ():
        owner = entry.name.split(".")[-2] if entry.name.count(".") >= 3 else ""
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(entry, ignore_errors=True)
