"""Shards hold every line and record once, in their order, whatever their sizes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from mlhelpers.errors import DataError
from mlhelpers.serving.batch import shards as module
from mlhelpers.serving.batch.reading import ShardReader
from mlhelpers.serving.batch.shards import Shard, cut
from mlhelpers.tfrecords import frame


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LEAST_BYTES", 64)
    monkeypatch.setattr(module, "_PIECE", 16)


def _items(shards: list[Shard], data_format: str) -> list[tuple[int, bytes]]:
    return [item for shard in shards for item in ShardReader(shard, data_format)]  # type: ignore[misc]


@pytest.mark.parametrize("seed", range(40))
def test_every_line_is_in_one_shard_with_its_number(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    longest = chance.choice([1, 20, 200])
    lines = [b"x" * chance.randrange(longest) for _ in range(chance.randrange(1, 200))]
    end = chance.choice([b"", b"\n"]) if lines[-1] else b"\n"
    path = tmp_path / "a"
    path.write_bytes(b"\n".join(lines) + end)

    shards = cut([path], "text", workers=2)

    assert [(number, line.rstrip(b"\n")) for number, line in _items(shards, "text")] == list(enumerate(lines, start=1))
    assert sum(shard.size for shard in shards) == path.stat().st_size
    assert len(shards) > 1 or path.stat().st_size < 64 + 200


@pytest.mark.parametrize("seed", range(20))
def test_every_record_is_in_one_shard_with_its_number(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    records = [chance.randbytes(chance.randrange(chance.choice([1, 100]))) for _ in range(chance.randrange(1, 100))]
    path = tmp_path / "a"
    path.write_bytes(b"".join(map(frame, records)))

    shards = cut([path], "tf-record", workers=2)

    assert _items(shards, "tf-record") == list(enumerate(records, start=1))
    assert sum(shard.count or 0 for shard in shards) == len(records)


def test_a_record_that_holds_a_whole_file_of_records_is_one_record(tmp_path: Path) -> None:
    inner = b"".join(frame(bytes(20)) for _ in range(50))
    path = tmp_path / "a"
    path.write_bytes(frame(inner) + frame(b"2"))

    assert [data for _, data in _items(cut([path], "tf-record", workers=8), "tf-record")] == [inner, b"2"]


def test_files_are_never_mixed_and_empty_ones_have_no_shard(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abc"]
    for path, text in zip(paths, ("1\n", "", "2\n3"), strict=True):
        path.write_text(text)

    assert cut(paths, "text", workers=1) == [Shard(str(paths[0]), 0, 2, 0, 1), Shard(str(paths[2]), 0, 3, 0, 2)]


def test_a_file_without_end_is_refused_before_it_is_predicted(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(frame(b"1") + frame(b"2")[:-3])

    with pytest.raises(DataError, match="is truncated in record 1"):
        cut([path], "tf-record", workers=1)
