"""Parameters into the unit cube and back: scales, whole numbers, choices, what is missing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from mlhelpers.errors import UsageError
from mlhelpers.tuning.unit_cube import UnitCube

SPACE: dict[str, BaseDistribution] = {
    "rate": FloatDistribution(1e-4, 1e-1, log=True),
    "width": IntDistribution(8, 512, log=True),
    "layers": IntDistribution(1, 5, step=2),
    "dropout": FloatDistribution(0.0, 0.5),
    "kept": FloatDistribution(0.0, 0.75, step=0.25),
    "kind": CategoricalDistribution(["relu", "tanh", None]),
    "fixed": IntDistribution(7, 7),
    "only": CategoricalDistribution(["adam"]),
}
PARAMS: dict[str, Any] = {
    "rate": 1e-3,
    "width": 64,
    "layers": 5,
    "dropout": 0.125,
    "kept": 0.5,
    "kind": "tanh",
    "fixed": 7,
    "only": "adam",
}


def test_each_parameter_lies_on_its_own_scale() -> None:
    cube = UnitCube(SPACE)

    point = dict(zip(cube.names, cube.encode(PARAMS), strict=True))

    assert point == pytest.approx(
        {"dropout": 0.25, "kept": 2 / 3, "kind": 1.0, "layers": 1.0, "rate": 1 / 3, "width": 0.5}
    )


def test_what_goes_in_comes_out() -> None:
    cube = UnitCube(SPACE)

    assert cube.decode(cube.encode(PARAMS)) == pytest.approx(PARAMS)
    assert isinstance(cube.decode(cube.encode(PARAMS))["width"], int)


@pytest.mark.parametrize("end", [0.0, 1.0 - 1e-12, 1.0])
def test_every_value_is_one_that_the_distribution_allows(end: float) -> None:
    cube = UnitCube(SPACE)
    points = np.vstack([np.full((1, 6), end), np.random.default_rng(0).random((200, 6))])

    for point in np.vstack([cube.spread(points), cube.snap(cube.spread(points))]):
        for name, value in cube.decode(point).items():
            assert SPACE[name]._contains(SPACE[name].to_internal_repr(value)), (name, value)


def test_a_whole_number_is_seen_where_it_is_run() -> None:
    cube = UnitCube({"n": IntDistribution(1, 4)})

    snapped = cube.snap(np.array([[0.0], [0.1], [0.4], [0.6], [1.0]]))

    np.testing.assert_allclose(snapped[:, 0], [0, 0, 1 / 3, 2 / 3, 1])
    assert [cube.encode(cube.decode(point))[0] for point in snapped] == pytest.approx(list(snapped[:, 0]))


def test_whole_numbers_at_the_ends_get_their_full_share() -> None:
    cube = UnitCube({"n": IntDistribution(1, 4)})
    uniform = (np.arange(4000)[:, None] + 0.5) / 4000

    _, counts = np.unique(cube.spread(uniform), return_counts=True)

    assert counts.tolist() == [1000] * 4


def test_whole_numbers_on_a_log_scale_get_a_share_as_wide_as_their_logarithm() -> None:
    cube = UnitCube({"n": IntDistribution(1, 3, log=True)})
    uniform = (np.arange(10_000)[:, None] + 0.5) / 10_000

    _, counts = np.unique(cube.spread(uniform), return_counts=True)

    shares = [math.log(1.5 / 0.5), math.log(2.5 / 1.5), math.log(3.5 / 2.5)]
    np.testing.assert_allclose(counts / 10_000, np.array(shares) / math.log(7), atol=1e-3)


def test_a_missing_number_lies_in_the_middle_and_a_missing_choice_is_like_no_other() -> None:
    cube = UnitCube(SPACE)

    point = dict(zip(cube.names, cube.encode({"kind": "unheard of", "width": "wide"}), strict=True))

    assert point == {"dropout": 0.5, "kept": 0.5, "kind": -1.0, "layers": 0.5, "rate": 0.5, "width": 0.5}


def test_the_grid_is_every_point_where_there_are_few() -> None:
    cube = UnitCube({name: SPACE[name] for name in ("layers", "kept", "kind", "fixed")})

    grid = cube.grid(36)

    assert grid is not None
    found = {tuple(cube.decode(point).values()) for point in grid}
    assert len(grid) == len(found) == 3 * 4 * 3
    assert cube.grid(35) is None
    assert UnitCube({"dropout": SPACE["dropout"]}).grid(10**6) is None


def test_neighbours_are_a_step_or_a_choice_away() -> None:
    cube = UnitCube({name: SPACE[name] for name in ("width", "kind", "dropout")})
    params = {"width": 8, "kind": "relu", "dropout": 0.25}

    found = [cube.decode(point) for point in cube.neighbours(cube.encode(params))]

    changes = [{name: value for name, value in one.items() if params[name] != value} for one in found]
    assert [change for change in changes if change] == [{"kind": "tanh"}, {"kind": None}, {"width": 9}]


def test_what_cannot_be_searched_is_refused() -> None:
    class Odd(BaseDistribution):
        def to_internal_repr(self, param_value_in_external_repr: Any) -> float:
            return 0.0

        def single(self) -> bool:
            return False

        def _contains(self, param_value_in_internal_repr: float) -> bool:
            return True

    with pytest.raises(UsageError, match="A Odd cannot be searched"):
        UnitCube({"x": Odd()})
