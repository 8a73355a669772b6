"""The pieces that a batch's input is cut into: each within one file, at the borders of lines or records.

What is in a shard is known beforehand (a compressed file is one shard, and not looked into), so that the order of the
answers, the numbers in the messages and the names of the files do not depend on who works on what.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from mlhelpers.errors import DataError
from mlhelpers.tfrecords import skip_frames

__all__ = ["Shard", "cut"]

_LEAST_BYTES = 1 << 20
_MOST_BYTES = 1 << 26
_SHARES = 4  # shards for each worker, so that none waits long for the last one
_PIECE = 1 << 20


@dataclass(frozen=True)
class Shard:
    """A piece of one file.

    Attributes:
        path: The file.
        start: Its first byte.
        stop: The byte behind its last.
        first: The number of its first line or record in the file, from 0.
        count: How many lines or records it has; None in a compressed file.
    """

    path: str
    start: int
    stop: int
    first: int
    count: int | None

    @property
    def size(self) -> int:
        """Its bytes in the file."""
        return self.stop - self.start


def cut(paths: Sequence[Path], data_format: str, workers: int) -> list[Shard]:
    """Cut files into shards, in the order of the files.

    Args:
        paths: The files; those that hold nothing have no shard.
        data_format: "text", "tf-record" or "tf-record-gzip".
        workers: How many processes there are to work on them.

    Raises:
        DataError: A file cannot be read, or its records cannot be told apart.
    """
    sizes = {path: path.stat().st_size for path in paths}
    wanted = min(max(sum(sizes.values()) // (workers * _SHARES), _LEAST_BYTES), _MOST_BYTES)
    shards: list[Shard] = []
    for path, size in sizes.items():
        try:
            if not size:
                continue
            if data_format == "tf-record-gzip":
                shards.append(Shard(str(path), 0, size, 0, None))
                continue
            with path.open("rb", buffering=_PIECE) as stream:
                if data_format == "text":
                    shards += _shards(path, _lines(stream, size, wanted))
                else:
                    shards += _shards(path, _records(stream, size, wanted, path))
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    return shards


def _shards(path: Path, borders: Iterator[tuple[int, int]]) -> Iterator[Shard]:
    """Turn borders, each a byte and how many lines or records are before it, into what lies between them."""
    for (start, first), (stop, after) in pairwise(borders):
        yield Shard(str(path), start, stop, first, after - first)


def _lines(stream: BinaryIO, size: int, wanted: int) -> Iterator[tuple[int, int]]:
    yield 0, 0
    place = lines = 0
    while place < size:
        goal = min(place + wanted, size)
        last = b""
        while place < goal:
            piece = stream.read(min(_PIECE, goal - place))
            if not piece:
                raise OSError("it has become shorter")
            place, lines, last = place + len(piece), lines + piece.count(b"\n"), piece[-1:]
        while last != b"\n" and (piece := stream.readline(_PIECE)):  # up to the end of the line that stands here
            place, last = place + len(piece), piece[-1:]
            lines += last == b"\n"
        yield place, lines if last == b"\n" else lines + 1  # the last line of a file need not be ended


def _records(stream: BinaryIO, size: int, wanted: int, path: Path) -> Iterator[tuple[int, int]]:
    yield 0, 0
    before = 0
    for number, place in enumerate(skip_frames(stream, size, path), start=1):
        if place - before >= wanted or place == size:
            before = place
            yield place, number
