"""What a study may change: parameters with their ranges, in Python's words and in Optuna's.

Optuna is told of plain numbers: a choice of numbers goes by its place in their order, and a reversed log scale is the
log scale of the mirrored value (low + high - x).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlhelpers.errors import UsageError, unknown_name

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

__all__ = ["SCALES", "Choice", "Float", "Int", "Parameter", "Space", "Value", "check_space", "parents_first", "used"]

Value = float | int | str
# a scale here -> on the service
SCALES = {"linear": "UNIT_LINEAR_SCALE", "log": "UNIT_LOG_SCALE", "reverse_log": "UNIT_REVERSE_LOG_SCALE"}
_MOST_VALUES = 1000  # of a DISCRETE parameter, as on the service
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class _Range:
    """A range with both ends, and how it is spaced."""

    low: float
    high: float
    scale: str = "linear"
    when: Mapping[str, Sequence[Value]] = field(default_factory=dict)

    @property
    def is_reversed(self) -> bool:
        return self.scale == "reverse_log"

    def problem(self) -> str:
        """Return what is wrong with it, as the rest of a sentence; empty where nothing is."""
        if not all(isinstance(end, int | float) and not isinstance(end, bool) for end in (self.low, self.high)):
            return f"has the ends {self.low!r} and {self.high!r}: give two numbers"
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            return f"has the ends {self.low!r} and {self.high!r}: give two finite numbers"
        if self.low > self.high:
            return f"has the least value {self.low:g} over the greatest, {self.high:g}: exchange them"
        if self.scale not in SCALES:
            return f"has the scale {self.scale!r}; a scale is one of {', '.join(SCALES)}"
        if self.scale != "linear" and self.low <= 0:
            return f"has a log scale and the least value {self.low:g}: a log scale needs a least value over 0"
        return ""

    def to_param(self) -> dict[str, Any]:
        """Return it in the service's words, without its name."""
        return {"minValue": self.low, "maxValue": self.high, "scaleType": SCALES[self.scale]}


@dataclass(frozen=True)
class Float(_Range):
    """A real number from `low` to `high`, both included.

    Attributes:
        low: The least value.
        high: The greatest value.
        scale: "linear"; "log", where 1 to 10 counts as much as 10 to 100; "reverse_log", which looks closely at the
            upper end. The log scales need `low` over 0.
        when: Name of another parameter -> values of it with which this one is used; always where empty.

    Example:
        >>> Float(1e-5, 1e-1, scale="log")
        Float(low=1e-05, high=0.1, scale='log', when={})
    """

    kind = "DOUBLE"

    def distribution(self) -> BaseDistribution:
        """Return what Optuna is told of it."""
        from optuna.distributions import FloatDistribution

        return FloatDistribution(float(self.low), float(self.high), log=self.scale != "linear")

    def draw(self, trial: optuna.Trial, name: str) -> Any:
        """Have Optuna choose a value, in its words."""
        return trial.suggest_float(name, float(self.low), float(self.high), log=self.scale != "linear")

    def decode(self, inner: Any) -> Value:
        """Return the value that stands behind Optuna's."""
        value = self.low + self.high - float(inner) if self.is_reversed else float(inner)
        return min(max(value, float(self.low)), float(self.high))

    def encode(self, value: Value) -> Any:
        """Return Optuna's word for a value."""
        return self.decode(value)  # mirroring twice gives the same


@dataclass(frozen=True)
class Int(_Range):
    """A whole number from `low` to `high`, both included.

    Attributes:
        low: The least value.
        high: The greatest value.
        scale: As for `Float`.
        when: As for `Float`.
    """

    kind = "INTEGER"

    def problem(self) -> str:
        """Return what is wrong with it, as the rest of a sentence; empty where nothing is."""
        if found := super().problem():
            return found
        if self.low != int(self.low) or self.high != int(self.high):
            return f"is of whole numbers and has the ends {self.low!r} and {self.high!r}: give whole numbers"
        return ""

    def distribution(self) -> BaseDistribution:
        """Return what Optuna is told of it."""
        from optuna.distributions import IntDistribution

        return IntDistribution(int(self.low), int(self.high), log=self.scale != "linear")

    def draw(self, trial: optuna.Trial, name: str) -> Any:
        """Have Optuna choose a value, in its words."""
        return trial.suggest_int(name, int(self.low), int(self.high), log=self.scale != "linear")

    def decode(self, inner: Any) -> Value:
        """Return the value that stands behind Optuna's."""
        return int(self.low) + int(self.high) - int(inner) if self.is_reversed else int(inner)

    def encode(self, value: Value) -> Any:
        """Return Optuna's word for a value."""
        return self.decode(value)

    def to_param(self) -> dict[str, Any]:
        """Return it in the service's words, without its name."""
        return super().to_param() | {"minValue": int(self.low), "maxValue": int(self.high)}


