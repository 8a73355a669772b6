"""The search for the highest expected improvement, against a look at everything."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from mlhelpers.tuning.acquisition import most_promising, untried
from mlhelpers.tuning.gaussian_process import GaussianProcess, log_expected_improvement
from mlhelpers.tuning.unit_cube import UnitCube

Array = NDArray[np.float64]
MIXED: dict[str, BaseDistribution] = {
    "kind": CategoricalDistribution(["a", "b", "c"]),
    "n": IntDistribution(1, 30),
    "x": FloatDistribution(0, 1),
}


def _process(cube: UnitCube, seed: int) -> GaussianProcess:
    """Return a rough function of which 10 values are known."""
    generator = np.random.default_rng(seed)
    points = cube.spread(generator.random((10, len(cube.names))))
    lengths = np.where(cube.categorical, 1.2, 0.3)
    return GaussianProcess(points, generator.normal(size=10), cube.categorical, lengths, 1.0, 1e-4)


def _score(process: GaussianProcess, points: Array) -> Array:
    return log_expected_improvement(*process.predict(points), float(process.values.min()))[0]


@pytest.mark.parametrize("seed", range(5))
def test_it_is_as_good_as_looking_at_everything(seed: int) -> None:
    cube = UnitCube(MIXED)
    process = _process(cube, seed)
    fine = UnitCube(MIXED | {"x": FloatDistribution(0, 1, step=1 / 256)}).grid(10**5)
    assert fine is not None

    found = most_promising(process, process.values.min(), cube, process.points, np.random.default_rng(0))

    assert _score(process, found[None])[0] >= _score(process, fine).max() - 0.02
    np.testing.assert_allclose(cube.snap(found[None])[0], found, err_msg="a point that can be run")


def test_what_was_tried_is_not_proposed_again() -> None:
    cube = UnitCube({"m": IntDistribution(1, 100), "n": IntDistribution(1, 100)})
    process = _process(cube, 0)
    tried, best = process.points, process.values.min()

    for number in range(20):
        point = most_promising(process, best, cube, tried, np.random.default_rng(number))
        assert len(untried(point[None], tried)) == 1
        assert not (np.abs(tried - point).max(1) < 1e-6).any()
        tried = np.vstack([tried, point])


def test_what_is_untried_is_told_to_nine_decimals() -> None:
    points = np.array([[0.0, 0.5], [1.0, 0.5], [1 / 3, 0.5]])

    left = untried(points, np.array([[-0.0, 0.5], [0.3333333333, 0.5]]))

    np.testing.assert_array_equal(left, points[1:2])
    np.testing.assert_array_equal(untried(points, points), points, err_msg="all, where none is left")
