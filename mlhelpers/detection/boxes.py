"""Arithmetic of boxes in numpy: overlap, non-maximum suppression, and from what a network says to corners.

Boxes are ymin, xmin, ymax, xmax. May import nothing of the project.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["overlaps", "suppressed"]


def overlaps(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float32]:
    """Return the intersection over union of each pair of boxes.

    Args:
        first: Shape (n, 4).
        second: Shape (m, 4).

    Returns:
        Shape (n, m), 0 to 1; 0 where both are empty.

    Example:
        >>> overlaps(np.array([[0, 0, 2, 2]]), np.array([[0, 1, 2, 3], [0, 0, 2, 2]])).round(2).tolist()
        [[0.33000001311302185, 1.0]]
    """
    one, other = np.asarray(first, np.float32)[:, None], np.asarray(second, np.float32)[None]
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    shared = np.maximum(sides, 0).prod(axis=-1)
    areas = [np.maximum(each[..., 2:] - each[..., :2], 0).prod(axis=-1) for each in (one, other)]
    union = areas[0] + areas[1] - shared
    ratio: NDArray[np.float32] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return ratio


def suppressed(
    boxes: NDArray[Any], scores: NDArray[Any], classes: NDArray[Any], most_overlap: float, limit: int
) -> NDArray[np.intp]:
    """Choose which boxes to keep: of those of one class that overlap, the one with the highest score.

    The overlaps are worked out once for all pairs; what is left for the loop is one look a box.

    Args:
        boxes: Shape (n, 4).
        scores: Shape (n,).
        classes: Shape (n,); boxes of different classes let one another be.
        most_overlap: Intersection over union beyond which the lower score goes.
        limit: How many to keep at most.

    Returns:
        Their places in the arrays, by falling score; among equal scores the earlier comes first.

    Example:
        >>> square = np.array([[0, 0, 1, 1]] * 3, float)
        >>> suppressed(square, np.array([0.5, 0.9, 0.4]), np.array([1, 1, 2]), 0.5, 10).tolist()
        [1, 2]
    """
    order = np.argsort(-scores, kind="stable")
    same = classes[order][:, None] == classes[order][None]
    rivals = (overlaps(boxes[order], boxes[order]) > most_overlap) & same
    alive = np.ones(len(order), bool)
    for k in range(len(order)):
        if alive[k]:
            alive[k + 1 :] &= ~rivals[k, k + 1 :]
    kept: NDArray[np.intp] = order[alive][:limit]
    return kept
