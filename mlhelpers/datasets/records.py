"""TFRecord files, written and read without TensorFlow, in its own format.

A file is a row of records, each a length (8 bytes), the masked CRC-32C of the length, the data, and the masked CRC-32C
of the data; the data here is a serialised `tensorflow.Example` (https://www.tensorflow.org/tutorials/load_data/tfrecord).
The message classes are built from their public definition (tensorflow/core/example/example.proto), in a pool of their
own so that they never meet TensorFlow's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import google_crc32c
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tqdm.auto import tqdm

from mlhelpers.errors import DataError
from mlhelpers.storage import write_aside

__all__ = ["read_records", "serialize", "write_records"]

_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8
_MAX_RECORD_BYTES = 1 << 30

Value = int | float | bytes


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
            data = serialize(values)
            length = _LENGTH.pack(len(data))
            stream.write(length + _CRC.pack(_masked_crc(length)) + data + _CRC.pack(_masked_crc(data)))
            written += 1
    return written


def serialize(values: Mapping[str, Value]) -> bytes:
    """Make one serialised `tensorflow.Example`: a record's data, and what some models take as input.

    Args:
        values: As for `write_records`.

    Example:
        >>> len(serialize({"PetalLength": 4.2}))
        27
    """
    example = _example_class()()
    for name, value in values.items():
        _set(example.features.feature[name], value)
    data: bytes = example.SerializeToString(deterministic=True)
    return data


def read_records(path: Path) -> Iterator[dict[str, Value]]:
    """Read a TFRecord file of examples with one value a feature, checking every checksum.

    Yields:
        One mapping per record, as `write_records` takes it.

    Raises:
        DataError: The file is missing, truncated or altered, or holds something else; the record is named.
    """
    example_class = _example_class()
    try:
        with path.open("rb") as stream:
            for number, data in enumerate(_frames(stream, path)):
                try:
                    features = example_class.FromString(data).features.feature
                    yield {name: _get(features[name]) for name in sorted(features)}
                except Exception as error:
                    raise DataError(f"{path}: record {number} is no example with one value a feature.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def _frames(stream: Any, path: Path) -> Iterator[bytes]:
    number = 0
    while header := stream.read(12):
        if len(header) < 12 or _CRC.unpack(header[8:])[0] != _masked_crc(header[:8]):
            raise DataError(f"{path} is damaged at record {number}: its length does not match its checksum.")
        (length,) = _LENGTH.unpack(header[:8])
        if length > _MAX_RECORD_BYTES:
            raise DataError(f"{path}: record {number} claims {length:,} bytes; at most {_MAX_RECORD_BYTES:,} are read.")
        body = stream.read(length + 4)
        if len(body) < length + 4:
            raise DataError(f"{path} is truncated in record {number}: write it again.")
        if _CRC.unpack(body[length:])[0] != _masked_crc(body[:length]):
            raise DataError(f"{path} is damaged at record {number}: its data do not match their checksum.")
        yield body[:length]
        number += 1


def _masked_crc(data: bytes) -> int:
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def _set(feature: Any, value: Value) -> None:
    if isinstance(value, bytes):
        feature.bytes_list.value.append(value)
    elif isinstance(value, float):
        feature.float_list.value.append(value)
    else:
        feature.int64_list.value.append(value)


def _get(feature: Any) -> Value:
    (value,) = getattr(feature, feature.WhichOneof("kind")).value
    result: Value = value
    return result


@cache
def _example_class() -> Any:
    """Build `tensorflow.Example` and what it consists of."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="mlhelpers/example.proto", package="tensorflow", syntax="proto3")
    for name, kind in (
        ("BytesList", field.TYPE_BYTES),
        ("FloatList", field.TYPE_FLOAT),
        ("Int64List", field.TYPE_INT64),
    ):
        message = file.message_type.add(name=name)
        message.field.add(name="value", number=1, label=field.LABEL_REPEATED, type=kind)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(("bytes_list", "float_list", "int64_list"), start=1):
        type_name = ".tensorflow." + name.title().replace("_", "")
        feature.field.add(
            name=name,
            number=number,
            label=field.LABEL_OPTIONAL,
            type=field.TYPE_MESSAGE,
            type_name=type_name,
            oneof_index=0,
        )
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=field.LABEL_OPTIONAL, type=field.TYPE_STRING)
    entry.field.add(
        name="value", number=2, label=field.LABEL_OPTIONAL, type=field.TYPE_MESSAGE, type_name=".tensorflow.Feature"
    )
    features.field.add(
        name="feature",
        number=1,
        label=field.LABEL_REPEATED,
        type=field.TYPE_MESSAGE,
        type_name=".tensorflow.Features.FeatureEntry",
    )
    example = file.message_type.add(name="Example")
    example.field.add(
        name="features", number=1, label=field.LABEL_OPTIONAL, type=field.TYPE_MESSAGE, type_name=".tensorflow.Features"
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.Example"))
