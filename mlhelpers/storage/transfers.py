"""Files copied between buckets and folders: first the plan, with everything that speaks against it, then the copies."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlhelpers.errors import CloudError, DataError, UsageError
from mlhelpers.storage.files import found
from mlhelpers.storage.paths import CloudPath, local_path, split, write_aside
from mlhelpers.storage.stores import Where, store

__all__ = ["Transfer", "copy", "plan_copy"]

_AT_ONCE = 8  # copies that go through the network at the same time


@dataclass(frozen=True)
class Transfer:
    """One file to copy, each end a path of this machine or an object of Cloud Storage."""

    source: Where
    target: Where

    @property
    def size(self) -> int:
        """Bytes of the source; 0 where it is gone."""
        if isinstance(self.source, CloudPath):
            return self.source.size
        return self.source.stat().st_size if self.source.exists() else 0


def plan_copy(
    sources: Sequence[str], destination: str, recursive: bool = False, backend: str | None = None
) -> list[Transfer]:
    """Return the files to copy, each with its place; nothing is written.

    A folder goes into a destination that is there, or that ends with a slash, and otherwise becomes it.

    Args:
        sources: Files, folders and wildcards; gs:// addresses and plain paths.
        destination: A file or folder, gs:// address or plain path.
        recursive: Whether folders are copied too.
        backend: What keeps the gs:// addresses: "local" or "vertex"; the setting where None.

    Raises:
        UsageError: A folder is to be copied without `recursive`, several files to one, two to the same place, one
            onto or into itself, one to a place inside a file, a link leads out of its bucket, or an object's name
            would lead out of the folder.
        DataError: A source or the destination's bucket is not there.
        CloudError: Google Cloud refused.
    """
    keeper = store(destination, backend)
    target = keeper.path(destination)
    if destination.startswith("gs://"):
        keeper.check_bucket(destination)
    into = destination.endswith("/") or keeper.is_folder(target)
    # what ** stands for are files: each folder would bring those below it a second time
    files = [
        (source, *one)
        for source in sources
        for one in found(source, backend)
        if not ("**" in source and one[1].is_dir())
    ]
    if len(files) > 1 and not into:
        raise UsageError(
            f"{len(files)} things cannot become the one file {destination!r}. End it with a slash for a folder."
        )
    transfers: list[Transfer] = []
    for source, name, path in files:
        origin = store(source, backend)
        place = _below(target, path.name, path) if into else target
        origin.check_link(name, path)
        if not path.is_dir():
            transfers.append(Transfer(path, place))
            continue
        if not recursive:
            raise UsageError(f"{name!r} is a folder. Copy it with all that is in it with  -r")
        if _is_inside(place, path):
            raise UsageError(f"{name!r} cannot be copied into itself, to {destination!r}.")
        start = len(name.rstrip("/")) + 1
        transfers += [Transfer(one, _below(place, address[start:], one)) for address, one in origin.below(name, path)]
    _check_transfers(transfers)
    for transfer in transfers:
        _check_way(transfer.target, destination)
    return transfers


def _below(folder: Where, relative: str, source: Where) -> Where:
    """Return a place below a folder; what an object is called must not lead out of it."""
    if isinstance(source, CloudPath) and isinstance(folder, Path):
        parts = relative.split("/")
        if {"", ".", ".."} & set(parts) or "\0" in relative or (os.sep != "/" and os.sep in relative):
            raise UsageError(
                f"{str(source)!r} is refused: its name can be no file's on this machine. Copy it alone, to a name of "
                "your choice."
            )
    return folder / relative


def _is_inside(place: Where, folder: Where) -> bool:
    if isinstance(place, Path) and isinstance(folder, Path):
        return place.resolve().is_relative_to(folder.resolve())
    return str(place).startswith(str(folder)) if type(place) is type(folder) else False


def _check_way(target: Where, destination: str) -> None:
    """Refuse a target below a file."""
    if isinstance(target, CloudPath):  # there an object may stand beside a folder of its name
        return
    there = next((folder for folder in target.parents if os.path.lexists(folder)), None)
    if there is None or there.is_dir():
        return
    name = str(there)
    if destination.startswith("gs://"):
        bucket = split(destination)[0]
        name = f"gs://{bucket}/{there.relative_to(local_path(f'gs://{bucket}'))}"
    raise UsageError(f"{name!r} is a file, so nothing can be copied into it. Give a folder, or another name.")


def _check_transfers(transfers: Sequence[Transfer]) -> None:
    seen: dict[Where, Where] = {}
    for source, target in ((one.source, one.target) for one in transfers):
        if _same(source, target):
            raise UsageError(f"{source} would be copied onto itself. Give another destination.")
        if target in seen:
            raise UsageError(f"{seen[target]} and {source} would both become {target}. Copy them to two folders.")
        if target.is_dir():
            raise UsageError(f"{target} is a folder, and the file {source} cannot take its place.")
        seen[target] = source
    for target, source in seen.items():
        over = next((folder for folder in target.parents if folder in seen), None) if isinstance(target, Path) else None
        if over is not None:
            raise UsageError(
                f"{seen[over]} would become the file {over}, and {source} a file inside it. Copy them to two folders."
            )


def _same(source: Where, target: Where) -> bool:
    if isinstance(source, Path) and isinstance(target, Path):
        return source.resolve() == target.resolve()
    return source == target


def copy(
    transfers: Sequence[Transfer],
    tell: Callable[[Transfer], object] = lambda _: None,
    progress: Callable[[int], object] = lambda _: None,
) -> list[Transfer]:
    """Copy files; a file that is there is replaced only when the new one is whole.

    Through the network several go at once, each checked by its CRC-32C on arrival; what is there already with the same
    content is passed over, so that a copy that was interrupted goes on where it was when it is asked for again (a file
    that was under way begins anew). An object is replaced only as the writing that was found there: what somebody else
    writes meanwhile stays, and the copy is refused.

    Args:
        transfers: What `plan_copy` gave.
        tell: Called after each file, in the caller's thread.
        progress: Called with the bytes that have gone, also in other threads; with a negative number where some of them
            have to go again.

    Returns:
        Those that were passed over.

    Raises:
        DataError: A file cannot be read or written; those before it are copied.
        CloudError: Google Cloud refused; those that were under way are stopped, each whole or not there.
    """
    passed_over: list[Transfer] = []
    for transfer, is_new in _copied(transfers, progress):
        if not is_new:
            passed_over.append(transfer)
        tell(transfer)
    return passed_over


def _copied(transfers: Sequence[Transfer], progress: Callable[[int], object]) -> Iterator[tuple[Transfer, bool]]:
    import shutil

    far: list[Transfer] = []
    for transfer in transfers:
        source, target = transfer.source, transfer.target
        if not (isinstance(source, Path) and isinstance(target, Path)):
            far.append(transfer)
            continue
        if not os.access(source, os.R_OK):
            raise DataError(f"{source} cannot be read. See who may with  ls -l {source}")
        with write_aside(target) as aside:
            shutil.copyfile(source, aside)
        progress(transfer.size)
        yield transfer, True
    if far:
        yield from _through_network(far, progress)


def _through_network(
    transfers: Sequence[Transfer], progress: Callable[[int], object]
) -> Iterator[tuple[Transfer, bool]]:
    import threading
    from concurrent.futures import ThreadPoolExecutor, as_completed

    from mlhelpers.cloud import place
    from mlhelpers.storage.cloud import transfer

    where = place()
    stopped = threading.Event()

    def went(size: int) -> None:
        if stopped.is_set():  # a large file would keep whoever pressed Ctrl-C waiting; nothing of it becomes visible
            raise CloudError("The copy was stopped.")
        progress(size)

    with ThreadPoolExecutor(min(_AT_ONCE, len(transfers)), thread_name_prefix="storage") as pool:
        running = {pool.submit(transfer, one.source, one.target, where, went): one for one in transfers}
        try:
            for done in as_completed(running):
                yield running[done], done.result()
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)
