"""What holds for every data set in the table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mlhelpers import datasets
from mlhelpers.datasets.base import Part
from mlhelpers.errors import UsageError

PARTS = ("train", "validation", "test")

every_data_set = pytest.mark.parametrize("name", datasets.names())


def _same(one: Part, other: Part) -> bool:
    return all(np.array_equal(one[column], other[column]) for column in one)


@every_data_set
def test_a_data_set_loads_offline_from_its_first_source(name: str) -> None:
    split = datasets.load(name)

    assert split.name == name
    assert split.source == datasets.get(name).SOURCES[0]


@every_data_set
def test_columns_go_together_and_are_told_about(name: str) -> None:
    split = datasets.load(name)

    for part in (split.train, split.validation, split.test):
        assert set(part) == set(split.columns)
        assert len({len(column) for column in part.values()}) == 1
        assert len(part[split.target]) > 0


@every_data_set
def test_the_target_is_a_class_with_a_name_or_a_number(name: str) -> None:
    split = datasets.load(name)

    for part in (split.train, split.validation, split.test):
        target = part[split.target]
        if split.class_names:
            assert set(np.unique(target)) == set(range(len(split.class_names)))
        else:
            assert target.dtype.kind == "f"
            assert np.isfinite(target).all()


@every_data_set
def test_the_same_seed_splits_the_same_way_and_another_seed_otherwise(name: str) -> None:
    once, again, other = (datasets.load(name, seed=seed) for seed in (3, 3, 4))

    for part in PARTS:
        assert _same(getattr(once, part), getattr(again, part))
    assert not _same(once.validation, other.validation)


@every_data_set
def test_a_request_is_json_of_as_many_instances_as_are_asked_for(name: str) -> None:
    instances = datasets.request(name, 3)

    assert len(instances) == 3
    assert json.loads(json.dumps(instances)) == instances


@every_data_set
@pytest.mark.parametrize("n", [0, -1, 10**9])
def test_a_request_of_an_impossible_size_is_refused(name: str, n: int) -> None:
    with pytest.raises(UsageError, match=rf"{n}.* allowed is 1 to"):
        datasets.request(name, n)


@every_data_set
def test_an_unknown_source_is_refused_with_those_that_exist(name: str) -> None:
    with pytest.raises(UsageError, match=r"no source 'elsewhere'.*" + datasets.get(name).SOURCES[0]):
        datasets.load(name, source="elsewhere")


@every_data_set
def test_prepare_returns_the_files_it_wrote_and_leaves_no_other(name: str, tmp_path: Path) -> None:
    files = datasets.prepare(name, tmp_path / "prepared")

    assert files
    assert sorted(path for path in (tmp_path / "prepared").rglob("*") if path.is_file()) == sorted(files)


@every_data_set
def test_every_file_that_is_said_to_be_shipped_is_there_with_the_size_it_names(name: str, repository: Path) -> None:
    for file in datasets.get(name).FILES.values():
        shipped = repository / "data" / name / file.name
        assert shipped.is_file() == file.is_shipped
        assert not file.is_shipped or shipped.stat().st_size == file.size_bytes


def test_a_misspelled_data_set_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match=r"no data set 'mnits'. Did you mean 'mnist'\? Known: .*mnist"):
        datasets.load("mnits")
