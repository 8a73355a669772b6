"""Boxes over a picture: where, how thick, in which colour, told from the artists."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from mlhelpers import plots
from mlhelpers.errors import UsageError

_PICTURE = np.zeros((100, 200, 3), np.uint8)
_FOUND = SimpleNamespace(
    boxes=np.array([[0.5, 0.25, 1.0, 0.75], [0.0, 0.0, 0.5, 0.5], [0.2, 0.2, 0.4, 0.4]]),
    scores=np.array([0.95, 0.7, 0.3], np.float32),
    class_ids=np.array([18, 1, 18]),
    names=("dog", "person", "dog"),
)


def test_a_box_lies_where_it_is_said_and_is_the_thicker_the_surer() -> None:
    ax = plots.detections(_PICTURE, _FOUND)

    boxes = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    assert [box.get_linewidth() for box in boxes] == [1, 3, 5]  # the surest last, on top
    assert boxes[-1].get_bbox().bounds == pytest.approx((50, 50, 100, 50))
    assert [text.get_text() for text in ax.texts] == ["dog 0.30", "person 0.70", "dog 0.95"]


def test_a_class_has_one_colour_and_another_class_another() -> None:
    colours = [patch.get_edgecolor() for patch in plots.detections(_PICTURE, _FOUND).patches]

    assert colours[0] == colours[2] != colours[1]


def test_two_classes_of_one_box_can_both_be_read() -> None:
    found = SimpleNamespace(
        boxes=np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 0.01, 1.0, 0.98]]),
        scores=np.array([0.54, 0.41]),
        class_ids=np.array([17, 18]),
        names=("cat", "dog"),
    )

    ax = plots.detections(_PICTURE, found)
    ax.figure.canvas.draw()

    dog, cat = (text.get_bbox_patch().get_window_extent() for text in ax.texts)  # type: ignore[union-attr]
    assert not dog.overlaps(cat)
    assert cat.y1 <= ax.get_window_extent().y1  # nothing of it is cut off


def test_many_boxes_of_one_class_keep_their_labels_at_their_corners() -> None:
    found = SimpleNamespace(
        boxes=np.array([[0.3, 0.3, 0.9, 0.9]] * 3), scores=np.full(3, 0.5), class_ids=np.full(3, 47), names=["cup"] * 3
    )

    ax = plots.detections(_PICTURE, found)
    ax.figure.canvas.draw()

    assert len({text.get_window_extent().y0 for text in ax.texts}) == 1


def test_a_threshold_leaves_the_less_sure_out() -> None:
    assert len(plots.detections(_PICTURE, _FOUND, threshold=0.69).patches) == 2


def _luminance(colour: object) -> float:
    channels = np.array(to_rgb(colour))  # type: ignore[arg-type]
    linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def test_letters_have_a_contrast_of_at_least_4_5_on_every_class() -> None:
    n = 90
    found = SimpleNamespace(
        boxes=np.zeros((n, 4)), scores=np.full(n, 0.5), class_ids=np.arange(1, n + 1), names=["x"] * n
    )

    for text in plots.detections(_PICTURE, found).texts:
        box = text.get_bbox_patch()
        assert box is not None
        dark, light = sorted([_luminance(text.get_color()), _luminance(box.get_facecolor()[:3])])
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_a_grey_picture_is_refused() -> None:
    with pytest.raises(UsageError, match=r"\(100, 200\) cannot be drawn"):
        plots.detections(_PICTURE[..., 0], _FOUND)
