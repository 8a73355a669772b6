"""A search space as the unit cube: parameters in and out, each on its own scale.

A logarithmic parameter is even in its logarithm; a whole number sits on its own place, so that whoever models the
space sees the point that is run and not one beside it. Categorical parameters become the number of their choice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from mlhelpers.errors import UsageError

__all__ = ["UnitCube"]

Array = NDArray[np.float64]

_MISSING_CHOICE = -1.0  # differs from every choice equally


class _Axis:
    """One parameter that has more than one value."""

    def __init__(self, distribution: BaseDistribution) -> None:
        self.distribution = distribution
        self.categorical = isinstance(distribution, CategoricalDistribution)
        self.log, self.step = False, None
        if isinstance(distribution, CategoricalDistribution):
            self.low, self.high, self.step = 0.0, float(len(distribution.choices) - 1), 1.0
        elif isinstance(distribution, FloatDistribution | IntDistribution):
            self.low, self.high, self.log = float(distribution.low), float(distribution.high), distribution.log
            self.step = None if distribution.step is None else float(distribution.step)
        else:
            raise UsageError(
                f"A {type(distribution).__name__} cannot be searched: give a float, int or categorical one."
            )
        self.size = round((self.high - self.low) / self.step) + 1 if self.step else None

    def place(self, values: Array) -> Array:
        """Return where values lie, 0..1; the number of the choice for a categorical parameter."""
        if self.categorical:
            return values
        if self.log:
            return np.asarray(np.log(values / self.low) / math.log(self.high / self.low))
        return (values - self.low) / (self.high - self.low)

    def value(self, places: Array) -> Array:
        """Return the nearest values that the parameter may take."""
        if self.categorical:
            return np.clip(np.round(places), self.low, self.high)
        if self.log:
            values = self.low * np.exp(places * math.log(self.high / self.low))
        else:
            values = self.low + places * (self.high - self.low)
        if self.step:
            values = self.low + np.round((values - self.low) / self.step) * self.step
        return np.clip(values, self.low, self.high)

    def spread(self, uniform: Array) -> Array:
        """Return places for numbers uniform in 0..1, such that whole numbers at the ends get their full share."""
        if self.size is None:
            return uniform
        if self.log and self.step:
            low, high = math.log(self.low - self.step / 2), math.log(self.high + self.step / 2)
            return self.place(self.value(self.place(np.exp(low + uniform * (high - low)))))
        numbers = np.minimum(np.floor(uniform * self.size), self.size - 1)
        return self.place(self.low + numbers * (self.step or 1))


class UnitCube:
    """The parameters of a space that have more than one value, as columns of points in the unit cube.

    Args:
        space: Name -> distribution. A parameter of one value has no column; it comes back out of `decode`.

    Raises:
        UsageError: A distribution that is neither a float nor an int nor categorical.
    """

    def __init__(self, space: Mapping[str, BaseDistribution]) -> None:
        self.names = [name for name in sorted(space) if not space[name].single()]
        self._fixed = {name: _only_value(space[name]) for name in space if space[name].single()}
        self._axes = [_Axis(space[name]) for name in self.names]
        self.categorical = np.array([axis.categorical for axis in self._axes], dtype=bool)
        self.sizes = [axis.size for axis in self._axes]

    def encode(self, params: Mapping[str, Any]) -> Array:
        """Return the point of some parameters, shape (d,); one that is missing or unknown lies in the middle."""
        return np.array(
            [self._encode(axis, params.get(name)) for name, axis in zip(self.names, self._axes, strict=True)]
        )

    def _encode(self, axis: _Axis, value: Any) -> float:
        middle = _MISSING_CHOICE if axis.categorical else 0.5
        try:
            place = float(axis.place(np.array(float(axis.distribution.to_internal_repr(value)))))
        except (ValueError, TypeError):
            return middle
        return place if math.isfinite(place) else middle

    def decode(self, point: Array) -> dict[str, Any]:
        """Return the parameters at a point of shape (d,), together with those of one value."""
        values = {
            name: axis.distribution.to_external_repr(float(axis.value(point[column])))
            for column, (name, axis) in enumerate(zip(self.names, self._axes, strict=True))
        }
        return self._fixed | values

    def snap(self, points: Array) -> Array:
        """Return points (m, d) moved to the nearest values that the parameters may take."""
        return self._by_column(points, lambda axis, column: axis.place(axis.value(column)))

    def spread(self, uniform: Array) -> Array:
        """Return points (m, d) of numbers uniform in 0..1: each whole number and each choice equally likely."""
        return self._by_column(uniform, lambda axis, column: axis.spread(column))

    def grid(self, limit: int) -> Array | None:
        """Return every point of the space, (m, d), where there are at most `limit`, else None."""
        count = 1
        for size in self.sizes:
            count = count * size if size and count <= limit else limit + 1
        if count > limit:
            return None
        columns = [
            axis.place(np.asarray(axis.low + np.arange(axis.size or 0) * (axis.step or 1), dtype=np.float64))
            for axis in self._axes
        ]
        return np.stack([mesh.ravel() for mesh in np.meshgrid(*columns, indexing="ij")], axis=1)

    def neighbours(self, point: Array) -> Array:
        """Return the points (m, d) one step away from a point in one whole number, or by another choice."""
        found = []
        for column, axis in enumerate(self._axes):
            if not axis.step:
                continue
            if axis.categorical:
                places = np.setdiff1d(np.arange(axis.size or 0, dtype=np.float64), point[column])
            else:
                value = axis.value(point[column])
                steps = np.array([-axis.step, axis.step])
                places = axis.place(np.clip(value + steps, axis.low, axis.high))
            for place in places:
                moved = point.copy()
                moved[column] = place
                found.append(moved)
        return np.array(found).reshape(-1, len(point))

    def _by_column(self, points: Array, change: Any) -> Array:
        columns = [change(axis, points[:, column]) for column, axis in enumerate(self._axes)]
        return np.stack(columns, axis=1).reshape(points.shape)


def _only_value(distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]
    return distribution.low  # type: ignore[attr-defined]
