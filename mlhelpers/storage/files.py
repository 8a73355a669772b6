"""Files in buckets, found, listed and deleted. Addresses and plain paths mix freely.

As in the cloud a bucket has no empty folders: what looks like one is the beginning of its files' names, and goes when
the last of them goes. `*`, `?` and `[…]` stand for parts of one name, `**` for any folders.
"""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlhelpers.errors import DataError, UsageError
from mlhelpers.settings import current
from mlhelpers.storage.paths import is_aside, local_path

__all__ = ["Entry", "check_bucket", "check_link", "checked_path", "delete", "exists", "files_below", "found"]
__all__ += ["list_entries", "make_bucket", "plan_delete", "split"]

_WILD = re.compile(r"[*?[]")


@dataclass(frozen=True)
class Entry:
    """A file, or a folder with what is below it left out.

    A link that leads out of its bucket is a file of no bytes: what is behind it does not belong to the bucket.

    Attributes:
        address: As it was asked for: gs://bucket/path or a plain path; a folder's ends with a slash.
        path: Where it lies on this machine.
        size: Bytes; 0 for a folder, and for a link that leads out of its bucket.
        modified: Seconds since the epoch.
    """

    address: str
    path: Path
    size: int
    modified: float

    @property
    def is_folder(self) -> bool:
        """Tell whether it is a folder."""
        return self.address.endswith("/")


