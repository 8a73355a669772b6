"""From bytes to instances."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from mlhelpers.errors import DataError, PredictionError
from mlhelpers.serving.batch import reading
from mlhelpers.serving.batch.reading import ShardReader, first_item, instance_reader, takes_one_text, without_key
from mlhelpers.serving.batch.shards import Shard, cut
from mlhelpers.serving.signature import Signature, Tensor
from mlhelpers.tfrecords import DamagedRecordError, frame

_TEXT = Signature("text", {"t": Tensor("t", "string", (None,))}, {"o": Tensor("o", "float32", (None,))})
_NUMBER = Signature("number", {"x": Tensor("x", "float32", (None,))}, {"o": Tensor("o", "float32", (None,))})


def _read(path: Path, data_format: str) -> list[Any]:
    return [data for shard in cut([path], data_format, 1) for _, data in ShardReader(shard, data_format)]


@pytest.mark.parametrize(
    ("line", "instance"),
    [(b"5\n", 5), (b" [1, 2]\r\n", [1, 2]), (b'{"x": 1, "key": "a"}', {"x": 1, "key": "a"}), (b'"a"', "a")],
)
def test_a_line_is_any_json_value(line: bytes, instance: object) -> None:
    assert instance_reader(_NUMBER, "text", None)(line) == instance


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"\n", "The line is empty"),
        (b" \r\n", "The line is empty"),
        (b"{x: 1}\n", "The line is not JSON"),
        (b"[NaN]\n", "JSON has no NaN or Infinity"),
        (b'"\xff"\n', "The line is not JSON"),
        (b"[" * 100_000, "The line is not JSON"),
    ],
)
def test_what_is_no_instance_is_said_to_be_none(line: bytes, message: str) -> None:
    with pytest.raises(PredictionError, match=message):
        instance_reader(_NUMBER, "text", None)(line)


@pytest.mark.parametrize(
    ("line", "instance"),
    [
        (b"a plain text\r\n", b"a plain text"),
        (b"123\n", b"123"),
        (b'"quoted"\n', "quoted"),
        (b'{"t": "a", "key": 1}\n', {"t": "a", "key": 1}),
        (b"{no json\n", b"{no json"),
        (b" two \n", b" two "),
    ],
)
def test_a_model_of_one_text_takes_bare_lines_too(line: bytes, instance: object) -> None:
    assert takes_one_text(_TEXT)
    assert not takes_one_text(_NUMBER)
    assert instance_reader(_TEXT, "text", None)(line) == instance


def test_a_key_is_taken_out_unless_it_is_an_input() -> None:
    keyed = Signature("k", {"key": Tensor("key", "string", (None,))}, _TEXT.outputs)
    answering = Signature("a", _NUMBER.inputs, {"key": Tensor("key", "int64", (None,))})

    assert without_key(_NUMBER, {"x": 1, "key": None}) == ({"x": 1}, {"key": None})
    assert without_key(_NUMBER, {"x": 1}) == ({"x": 1}, {})
    assert without_key(_NUMBER, [1]) == ([1], {})
    assert without_key(keyed, {"key": "a"}) == ({"key": "a"}, {})
    assert without_key(answering, {"x": 1, "key": 2}) == ({"x": 1, "key": 2}, {})


def test_a_byte_order_mark_is_no_part_of_the_first_line_alone(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"\xef\xbb\xbf1\n\xef\xbb\xbf2\n")

    assert _read(path, "text") == [b"1\n", b"\xef\xbb\xbf2\n"]


def test_a_line_beyond_all_measure_is_an_error_and_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_LONGEST_LINE", 10)
    monkeypatch.setattr(reading, "_BUFFER", 4)
    path = tmp_path / "a"
    path.write_bytes(b"1\n" + b"x" * 50 + b"\n2\n" + b"y" * 9 + b"\n3")

    assert [item if isinstance(item, bytes) else str(item) for item in _read(path, "text")] == [
        b"1\n",
        "is longer than 10 bytes",
        b"2\n",
        b"y" * 9 + b"\n",
        b"3",
    ]


def test_a_damaged_record_is_an_error_and_the_next_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    damaged = bytearray(frame(b"second"))
    damaged[12] ^= 1
    for data_format, pack in (("tf-record", bytes), ("tf-record-gzip", gzip.compress)):
        path.write_bytes(pack(frame(b"first") + bytes(damaged) + frame(b"third")))

        first, second, third = _read(path, data_format)

        assert (first, third) == (b"first", b"third")
        assert isinstance(second, DamagedRecordError)


def test_a_compressed_file_that_ends_too_early_says_after_which_record(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(gzip.compress(b"".join(frame(bytes(50)) for _ in range(1000)))[:-20])

    with pytest.raises(DataError, match=r"is damaged after record \d+: .*Compress it again"):
        _read(path, "tf-record-gzip")


def test_a_file_that_is_another_than_the_one_that_was_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1\n2\n")

    with pytest.raises(DataError, match="was changed while it was read"):
        list(ShardReader(Shard(str(path), 0, 4, 0, 1), "text"))


def test_the_share_that_is_done_goes_from_0_to_1(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(gzip.compress(b"".join(frame(bytes(50)) for _ in range(5000))))
    (shard,) = cut([path], "tf-record-gzip", 1)
    reader = ShardReader(shard, "tf-record-gzip")

    shares = [reader.share for _ in reader]

    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_the_first_instance_of_a_file_is_behind_its_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"\n \n5\n")

    assert first_item(path, "text") == b"5\n"
    path.write_bytes(b"\n\n")
    assert first_item(path, "text") is None
