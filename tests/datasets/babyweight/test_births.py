from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from mlhelpers.datasets.babyweight import births, files
from mlhelpers.errors import DataError

HEADER = ",".join(births.RAW_COLUMNS) + "\n"


def _read(path: Path, text: str) -> pl.DataFrame:
    path.write_text(text)
    return pl.concat(births.read_births(path))


def test_births_are_read_from_columns_in_any_order_with_others_between(tmp_path: Path) -> None:
    text = "state,gestation_weeks,plurality,mother_age,is_male,weight_pounds,month,year\nNY,39,1,26,True,7.5,1,2001\n"

    table = _read(tmp_path / "births.csv", text)

    assert table.columns == list(births.RAW_COLUMNS)
    assert table.row(0) == (2001, 1, 7.5, True, 26, 1, 39)


def test_a_gzipped_file_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "births.csv.gz"
    path.write_bytes(gzip.compress((HEADER + "2001,1,7.5,false,26,1,39\n").encode()))

    assert pl.concat(births.read_births(path))["is_male"].to_list() == [False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("year,month\n2001,1\n", "has no column 'weight_pounds'. Its header must name year,month"),
        (HEADER + "2001,1,heavy,true,26,1,39\n", "no CSV file of births with numbers in year"),
        (HEADER + "2001,1,7.5,perhaps,26,1,39\n", "an is_male that is neither true nor false"),
        ("", "no CSV file of births"),
    ],
)
def test_a_file_that_holds_no_births_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        _read(tmp_path / "births.csv", text)
    with pytest.raises(DataError, match="cannot be read"):
        list(births.read_births(tmp_path / "none.csv"))


@pytest.mark.parametrize(
    "row",
    [
        "2000,12,7.5,true,26,1,39",  # the tutorial takes the years after 2000
        "2001,0,7.5,true,26,1,39",
        "2001,1,0,true,26,1,39",
        "2001,1,,true,26,1,39",
        "2001,1,7.5,,26,1,39",
        "2001,1,7.5,true,0,1,39",
        "2001,1,7.5,true,26,0,39",
        "2001,1,7.5,true,26,6,39",
        "2001,1,7.5,true,26,1,",
    ],
)
def test_a_birth_with_something_missing_is_cleaned_away(row: str, tmp_path: Path) -> None:
    table = _read(tmp_path / "births.csv", f"{HEADER}2001,1,7.5,true,26,1,39\n{row}\n")

    assert len(births.clean(table)) == 1


def test_a_birth_becomes_a_row_as_recorded_and_one_without_ultrasound(tmp_path: Path) -> None:
    rows = "".join(f"2001,1,{number}.5,{'true' if number % 2 else 'false'},26,{number},39\n" for number in range(1, 6))

    recorded = births.as_recorded(births.clean(_read(tmp_path / "births.csv", HEADER + rows)))
    second = births.without_ultrasound(recorded)

    assert births.lines(recorded).to_list() == [
        "1.5,True,26,Single(1),39.0",
        "2.5,False,26,Twins(2),39.0",
        "3.5,True,26,Triplets(3),39.0",
        "4.5,False,26,Quadruplets(4),39.0",
        "5.5,True,26,Quintuplets(5),39.0",
    ]
    assert births.lines(second).to_list() == [
        "1.5,Unknown,26,Single(1),39.0",
        "2.5,Unknown,26,Multiple(2+),39.0",
        "3.5,Unknown,26,Multiple(2+),39.0",
        "4.5,Unknown,26,Multiple(2+),39.0",
        "5.5,Unknown,26,Multiple(2+),39.0",
    ]


def test_a_real_birth_of_the_public_sample_is_its_recorded_row_with_the_month_of_its_key(tmp_path: Path) -> None:
    # one birth of the public sample; its key is the absolute fingerprint of January 2001
    path = tmp_path / "eval.csv"
    key = 7146494315947640619
    path.write_text(f"6.0009827716399995,Unknown,14,Multiple(2+),40.0,{key}\n6.5,False,14,Twins(2),40.0,{key}\n")

    assert births.from_sample([path]).rows() == [(2001, 1, 6.5, False, 14, 2, 40)]


def test_a_sample_with_a_foreign_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "eval.csv"
    path.write_text("6.5,False,14,Twins(2),40.0,12\n")

    with pytest.raises(DataError, match="The key 12 is no fingerprint of a month"):
        births.from_sample([path])


def test_weights_keep_every_digit_that_they_were_written_with(tmp_path: Path) -> None:
    table = _read(tmp_path / "births.csv", HEADER + "2001,1,6.0009827716399995,true,26,1,39\n")

    assert births.lines(births.as_recorded(table))[0].split(",")[0] == "6.0009827716399995"
    assert files.COLUMNS[0] == "weight_pounds"


def test_a_large_file_comes_in_pieces_that_together_are_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(births, "_BATCH_ROWS", 1000)
    path = tmp_path / "births.csv"
    path.write_text(HEADER + "".join(f"2001,1,{1 + number / 1e4},true,26,1,39\n" for number in range(20_000)))

    pieces = list(births.read_births(path))

    assert len(pieces) > 1
    assert max(len(piece) for piece in pieces) <= 2000
    assert pl.concat(pieces)["weight_pounds"].to_list() == [1 + number / 1e4 for number in range(20_000)]
