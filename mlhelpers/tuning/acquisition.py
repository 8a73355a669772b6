"""Where to look next: the untried point of a space whose expected improvement is highest.

A small space is searched whole. In a larger one, points spread over all of it and points around the best ones compete;
the foremost climb along the gradient in their numbers, and the winner moves on from whole number to whole number and
from choice to choice as long as that pays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import qmc

from mlhelpers.tuning.gaussian_process import GaussianProcess, log_expected_improvement
from mlhelpers.tuning.unit_cube import UnitCube

__all__ = ["most_promising", "untried"]

Array = NDArray[np.float64]

_SPREAD = 2048  # a power of two keeps the Sobol sequence even
_NEARBY = 256
_CLIMBERS = 5
_APART = 0.05  # of the cube's edge, or another choice
_LONGEST_CLIMB = 60  # evaluations
_MOST_STEPS = 20  # from one whole number or choice to another
_DECIMALS = 9  # to which two points are the same


def most_promising(
    process: GaussianProcess, best: float, cube: UnitCube, tried: Array, generator: np.random.Generator
) -> Array:
    """Return the point, shape (d,), of the highest expected improvement that the search finds.

    Args:
        process: What is known of the function; small is good.
        best: The value to be improved on.
        cube: The space.
        tried: Points that are not to be proposed again while others are left, shape (n, d), n at least 1.
        generator: Source of the candidates.
    """
    candidates = np.vstack(
        [
            cube.spread(qmc.Sobol(len(cube.names), rng=generator).random(_SPREAD)),
            _nearby(process, cube, tried, generator),
        ]
    )
    candidates = untried(candidates, tried)
    scores = _scores(process, best, candidates)
    climbers = candidates[_foremost(candidates, scores)]
    climbed = cube.snap(_climb(process, best, climbers, ~cube.categorical))
    finalists = untried(np.vstack([climbers, climbed]), tried)
    scores = _scores(process, best, finalists)
    return _walk(process, best, cube, tried, finalists[np.argmax(scores)])


def untried(points: Array, tried: Array) -> Array:
    """Return those of the points (m, d) that are not among the tried (n, d); all of them if none is left."""
    known = set(_keys(tried))
    new = np.array([key not in known for key in _keys(points)], dtype=bool)
    return points[new] if new.any() else points


def _keys(points: Array) -> list[bytes]:
    return [row.tobytes() for row in np.round(points, _DECIMALS) + 0.0]  # + 0.0 makes -0.0 the same as 0.0


def _nearby(process: GaussianProcess, cube: UnitCube, tried: Array, generator: np.random.Generator) -> Array:
    """Return points around the two that are thought the best, at all distances from a thousandth to a third."""
    width = len(cube.names)
    best = tried[np.argsort(process.predict(tried)[0])[:2]]
    centers = best[generator.integers(0, len(best), _NEARBY)]
    radius = 10 ** generator.uniform(-3, -0.5, (_NEARBY, 1))
    numbers = np.clip(centers + radius * generator.normal(size=(_NEARBY, width)), 0, 1)
    other = cube.spread(generator.random((_NEARBY, width)))
    changed = generator.random((_NEARBY, width)) < np.where(cube.categorical, 0.2, 0.8)
    changed |= centers < 0  # a choice that is not known is none to run
    return cube.snap(np.where(changed, np.where(cube.categorical, other, numbers), centers))


def _scores(process: GaussianProcess, best: float, points: Array) -> Array:
    return log_expected_improvement(*process.predict(points), best)[0]


def _foremost(points: Array, scores: Array) -> list[int]:
    """Return the numbers of the points of the highest score that lie apart from one another."""
    order = np.argsort(-scores, kind="stable")
    chosen = [int(order[0])]
    for number in order[1 : 40 * _CLIMBERS]:
        if len(chosen) == _CLIMBERS:
            break
        if (np.abs(points[number] - points[chosen]).max(1) > _APART).all():
            chosen.append(int(number))
    return chosen


def _climb(process: GaussianProcess, best: float, starts: Array, numeric: NDArray[np.bool_]) -> Array:
    """Return where points (m, d) come to along the gradient of their numeric columns, all in one descent."""
    if not numeric.any():
        return starts
    points = starts.copy()

    def loss(flat: Array) -> tuple[float, Array]:
        points[:, numeric] = flat.reshape(len(points), -1)
        mean, deviation, mean_slope, deviation_slope = process.gradients(points)
        score, by_mean, by_deviation = log_expected_improvement(mean, deviation, best)
        slope = by_mean[:, None] * mean_slope + by_deviation[:, None] * deviation_slope
        return -float(score.sum()), -slope[:, numeric].ravel()

    start = starts[:, numeric].ravel()
    settings = {"maxfun": _LONGEST_CLIMB, "ftol": 1e-3}
    found = minimize(loss, start, method="TNC", jac=True, bounds=[(0, 1)] * len(start), options=settings)
    points[:, numeric] = found.x.reshape(len(points), -1)
    return points


def _walk(process: GaussianProcess, best: float, cube: UnitCube, tried: Array, point: Array) -> Array:
    """Return the point that steps over whole numbers and choices lead to, each to the best untried neighbour."""
    score = _scores(process, best, point[None])[0]
    for _ in range(_MOST_STEPS):
        neighbours = cube.neighbours(point)
        if not len(neighbours):
            break
        neighbours = untried(neighbours, tried)
        scores = _scores(process, best, neighbours)
        if scores.max() <= score:
            break
        point, score = neighbours[np.argmax(scores)], scores.max()
    return point
