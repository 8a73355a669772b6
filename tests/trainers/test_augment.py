from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mlhelpers import datasets
from mlhelpers.trainers import augment
from mlhelpers.trainers.cluster import Rows


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    split = datasets.load("mnist")
    return split.test["images"][:200, ..., None].astype("float32") / 255, split.test["labels"][:200].astype("int32")


def seed(number: int) -> Any:
    import tensorflow as tf

    return tf.constant([number, 0], tf.int64)


@pytest.mark.parametrize("change", [augment.move, augment.change_pen])
def test_a_changed_picture_keeps_shape_and_range_and_depends_on_the_seed_alone(
    change: Callable[..., Any], digits: tuple[np.ndarray, np.ndarray]
) -> None:
    images, _ = digits

    once, again, other = (np.asarray(change(images, seed(number))) for number in (1, 1, 2))

    assert images.shape == once.shape
    assert once.min() >= 0
    assert once.max() <= 1 + 1e-6
    np.testing.assert_array_equal(once, again)
    assert np.abs(once - other).max() > 0.5


def test_no_movement_leaves_the_pictures_alone(digits: tuple[np.ndarray, np.ndarray]) -> None:
    moved = augment.move(digits[0], seed(1), rotate=0, scale=0, shear=0, shift=0)

    np.testing.assert_allclose(digits[0], np.asarray(moved), atol=1e-5)


def test_movement_keeps_most_of_the_ink(digits: tuple[np.ndarray, np.ndarray]) -> None:
    moved = np.asarray(augment.move(digits[0], seed(1)))

    share = moved.sum((1, 2, 3)) / digits[0].sum((1, 2, 3))
    assert share.min() > 0.7
    assert share.max() < 1.4


def test_a_pen_change_makes_some_thicker_some_thinner_and_leaves_some(digits: tuple[np.ndarray, np.ndarray]) -> None:
    change = np.asarray(augment.change_pen(digits[0], seed(1), share=0.3)).sum((1, 2, 3)) - digits[0].sum((1, 2, 3))

    for share in (np.mean(change > 0), np.mean(change < 0)):
        assert 0.2 < share < 0.4
    assert np.mean(change == 0) > 0.25


def test_only_zeros_ones_and_sevens_get_added_strokes_and_never_lose_ink(
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    images, labels = digits

    changed = np.asarray(augment.add_variants(images, labels, seed(1), share=1.0))

    differs = np.abs(changed - images).max((1, 2, 3)) > 0
    assert not differs[~np.isin(labels, [0, 1, 7])].any()
    assert differs[np.isin(labels, [0, 1, 7])].mean() > 0.9
    assert (changed >= images).all()


def test_a_share_of_none_adds_no_stroke(digits: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = digits

    np.testing.assert_array_equal(images, np.asarray(augment.add_variants(images, labels, seed(1), share=0.0)))


@pytest.mark.parametrize("name", ["move", "change_pen", "add_variants"])
def test_rows_of_a_batch_are_changed_as_in_the_whole_batch(name: str, digits: tuple[Any, Any]) -> None:
    images, labels = digits
    rows = Rows(7, 150, len(images))

    def change(images: Any, labels: Any, rows: Rows | None) -> Any:
        more = (labels,) if name == "add_variants" else ()
        return np.asarray(getattr(augment, name)(images, *more, seed(3), rows))

    part = change(images[rows.part], labels[rows.part], rows)

    assert not np.array_equal(part, images[rows.part])
    # sines of a few numbers and of many differ in their last digit
    np.testing.assert_allclose(part, change(images, labels, None)[rows.part], atol=1e-5)
