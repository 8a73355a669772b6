"""What a detector answers is checked, and is plain data on request."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mlhelpers.detection import Detections
from mlhelpers.detection.classes import COCO, COCO_IDS
from mlhelpers.errors import UsageError


def _found(scores: tuple[float, ...] = (0.9, 0.6, 0.4)) -> Detections:
    n = len(scores)
    boxes = np.tile(np.array([0, 0.25, 0.5, 1], np.float32), (n, 1))
    names = ("dog", "kite", "dog")[:n]
    return Detections(boxes, np.array(scores, np.float32), np.array([18, 38, 18])[:n], names, "m", (640, 480), 0.25)


def test_above_keeps_those_that_reach_the_threshold() -> None:
    assert _found().above(0.6 - 1e-6).names == ("dog", "kite")
    assert len(_found().above(0.95)) == 0


def test_counts_begin_with_the_most_frequent() -> None:
    assert list(_found().counts().items()) == [("dog", 2), ("kite", 1)]


def test_to_json_is_what_json_takes() -> None:
    content = json.loads(json.dumps(_found((0.9,)).to_json()))

    assert content == {
        "model": "m",
        "size": {"width": 640, "height": 480},
        "seconds": 0.25,
        "counts": {"dog": 1},
        "detections": [{"name": "dog", "class_id": 18, "score": 0.9, "box": [0.0, 0.25, 0.5, 1.0]}],
    }


def test_scores_that_rise_and_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="rise somewhere"):
        _found((0.1, 0.6))
    with pytest.raises(UsageError, match="with 1 names need"):
        Detections(np.zeros((2, 4), np.float32), np.zeros(1, np.float32), np.zeros(1, int), ("a",), "m", (1, 1), 0)


def test_cocos_ids_are_80_from_1_to_90() -> None:
    assert (len(COCO), COCO_IDS[0], COCO_IDS[-1]) == (80, 1, 90)
    assert not {12, 26, 29, 30, 45, 66, 68, 69, 71, 83} & set(COCO)
    assert [COCO[k] for k in (1, 18, 44, 62, 67, 77, 90)] == [
        "person", "dog", "bottle", "chair", "dining table", "cell phone", "toothbrush",
    ]  # fmt: skip
