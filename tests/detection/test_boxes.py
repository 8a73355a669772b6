"""Overlaps and suppression, held against the plain loops that they stand for."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mlhelpers.detection.boxes import overlaps, suppressed


def _overlap(a: Any, b: Any) -> float:
    height, width = (max(0.0, min(a[k + 2], b[k + 2]) - max(a[k], b[k])) for k in (0, 1))
    union = sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)) - height * width
    return height * width / union if union else 0.0


def _by_loops(boxes: Any, scores: Any, classes: Any, most: float, limit: int) -> list[int]:
    kept: list[int] = []
    for k in sorted(range(len(scores)), key=lambda k: (-scores[k], k)):
        if all(classes[j] != classes[k] or _overlap(boxes[j], boxes[k]) <= most for j in kept):
            kept.append(k)
    return kept[:limit]


def _random(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    corners = rng.integers(0, 12, (n, 2))
    return np.concatenate([corners, corners + rng.integers(1, 6, (n, 2))], axis=1).astype(float)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(0, 25), most=st.sampled_from([0.3, 0.45, 0.61]))
def test_what_is_kept_is_what_the_loops_keep(seed: int, n: int, most: float) -> None:
    rng = np.random.default_rng(seed)
    boxes, scores, classes = _random(rng, n), rng.integers(0, 9, n) / 8, rng.integers(0, 3, n)

    kept = suppressed(boxes, scores, classes, most, 10)

    assert kept.tolist() == _by_loops(boxes, scores, classes, most, 10)


def test_the_overlap_of_two_boxes_is_their_intersection_over_their_union() -> None:
    boxes = _random(np.random.default_rng(1), 8)

    expected = [[_overlap(a, b) for b in boxes] for a in boxes]

    np.testing.assert_allclose(overlaps(boxes, boxes), expected, atol=1e-6)


def test_empty_boxes_overlap_nothing_and_raise_no_warning() -> None:
    with np.errstate(all="raise"):
        assert overlaps(np.zeros((1, 4)), np.zeros((1, 4))).tolist() == [[0.0]]


@pytest.mark.parametrize("n", [1000])
def test_a_thousand_boxes_take_a_fraction_of_a_second(n: int) -> None:
    rng = np.random.default_rng(0)
    boxes, scores = _random(rng, n), rng.random(n)

    start = time.process_time()
    suppressed(boxes, scores, np.zeros(n), 0.5, 100)

    assert time.process_time() - start < 1.0
