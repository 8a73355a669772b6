"""The local store: a bucket is a folder of this machine, and plain paths are what they are.

`*`, `?` and `[…]` stand for parts of one name, `**` for any folders.
"""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from mlhelpers.errors import DataError, UsageError
from mlhelpers.settings import current
from mlhelpers.storage.paths import is_aside, local_path, split
from mlhelpers.storage.stores import Entry

__all__ = ["LocalStore", "files_below", "store"]

_WILD = re.compile(r"[*?[]")


class LocalStore:
    """Folders of this machine as a `Store`."""

    def path(self, address: str) -> Path:
        """Return the path of an address without wildcards.

        Raises:
            UsageError: The address is malformed, or a link leads out of its bucket.
        """
        return _checked_path(address)

    def is_folder(self, path: Path) -> bool:
        """Tell whether there is a folder or bucket at a path."""
        return path.is_dir()

    def is_wild(self, address: str) -> bool:
        """Tell whether an address has wildcards; what has their signs in its own name counts as itself."""
        return _is_wild(address)

    def matches(self, address: str) -> Iterator[tuple[str, Path]]:
        """Yield address and path of each file and folder that fits; files that are being written are left out."""
        return _matches(address)

    def inside(self, name: str, folder: Path) -> Iterator[tuple[str, Path]]:
        """Yield the files and folders directly in a folder."""
        for one in sorted(folder.iterdir()):
            if not is_aside(one.name):
                yield f"{name.rstrip('/')}/{one.name}", one

    def below(self, name: str, folder: Path) -> Iterator[tuple[str, Path]]:
        """Yield the files below a folder, without following links to folders."""
        return files_below(name, folder)

    def entry(self, name: str, path: Path) -> Entry:
        """Return size and time.

        Raises:
            DataError: It cannot be read.
        """
        return _entry(name, path)

    def check_link(self, name: str, path: Path) -> None:
        """Refuse a link to a folder outside the bucket.

        Raises:
            UsageError: It is one.
        """
        if _leads_out(name, path):
            raise UsageError(f"{name!r} is refused: a link leads out of the bucket, to {path.resolve()}.")

    def buckets(self) -> list[str]:
        """Return the names of the buckets, sorted."""
        return _buckets()

    def check_bucket(self, address: str) -> None:
        """Refuse an address whose bucket is not there.

        Raises:
            UsageError: The address is malformed.
            DataError: There is no such bucket; the message names the nearest.
        """
        bucket = split(address)[0]
        if bucket in _buckets():
            return
        near = difflib.get_close_matches(bucket, _buckets(), n=1)
        guess = f" Did you mean gs://{near[0]}?" if near else ""
        raise DataError(f"There is no bucket gs://{bucket}.{guess} Make it with  mlhelpers storage mb gs://{bucket}")

    def make_bucket(self, bucket: str, *_: str | None) -> Path:
        """Make the folder; where in the cloud, whose and of which class has no effect on this machine.

        Raises:
            DataError: There is a bucket of that name, or the folder cannot be made.
        """
        folder = local_path(f"gs://{bucket}")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
        except FileExistsError:
            raise DataError(f"There is a bucket gs://{bucket} already. Use it, or take another name.") from None
        except OSError as error:
            reason = error.strerror
            raise DataError(f"The bucket gs://{bucket} cannot be made in {folder.parent}: {reason}.") from error
        return folder

    def remove(self, entries: Sequence[Entry]) -> None:
        """Delete files, folders and buckets; folders that become empty go too, a link itself and not what it leads to.

        Raises:
            DataError: One cannot be deleted; those before it are.
        """
        for entry in entries:
            _remove(entry)


def store() -> LocalStore:
    """Return the local store of the settings in force."""
    return LocalStore()


def _remove(entry: Entry) -> None:
    import shutil

    path = entry.path
    assert isinstance(path, Path)
    bucket, key = split(entry.address)
    try:
        if entry.is_folder and not path.is_symlink():
            if path.exists():  # else it went with a folder above it
                shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"{entry.address} cannot be deleted: {error.strerror or error}.") from error
    if key.strip("/"):
        _remove_empty(path.parent, local_path(f"gs://{bucket}"))


def _remove_empty(folder: Path, root: Path) -> None:
    while folder != root and folder.is_relative_to(root):
        try:
            folder.rmdir()
        except OSError:  # something is in it
            return
        folder = folder.parent


def _matches(address: str) -> Iterator[tuple[str, Path]]:
    """Yield the address and path of each file and folder that fits; files that are being written are left out."""
    if not _is_wild(address):
        path = _checked_path(address)
        if (path.exists() or path.is_symlink()) and (path.is_dir() or not address.endswith("/")):
            yield address, path
        return
    local_path(address)
    root = local_path(f"gs://{split(address)[0]}") if address.startswith("gs://") else None
    pattern = str(local_path(address)) if root is None else f"{glob.escape(str(root))}/{split(address)[1]}"
    for match in sorted(glob.glob(pattern, recursive=True, include_hidden=True)):
        path = Path(match)
        if is_aside(path.name) or path == root:
            continue
        if root is None:
            yield match, path
        elif path.parent.resolve().is_relative_to(root.resolve()):  # else a link led out of the bucket
            yield f"gs://{split(address)[0]}/{path.relative_to(root)}", path


def _is_wild(address: str) -> bool:
    """Tell whether an address has wildcards; what has their signs in its own name counts as itself."""
    return _WILD.search(address) is not None and not os.path.lexists(local_path(address))


def _leads_out(address: str, path: Path) -> bool:
    """Tell whether a path in a bucket is a link to a folder outside it."""
    if not (address.startswith("gs://") and path.is_symlink() and path.is_dir()):
        return False
    return not path.resolve().is_relative_to(local_path(f"gs://{split(address)[0]}").resolve())


def files_below(name: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files below a folder, without following links to folders."""
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for file in sorted(files):
            path = Path(parent, file)
            if not is_aside(file):
                yield f"{name.rstrip('/')}/{path.relative_to(folder)}", path


def _entry(address: str, path: Path) -> Entry:
    try:
        is_outside = _leads_out(address, path)
        found = path.stat() if path.exists() and not is_outside else path.lstat()
    except OSError as error:
        raise DataError(f"{address} cannot be read: {error.strerror}.") from error
    if path.is_dir() and not is_outside:
        return Entry(f"{address.rstrip('/')}/", path, 0, found.st_mtime)
    return Entry(address.rstrip("/"), path, 0 if is_outside else found.st_size, found.st_mtime)


def _checked_path(address: str) -> Path:
    """Return the path of an address without wildcards.

    Raises:
        UsageError: The address is malformed, or a link leads out of its bucket.
    """
    path = local_path(address)
    if address.startswith("gs://") and split(address)[1]:
        root = local_path(f"gs://{split(address)[0]}")
        if not path.parent.resolve().is_relative_to(root.resolve()):
            raise UsageError(f"{address!r} is refused: a link leads out of the bucket, to {path.parent.resolve()}.")
    return path


def _buckets() -> list[str]:
    folder = current().home / "buckets"
    return sorted(one.name for one in folder.iterdir() if one.is_dir()) if folder.is_dir() else []
