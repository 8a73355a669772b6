from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlhelpers import datasets
from mlhelpers.datasets import mnist
from mlhelpers.errors import DataError, UsageError

# the sums that the original files have always had
ORIGINAL_MD5 = {
    "train_images": "6bbc9ace898e44ae57da46a324031adb",
    "test_images": "2646ac647ad5339dbf082846283269ea",
    "train_labels": "a25bea736e30d166cdddb491f175f624",
    "test_labels": "27ae3e4e09519cfbb04c329615203637",
}


@pytest.mark.parametrize("name", ORIGINAL_MD5)
def test_the_shipped_files_hold_the_original_bytes(name: str, repository: Path) -> None:
    packed = (repository / "data" / "mnist" / mnist.FILES[name].name).read_bytes()

    assert ORIGINAL_MD5[name] == hashlib.md5(gzip.decompress(packed)).hexdigest()


def test_the_split_has_55000_5000_and_10000_pictures_of_28x28_bytes() -> None:
    split = datasets.load("mnist")

    assert split.train["images"].shape == (55000, 28, 28)
    assert split.validation["images"].shape == (5000, 28, 28)
    assert split.test["images"].shape == (10000, 28, 28)
    assert split.train["images"].dtype == np.uint8
    assert split.train["labels"].dtype == np.int64


def test_the_first_ten_test_digits_are_those_of_the_tutorial() -> None:
    assert datasets.load("mnist").test["labels"][:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_training_and_validation_part_together_are_the_60000_each_once() -> None:
    split = datasets.load("mnist", seed=1)
    together = np.concatenate([split.train["images"], split.validation["images"]]).reshape(60000, -1)
    whole = datasets.load("mnist", validation_size=0).train["images"].reshape(60000, -1)

    def sums(images: np.ndarray) -> list[bytes]:
        return sorted(hashlib.sha256(image.tobytes()).digest() for image in images)

    assert sums(whole) == sums(together)


def test_the_validation_size_is_refused_beyond_the_training_pictures() -> None:
    with pytest.raises(UsageError, match="validation_size is 60000; allowed is 0 to 59,999"):
        datasets.load("mnist", validation_size=60000)


def test_a_request_holds_784_grey_levels_between_0_and_1_of_the_test_pictures() -> None:
    split = datasets.load("mnist")

    instances = datasets.request("mnist", 10)

    levels = np.array([instance["inputs"] for instance in instances])
    assert levels.shape == (10, 784)
    np.testing.assert_allclose(levels, split.test["images"][:10].reshape(10, 784) / 255, atol=1e-4)


@pytest.mark.parametrize("n", [0, -1, 10001])
def test_a_request_of_impossible_size_is_refused(n: int) -> None:
    with pytest.raises(UsageError, match=f"{n} instances were asked for; allowed is 1 to 10,000"):
        datasets.request("mnist", n)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda content: content[:1000], "truncated, altered or no gzip"),
        (lambda content: b"not gzip at all", "no gzip"),
        (lambda content: gzip.compress(gzip.decompress(content)[:-5]), r"header says \[10000, 28, 28\]"),
        (lambda content: gzip.compress(gzip.decompress(content) + b"x"), r"header says \[10000, 28, 28\]"),
        (lambda content: gzip.compress(b"\0\0\x0d\x01" + bytes(8)), "no IDX file of bytes"),
        (lambda content: gzip.compress(b""), "no IDX file of bytes"),
    ],
)
def test_a_spoiled_idx_file_is_refused_by_name(
    spoil: Callable[[bytes], bytes], message: str, tmp_path: Path, repository: Path
) -> None:
    whole = (repository / "data" / "mnist" / mnist.FILES["test_images"].name).read_bytes()
    path = tmp_path / "digits.gz"
    path.write_bytes(spoil(whole))

    with pytest.raises(DataError, match=message) as caught:
        mnist.read_idx(path)

    assert str(path) in str(caught.value)


def test_prepared_records_are_read_by_tensorflow_as_the_tutorial_reads_them(tmp_path: Path) -> None:
    import tensorflow as tf

    split = datasets.load("mnist")

    datasets.prepare("mnist", tmp_path)

    features = {
        "height": tf.io.FixedLenFeature([], tf.int64),
        "width": tf.io.FixedLenFeature([], tf.int64),
        "depth": tf.io.FixedLenFeature([], tf.int64),
        "label": tf.io.FixedLenFeature([], tf.int64),
        "image_raw": tf.io.FixedLenFeature([], tf.string),
    }
    for part, size in {"train": 55000, "validation": 5000, "test": 10000}.items():
        records = tf.data.TFRecordDataset(str(tmp_path / f"{part}.tfrecords")).batch(size)
        parsed = tf.io.parse_example(next(iter(records)), features)
        pixels = tf.io.decode_raw(parsed["image_raw"], tf.uint8).numpy().reshape(-1, 28, 28)
        np.testing.assert_array_equal(getattr(split, part)["images"], pixels)
        np.testing.assert_array_equal(getattr(split, part)["labels"], parsed["label"].numpy())
        assert {28} == set(parsed["height"].numpy()) == set(parsed["width"].numpy())
        assert {1} == set(parsed["depth"].numpy())


def test_prepare_takes_a_gs_address_as_a_folder_of_the_local_store(home: Path) -> None:
    files = datasets.prepare("mnist", "gs://workshop-ml/data")

    assert home / "buckets" / "workshop-ml" / "data" == files[0].parent


def test_prepare_into_a_folder_that_cannot_be_made_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(DataError, match=r"train.tfrecords cannot be written: .*Choose a folder you may write to"):
        datasets.prepare("mnist", tmp_path / "file" / "below")

    assert [tmp_path / "file"] == [path for path in tmp_path.iterdir() if path.name != "home"]
