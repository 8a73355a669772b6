from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mlhelpers.datasets.babyweight import files
from mlhelpers.errors import DataError, UsageError

GOOD = "7.5,True,26,Single(1),39.0,abc\n"


def _lines(n: int) -> pl.Series:
    return pl.Series([f"{1 + number / 1000},True,26,Single(1),39.0" for number in range(n)])


def test_rows_are_read_into_compact_columns(tmp_path: Path) -> None:
    path = tmp_path / "train.csv-00000-of-00001"
    path.write_text(
        "7.5,True,26,Single(1),39.0,abc\n5.25,Unknown,31,Multiple(2+),36,def\n3.0,False,40,Triplets(3),31,g\n"
    )

    columns = files.read_csv([path])

    assert columns["weight_pounds"].tolist() == [7.5, 5.25, 3.0]
    assert columns["mother_age"].tolist() == [26, 31, 40]
    assert columns["gestation_weeks"].tolist() == [39, 36, 31]
    assert [files.VOCABULARY["is_male"][code] for code in columns["is_male"]] == ["True", "Unknown", "False"]
    assert [files.VOCABULARY["plurality"][code] for code in columns["plurality"]] == [
        "Single(1)",
        "Multiple(2+)",
        "Triplets(3)",
    ]
    assert {name: column.dtype for name, column in columns.items()} == {
        "weight_pounds": np.float32,
        "is_male": np.uint8,
        "mother_age": np.float32,
        "plurality": np.uint8,
        "gestation_weeks": np.float32,
    }


def test_files_are_read_one_after_the_other(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / str(number)).write_text(f"{number + 1}.0,True,26,Single(1),39.0,abc\n" * (number + 1))

    columns = files.read_csv([tmp_path / str(number) for number in (2, 0, 1)])

    assert columns["weight_pounds"].tolist() == [3, 3, 3, 1, 2, 2]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            GOOD + "7.5,False,26,Twin(2),39,abc\n",
            r"row 2: plurality is 'Twin\(2\)'; allowed is Single\(1\), .*Multiple",
        ),
        (GOOD + "7.5,male,26,Single(1),39,abc\n", "row 2: is_male is 'male'; allowed is True, False, Unknown"),
        (GOOD * 2 + "x,True,26,Single(1),39,abc\n", "row 3: weight_pounds is 'x'; allowed is a number above 0"),
        ("-1,True,26,Single(1),39,abc\n", "row 1: weight_pounds is '-1'; allowed is a number above 0"),
        (GOOD + "nan,True,26,Single(1),39,abc\n", "row 2: weight_pounds is 'nan'"),
        (GOOD + "7,True,26,Single(1),inf,abc\n", "row 2: gestation_weeks is 'inf'"),
        (GOOD + "7,True,,Single(1),39,abc\n", "row 2: mother_age is ''"),
        (GOOD + "7,,26,Single(1),39,abc\n", "row 2: is_male is ''"),
        (GOOD + "7.5,True,26\n", "row 2: 3 values stand there; a row has 6: weight_pounds,is_male"),
        (GOOD.replace("abc", "abc,d"), "row 1: 7 values stand there"),
        (",".join(files.COLUMNS) + "\n" + GOOD, "row 1: weight_pounds is 'weight_pounds'"),
        ("", "holds no row"),
    ],
)
def test_a_malformed_row_is_refused_with_its_file_its_number_and_what_is_allowed(
    rows: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "train.csv-00000-of-00001"
    path.write_text(rows)

    with pytest.raises(DataError, match=message) as caught:
        files.read_csv([path])

    assert str(path) in str(caught.value)


def test_a_missing_file_and_no_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.csv cannot be read"):
        files.read_csv([tmp_path / "none.csv"])
    with pytest.raises(UsageError, match="No file was given"):
        files.read_csv([])


def test_shards_hold_every_line_once_with_its_sha224_key(tmp_path: Path) -> None:
    with files.shard_writer(tmp_path, "train", 3, seed=0) as (paths, write):
        write(_lines(1000))
        write(_lines(500))

    assert [path.name for path in paths] == [f"train.csv-0000{number}-of-00003" for number in range(3)]
    rows = [line for path in paths for line in path.read_text().splitlines()]
    assert sorted(row.rsplit(",", 1)[0] for row in rows) == sorted(_lines(1000).to_list() + _lines(500).to_list())
    for row in rows:
        line, key = row.rsplit(",", 1)
        assert hashlib.sha224(line.encode()).hexdigest() == key


def test_each_shard_is_a_random_sample_and_the_seed_decides_which(tmp_path: Path) -> None:
    def first(seed: int) -> list[str]:
        with files.shard_writer(tmp_path / str(seed), "train", 4, seed) as (paths, write):
            write(_lines(4000))
        return paths[0].read_text().splitlines()

    once, again, other = first(1), first(1), first(2)

    assert once == again
    assert once != other
    for rows in (once, other):
        assert 880 < len(rows) < 1120  # 1,000 expected, deviation 27
        weights = [float(row.split(",")[0]) for row in rows]
        assert abs(np.mean(weights) - 3.0) < 0.15  # of 1 to 5, deviation of the mean 0.037


def test_nothing_is_left_where_writing_failed(tmp_path: Path) -> None:
    with pytest.raises(AttributeError), files.shard_writer(tmp_path, "train", 2, seed=0) as (_, write):
        write(_lines(100)) or write("no series")  # type: ignore[func-returns-value]

    assert [path for path in tmp_path.iterdir() if path.name != "home"] == []


def test_an_empty_shard_and_an_impossible_number_of_them_are_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match=r"of 50 shards of 'eval' would be empty.*Ask for fewer shards"),
        files.shard_writer(tmp_path, "eval", 50, seed=0) as (_, write),
    ):
        write(_lines(10))
    for shards in (0, 1001):
        with (
            pytest.raises(UsageError, match=f"shards is {shards}; allowed is 1 to 1,000"),
            files.shard_writer(tmp_path, "eval", shards, seed=0),
        ):
            pass


def test_a_pattern_takes_all_shards_or_the_first(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / files.shard_name("train", number, 12)).touch()
    (tmp_path / files.shard_name("eval", 0, 1)).touch()

    assert len(files.find_shards(tmp_path, "train")) == 12
    assert [path.name for path in files.find_shards(tmp_path, "train", "00000-of-")] == ["train.csv-00000-of-00012"]
    with pytest.raises(DataError, match=r"no file train.csv-… with '00099-of-' .*mlhelpers data prepare babyweight"):
        files.find_shards(tmp_path, "train", "00099-of-")


def test_shards_of_an_earlier_run_are_removed_and_nothing_else(tmp_path: Path) -> None:
    keep = [tmp_path / files.shard_name("train", number, 2) for number in range(2)]
    stale = [tmp_path / files.shard_name(part, 0, 4) for part in ("eval", "train", "validation")]
    other = [tmp_path / name for name in ("train.csv", "notes.txt", "train.csv-00000-of-00004.bak")]
    for path in keep + stale + other:
        path.touch()

    assert files.remove_stale_shards(tmp_path, keep) == stale
    assert sorted(path for path in tmp_path.iterdir() if path.is_file()) == sorted(keep + other)
