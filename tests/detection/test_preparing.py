"""Where a picture lies in what a network sees, and the way back."""

from __future__ import annotations

import numpy as np
import pytest

from mlhelpers.detection.preparing import place, prepared
from mlhelpers.detection.spec import DetectorSpec


@pytest.mark.parametrize("fit", ["stretch", "centre", "corner"])
@pytest.mark.parametrize("shape", [(100, 200), (200, 100), (64, 64), (50, 50)])
def test_a_box_around_a_white_patch_comes_back_to_the_patch(fit: str, shape: tuple[int, int]) -> None:
    image = np.zeros((*shape, 3), np.uint8)
    height, width = shape
    image[height // 4 : height // 2, width // 2 : width * 3 // 4] = 255
    spec = DetectorSpec("ssd", (64, 64), fit=fit)

    placed = place(image, spec)
    rows, columns = np.nonzero(placed.pixels[..., 0] > 127)
    on_network = np.array([[rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]]) / 64

    assert placed.pixels.shape == (64, 64, 3)
    np.testing.assert_allclose(placed.back(on_network), [[0.25, 0.5, 0.5, 0.75]], atol=0.04)


def test_what_is_beside_the_picture_is_filled() -> None:
    placed = place(np.full((10, 20, 3), 9, np.uint8), DetectorSpec("yolox", (40, 40), fit="corner", fill=114))

    assert (placed.pixels[:20] == 9).all()
    assert (placed.pixels[20:] == 114).all()


def test_a_box_beyond_the_picture_is_cut_at_its_edge() -> None:
    placed = place(np.zeros((10, 20, 3), np.uint8), DetectorSpec("nanodet", (40, 40), fit="centre"))

    assert placed.back(np.array([[0.0, -0.1, 1.0, 1.2]])).tolist() == [[0.0, 0.0, 1.0, 1.0]]


def test_mean_and_std_are_those_of_the_colours_in_their_order() -> None:
    spec = DetectorSpec("nanodet", (1, 1), "BGR", mean=(10, 20, 30), std=(1, 2, 4), channels_first=True)

    batch = prepared(np.array([[[70, 40, 11]]], np.uint8), spec, np.dtype(np.float32))

    assert batch.shape == (1, 3, 1, 1)
    np.testing.assert_allclose(batch.ravel(), [(11 - 10) / 1, (40 - 20) / 2, (70 - 30) / 4])


def test_a_network_that_takes_bytes_gets_them_as_they_are() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)

    batch = prepared(pixels, DetectorSpec("object_detection_api"), np.dtype(np.uint8))

    np.testing.assert_array_equal(batch, pixels[None])
