"""Each family's answer, written out by hand, becomes the boxes it means."""

from __future__ import annotations

import numpy as np
import pytest

from mlhelpers.detection.classes import COCO
from mlhelpers.detection.decoders import candidates
from mlhelpers.detection.spec import DECODERS, DetectorSpec
from mlhelpers.errors import ModelError

_SIZE = (64, 64)


def _nanodet() -> dict[str, np.ndarray]:
    answer = {}
    for stride in (8, 16, 32):
        cells = (64 // stride) ** 2
        answer[f"scores_{stride}"] = np.zeros((1, cells, 80), np.float32)
        answer[f"sides_{stride}"] = np.zeros((1, cells, 44), np.float32)
    return answer


def test_nanodets_sides_are_the_means_of_their_distributions_in_cells() -> None:
    answer = _nanodet()
    cell = 1 * 4 + 2  # row 1, column 2 of 16 pixels: its middle is x = 40, y = 24
    answer["scores_16"][0, cell, 16] = 0.9
    sides = np.full((4, 11), -30.0)
    for side, bins in enumerate(([1], [0, 1], [1], [2])):  # left, top, right, bottom
        sides[side, bins] = 5.0
    answer["sides_16"][0, cell] = sides.reshape(-1)

    found = candidates(answer, DetectorSpec("nanodet", _SIZE), 0.5)

    left, top, right, bottom = 40 - 16, 24 - 8, 40 + 16, 24 + 32
    np.testing.assert_allclose(found.boxes, np.array([[top, left, bottom, right]]) / 64, atol=1e-5)
    assert [COCO[each] for each in found.class_ids] == ["dog"]


def test_nothing_above_the_threshold_is_no_boxes() -> None:
    found = candidates(_nanodet(), DetectorSpec("nanodet", _SIZE), 0.5)

    assert found.boxes.shape == (0, 4)
    assert not len(found.scores) + len(found.class_ids)


def test_of_too_many_candidates_the_best_are_compared() -> None:
    answer = _nanodet()
    answer["scores_8"][:] = np.linspace(0.3, 0.9, 64 * 80).reshape(1, 64, 80)

    found = candidates(answer, DetectorSpec("nanodet", _SIZE), 0.3)

    assert len(found.scores) == 1000
    assert found.scores.min() == pytest.approx(np.sort(answer["scores_8"].ravel())[-1000])


def test_yolox_gives_centres_and_logarithms_in_cells() -> None:
    rows = np.zeros((1, 64 + 16 + 4, 85), np.float32)
    k = 64 + 1 * 4 + 2  # the second of three grids, 16 pixels a cell: row 1, column 2
    rows[0, k, :5] = [0.5, 0.25, np.log(2), np.log(1), 0.8]
    rows[0, k, 5 + 2] = 0.9

    found = candidates({"output": rows}, DetectorSpec("yolox", _SIZE), 0.5)

    x, y = (2 + 0.5) * 16, (1 + 0.25) * 16
    np.testing.assert_allclose(found.boxes, np.array([[y - 8, x - 16, y + 8, x + 16]]) / 64, atol=1e-6)
    assert found.scores.tolist() == pytest.approx([0.72])
    assert [COCO[each] for each in found.class_ids] == ["car"]


def test_a_single_shot_detectors_classes_are_cocos_ids_with_their_holes() -> None:
    scores = np.zeros((1, 3, 90), np.float32)
    scores[0, 1, 46], scores[0, 1, 66] = 0.9, 0.6  # ids 47 and 67 of one anchor
    boxes = np.arange(12, dtype=np.float32).reshape(1, 3, 1, 4) / 12

    found = candidates({"scores": scores, "boxes": boxes}, DetectorSpec("ssd", _SIZE), 0.5)

    assert [COCO[each] for each in found.class_ids] == ["cup", "dining table"]
    assert found.boxes.tolist() == boxes[0, 1].tolist() * 2


def test_centernets_corners_are_pixels_x_before_y() -> None:
    rows = np.zeros((1, 100, 6), np.float32)
    rows[0, 0] = [16, 8, 48, 64, 0.7, 79]

    found = candidates({"detections": rows}, DetectorSpec("centernet", _SIZE), 0.5)

    assert found.boxes.tolist() == [[8 / 64, 16 / 64, 1, 48 / 64]]
    assert [COCO[each] for each in found.class_ids] == ["toothbrush"]


def test_the_object_detection_apis_number_says_how_many_count() -> None:
    answer = {
        "detection_boxes": np.ones((1, 3, 4), np.float32),
        "detection_scores": np.array([[0.9, 0.4, 0.8]], np.float32),
        "detection_classes": np.array([[18.0, 1.0, 1.0]], np.float32),
        "num_detections": np.array([2.0], np.float32),
    }

    found = candidates(answer, DetectorSpec("object_detection_api"), 0.5)

    assert found.class_ids.tolist() == [18]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 0, 3, 1), (1, 0, 2, 3)])
def test_the_detection_operations_outputs_are_told_in_any_order(order: tuple[int, ...]) -> None:
    outputs = [
        np.full((1, 2, 4), 0.5, np.float32), np.array([[17.0, 0.0]], np.float32), np.array([[0.9, 0.6]], np.float32),
        np.array([2.0], np.float32),
    ]  # fmt: skip

    found = candidates({str(k): outputs[k] for k in order}, DetectorSpec("postprocessed", _SIZE), 0.5)

    assert [COCO[each] for each in found.class_ids] == ["dog", "person"]
    assert found.scores.tolist() == pytest.approx([0.9, 0.6])


@pytest.mark.parametrize("decoder", DECODERS)
def test_an_answer_of_another_form_is_told_with_its_shapes(decoder: str) -> None:
    with pytest.raises(ModelError, match=r"cannot be read as .*odd \(1, 7\).*another decoder"):
        candidates({"odd": np.zeros((1, 7))}, DetectorSpec(decoder, _SIZE), 0.5)
