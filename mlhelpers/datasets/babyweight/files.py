"""The trainer's files: header-less CSV in shards named `train.csv-00000-of-00004`, written and read.

A row is `weight_pounds,is_male,mother_age,plurality,gestation_weeks,key`; the key is the SHA-224 sum of the five values
before it, as the original's Dataflow job made it. `--pattern 00000-of-` therefore means the first shard alone.

polars reads and writes them, in pieces: memory stays flat over any number of rows.
"""

from __future__ import annotations

import csv
import hashlib
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.errors import DataError, MissingExtraError, UsageError
from mlhelpers.storage import write_aside

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "COLUMNS",
    "FEATURES",
    "VOCABULARY",
    "find_shards",
    "import_polars",
    "read_csv",
    "remove_stale_shards",
    "row_key",
    "shard_name",
    "shard_writer",
]

COLUMNS = ("weight_pounds", "is_male", "mother_age", "plurality", "gestation_weeks", "key")
FEATURES = COLUMNS[1:5]
VOCABULARY: dict[str, tuple[str, ...]] = {
    "is_male": ("True", "False", "Unknown"),
    "plurality": ("Single(1)", "Twins(2)", "Triplets(3)", "Quadruplets(4)", "Quintuplets(5)", "Multiple(2+)"),
}

_SHARD = re.compile(r"(?P<part>[a-z]+)\.csv-\d{5}-of-\d{5}")
_BATCH_ROWS = 500_000


