"""How right a classifier of ordered classes is: accuracy, recall of each class, linear-weighted kappa."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["confusion_matrix", "linear_kappa", "recalls", "table"]

Matrix = NDArray[np.int64]


def confusion_matrix(labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> Matrix:
    """Count how often class i (row) was called class j (column).

    Args:
        labels: The true classes, shape (n,), 0 to classes - 1.
        predicted: What the model says, shape (n,).
        classes: How many classes there are.

    Returns:
        Shape (classes, classes).
    """
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


def linear_kappa(matrix: Matrix) -> float:
    """Return Cohen's kappa with linear weights: agreement beyond chance, where a near miss counts as less wrong.

    1 is full agreement, 0 what chance gives. After J. Cohen, "Weighted kappa", Psychological Bulletin 70(4), 1968; it
    is how agreement of radiologists on density is reported.

    Args:
        matrix: As `confusion_matrix` returns it; neither all in one row and column.

    Returns:
        Kappa, at most 1; 0.0 where it is not defined because labels and answers hold one and the same class.
    """
    classes = np.arange(len(matrix))
    cost = np.abs(classes[:, None] - classes[None, :])
    by_chance = np.outer(matrix.sum(1), matrix.sum(0)) / matrix.sum()
    expected = float((cost * by_chance).sum())
    return 1 - float((cost * matrix).sum()) / expected if expected else 0.0


def recalls(matrix: Matrix) -> list[float | None]:
    """Return which share of each class was recognised; None for a class of which there is no example."""
    return [
        None if total == 0 else float(right) / float(total)
        for right, total in zip(np.diag(matrix), matrix.sum(1), strict=True)
    ]


def table(matrix: Matrix, names: Sequence[str]) -> list[str]:
    """Lay out a confusion matrix as lines of text: a row for each true class, with its recall at the end.

    Args:
        matrix: As `confusion_matrix` returns it.
        names: The classes' names.
    """
    width, first = max(6, *map(len, names)) + 2, max(11, *map(len, names))
    head = "true \\ said".ljust(first) + "".join(name.rjust(width) for name in names) + "recall".rjust(width)
    rows = []
    for name, counts, recall in zip(names, matrix, recalls(matrix), strict=True):
        share = "-" if recall is None else f"{recall:.3f}"
        rows.append(name.ljust(first) + "".join(str(n).rjust(width) for n in counts) + share.rjust(width))
    return [head, *rows]