def make_bucket(address: str) -> Path:
    """Make a bucket, which on this machine is a folder of the local store.

    Args:
        address: gs://bucket.

    Returns:
        The folder.

    Raises:
        UsageError: The name is malformed, or there is more than a bucket's name.
        DataError: There is a bucket of that name, or the folder cannot be made.
    """
    bucket, key = split(address)
    if key:
        raise UsageError(f"{address!r} names more than a bucket. Write gs://{bucket}")
    folder = local_path(f"gs://{bucket}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
    except FileExistsError:
        raise DataError(f"There is a bucket gs://{bucket} already. Use it, or take another name.") from None
    except OSError as error:
        raise DataError(f"The bucket gs://{bucket} cannot be made in {folder.parent}: {error.strerror}.") from error
    return folder


def exists(address: str) -> bool:
    """Tell whether there is a file, folder or bucket at an address or path, or one that fits its wildcards.

    Raises:
        UsageError: The address is malformed.
    """
    return any(True for _ in _matches(address))


def list_entries(address: str | None = None, recursive: bool = False) -> list[Entry]:
    """Return what is at an address: a file itself, a folder's content, what fits the wildcards; or all buckets.

    Args:
        address: gs://bucket/path or a plain path, with wildcards; every bucket where None.
        recursive: Go down into folders and return the files alone.

    Raises:
        UsageError: The address is malformed, or is a link that leads out of its bucket.
        DataError: There is nothing there, or it cannot be read.
    """
    if address is None:
        buckets = [(f"gs://{name}", local_path(f"gs://{name}")) for name in _buckets()]
        below = (one for bucket in buckets for one in files_below(*bucket))
        return [_entry(*one) for one in (below if recursive else buckets)]
    is_wild = _is_wild(address)
    entries: list[Entry] = []
    for name, path in found(address):
        if not is_wild:
            check_link(name, path)
        if _leads_out(name, path):
            entries.append(_entry(name, path))
        elif path.is_dir() and recursive:
            entries += [_entry(*one) for one in files_below(name, path)]
        elif path.is_dir() and not is_wild:
            inside = [(f"{name.rstrip('/')}/{one.name}", one) for one in sorted(path.iterdir())]
            entries += [_entry(*one) for one in inside if not is_aside(one[1].name)]
        elif not (path.is_dir() and is_wild and "**" in address):
            entries.append(_entry(name, path))
    return entries


def plan_delete(addresses: Sequence[str], recursive: bool = False) -> list[Entry]:
    """Return the files, folders and buckets to delete; nothing is deleted.

    Args:
        addresses: gs://bucket/path, with wildcards; gs://bucket is the bucket with all that is in it.
        recursive: Whether folders and buckets are deleted too; wildcards without it mean files alone.

    Raises:
        UsageError: An address is in no bucket, or is a folder and `recursive` was not given.
        DataError: There is nothing at an address.
    """
    entries: list[Entry] = []
    for address in addresses:
        split(address)
        here = [_entry(name, path) for name, path in found(address)]
        if not recursive and (folders := [entry for entry in here if entry.is_folder]):
            here = [entry for entry in here if not entry.is_folder]
            if not here:
                raise UsageError(f"{folders[0].address!r} is a folder. Delete it with all that is in it with  -r")
        entries += [entry for entry in here if entry not in entries]
    return entries


def delete(entries: Sequence[Entry]) -> None:
    """Delete files, folders and buckets with all that is in them; folders that become empty go too.

    A link is deleted itself, never what it leads to.

    Args:
        entries: What `plan_delete` gave.

    Raises:
        UsageError: An entry is in no bucket.
        DataError: One cannot be deleted; those before it are.
    """
    import shutil

    for entry in entries:
        bucket, key = split(entry.address)
        root = local_path(f"gs://{bucket}")
        try:
            if entry.is_folder and not entry.path.is_symlink():
                if entry.path.exists():  # else it went with a folder above it
                    shutil.rmtree(entry.path)
            else:
                entry.path.unlink(missing_ok=True)
        except OSError as error:
            raise DataError(f"{entry.address} cannot be deleted: {error.strerror or error}.") from error
        if key.strip("/"):
            _remove_empty(entry.path.parent, root)


def _remove_empty(folder: Path, root: Path) -> None:
    while folder != root and folder.is_relative_to(root):
        try:
            folder.rmdir()
        except OSError:  # something is in it
            return
        folder = folder.parent


def found(address: str) -> list[tuple[str, Path]]:
    """Return what is at an address or fits its wildcards, with the address of each.

    Raises:
        UsageError: The address is malformed.
        DataError: There is nothing.
    """
    matches = list(_matches(address))
    if not matches:
        if address.startswith("gs://"):
            check_bucket(address)
        parent, _, name = address.rstrip("/").rpartition("/")
        beside = [one.rstrip("/").rpartition("/")[2] for one, _ in _matches(f"{parent}/*" if parent else "*")]
        near = difflib.get_close_matches(name, beside, n=1)
        guess = f" Did you mean {f'{parent}/{near[0]}'.lstrip('/') if parent else near[0]!r}?" if near else ""
        raise DataError(f"There is nothing at {address!r}.{guess}")
    return matches


def _matches(address: str) -> Iterator[tuple[str, Path]]:
    """Yield the address and path of each file and folder that fits; files that are being written are left out."""
    if not _is_wild(address):
        path = checked_path(address)
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


def check_link(address: str, path: Path) -> None:
    """Refuse a link to a folder outside the bucket.

    Raises:
        UsageError: It is one.
    """
    if _leads_out(address, path):
        raise UsageError(f"{address!r} is refused: a link leads out of the bucket, to {path.resolve()}.")


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


def checked_path(address: str) -> Path:
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


def split(address: str) -> tuple[str, str]:
    """Return bucket and key of an address.

    Raises:
        UsageError: It is none, or the bucket's name is malformed.
    """
    if not address.startswith("gs://"):
        raise UsageError(f"{address!r} is in no bucket. Write gs://BUCKET or gs://BUCKET/PATH.")
    local_path(address)
    bucket, _, key = address.removeprefix("gs://").partition("/")
    return bucket, key


def _buckets() -> list[str]:
    folder = current().home / "buckets"
    return sorted(one.name for one in folder.iterdir() if one.is_dir()) if folder.is_dir() else []


def check_bucket(address: str) -> None:
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
