"""A file at any address as a file object, to be read or written whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from mlhelpers.errors import DataError, UsageError
from mlhelpers.storage.paths import CloudPath, write_aside
from mlhelpers.storage.stores import store

__all__ = ["open_file"]

_MODES = ("r", "rb", "w", "wb")


@contextmanager
def open_file(address: str, mode: str = "r", backend: str | None = None) -> Iterator[IO[Any]]:
    """Open a file for the length of a `with` block; text is UTF-8.

    What is written is there when the block ends well, whole; after an error the old file stays. An object of Cloud
    Storage is fetched before the block and sent after it, through a temporary file, and checked by its CRC-32C; it is
    replaced only if nobody else has written it since the block began.

    Args:
        address: gs://bucket/path or a plain path, without wildcards.
        mode: "r", "rb", "w" or "wb".
        backend: "local" or "vertex"; the setting where None.

    Yields:
        The file object.

    Raises:
        UsageError: The address or the mode is malformed.
        DataError: There is no such file, or it cannot be read or written.
        CloudError: Google Cloud refused, or somebody else has written the object meanwhile.

    Example:
        >>> with open_file("gs://my-bucket/notes.txt", "w") as stream:  # doctest: +SKIP
        ...     stream.write("three epochs suffice")
    """
    if mode not in _MODES:
        raise UsageError(f"The mode {mode!r} is refused: one of {', '.join(_MODES)}.")
    path = store(address, backend).path(address)
    if path.is_dir():
        raise UsageError(f"{address!r} is a folder. Name a file in it.")
    encoding = None if "b" in mode else "utf-8"
    if isinstance(path, CloudPath):
        with _in_cloud(path, mode, encoding) as stream:
            yield stream
    elif mode.startswith("w"):
        with write_aside(path) as aside, aside.open(mode, encoding=encoding) as stream:
            yield stream
    else:
        try:
            stream = path.open(mode, encoding=encoding)
        except OSError as error:
            raise DataError(f"{address} cannot be read: {error.strerror}.") from error
        with stream:
            yield stream


@contextmanager
def _in_cloud(path: CloudPath, mode: str, encoding: str | None) -> Iterator[IO[Any]]:
    import tempfile

    from mlhelpers.cloud import place
    from mlhelpers.storage.cloud import look, transfer

    where = place()
    with tempfile.TemporaryDirectory(prefix="mlhelpers-") as folder:
        file = Path(folder, "file")
        if mode.startswith("r"):
            transfer(path, file, where)
            with file.open(mode, encoding=encoding) as stream:
                yield stream
            return
        before = look(path, where)
        with file.open(mode, encoding=encoding) as stream:
            yield stream
        transfer(file, before, where)