@dataclass(frozen=True)
class Choice:
    """One of some values: of texts, which have no order, or of numbers, which have.

    Attributes:
        values: Texts, or numbers in increasing order, 1,000 at most.
        when: As for `Float`.

    Example:
        >>> Choice([16, 32, 64]).kind, Choice(["relu", "tanh"]).kind
        ('DISCRETE', 'CATEGORICAL')
    """

    values: Sequence[Value]
    when: Mapping[str, Sequence[Value]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.values, str) or not isinstance(self.values, Sequence):
            raise UsageError(f"Choice({self.values!r}) is refused. Give a list: Choice(['relu', 'tanh']).")
        object.__setattr__(self, "values", tuple(self.values))

    @property
    def kind(self) -> str:
        """DISCRETE for numbers, CATEGORICAL for texts, as the service calls them."""
        return "CATEGORICAL" if any(isinstance(value, str) for value in self.values) else "DISCRETE"

    def problem(self) -> str:
        """Return what is wrong with it, as the rest of a sentence; empty where nothing is."""
        values = list(self.values)
        if not values:
            return "has no values: give one at least"
        if self.kind == "CATEGORICAL":
            if not all(isinstance(value, str) for value in values):
                return f"mixes texts and numbers, {values[:5]!r}: give one kind"
            return "" if len(set(values)) == len(values) else f"has a value twice: {values[:10]!r}"
        numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        if len(numbers) != len(values) or not all(map(math.isfinite, numbers)):
            return f"has the values {values[:5]!r}: give texts, or finite numbers"
        if len(values) > _MOST_VALUES:
            return f"has {len(values):,} values; {_MOST_VALUES:,} are allowed: use Int or Float for a range"
        if any(one >= other for one, other in itertools.pairwise(numbers)):
            return f"has the numbers {values[:10]!r}: they must increase"
        return ""

    def distribution(self) -> BaseDistribution:
        """Return what Optuna is told of it."""
        from optuna.distributions import CategoricalDistribution, IntDistribution

        if self.kind == "CATEGORICAL":
            return CategoricalDistribution(tuple(str(value) for value in self.values))
        return IntDistribution(0, len(self.values) - 1)

    def draw(self, trial: optuna.Trial, name: str) -> Any:
        """Have Optuna choose a value, in its words."""
        if self.kind == "CATEGORICAL":
            return trial.suggest_categorical(name, [str(value) for value in self.values])
        return trial.suggest_int(name, 0, len(self.values) - 1)

    def decode(self, inner: Any) -> Value:
        """Return the value that stands behind Optuna's."""
        return str(inner) if self.kind == "CATEGORICAL" else self.values[int(inner)]

    def encode(self, value: Value) -> Any:
        """Return Optuna's word for a value."""
        return str(value) if self.kind == "CATEGORICAL" else self.values.index(value)

    def to_param(self) -> dict[str, Any]:
        """Return it in the service's words, without its name."""
        name = "categoricalValues" if self.kind == "CATEGORICAL" else "discreteValues"
        return {name: list(self.values)}


Parameter = Float | Int | Choice
Space = Mapping[str, Parameter]


def check_space(space: Space) -> None:
    """Refuse a space that cannot be searched.

    Raises:
        UsageError: No parameter, a malformed name or range, or a condition on what is not there; it is named.
    """
    if not isinstance(space, Mapping) or not space:
        raise UsageError("The study has no parameters. Name what it may change: {'batch_size': Int(8, 512)}.")
    for name, parameter in space.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} is no parameter name. It is a flag of the trainer without the dashes.")
        if not isinstance(parameter, Parameter):
            raise UsageError(f"The parameter {name!r} is {parameter!r}. Give a Float, an Int or a Choice.")
        if problem := parameter.problem():
            raise UsageError(f"The parameter {name!r} {problem}.")
    for name in space:
        _check_condition(name, space)


def used(space: Space, values: Mapping[str, Value], name: str) -> bool:
    """Tell whether a parameter is used beside the values that others have."""
    when = space[name].when
    return all(
        parent in values and used(space, values, parent) and values[parent] in allowed
        for parent, allowed in when.items()
    )


def parents_first(space: Space) -> list[str]:
    """Return the names so that each comes after those on which it depends."""
    order: list[str] = []

    def add(name: str) -> None:
        for parent in space[name].when:
            add(parent)
        if name not in order:
            order.append(name)

    for name in space:
        add(name)
    return order


def _check_condition(name: str, space: Space, seen: tuple[str, ...] = ()) -> None:
    if name in seen:
        raise UsageError(f"The parameters {', '.join(seen)} depend on one another in a circle.")
    for parent, values in space[name].when.items():
        if parent not in space:
            raise unknown_name(f"parameter on which {name!r} could depend", parent, space)
        above = space[parent]
        if isinstance(above, Float):
            raise UsageError(f"The parameter {name!r} depends on {parent!r}, a real number: only Int and Choice serve.")
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise UsageError(f"The parameter {name!r} depends on {parent!r}={values!r}. Give a list of its values.")
        for value in values:
            possible = value in above.values if isinstance(above, Choice) else above.low <= value <= above.high  # type: ignore[operator]
            if not possible:
                raise UsageError(f"The parameter {name!r} depends on {parent!r} being {value!r}, which it never is.")
        _check_condition(parent, space, (*seen, name))
