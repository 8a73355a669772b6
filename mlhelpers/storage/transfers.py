"""Files copied between buckets and folders: first the plan, with everything that speaks against it, then the copies."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlhelpers.errors import DataError, UsageError
from mlhelpers.storage.files import check_bucket, check_link, checked_path, files_below, found, split
from mlhelpers.storage.paths import local_path, write_aside

__all__ = ["Transfer", "copy", "plan_copy"]


@dataclass(frozen=True)
class Transfer:
    """One file to copy, from a path to a path."""

    source: Path
    target: Path


def plan_copy(sources: Sequence[str], destination: str, recursive: bool = False) -> list[Transfer]:
    """Return the files to copy, each with its place; nothing is written.

    A folder goes into a destination that is there, or that ends with a slash, and otherwise becomes it.

    Args:
        sources: Files, folders and wildcards; gs:// addresses and plain paths.
        destination: A file or folder, gs:// address or plain path.
        recursive: Whether folders are copied too.

    Raises:
        UsageError: A folder is to be copied without `recursive`, several files to one, two to the same place, one
            onto or into itself, one to a place inside a file, or a link leads out of its bucket.
        DataError: A source or the destination's bucket is not there.
    """
    target = checked_path(destination)
    if destination.startswith("gs://"):
        check_bucket(destination)
    into = target.is_dir() or destination.endswith("/")
    # what ** stands for are files: each folder would bring those below it a second time
    files = [one for source in sources for one in found(source) if not ("**" in source and one[1].is_dir())]
    if len(files) > 1 and not into:
        raise UsageError(
            f"{len(files)} things cannot become the one file {destination!r}. End it with a slash for a folder."
        )
    transfers: list[Transfer] = []
    for name, path in files:
        place = target / path.name if into else target
        check_link(name, path)
        if not path.is_dir():
            transfers.append(Transfer(path, place))
            continue
        if not recursive:
            raise UsageError(f"{name!r} is a folder. Copy it with all that is in it with  -r")
        if place.resolve().is_relative_to(path.resolve()):
            raise UsageError(f"{name!r} cannot be copied into itself, to {destination!r}.")
        transfers += [Transfer(one, place / one.relative_to(path)) for _, one in files_below(name, path)]
    _check_transfers(transfers)
    for transfer in transfers:
        _check_way(transfer.target, destination)
    return transfers


def _check_way(target: Path, destination: str) -> None:
    """Refuse a target below a file."""
    there = next((folder for folder in target.parents if os.path.lexists(folder)), None)
    if there is None or there.is_dir():
        return
    name = str(there)
    if destination.startswith("gs://"):
        bucket = split(destination)[0]
        name = f"gs://{bucket}/{there.relative_to(local_path(f'gs://{bucket}'))}"
    raise UsageError(f"{name!r} is a file, so nothing can be copied into it. Give a folder, or another name.")


def copy(transfers: Sequence[Transfer], tell: Callable[[Transfer], object] = lambda _: None) -> None:
    """Copy files; a file that is there is replaced only when the new one is whole.

    Args:
        transfers: What `plan_copy` gave.
        tell: Called after each file.

    Raises:
        DataError: A file cannot be read or written; those before it are copied.
    """
    import shutil

    for transfer in transfers:
        if not os.access(transfer.source, os.R_OK):
            raise DataError(f"{transfer.source} cannot be read. See who may with  ls -l {transfer.source}")
        with write_aside(transfer.target) as aside:
            shutil.copyfile(transfer.source, aside)
        tell(transfer)


def _check_transfers(transfers: Sequence[Transfer]) -> None:
    seen: dict[Path, Path] = {}
    for source, target in ((one.source, one.target) for one in transfers):
        if source.resolve() == target.resolve():
            raise UsageError(f"{source} would be copied onto itself. Give another destination.")
        if target in seen:
            raise UsageError(f"{seen[target]} and {source} would both become {target}. Copy them to two folders.")
        if target.is_dir():
            raise UsageError(f"{target} is a folder, and the file {source} cannot take its place.")
        seen[target] = source