def import_polars() -> ModuleType:
    """Return polars, imported now.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import polars
    except ImportError as error:
        raise MissingExtraError("polars, which reads and writes tables of births,", "data") from error
    return polars


def shard_name(part: str, number: int, count: int) -> str:
    """Return the name of one shard, as Dataflow writes it.

    Example:
        >>> shard_name("train", 0, 4)
        'train.csv-00000-of-00004'
    """
    return f"{part}.csv-{number:05d}-of-{count:05d}"


def find_shards(folder: Path, part: str, pattern: str = "of") -> list[Path]:
    """Return the shards of a part whose names hold a text, in order.

    Args:
        folder: Where they lie.
        part: "train", "eval" or "validation".
        pattern: What the name must hold: "of" takes all shards, "00000-of-" the first.

    Raises:
        DataError: There is none.
    """
    found = sorted(path for path in folder.glob(f"{part}.csv*") if pattern in path.name.removeprefix(part))
    if not found:
        there = sorted(path.name for path in folder.glob("*.csv*"))[:6]
        raise DataError(
            f"{folder} holds no file {part}.csv-… with {pattern!r} in its name, but {', '.join(there) or 'no CSV'}. "
            f"Write the files with: mlhelpers data prepare babyweight --output-dir {folder}"
        )
    return found


def row_key(line: str) -> str:
    """Return the SHA-224 sum, in hexadecimal, of the five comma-joined values.

    Example:
        >>> row_key("7.5,True,26,Single(1),39.0")[:8]
        'b4f3e887'
    """
    return hashlib.sha224(line.encode()).hexdigest()


Writer = Callable[["pl.Series"], None]


@contextmanager
def shard_writer(folder: Path, part: str, shards: int, seed: int) -> Iterator[tuple[list[Path], Writer]]:
    """Open all shards of a part; give their paths and a function that takes rows and spreads them.

    Which shard a row goes to depends on its key and on `seed` alone: each shard is a random sample. The shards come
    to their places together when the block ends well.

    Args:
        folder: Where to write.
        part: "train", "eval" or "validation".
        shards: How many files, 1 to 1,000.
        seed: Another seed, another spread.

    Yields:
        The paths, and a function of a polars series of lines (five values joined by commas).

    Raises:
        UsageError: `shards` is out of range.
        DataError: The folder cannot be written to, or there are too few rows to give each shard one.
    """
    if not 1 <= shards <= 1000:
        raise UsageError(f"shards is {shards!r}; allowed is 1 to 1,000.")
    polars = import_polars()
    paths = [folder / shard_name(part, number, shards) for number in range(shards)]
    with ExitStack() as stack:
        asides = [stack.enter_context(write_aside(path)) for path in paths]
        streams: list[IO[bytes]] = [stack.enter_context(aside.open("wb")) for aside in asides]

        def write(lines: pl.Series) -> None:
            texts = lines.to_list()
            keys = polars.Series("key", [row_key(text) for text in texts], polars.String)
            mixed = keys.str.slice(seed % 40, 12).str.to_integer(base=16).to_numpy()
            number = (mixed + seed) % shards
            rows = polars.DataFrame({"row": lines, "key": keys})
            rows = rows.select(polars.concat_str("row", "key", separator=","))
            for shard, stream in enumerate(streams):
                some = rows.filter(polars.Series(number == shard)) if shards > 1 else rows
                some.write_csv(stream, include_header=False, quote_style="never")

        yield paths, write
        if empty := sum(stream.tell() == 0 for stream in streams):
            raise DataError(
                f"{empty} of {shards} shards of {part!r} would be empty: too few births fall into its months. "
                "Ask for fewer shards, or give births of more months."
            )


def remove_stale_shards(folder: Path, keep: Sequence[Path]) -> list[Path]:
    """Remove shards that an earlier run left under other numbers: a reader would take both.

    Args:
        folder: Where to look.
        keep: The shards that stay.

    Returns:
        What was removed.
    """
    parts = {path.name.split(".")[0] for path in keep} | {"train", "eval", "validation"}
    stale = []
    for path in sorted(folder.iterdir()):
        match = _SHARD.fullmatch(path.name)
        if match and match["part"] in parts and path not in keep:
            path.unlink()
            stale.append(path)
    return stale


def read_csv(files: Sequence[Path]) -> dict[str, NDArray[Any]]:
    """Read shards into compact columns: 14 bytes a row.

    Args:
        files: The shards, or any CSV files with the six columns and without header.

    Returns:
        `weight_pounds`, `mother_age` and `gestation_weeks` (n,), float32; `is_male` and `plurality` (n,), uint8: places
        in `VOCABULARY`. The keys are left out.

    Raises:
        UsageError: No file is given.
        DataError: A file cannot be read, or a row is malformed: its file, its number and what is allowed are named.
    """
    if not files:
        raise UsageError("No file was given to read. find_shards(folder, 'train') lists those of a folder.")
    pieces: list[dict[str, NDArray[Any]]] = []
    for path in files:
        pieces.extend(_pieces(Path(path)))
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in COLUMNS[:-1]}


def _pieces(path: Path) -> Iterator[dict[str, NDArray[Any]]]:
    polars = import_polars()
    schema: Mapping[str, Any] = {
        name: polars.Enum(VOCABULARY[name]) if name in VOCABULARY else polars.Float32 for name in COLUMNS[:-1]
    } | {"key": polars.String}
    any_row = False
    try:
        table = polars.scan_csv(path, has_header=False, schema=schema, low_memory=True).select(*COLUMNS[:-1])
        for batch in table.collect_batches(chunk_size=_BATCH_ROWS, engine="streaming"):
            piece = {}
            for name in COLUMNS[:-1]:
                column = batch[name]
                if name in VOCABULARY:
                    column = column.to_physical().cast(polars.UInt8)
                elif column.has_nulls() or not ((column > 0) & column.is_finite()).all():
                    raise _malformed(path)
                if column.has_nulls():
                    raise _malformed(path)
                piece[name] = column.to_numpy()
            any_row = True
            yield piece
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    except polars.exceptions.PolarsError as error:
        raise _malformed(path, error) from error
    if not any_row:
        raise DataError(f"{path} holds no row. Write it again with: mlhelpers data prepare babyweight")


def _malformed(path: Path, cause: Exception | None = None) -> DataError:
    """Find the first row that is not as it should be, and say what is allowed there."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            for number, row in enumerate(csv.reader(stream), start=1):
                if fault := _fault(row):
                    return DataError(f"{path}, row {number:,}: {fault}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return DataError(f"{path} is no readable CSV file: {error}.")
    return DataError(f"{path} cannot be read as rows of {','.join(COLUMNS)}: {cause}")


def _fault(row: list[str]) -> str:
    if len(row) != len(COLUMNS):
        return f"{len(row)} values stand there; a row has {len(COLUMNS)}: {','.join(COLUMNS)}, and the file no header."
    for name, value in zip(COLUMNS[:-1], row, strict=False):
        if name in VOCABULARY and value not in VOCABULARY[name]:
            return f"{name} is {value!r}; allowed is {', '.join(VOCABULARY[name])}."
        if name not in VOCABULARY:
            try:
                number = float(value)
            except ValueError:
                number = math.nan
            if not (number > 0 and math.isfinite(number)):
                return f"{name} is {value!r}; allowed is a number above 0."
    return ""
