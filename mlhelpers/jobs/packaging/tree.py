"""The files of a folder that is to be packed: links followed, caches left out, what cannot be read refused.

A project holds more than its package: results, data, links to them. There only the package is held to that; from the
rest, which its build may want, what is no file or is too large to be source is left out.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlhelpers.errors import UsageError

__all__ = ["MAX_BYTES", "MAX_FILES", "TreeFile", "copy_files", "list_files", "list_project"]

MAX_BYTES = 2 * 1024**3
MAX_FILES = 50_000
# beside the package, what is larger than this is data and not source
_LARGE_BYTES = 50_000_000
_LARGE_FILES = 5_000
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
    return _checked_amount(folder, _walk(folder, "", (os.path.realpath(folder),), is_strict=True))


def list_project(folder: Path, package: Path) -> tuple[list[TreeFile], list[str]]:
    """Return the files that a project's build may want: its package, and around that what can be source.

    Around the package, what `list_files` would refuse is passed over, and so is what is too large: a file of more than
    50 MB, and a folder beside setup.py (or in src/) that holds more than 50 MB or 5,000 files. Other packages, which
    have an `__init__.py`, may be large.

    Args:
        folder: The project's.
        package: The package's, inside it.

    Returns:
        The files, by name; and what was too large, as words to show.

    Raises:
        UsageError: For a file inside the package as `list_files`; and still more than `MAX_FILES` files or `MAX_BYTES`.
    """
    above = (os.path.realpath(folder),)
    found: list[TreeFile] = []
    too_large: list[str] = []
    for path in _around(folder, package):
        name = path.relative_to(folder).as_posix()
        if path == package:
            found += _walk(package, f"{name}/", (*above, os.path.realpath(package)), is_strict=True)
        elif (path / "__init__.py").is_file():
            found += _found(path, name, above, is_strict=False)
        else:
            part, left_out = _source_in(path, name, above)
            found += part
            too_large += left_out
    return _checked_amount(folder, found), too_large


def _around(folder: Path, package: Path) -> Iterator[Path]:
    """Return what lies in a project's folder, and in the folders down to its package, without these."""
    for path in sorted(_inside(folder)):
        if path in package.parents:
            yield from _around(path, package)
        else:
            yield path


def _source_in(path: Path, name: str, above: tuple[str, ...]) -> tuple[list[TreeFile], list[str]]:
    """Return the files at or below a path, and what of it is left out for its size; it is not searched further then."""
    found: list[TreeFile] = []
    too_large: list[str] = []
    size = 0
    for file in _found(path, name, above, is_strict=False):
        if file.size > _LARGE_BYTES:
            too_large.append(f"{file.name} ({file.size / 1e6:,.0f} MB)")
            continue
        found.append(file)
        size += file.size
        if size > _LARGE_BYTES or len(found) > _LARGE_FILES:
            return [], [f"{name}/ (more than {_LARGE_BYTES / 1e6:.0f} MB or {_LARGE_FILES:,} files)"]
    return found, too_large


def _checked_amount(folder: Path, files: Iterable[TreeFile]) -> list[TreeFile]:
    found = sorted(files, key=lambda file: file.name)
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


def copy_files(files: Sequence[TreeFile], into: Path) -> None:
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


def _walk(folder: Path, prefix: str, above: tuple[str, ...], *, is_strict: bool) -> Iterator[TreeFile]:
    """Return the files below a folder, with a prefix before their names; what is wrong is refused or passed over."""
    try:
        inside = _inside(folder)
    except UsageError:
        if is_strict:
            raise
        return
    for path in inside:
        yield from _found(path, prefix + path.name, above, is_strict)


def _found(path: Path, name: str, above: tuple[str, ...], is_strict: bool) -> Iterator[TreeFile]:
    """Return the file at a path, or those below it."""
    try:
        status = _status(path, above)
    except UsageError:
        if is_strict:
            raise
        return
    if status is None:
        return
    if stat.S_ISDIR(status.st_mode):
        yield from _walk(path, f"{name}/", (*above, os.path.realpath(path)), is_strict=is_strict)
    else:
        mode, changed = status.st_mode, status.st_mtime_ns
        yield TreeFile(name, path, status.st_size, changed, bool(mode & stat.S_IXUSR))


def _status(path: Path, above: tuple[str, ...]) -> os.stat_result | None:
    """Return what is known of a file or folder, or None if it is left out; refuse what cannot be packed."""
    _check_name(path)
    try:
        status = path.stat()
    except FileNotFoundError as error:
        if path.is_symlink():
            raise UsageError(f"The link {path} leads nowhere ({os.readlink(path)}): remove or mend it.") from error
        return None
    except OSError as error:  # a link to itself, or a folder that may not be searched
        raise _unreadable(path, error) from error
    if stat.S_ISDIR(status.st_mode):
        if _is_skipped(path):
            return None
        if (real := os.path.realpath(path)) in above:
            raise UsageError(f"The link {path} leads back to {real}, which it lies in: remove it.")
        return status
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"{path} is no file but a pipe, a socket or a device, and cannot be packed: remove it.")
    if path.name.endswith((".pyc", ".pyo")):
        return None
    if not os.access(path, os.R_OK):
        raise _unreadable(path, PermissionError(0, "Permission denied"))
    return status


def _inside(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise _unreadable(folder, error) from error


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
