from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mlhelpers import datasets, settings
from mlhelpers.datasets import babyweight
from mlhelpers.datasets.babyweight import bigquery
from mlhelpers.errors import DataError, UsageError

PARTS = ("train", "validation", "test")
HEADER = ",".join(babyweight.RAW_COLUMNS) + "\n"


def _months(part: object) -> set[tuple[int, int]]:
    return set(zip(part["year"].tolist(), part["month"].tolist(), strict=True))  # type: ignore[index]


def _own_births(path: Path, n: int) -> Path:
    """Write births of January (evaluation), February and March 2001 (training), all different."""
    rows = (f"2001,{1 + number % 3},{5 + number / 1000},true,26,1,39\n" for number in range(n))
    path.write_text(HEADER + "".join(rows))
    return path


def test_no_birth_is_in_two_parts() -> None:
    split = datasets.load("babyweight")

    parts = [_months(getattr(split, part)) for part in PARTS]

    assert [len(months) for months in parts] == [62, 15, 19]
    assert len(set.union(*parts)) == 96
    assert all(babyweight.is_eval_month(*month) for month in parts[2])


def test_rows_are_doubled_after_the_split_and_both_rows_of_a_birth_stay_together() -> None:
    single, double = datasets.load("babyweight", doubled=False), datasets.load("babyweight")

    for part in PARTS:
        births, rows = getattr(single, part), getattr(double, part)
        n = len(births["key"])
        assert len(rows["key"]) == 2 * n
        assert "Unknown" not in births["is_male"]
        np.testing.assert_array_equal(rows["weight_pounds"][:n], rows["weight_pounds"][n:])
        assert set(rows["is_male"][n:]) == {"Unknown"}
        assert set(rows["plurality"][n:]) == {"Single(1)", "Multiple(2+)"}
    assert sum(len(getattr(single, part)["key"]) for part in PARTS) == 25_000


def test_the_split_says_that_the_shipped_births_are_synthetic() -> None:
    assert "synthetic births" in datasets.load("babyweight").how


def test_prepare_writes_shards_whose_pattern_for_the_first_means_one(tmp_path: Path) -> None:
    paths = datasets.prepare("babyweight", tmp_path / "out", shards=3)

    expected = [f"{part}.csv-0000{number}-of-00003" for part in ("train", "eval") for number in range(3)]
    assert expected == [path.name for path in paths]
    assert len(babyweight.find_shards(tmp_path / "out", "train", "00000-of-")) == 1
    assert len(babyweight.find_shards(tmp_path / "out", "eval", "of")) == 3


def test_prepared_shards_hold_the_rows_that_load_gives(tmp_path: Path) -> None:
    split = datasets.load("babyweight", validation_months=15, seed=7)

    datasets.prepare("babyweight", tmp_path / "out", validation_months=15, seed=7)

    for name, part in (("train", split.train), ("eval", split.test), ("validation", split.validation)):
        columns = babyweight.read_csv(babyweight.find_shards(tmp_path / "out", name))
        words = np.array(babyweight.VOCABULARY["is_male"])[columns["is_male"]]
        assert Counter(zip(columns["weight_pounds"].tolist(), words, strict=True)) == Counter(
            zip(part["weight_pounds"].tolist(), part["is_male"], strict=True)
        )
        keys = [
            line.rsplit(",", 1)[1] for path in babyweight.find_shards(tmp_path / "out", name) for line in path.open()
        ]
        assert sorted(key.strip() for key in keys) == sorted(part["key"])


def test_the_same_seed_writes_the_same_bytes_and_another_seed_other_shards(tmp_path: Path) -> None:
    once, again, other = (
        datasets.prepare("babyweight", tmp_path / name, seed=seed)[0].read_bytes()
        for name, seed in (("once", 5), ("again", 5), ("other", 6))
    )

    assert once == again
    assert once != other


def test_fewer_shards_than_before_leave_no_old_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    datasets.prepare("babyweight", tmp_path / "out", shards=4)

    with caplog.at_level(logging.WARNING):
        paths = datasets.prepare("babyweight", tmp_path / "out", shards=2)

    assert sorted(paths) == sorted((tmp_path / "out").iterdir())
    assert "train.csv-00003-of-00004, which an earlier run left" in caplog.text


