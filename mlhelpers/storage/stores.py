"""What keeps buckets: folders of this machine, or Cloud Storage. One table of them, and the one place that chooses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from mlhelpers.errors import unknown_name
from mlhelpers.settings import current
from mlhelpers.storage.paths import CloudPath

__all__ = ["STORES", "Entry", "Store", "Where", "store"]

Where = Path | CloudPath

# backend -> module with a function `store`
STORES = {"local": "mlhelpers.storage.local", "vertex": "mlhelpers.storage.cloud"}


@dataclass(frozen=True)
class Entry:
    """A file, or a folder with what is below it left out.

    A link that leads out of its bucket is a file of no bytes: what is behind it does not belong to the bucket.

    Attributes:
        address: As it was asked for: gs://bucket/path or a plain path; a folder's ends with a slash.
        path: Where it lies: a path on this machine, or an object of Cloud Storage with its generation.
        size: Bytes; 0 for a folder, and for a link that leads out of its bucket.
        modified: Seconds since the epoch; 0 for a folder in Cloud Storage, which has no time.
    """

    address: str
    path: Where
    size: int
    modified: float

    @property
    def is_folder(self) -> bool:
        """Tell whether it is a folder."""
        return self.address.endswith("/")


class Store(Protocol):
    """What a keeper of buckets must be able to do; the rest is written once over it, in `files` and `transfers`."""

    def path(self, address: str) -> Where:
        """Return what an address without wildcards stands for; whether it is there is not asked."""

    def is_folder(self, path: Any) -> bool:
        """Tell whether there is a folder or bucket at a path that `path` gave."""

    def is_wild(self, address: str) -> bool:
        """Tell whether an address has wildcards."""

    def matches(self, address: str) -> Iterator[tuple[str, Where]]:
        """Yield address and path of what is there, or of each file and folder that fits the wildcards."""

    def inside(self, name: str, folder: Any) -> Iterator[tuple[str, Where]]:
        """Yield the files and folders directly in a folder."""

    def below(self, name: str, folder: Any) -> Iterator[tuple[str, Where]]:
        """Yield the files in a folder and in those below it."""

    def entry(self, name: str, path: Any) -> Entry:
        """Return what there is to know of one of these."""

    def check_link(self, name: str, path: Any) -> None:
        """Refuse what leads out of its bucket."""

    def buckets(self) -> list[str]:
        """Return the bare names of the buckets, sorted."""

    def check_bucket(self, address: str) -> None:
        """Refuse an address whose bucket is not there."""

    def make_bucket(self, bucket: str, location: str | None, project: str | None, storage_class: str | None) -> Where:
        """Make a bucket."""

    def remove(self, entries: Sequence[Entry]) -> None:
        """Delete files, and folders and buckets with all that is in them."""


def store(address: str, backend: str | None = None) -> Store:
    """Return what keeps an address.

    Args:
        address: gs://bucket/path or a plain path; this machine keeps every plain path.
        backend: "local" or "vertex"; the setting where None.

    Raises:
        UsageError: There is no such backend, or Cloud Storage is asked for and no project is set.
    """
    name = backend or current().backend
    if name not in STORES:
        raise unknown_name("backend", name, STORES)
    module = import_module(STORES[name if address.startswith("gs://") else "local"])
    made: Store = module.store()
    return made
