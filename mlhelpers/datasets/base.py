"""What all data sets share: the `Split` they load into, and `fetch`, which finds a file and checks it.

A file comes from one of three places: what the repository ships (the default), a mirror (a folder or web address, the
default where MLHELPERS_MIRROR is set), or the file's public address (only when asked for). Whatever the place, its
SHA-256 sum must be the one that the data set's table names.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mlhelpers.datasets.download import download
from mlhelpers.errors import DataError, UsageError, unknown_name
from mlhelpers.settings import current, home_folder, shipped_data

__all__ = ["SOURCES", "DataFile", "Part", "Split", "fetch"]

_log = logging.getLogger(__name__)

SOURCES = ("shipped", "mirror", "public")


Part = Mapping[str, NDArray[Any]]
"""Some examples: column name -> array, all of one length n."""


@dataclass(frozen=True)
class Split:
    """A data set in memory, split into three parts that share no example.

    Attributes:
        name: Name of the data set.
        train: The examples to learn from, column name -> array of shape (n, …).
        validation: The examples on which choices are made.
        test: The examples that are only ever reported on.
        target: Which column is to be predicted.
        columns: Column name -> what it holds, with unit and range.
        class_names: The name of class 0, 1, and so on; empty where the target is no class.
        how: How the split was made, in a sentence.
        source: Where the examples came from, for instance "shipped" or "mirror".
    """

    name: str
    train: Part
    validation: Part
    test: Part
    target: str
    columns: Mapping[str, str]
    class_names: tuple[str, ...]
    how: str
    source: str

    def __repr__(self) -> str:
        """Show sizes, not content."""
        sizes = "/".join(f"{len(part[self.target]):,}" for part in (self.train, self.validation, self.test))
        return f"Split({self.name!r}: train/validation/test {sizes}, {self.source}; {self.how})"


@dataclass(frozen=True)
class DataFile:
    """One file that a data set is made from.

    Attributes:
        name: File name below `<data set>/`, in the repository's data folder and in a mirror.
        sha256: Sum of the shipped file, in hexadecimal.
        size_bytes: Its size.
        public_url: Where anybody can download it, or None.
        public_sha256: Sum of the file at that address, where it was packed differently; the same sum if empty.
        max_size_bytes: A download that grows beyond this is given up.
        is_shipped: Whether the repository holds it; what it does not hold comes from a mirror or from `public_url`.
    """

    name: str
    sha256: str
    size_bytes: int
    public_url: str | None = None
    public_sha256: str = ""
    max_size_bytes: int = 200_000_000
    is_shipped: bool = True

    @property
    def sums(self) -> tuple[str, ...]:
        """Return every sum that the file's true content may have."""
        return tuple(filter(None, (self.sha256, self.public_sha256)))


def fetch(data_set: str, file: DataFile, source: str | None = None) -> tuple[Path, str]:
    """Find a data file and check that it is the true one.

    Downloads are kept under `<home>/cache/<data set>/`, go on where an earlier try ended, and show a progress bar.

    Args:
        data_set: Name of the data set.
        file: Which of its files.
        source: "shipped", "mirror" or "public". If None: the mirror where one is set, and what is shipped otherwise or
            where the mirror does not have the file (one line says so).

    Returns:
        The file's path and the source that it really came from.

    Raises:
        UsageError: An unknown source, or "mirror" without a mirror set.
        DataError: The file is nowhere, cannot be downloaded, or its content is not the expected one.
    """
    if source is not None and source not in SOURCES:
        raise unknown_name("source", source, SOURCES)
    mirror = current().mirror
    if source == "mirror" and not mirror:
        raise UsageError(
            "The source 'mirror' was asked for, but no mirror is set. "
            "Set MLHELPERS_MIRROR to a folder or http(s) address that holds <data set>/<file>."
        )
    if source == "public":
        return _from_public(data_set, file), "public"
    if mirror and source in (None, "mirror"):
        found = _from_mirror(mirror, data_set, file)
        if found is not None:
            return found, "mirror"
    if not file.is_shipped:
        raise DataError(
            f"{data_set}/{file.name} is not part of the repository. Two ways to get it: --source public downloads it "
            f"({file.size_bytes / 1e6:.1f} MB); --source mirror takes it from MLHELPERS_MIRROR, a folder or address "
            f"that holds {data_set}/{file.name}."
        )
    return _from_shipped(data_set, file), "shipped"


def _from_shipped(data_set: str, file: DataFile) -> Path:
    path = shipped_data() / data_set / file.name
    if not path.is_file():
        raise DataError(
            f"The shipped file {data_set}/{file.name} is missing from {path.parent}. Check the repository out again, "
            "or ask for it from elsewhere: --source mirror (with MLHELPERS_MIRROR set) or --source public."
        )
    return _checked(path, file, str(path))


def _from_mirror(mirror: str, data_set: str, file: DataFile) -> Path | None:
    """Return the file from the mirror, or None (and say so in one line) where the mirror cannot give it."""
    address = f"{mirror.rstrip('/')}/{data_set}/{file.name}"
    if not mirror.startswith(("http://", "https://")):
        path = Path(address).expanduser()
        if path.is_file():
            return _checked(path, file, str(path))
        if file.is_shipped:
            _log.warning("The mirror has no %s; the shipped file is used.", path)
        return None
    try:
        return _downloaded(address, data_set, file, file.sums)
    except ConnectionError as error:
        if not file.is_shipped:
            raise DataError(f"The mirror does not give {address}: {error}. Or ask for --source public.") from error
        _log.warning("The mirror does not give %s (%s); the shipped file is used.", address, error)
        return None


def _from_public(data_set: str, file: DataFile) -> Path:
    if file.public_url is None:
        raise DataError(f"{data_set}/{file.name} has no public address. Use --source shipped or --source mirror.")
    try:
        return _downloaded(file.public_url, data_set, file, (file.public_sha256 or file.sha256,))
    except ConnectionError as error:
        raise DataError(
            f"{file.public_url} cannot be downloaded: {error}. What came so far is kept; the same command goes on from "
            "there. Without a network use --source shipped, or --source mirror with MLHELPERS_MIRROR set."
        ) from error


def _downloaded(address: str, data_set: str, file: DataFile, sums: tuple[str, ...]) -> Path:
    """Return the cached file, downloaded if it is not there yet."""
    target = home_folder("cache", data_set) / file.name
    if target.is_file() and _sha256(target) in sums:
        return target
    part = target.with_name(f"{file.name}.{sums[0][:12]}.part")
    download(address, part, max_size_bytes=file.max_size_bytes, label=file.name)
    try:
        _checked(part, file, address, sums)
    except DataError:
        part.unlink(missing_ok=True)  # going on from altered bytes could never end well
        raise
    part.replace(target)
    return target


def _checked(path: Path, file: DataFile, origin: str, sums: tuple[str, ...] | None = None) -> Path:
    expected = sums or file.sums
    got = _sha256(path)
    if got not in expected:
        raise DataError(
            f"{file.name} from {origin} is not the file it should be (truncated or altered): expected SHA-256 "
            f"{' or '.join(expected)}, got {got} ({path.stat().st_size:,} bytes). It is not used. "
            "Restore it, or take it from another place with --source."
        )
    return path


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
