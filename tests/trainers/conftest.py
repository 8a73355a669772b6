from __future__ import annotations

from pathlib import Path

import pytest

from mlhelpers.datasets import mnist
from mlhelpers.datasets.records import write_records


@pytest.fixture(scope="session")
def small_mnist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real MNIST records, few of them: 600 to train on, 100 to validate, 200 to test."""
    folder = tmp_path_factory.mktemp("small_mnist")
    split = mnist.load()
    for part, n in {"train": 600, "validation": 100, "test": 200}.items():
        images, labels = getattr(split, part)["images"][:n], getattr(split, part)["labels"][:n]
        write_records(folder / f"{part}.tfrecords", mnist._examples(images, labels))
    return folder
