from __future__ import annotations

import numpy as np
import pytest

from mlhelpers import plots
from mlhelpers.errors import UsageError


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 65536, (5, 12, 9)).astype(np.uint16)


def test_scans_are_drawn_in_order_with_high_numbers_light(images: np.ndarray) -> None:
    ax = plots.scans(images, list("abcde"), columns=2, title="Five")

    assert all(np.array_equal(artist.get_array(), image) for artist, image in zip(ax.images, images, strict=True))
    assert {artist.get_cmap().name for artist in ax.images} == {"gray"}
    assert [text.get_text() for text in ax.texts] == list("abcde")
    assert ax.get_title(loc="left") == "Five"


def test_without_a_window_each_scan_takes_its_own_range(images: np.ndarray) -> None:
    ax = plots.scans(images)

    assert [artist.get_clim() for artist in ax.images] == [(image.min(), image.max()) for image in images]


def test_a_window_is_centre_and_width_for_all_or_for_each(images: np.ndarray) -> None:
    one = plots.scans(images, window=(30000, 20000))
    each = plots.scans(images[:2], window=[(30000, 20000), (10, 4)])

    assert {artist.get_clim() for artist in one.images} == {(20000, 40000)}
    assert [artist.get_clim() for artist in each.images] == [(20000, 40000), (8, 12)]


def test_scans_of_different_sizes_keep_their_shape() -> None:
    ax = plots.scans([np.zeros((20, 10)), np.zeros((10, 10))])

    heights = [artist.get_extent()[2] - artist.get_extent()[3] for artist in ax.images]
    assert heights == [2, 1]


def test_one_scan_may_be_given_alone(images: np.ndarray) -> None:
    assert len(plots.scans(images[0]).images) == 1


def test_marked_labels_are_bold(images: np.ndarray) -> None:
    ax = plots.scans(images[:2], ["a", "b"], highlight=[False, True])

    assert [text.get_fontweight() for text in ax.texts] == ["normal", "bold"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": ["a"]}, "1 labels were given for 5 images"),
        ({"highlight": [True]}, "1 highlight marks were given for 5 images"),
        ({"window": [(1, 1)] * 3}, "3 windows were given for 5 images"),
        ({"window": (100, 0)}, r"window is \(100, 0\); give centre and width of the grey levels, the width above 0"),
    ],
)
def test_what_does_not_go_with_the_scans_is_refused(images: np.ndarray, options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plots.scans(images, **options)


def test_scans_of_another_shape_are_refused() -> None:
    with pytest.raises(UsageError, match=r"A scan of shape \(4, 4, 3\) cannot be drawn"):
        plots.scans(np.zeros((2, 4, 4, 3)))


def test_each_order_is_a_strip_of_its_labels_with_a_mark_for_each_batch() -> None:
    orders = {"as stored": [0, 0, 1, 1, 2, 2], "shuffled": [2, 0, 1, 0, 1, 2]}

    ax = plots.label_strips(orders, ["a", "b", "c"], batch_size=2, title="Order")

    assert [artist.get_array().ravel().tolist() for artist in ax.images] == list(orders.values())
    assert [label.get_text() for label in ax.get_yticklabels()] == ["as stored", "shuffled"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b", "c"]
    assert [segment[0][0] for segment in ax.collections[0].get_segments()] == [2, 4]


@pytest.mark.parametrize(
    ("orders", "options", "message"),
    [
        ({}, {}, "0 orders in batches of 2"),
        ({"a": [0]}, {"batch_size": 0}, "1 orders in batches of 0 were given; give 1 or more of each"),
        ({"a": [0.5]}, {}, "The order 'a' has to hold whole numbers from 0"),
        ({"a": []}, {}, "The order 'a' has to hold whole numbers from 0"),
        ({"a": [0, 2]}, {"class_names": ["x"]}, "1 class names were given for 3 classes"),
    ],
)
def test_orders_that_cannot_be_drawn_are_refused(orders: dict, options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plots.label_strips(orders, **{"batch_size": 2} | options)
