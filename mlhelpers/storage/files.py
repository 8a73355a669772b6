"""Files in buckets, found, listed and deleted. Addresses and plain paths mix freely.

As in the cloud a bucket has no empty folders: what looks like one is the beginning of its files' names, and goes when
the last of them goes. `*`, `?` and `[…]` stand for parts of one name, `**` for any folders.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from mlhelpers.errors import DataError, UsageError
from mlhelpers.storage.paths import split
from mlhelpers.storage.stores import Entry, Where, store

__all__ = ["delete", "exists", "found", "list_entries", "make_bucket", "plan_delete"]


def make_bucket(
    address: str,
    location: str | None = None,
    project: str | None = None,
    storage_class: str | None = None,
    backend: str | None = None,
) -> Where:
    """Make a bucket: on this machine a folder of the local store, in the cloud one of a single region.

    In the cloud access is uniform (no rights of single objects), and public access is prevented. What is made is
    noted in the ledger.

    Args:
        address: gs://bucket.
        location: A region of Google Cloud; the jobs' region where None. Without effect on this machine.
        project: Whose it shall be; the setting where None. Without effect on this machine.
        storage_class: "standard" (the default), "nearline", "coldline" or "archive". Without effect on this machine.
        backend: "local" or "vertex"; the setting where None.

    Returns:
        The folder, or the bucket in Cloud Storage.

    Raises:
        UsageError: The name is malformed, there is more than a bucket's name, or the location is no region.
        DataError: There is a bucket of that name, or the folder cannot be made.
        CloudError: Google Cloud refused.
    """
    bucket, key = split(address)
    if key:
        raise UsageError(f"{address!r} names more than a bucket. Write gs://{bucket}")
    return store(address, backend).make_bucket(bucket, location, project, storage_class)


def exists(address: str, backend: str | None = None) -> bool:
    """Tell whether there is a file, folder or bucket at an address or path, or one that fits its wildcards.

    Args:
        address: gs://bucket/path or a plain path, with wildcards.
        backend: "local" or "vertex"; the setting where None.

    Raises:
        UsageError: The address is malformed.
        CloudError: Google Cloud refused.
    """
    return any(True for _ in store(address, backend).matches(address))


def list_entries(address: str | None = None, recursive: bool = False, backend: str | None = None) -> list[Entry]:
    """Return what is at an address: a file itself, a folder's content, what fits the wildcards; or all buckets.

    Args:
        address: gs://bucket/path or a plain path, with wildcards; every bucket where None.
        recursive: Go down into folders and return the files alone.
        backend: "local" or "vertex"; the setting where None.

    Raises:
        UsageError: The address is malformed, or is a link that leads out of its bucket.
        DataError: There is nothing there, or it cannot be read.
        CloudError: Google Cloud refused.
    """
    here = store(address or "gs://", backend)
    if address is None:
        buckets = [(f"gs://{name}", here.path(f"gs://{name}")) for name in here.buckets()]
        below = (one for bucket in buckets for one in here.below(*bucket))
        return [here.entry(*one) for one in (below if recursive else buckets)]
    is_wild = here.is_wild(address)
    entries: list[Entry] = []
    for name, path in found(address, backend):
        if not is_wild:
            here.check_link(name, path)
        entry = here.entry(name, path)
        if entry.is_folder and is_wild and "**" in address:
            continue  # what is in it fits too, each file for itself
        if entry.is_folder and recursive:
            entries += [here.entry(*one) for one in here.below(name, path)]
        elif entry.is_folder and not is_wild:
            entries += [here.entry(*one) for one in here.inside(name, path)]
        else:
            entries.append(entry)
    return entries


def plan_delete(addresses: Sequence[str], recursive: bool = False, backend: str | None = None) -> list[Entry]:
    """Return the files, folders and buckets to delete; nothing is deleted.

    Args:
        addresses: gs://bucket/path, with wildcards; gs://bucket is the bucket with all that is in it.
        recursive: Whether folders and buckets are deleted too; wildcards without it mean files alone.
        backend: "local" or "vertex"; the setting where None.

    Raises:
        UsageError: An address is in no bucket, or is a folder and `recursive` was not given.
        DataError: There is nothing at an address.
        CloudError: Google Cloud refused.
    """
    entries: dict[str, Entry] = {}
    for address in addresses:
        split(address)
        keeper = store(address, backend)
        here = [keeper.entry(name, path) for name, path in found(address, backend)]
        if not recursive and (folders := [entry for entry in here if entry.is_folder]):
            here = [entry for entry in here if not entry.is_folder]
            if not here:
                raise UsageError(f"{folders[0].address!r} is a folder. Delete it with all that is in it with  -r")
        entries |= {entry.address: entry for entry in here if entry.address not in entries}
    return list(entries.values())


def delete(entries: Sequence[Entry], backend: str | None = None) -> None:
    """Delete files, folders and buckets with all that is in them; on this machine folders that become empty go too.

    A link is deleted itself, never what it leads to. In the cloud a file goes only as the writing that was listed: what
    somebody has written over it meanwhile stays.

    Args:
        entries: What `plan_delete` gave.
        backend: As it was given to `plan_delete`.

    Raises:
        UsageError: An entry is in no bucket.
        DataError: One cannot be deleted; those before it are.
        CloudError: Google Cloud refused one; most of the others are deleted.
    """
    for entry in entries:
        split(entry.address)
    if entries:
        store("gs://", backend).remove(entries)


def found(address: str, backend: str | None = None) -> list[tuple[str, Where]]:
    """Return what is at an address or fits its wildcards, with the address of each.

    Raises:
        UsageError: The address is malformed.
        DataError: There is nothing.
        CloudError: Google Cloud refused.
    """
    here = store(address, backend)
    matches = list(here.matches(address))
    if not matches:
        if address.startswith("gs://"):
            here.check_bucket(address)
        parent, _, name = address.rstrip("/").rpartition("/")
        beside = [one.rstrip("/").rpartition("/")[2] for one, _ in here.matches(f"{parent}/*" if parent else "*")]
        near = difflib.get_close_matches(name, beside, n=1)
        guess = f" Did you mean {f'{parent}/{near[0]}'.lstrip('/') if parent else near[0]!r}?" if near else ""
        raise DataError(f"There is nothing at {address!r}.{guess}")
    return matches
