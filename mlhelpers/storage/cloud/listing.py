"""What is in Cloud Storage, by address and wildcards, and its deletion.

A folder is the beginning of its objects' names up to a slash. An object that is called as a folder is comes first: the
folder is reached by a slash at the address's end. Objects whose own name ends with a slash, with which the console
marks empty folders, are no files; they go with their folder.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import Any

from mlhelpers.cloud import Place
from mlhelpers.errors import CloudError, DataError
from mlhelpers.storage.cloud.access import BUCKET_ROLE, asking, client, patience
from mlhelpers.storage.cloud.buckets import delete_bucket, make_bucket
from mlhelpers.storage.cloud.objects import as_path, delete_object, look
from mlhelpers.storage.paths import CloudPath, split
from mlhelpers.storage.stores import Entry

__all__ = ["CloudStore"]

_WILD = re.compile(r"[*?[]")
_FIELDS = "items(bucket,name,size,updated,generation,crc32c),prefixes,nextPageToken"  # a fifth of what comes else
_AT_ONCE = 8  # deletions under way


class CloudStore:
    """Cloud Storage as a `Store`."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def path(self, address: str) -> CloudPath:
        """Return what an address stands for; nobody is asked."""
        return CloudPath(*split(address))

    def is_folder(self, path: CloudPath) -> bool:
        """Tell whether anything lies below a path."""
        return not path.key or self._is_any(path.bucket, f"{path.key.rstrip('/')}/")

    def is_wild(self, address: str) -> bool:
        """Tell whether an address has wildcards; what has their signs in its own name counts as itself."""
        bucket, key = split(address)
        return _WILD.search(key) is not None and not look(CloudPath(bucket, key), self._place).generation

    def matches(self, address: str) -> Iterator[tuple[str, CloudPath]]:
        """Yield address and path of what is there, or of each file and folder that fits the wildcards."""
        bucket, key = split(address)
        if not key:
            with suppress(DataError):
                self._is_any(bucket, "")
                yield address, CloudPath(bucket)
            return
        is_file = not key.endswith("/")
        if is_file and (there := look(CloudPath(bucket, key), self._place)).generation:
            yield address, there
        elif _WILD.search(key):
            with suppress(DataError):  # no such bucket
                for one in self._fitting(bucket, key):
                    yield str(one).rstrip("/"), one
        else:
            folder = CloudPath(bucket, f"{key.rstrip('/')}/")
            with suppress(DataError):
                if self._is_any(bucket, folder.key):
                    yield address, folder

    def inside(self, name: str, folder: CloudPath) -> Iterator[tuple[str, CloudPath]]:
        """Yield the files and folders directly in a folder."""
        for one in self._level(folder.bucket, folder.key):
            yield f"{name.rstrip('/')}/{one.name}", one

    def below(self, name: str, folder: CloudPath) -> Iterator[tuple[str, CloudPath]]:
        """Yield the files in a folder and in those below it."""
        for one in self._all(folder.bucket, folder.key):
            if not one.is_dir():
                yield f"{name.rstrip('/')}/{one.key[len(folder.key) :]}", one

    def entry(self, name: str, path: CloudPath) -> Entry:
        """Return what the listing said; nobody is asked again."""
        return Entry(f"{name.rstrip('/')}/" if path.is_dir() else name, path, path.size, path.modified)

    def check_link(self, name: str, path: CloudPath) -> None:
        """Do nothing: there are no links."""

    def buckets(self) -> list[str]:
        """Return the names of the project's buckets, sorted.

        Raises:
            CloudError: Google Cloud refused.
        """
        with asking(f"list the buckets of the project {self._place.project}", "", BUCKET_ROLE):
            return sorted(one.name for one in client(self._place).list_buckets(retry=patience()))

    def check_bucket(self, address: str) -> None:
        """Refuse an address whose bucket is not there.

        Raises:
            DataError: There is no such bucket; the message names the nearest of the project's.
            CloudError: Google Cloud refused.
        """
        bucket = split(address)[0]
        try:
            self._is_any(bucket, "")
        except DataError:
            near: list[str] = []
            with suppress(CloudError):  # not everybody may list them
                near = difflib.get_close_matches(bucket, self.buckets(), n=1)
            guess = f" Did you mean gs://{near[0]}?" if near else ""
            cure = f"Make it with  mlhelpers storage mb gs://{bucket} --backend vertex"
            raise DataError(f"There is no bucket gs://{bucket} in Cloud Storage.{guess} {cure}") from None

    def make_bucket(
        self, bucket: str, location: str | None, project: str | None, storage_class: str | None
    ) -> CloudPath:
        """Make a bucket in one region.

        Raises:
            UsageError: The location is no region, or there is no such class.
            DataError: The name is taken.
            CloudError: Google Cloud refused.
        """
        from dataclasses import replace

        where = replace(self._place, project=project) if project else self._place
        make_bucket(bucket, where, location, storage_class)
        return CloudPath(bucket)

    def remove(self, entries: Sequence[Entry]) -> None:
        """Delete objects as they were listed, and folders and buckets with all that is in them; several at once.

        Raises:
            CloudError: Google Cloud refused, or somebody has written an object since it was listed.
        """
        paths = [entry.path for entry in entries if isinstance(entry.path, CloudPath)]
        self._delete(path for path in paths if not path.is_dir())
        for folder in (path for path in paths if path.is_dir()):
            with suppress(DataError):  # its bucket has gone meanwhile
                self._delete(self._all(folder.bucket, folder.key))
            if not folder.key:
                delete_bucket(folder.bucket, self._place)

    def _delete(self, paths: Iterable[CloudPath]) -> None:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="storage") as pool:
            list(pool.map(lambda path: delete_object(path, self._place), paths))

    def _list(self, bucket: str, **how: Any) -> Any:
        return client(self._place).list_blobs(bucket, retry=patience(), **how)

    def _is_any(self, bucket: str, prefix: str) -> bool:
        with asking(f"list gs://{bucket}/{prefix}", bucket):
            return any(True for _ in self._list(bucket, prefix=prefix, max_results=1, fields=_FIELDS))

    def _all(self, bucket: str, prefix: str) -> Iterator[CloudPath]:
        """Yield every object whose name begins so, markers of folders too."""
        with asking(f"list gs://{bucket}/{prefix}", bucket):
            for blob in self._list(bucket, prefix=prefix, fields=_FIELDS):
                yield as_path(blob)

    def _level(self, bucket: str, prefix: str) -> list[CloudPath]:
        """Return the files and folders whose names begin so, down to the next slash, sorted."""
        with asking(f"list gs://{bucket}/{prefix}", bucket):
            blobs = self._list(bucket, prefix=prefix, delimiter="/", fields=_FIELDS)
            files = [as_path(blob) for blob in blobs if not blob.name.endswith("/")]
            folders = [CloudPath(bucket, name) for name in blobs.prefixes]
        return sorted(files + folders, key=lambda one: one.key)

    def _fitting(self, bucket: str, pattern: str) -> Iterator[CloudPath]:
        parts = pattern.split("/")
        if "**" not in parts:
            yield from self._walk(bucket, "", parts)
            return
        for one in self._all(bucket, _plain_start(pattern)):
            if not one.is_dir() and _fits(one.key.split("/"), parts):
                yield one

    def _walk(self, bucket: str, prefix: str, parts: Sequence[str]) -> Iterator[CloudPath]:
        """Yield what fits, level by level, so that no folder is listed which does not fit."""
        part, rest = parts[0], parts[1:]
        if rest and not _WILD.search(part):
            yield from self._walk(bucket, f"{prefix}{part}/", rest)
            return
        here = [one for one in self._level(bucket, prefix + _plain_start(part)) if fnmatchcase(one.name, part)]
        for one in here:
            if not rest or (rest == [""] and one.is_dir()):
                yield one
            elif one.is_dir():
                yield from self._walk(bucket, one.key, rest)


def _plain_start(pattern: str) -> str:
    found = _WILD.search(pattern)
    return pattern[: found.start()] if found else pattern


def _fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Tell whether the parts of a file's name fit; ** stands for any folders, and at the end for any file in them."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        if len(pattern) == 1:
            return len(parts) > 0
        return any(_fits(parts[start:], pattern[1:]) for start in range(len(parts)))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])