def test_births_of_ones_own_are_taken_and_what_is_left_out_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = _own_births(tmp_path / "births.csv", 600)
    with path.open("a") as stream:
        stream.write("2001,1,,true,26,1,39\n")

    with caplog.at_level(logging.WARNING):
        babyweight.prepare(tmp_path / "out", births_file=path, shards=2)

    assert "1 of 601 births were left out" in caplog.text
    for part, n in (("train", 800), ("eval", 400)):
        assert len(babyweight.read_csv(babyweight.find_shards(tmp_path / "out", part))["is_male"]) == n


def test_births_without_an_evaluation_month_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    path = tmp_path / "births.csv"
    path.write_text(HEADER + "2001,2,7.5,true,26,1,39\n" * 3)

    with pytest.raises(DataError, match=r"shards of 'eval' would be empty.*births of more months"):
        babyweight.prepare(tmp_path / "out", births_file=path, shards=1)

    assert not list((tmp_path / "out").iterdir())


def test_a_source_beside_births_of_ones_own_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Both births_file .* and source 'shipped' were given: choose one"):
        babyweight.prepare(tmp_path, "shipped", births_file=tmp_path / "births.csv")


def test_the_two_first_instances_are_the_tutorials_and_the_next_two_its_other_ones() -> None:
    b1 = {"is_male": "True", "mother_age": 26, "plurality": "Single(1)", "gestation_weeks": 39, "key": "b1"}

    assert datasets.request("babyweight", 2) == [b1, b1 | {"is_male": "False", "key": "g1"}]
    assert babyweight.request() == datasets.request("babyweight", 2)
    assert datasets.request("babyweight", 4)[2:] == [
        b1 | {"plurality": "Triplets(3)", "key": "b2"},
        {"is_male": "Unknown", "mother_age": 29, "plurality": "Multiple(2+)", "gestation_weeks": 38, "key": "u1"},
    ]


def test_more_instances_are_evaluation_births_each_with_its_key() -> None:
    instances = datasets.request("babyweight", 10)

    assert len({instance["key"] for instance in instances}) == 10
    test = datasets.load("babyweight", doubled=False).test
    assert [instance["key"] for instance in instances[4:]] == test["key"][:6].tolist()


def test_the_mirrors_sample_is_the_default_where_a_mirror_has_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with settings.using(mirror=str(tmp_path)), caplog.at_level(logging.WARNING):
        assert datasets.load("babyweight").source == "shipped"

    assert "The mirror does not give the sample of real births; the shipped synthetic ones are used" in caplog.text


def test_an_altered_sample_in_the_mirror_is_refused_and_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "babyweight").mkdir()
    for name in ("train.csv", "eval.csv"):
        (tmp_path / "babyweight" / name).write_text("7.5,True,26,Single(1),39.0,1\n")

    with settings.using(mirror=str(tmp_path)), pytest.raises(DataError, match="not the file it should be"):
        datasets.load("babyweight")


def test_real_births_without_a_mirror_tell_the_ways_to_get_them() -> None:
    with pytest.raises(UsageError, match="Set MLHELPERS_MIRROR to a folder"):
        datasets.load("babyweight", source="mirror")


def test_bigquery_is_not_loaded_into_memory() -> None:
    with pytest.raises(UsageError, match=r"prepare\(..., source='bigquery'\) has BigQuery write them to a bucket"):
        datasets.load("babyweight", source="bigquery")


def test_the_package_needs_no_cloud_before_bigquery_is_asked() -> None:
    assert bigquery.dollars(2**40) == 6.25


@pytest.mark.mirror
def test_prepare_from_the_real_sample_gives_the_real_rows_back(mirror: Path, tmp_path: Path) -> None:
    with settings.using(mirror=str(mirror)):
        babyweight.prepare(tmp_path)

    for part in ("train", "eval"):
        rows = [row.rsplit(",", 1)[0] for path in babyweight.find_shards(tmp_path, part) for row in path.open()]
        real = [row.rsplit(",", 1)[0] for row in (mirror / "babyweight" / f"{part}.csv").open()]
        assert sorted(rows) == sorted(real)


@pytest.mark.mirror
def test_the_real_sample_is_16513_births_split_80_to_20(mirror: Path) -> None:
    with settings.using(mirror=str(mirror)):
        split = datasets.load("babyweight", validation_months=0)

    assert split.source == "mirror"
    assert (len(split.train["key"]), len(split.test["key"])) == (26518, 6508)
    assert "real births" in split.how
