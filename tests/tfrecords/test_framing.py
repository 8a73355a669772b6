"""Records as they stand in a file; TensorFlow is the oracle in tests/datasets/test_records.py."""

from __future__ import annotations

import io

import pytest

from mlhelpers.errors import DataError
from mlhelpers.tfrecords import DamagedRecordError, frame, read_frames, skip_frames

_RECORDS = [b"", b"one", bytes(range(256)) * 10]


def test_records_come_back_and_their_ends_are_found_without_reading_them() -> None:
    content = b"".join(map(frame, _RECORDS))

    assert list(read_frames(io.BytesIO(content), "a")) == _RECORDS
    ends = list(skip_frames(io.BytesIO(content), len(content), "a"))
    assert ends[-1] == len(content)
    assert [end - start for start, end in zip([0, *ends], ends, strict=False)] == [16, 19, 2576]


def test_a_damaged_record_is_told_and_the_next_is_read() -> None:
    content = bytearray(frame(b"one") + frame(b"two"))
    content[12] ^= 1

    first, second = read_frames(io.BytesIO(bytes(content)), "a", first=7)

    assert isinstance(first, DamagedRecordError)
    assert "a is damaged at record 7" in str(first)
    assert second == b"two"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (frame(b"one")[:5], "damaged at record 0: its length"),
        (frame(b"one")[:-1], "truncated in record 0"),
        (frame(b"one") + b"\x01" + frame(b"two")[1:], "damaged at record 1: its length"),
    ],
)
def test_what_hides_all_that_follows_is_an_error(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(read_frames(io.BytesIO(content), "a"))
    with pytest.raises(DataError, match=message):
        list(skip_frames(io.BytesIO(content), len(content), "a"))
