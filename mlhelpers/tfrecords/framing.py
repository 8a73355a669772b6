"""The row of records in a TFRecord file: each a length, its checksum, the data, and their checksum.

The length has 8 bytes, a checksum is the masked CRC-32C in 4, all little-endian
(https://www.tensorflow.org/tutorials/load_data/tfrecord).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

import google_crc32c

from mlhelpers.errors import DataError

__all__ = ["DamagedRecordError", "frame", "read_frames", "skip_frames"]

_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_HEADER = struct.Struct("<QI")
_MASK_DELTA = 0xA282EAD8
_MAX_RECORD_BYTES = 1 << 30
_AROUND = 16  # bytes that a record has beside its data


class DamagedRecordError(DataError):
    """A record's data do not match their checksum; the records after it can be read all the same."""


def frame(data: bytes) -> bytes:
    """Return a record as it stands in a file."""
    length = _LENGTH.pack(len(data))
    return length + _CRC.pack(_masked_crc(length)) + data + _CRC.pack(_masked_crc(data))


def read_frames(stream: BinaryIO, name: object, first: int = 0) -> Iterator[bytes | DamagedRecordError]:
    """Read records from where a stream stands up to its end.

    Args:
        stream: The file, opened for bytes.
        name: What the messages call it.
        first: The number of the record that comes first, for the messages.

    Yields:
        The data of a record, or what is wrong with it where the ones after it can still be found.

    Raises:
        DataError: The file is truncated, or a length is damaged, so that nothing behind it can be found.
    """
    number = first
    while header := stream.read(_HEADER.size):
        length = _checked_length(header, name, number)
        body = stream.read(length + 4)
        if len(body) < length + 4:
            raise DataError(f"{name} is truncated in record {number}: write it again.")
        data = body[:length]
        if _CRC.unpack_from(body, length)[0] == _masked_crc(data):
            yield data
        else:
            yield DamagedRecordError(f"{name} is damaged at record {number}: its data do not match their checksum.")
        number += 1


def skip_frames(stream: BinaryIO, size: int, name: object) -> Iterator[int]:
    """Walk over the records of a whole file without reading their data.

    Args:
        stream: The file, opened for bytes, at its beginning.
        size: The file's size in bytes.
        name: What the messages call it.

    Yields:
        The byte behind each record.

    Raises:
        DataError: The file is truncated, or a length is damaged.
    """
    place = number = 0
    while header := stream.read(_HEADER.size):
        place += _checked_length(header, name, number) + _AROUND
        if place > size:
            raise DataError(f"{name} is truncated in record {number}: write it again.")
        yield place
        stream.seek(place)
        number += 1


def _checked_length(header: bytes, name: object, number: int) -> int:
    if len(header) < _HEADER.size or _CRC.unpack_from(header, 8)[0] != _masked_crc(header[:8]):
        raise DataError(f"{name} is damaged at record {number}: its length does not match its checksum.")
    length: int = _LENGTH.unpack_from(header)[0]
    if length > _MAX_RECORD_BYTES:
        raise DataError(f"{name}: record {number} claims {length:,} bytes; at most {_MAX_RECORD_BYTES:,} are read.")
    return length


def _masked_crc(data: bytes) -> int:
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF
