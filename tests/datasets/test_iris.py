from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlhelpers import settings
from mlhelpers.datasets import iris
from mlhelpers.datasets.base import Part
from mlhelpers.errors import DataError, MissingExtraError, UsageError

HEADER = "4,setosa,versicolor,virginica"
SEEDS = range(5)

# R. A. Fisher, "The use of multiple measurements in taxonomic problems" (1936), the means of his tables in cm
FISHERS_MEANS = {0: (5.006, 3.428, 1.462, 0.246), 1: (5.936, 2.770, 4.260, 1.326), 2: (6.588, 2.974, 5.552, 2.026)}


def flowers(*parts: Part) -> list[tuple[float, ...]]:
    """Return the rows, rounded to what was measured."""
    return [
        tuple(round(float(value), 1) for value in row)
        for part in parts
        for row in zip(*(part[name] for name in iris.COLUMNS), strict=True)
    ]


def file_of(folder: Path, *rows: str, header: str | None = None) -> Path:
    path = folder / "flowers.csv"
    path.write_text("\n".join([f"{len(rows)},{HEADER}" if header is None else header, *rows]))
    return path


def test_the_150_flowers_are_those_that_fisher_published() -> None:
    split = iris.load()
    rows = np.array(flowers(split.train, split.validation, split.test))

    assert len(rows) == 150
    for species, means in FISHERS_MEANS.items():
        np.testing.assert_allclose(rows[rows[:, 4] == species, :4].mean(axis=0), means, atol=5e-4)


def test_lengths_are_float32_and_the_species_is_int64() -> None:
    test = iris.load().test

    assert [test[name].dtype for name in iris.COLUMNS] == [np.float32] * 4 + [np.int64]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_part_holds_as_many_flowers_of_each_species(seed: int) -> None:
    split = iris.load(seed=seed)

    for part, each in ((split.train, 32), (split.validation, 8), (split.test, 10)):
        assert Counter(part["Species"].tolist()) == {0: each, 1: each, 2: each}


@pytest.mark.parametrize("seed", SEEDS)
def test_small_and_large_flowers_of_a_species_are_drawn_alike(seed: int) -> None:
    split = iris.load(seed=seed)

    for species in range(3):
        sizes = [
            np.sort((part["PetalLength"] * part["PetalWidth"])[part["Species"] == species])
            for part in (split.test, split.validation, split.train)
        ]
        ranks = [np.searchsorted(np.sort(np.concatenate(sizes)), of_part).mean() for of_part in sizes]
        assert np.ptp(ranks) < 5, "mean ranks among the 50 of a species, where all by chance differ by up to 17"


@pytest.mark.parametrize("seed", SEEDS)
def test_no_flower_of_a_part_is_known_from_another(seed: int) -> None:
    split = iris.load(seed=seed)
    parts = [set(flowers(part)) for part in (split.train, split.validation, split.test)]

    assert sum(map(len, parts)) == len(set.union(*parts)) == 149  # two of the 150 have the same lengths


def test_flowers_are_not_in_the_order_of_their_species() -> None:
    split = iris.load()

    for part in (split.train, split.validation, split.test):
        assert np.abs(np.diff(part["Species"])).sum() > 10


def test_the_size_of_the_validation_part_leaves_the_test_part_alone() -> None:
    small, large = iris.load(validation_size=0, seed=2), iris.load(validation_size=114, seed=2)

    assert flowers(small.test) == flowers(large.test)
    assert (len(small.train["Species"]), len(large.train["Species"])) == (120, 6)


@pytest.mark.parametrize("size", [-3, 25, 117, 120])
def test_a_validation_part_that_cannot_be_even_is_refused(size: int) -> None:
    with pytest.raises(UsageError, match=f"validation_size is {size}; allowed is 0 to 114, divisible by 3"):
        iris.load(validation_size=size)


def test_the_ranges_that_the_columns_tell_are_the_true_ones() -> None:
    rows = np.array(flowers(*(getattr(iris.load(), part) for part in ("train", "validation", "test"))))

    for column, name in enumerate(iris.FEATURES):
        least, greatest = rows[:, column].min(), rows[:, column].max()
        assert iris.COLUMNS[name].endswith(f" cm, {least} to {greatest}")


def test_files_have_the_form_of_the_original_ones(tmp_path: Path) -> None:
    training, test = (path.read_text() for path in iris.prepare(tmp_path))

    assert training.startswith(f"120,{HEADER}\n")
    assert test.startswith(f"30,{HEADER}\n5.9,3.0,4.2,1.5,1\n")
    assert (training.count("\n"), test.count("\n")) == (120, 30)
    for line in training.split("\n")[1:] + test.split("\n")[1:]:
        assert [len(word.partition(".")[2]) for word in line.split(",")] == [1, 1, 1, 1, 0]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    training, test = map(iris.read_csv, iris.prepare(tmp_path, seed=7))
    split = iris.load(seed=7)

    assert flowers(test) == flowers(split.test)
    assert sorted(flowers(training)) == sorted(flowers(split.train, split.validation))
    assert [training[name].dtype for name in iris.COLUMNS] == [np.float32] * 4 + [np.int64]


def test_tensorflow_reads_the_rows_as_the_original_trainer_did(tmp_path: Path) -> None:
    import tensorflow as tf

    _, test = iris.prepare(tmp_path)
    lines = tf.data.TextLineDataset(str(test)).skip(1).batch(30)

    *lengths, species = tf.io.decode_csv(next(iter(lines)), [[0.0], [0.0], [0.0], [0.0], [0]])

    expected = iris.read_csv(test)
    for name, column in zip(iris.COLUMNS, [*lengths, species], strict=True):
        np.testing.assert_array_equal(expected[name], column.numpy())


