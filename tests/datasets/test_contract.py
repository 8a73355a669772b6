"""What holds for every data set in the table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mlhelpers import datasets
from mlhelpers.errors import UsageError

every_data_set = pytest.mark.parametrize("name", datasets.names())


@every_data_set
def test_a_data_set_loads_offline_from_what_is_shipped(name: str) -> None:
    split = datasets.load(name)

    assert split.source == "shipped"
    assert split.name == name


@every_data_set
def test_pictures_and_labels_go_together_and_labels_are_classes(name: str) -> None:
    split = datasets.load(name)

    for part in ("train", "validation", "test"):
        images, labels = getattr(split, f"{part}_images"), getattr(split, f"{part}_labels")
        assert len(images) == len(labels) > 0
        assert set(np.unique(labels)) == set(range(len(split.class_names)))


@every_data_set
def test_the_same_seed_splits_the_same_way_and_another_seed_otherwise(name: str) -> None:
    once, again, other = (datasets.load(name, seed=seed) for seed in (3, 3, 4))

    np.testing.assert_array_equal(once.train_labels, again.train_labels)
    np.testing.assert_array_equal(once.validation_images, again.validation_images)
    assert not np.array_equal(once.validation_images, other.validation_images)


@every_data_set
def test_a_request_is_json_of_the_first_test_examples(name: str) -> None:
    instances = datasets.request(name, 3)

    assert len(instances) == 3
    assert json.loads(json.dumps(instances)) == instances


@every_data_set
def test_prepare_returns_the_files_it_wrote_and_leaves_no_other(name: str, tmp_path: Path) -> None:
    files = datasets.prepare(name, tmp_path / "prepared")

    assert files
    assert sorted((tmp_path / "prepared").iterdir()) == sorted(files)


@every_data_set
def test_every_file_of_the_table_is_shipped_with_the_size_it_names(name: str, repository: Path) -> None:
    for file in datasets.get(name).FILES.values():
        assert (repository / "data" / name / file.name).stat().st_size == file.size_bytes


def test_a_misspelled_data_set_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match=r"no data set 'mnits'. Did you mean 'mnist'\? Known: .*mnist"):
        datasets.load("mnits")
