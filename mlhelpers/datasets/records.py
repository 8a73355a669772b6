"""TFRecord files of examples, as the data sets write and read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tqdm.auto import tqdm

from mlhelpers.errors import DataError
from mlhelpers.storage import write_aside
from mlhelpers.tfrecords import (
    DamagedRecordError,
    Value,
    example_class,
    frame,
    read_frames,
    serialize,
    single_value,
)

__all__ = ["Value", "read_records", "serialize", "write_records"]


def write_records(
    path: Path, examples: Iterable[Mapping[str, Value]], total: int | None = None, label: str | None = None
) -> int:
    """Write examples to a TFRecord file, aside first and moved to its place when it is whole.

    Args:
        path: The file to write.
        examples: One mapping per record; int becomes int64_list, float float_list, bytes bytes_list, one value each.
        total: How many there will be, for the progress bar.
        label: What the progress bar calls the file; no bar if None.

    Returns:
        The number of records written.

    Raises:
        DataError: The file cannot be written.
    """
    written = 0
    with write_aside(path) as aside, aside.open("wb") as stream:
        for values in tqdm(examples, total=total, desc=label, unit=" records", disable=label is None):
            stream.write(frame(serialize(values)))
            written += 1
    return written


def read_records(path: Path) -> Iterator[dict[str, Value]]:
    """Read a TFRecord file of examples with one value a feature, checking every checksum.

    Yields:
        One mapping per record, as `write_records` takes it.

    Raises:
        DataError: The file is missing, truncated or altered, or holds something else; the record is named.
    """
    parse = example_class().FromString
    try:
        with path.open("rb") as stream:
            for number, data in enumerate(read_frames(stream, path)):
                if isinstance(data, DamagedRecordError):
                    raise data
                try:
                    features = parse(data).features.feature
                    yield {name: single_value(features[name]) for name in sorted(features)}
                except Exception as error:
                    raise DataError(f"{path}: record {number} is no example with one value a feature.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