def test_a_file_with_the_class_counts_of_the_original_is_read(tmp_path: Path) -> None:
    split = iris.load(validation_size=0)
    counts = {0: 42, 1: 36, 2: 42}
    rows = []
    for species, count in counts.items():
        of_species = [row for row in flowers(split.train, split.test) if row[4] == species]
        rows += [",".join([*map(str, lengths), str(species)]) for *lengths, _ in of_species[:count]]

    part = iris.read_csv(file_of(tmp_path, *rows))

    assert Counter(part["Species"].tolist()) == counts


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r\n\r\n"])
def test_line_ends_of_other_systems_and_a_byte_order_mark_are_taken(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "flowers.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"1,{HEADER}{ending[:2]}5.1, 3.5, 1.4, 0.2, 0{ending}".encode())

    assert flowers(iris.read_csv(path)) == [(5.1, 3.5, 1.4, 0.2, 0)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("5.1,3.5,1.4,0", "'5.1,3.5,1.4,0' is no flower; a row has four lengths in cm"),
        ("5.1,3.5,1.4,0.2,0,0", "four lengths"),
        ("5.1,,1.4,0.2,0", "four lengths"),
        ("5.1,three,1.4,0.2,0", "four lengths"),
        ("5.1,nan,1.4,0.2,0", "four lengths"),
        ("5.1,inf,1.4,0.2,0", "four lengths"),
        ("5.1,0,1.4,0.2,0", "each over 0 and under 20"),
        ("5.1,-3.5,1.4,0.2,0", "each over 0 and under 20"),
        ("51,35,14,2,0", "each over 0 and under 20"),
        ("5.1,3.5,1.4,0.2,3", r"a species from 0 to 2 \(setosa, versicolor, virginica\)"),
        ("5.1,3.5,1.4,0.2,-1", "a species from 0 to 2"),
        ("5.1,3.5,1.4,0.2,0.5", "a species from 0 to 2"),
        ("5.1,3.5,1.4,0.2,setosa", "a row has"),
        ("", "'' is no flower"),
    ],
)
def test_a_row_that_is_no_flower_is_refused_with_its_line(tmp_path: Path, row: str, message: str) -> None:
    path = file_of(tmp_path, "5.1,3.5,1.4,0.2,0", row, "5.9,3.0,4.2,1.5,1")

    with pytest.raises(DataError, match=rf"flowers.csv, line 3: .*{message}"):
        iris.read_csv(path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (f"3,{HEADER}", "line 1, promises 3 rows, and 2 follow: the file is truncated"),
        (f"1,{HEADER}", "line 1, promises 1 rows, and 2 follow"),
        ("2,5,setosa,versicolor,virginica", "line 1: '2,5,setosa,.* is not what an Iris file begins with"),
        ("2,4,setosa,virginica,versicolor", "is not what an Iris file begins with; .* '4,setosa,versicolor,virginica'"),
        ("SepalLength,SepalWidth,PetalLength,PetalWidth,Species", "line 1: 'SepalLength,.* is not what"),
        ("", "line 1: '' is not what an Iris file begins with"),
    ],
)
def test_a_first_line_that_does_not_go_with_the_rows_is_refused(tmp_path: Path, header: str, message: str) -> None:
    path = file_of(tmp_path, "5.1,3.5,1.4,0.2,0", "5.9,3.0,4.2,1.5,1", header=header)

    with pytest.raises(DataError, match=message):
        iris.read_csv(path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), r"cannot be read: No such file.*Make it first:  mlhelpers data prepare iris"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "cannot be read: it is no text"),
        (lambda path: path.write_text(""), "line 1: '' is not what"),
        (lambda path: path.write_text(f"0,{HEADER}"), "promises 0 rows, and 0 follow"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, spoil: Callable[[Path], Any], message: str) -> None:
    path = file_of(tmp_path, "5.1,3.5,1.4,0.2,0")
    spoil(path)

    with pytest.raises(DataError, match=message):
        iris.read_csv(path)


def test_files_go_to_and_come_from_a_bucket(home: Path) -> None:
    iris.prepare("gs://workshop-ml/iris")

    assert (home / "buckets" / "workshop-ml" / "iris" / "iris_test.csv").is_file()
    assert len(iris.read_csv("gs://workshop-ml/iris/iris_test.csv")["Species"]) == 30


def test_the_first_request_is_the_flower_that_the_tutorial_asks_about() -> None:
    assert iris.request() == [{"SepalLength": 5.9, "SepalWidth": 3.0, "PetalLength": 4.2, "PetalWidth": 1.5}]
    assert [iris.load(seed=seed).test["Species"][0] for seed in SEEDS] == [1] * 5


def test_a_request_goes_on_with_the_test_flowers_and_never_sends_the_species() -> None:
    instances = iris.request(30)

    assert [tuple(instance.values()) for instance in instances] == [row[:4] for row in flowers(iris.load().test)]
    assert {tuple(instance) for instance in instances} == {iris.FEATURES}


def test_a_mirror_changes_nothing_for_there_is_no_file_to_fetch(tmp_path: Path) -> None:
    with settings.using(mirror=tmp_path):
        assert iris.load().source == "shipped"


def test_another_source_is_refused_for_scikit_learn_brings_the_flowers() -> None:
    with pytest.raises(UsageError, match=r"no source 'public'\. Known: shipped\. Iris comes with scikit-learn"):
        iris.load("public")


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)

    with pytest.raises(MissingExtraError, match=r"scikit-learn.* pip install 'mlhelpers\[data\]'"):
        iris.load()
