"""The files of a folder that is to be packed: links followed, caches left out, what cannot be read refused."""

from __future__ import annotations

import os
import shutil
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlhelpers.errors import UsageError

__all__ = ["MAX_BYTES", "MAX_FILES", "TreeFile", "copy_files", "list_files"]

MAX_BYTES = 2 * 1024**3
MAX_FILES = 50_000
# what is made from the sources, or is nobody's source
_SKIPPED_FOLDERS = {"__pycache__", ".git", ".hg", ".svn", ".venv", ".tox", ".nox", "node_modules"}
_SKIPPED_FOLDERS |= {".ipynb_checkpoints", ".mypy_cache", ".pytest_cache", ".ruff_cache"}


@dataclass(frozen=True)
class TreeFile:
    """One file of a folder.

    Attributes:
        name: Its path inside the folder, with slashes.
        path: Where it is.
        size: Its length in bytes.
        changed_ns: When it was last written, in nanoseconds since 1970.
        is_program: Whether its owner may execute it.
    """

    name: str
    path: Path
    size: int
    changed_ns: int
    is_program: bool


def list_files(folder: Path) -> list[TreeFile]:
    """Return the files of a folder and all below it, by name; links are followed, caches and environments left out.

    Args:
        folder: Where to look.

    Raises:
        UsageError: A link that leads nowhere or in a circle, a file that cannot be read or is none (a pipe, a socket),
            a name that is no text, or more than `MAX_FILES` files or `MAX_BYTES` bytes.
    """
    found = sorted(_walk(folder, "", (os.path.realpath(folder),)), key=lambda file: file.name)
    if len(found) > MAX_FILES or sum(file.size for file in found) > MAX_BYTES:
        sizes: Counter[str] = Counter()
        for file in found:
            sizes[file.name.split("/")[0]] += file.size
        (largest, size), n = sizes.most_common(1)[0], len(found)
        raise UsageError(
            f"The folder {folder} is too large to be packed: {n:,} files, {sum(sizes.values()) / 1e9:.1f} GB, most of "
            f"it in {largest} ({size / 1e9:.1f} GB); allowed are {MAX_FILES:,} files and {MAX_BYTES / 1e9:.1f} GB. "
            "Keep data and results in another folder, and give the trainer their paths as arguments."
        )
    return found


def copy_files(files: list[TreeFile], into: Path) -> None:
    """Copy listed files into a folder, under their names; one that has vanished since is passed over.

    Raises:
        UsageError: A file cannot be read.
        OSError: The folder cannot be written.
    """
    for file in files:
        target = into / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            source = file.path.open("rb")
        except FileNotFoundError:  # another job's checkpoint beside the sources, for instance
            continue
        except OSError as error:
            raise _unreadable(file.path, error) from error
        with source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy)
        target.chmod(0o755 if file.is_program else 0o644)


def _walk(folder: Path, prefix: str, above: tuple[str, ...]) -> Iterator[TreeFile]:
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise _unreadable(folder, error) from error
    for entry in entries:
        path = Path(entry.path)
        _check_name(path)
        try:
            status = entry.stat()
        except FileNotFoundError as error:
            if entry.is_symlink():
                raise UsageError(f"The link {path} leads nowhere ({os.readlink(path)}): remove or mend it.") from error
            continue
        except OSError as error:  # a link to itself, or a folder that may not be searched
            raise _unreadable(path, error) from error
        if stat.S_ISDIR(status.st_mode):
            if _is_skipped(path):
                continue
            real = os.path.realpath(path)
            if real in above:
                raise UsageError(f"The link {path} leads back to {real}, which it lies in: remove it.")
            yield from _walk(path, f"{prefix}{entry.name}/", (*above, real))
        elif not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{path} is no file but a pipe, a socket or a device, and cannot be packed: remove it.")
        elif not entry.name.endswith((".pyc", ".pyo")):
            if not os.access(path, os.R_OK):
                raise _unreadable(path, PermissionError(0, "Permission denied"))
            mode, changed = status.st_mode, status.st_mtime_ns
            yield TreeFile(f"{prefix}{entry.name}", path, status.st_size, changed, bool(mode & stat.S_IXUSR))


def _is_skipped(path: Path) -> bool:
    return path.name in _SKIPPED_FOLDERS or path.name.endswith(".egg-info") or (path / "pyvenv.cfg").is_file()


def _check_name(path: Path) -> None:
    try:
        path.name.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"The name of {str(path)!a} is no UTF-8 text, and cannot be packed: rename it.") from error


def _unreadable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"{path} cannot be read: {error.strerror or error}. Allow it (chmod u+r), or move it out of the folder."
    )
