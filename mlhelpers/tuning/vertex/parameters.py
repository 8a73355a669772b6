"""A space in Vertex AI's words and back: `StudySpec.ParameterSpec` of google.cloud.aiplatform.v1, as REST's JSON.

A parameter that depends on another stands inside that one there, so a parameter has one parent at most.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from mlhelpers.errors import UsageError
from mlhelpers.tuning.space import SCALES, Choice, Float, Int, Parameter, Space, Value

__all__ = ["to_parameters", "to_space"]

# kind of parameter -> (its range, the values of it on which another depends), as fields of the API
_FIELDS = {
    "DOUBLE": ("doubleValueSpec", ""),
    "INTEGER": ("integerValueSpec", "parentIntValues"),
    "CATEGORICAL": ("categoricalValueSpec", "parentCategoricalValues"),
    "DISCRETE": ("discreteValueSpec", "parentDiscreteValues"),
}
_LEAST_APART = 1e-10  # numbers of a DISCRETE parameter


def to_parameters(space: Space) -> list[dict[str, Any]]:
    """Return a space as `studySpec.parameters`.

    Args:
        space: The space, checked.

    Raises:
        UsageError: A parameter that Vertex AI cannot search; it is named.
    """
    for name, parameter in space.items():
        _check(name, parameter)
    return [_parameter(name, space) for name, parameter in space.items() if not parameter.when]


def to_space(parameters: Sequence[Mapping[str, Any]]) -> dict[str, Parameter]:
    """Return the space of `studySpec.parameters`; whole numbers may stand there as texts, as REST writes int64.

    Args:
        parameters: The parameters with those that depend on them.

    Raises:
        UsageError: A parameter without a range.
    """
    space: dict[str, Parameter] = {}
    for parameter in parameters:
        _add(space, parameter, {})
    return space


def _check(name: str, parameter: Parameter) -> None:
    if len(parameter.when) > 1:
        raise UsageError(
            f"The parameter {name!r} depends on {' and '.join(parameter.when)}. On Vertex AI it may depend on one "
            "other at most: leave one condition out, or run the study with backend='local'."
        )
    if isinstance(parameter, Choice) and parameter.kind == "DISCRETE":
        numbers = [float(value) for value in parameter.values]
        if any(other - one < _LEAST_APART for one, other in itertools.pairwise(numbers)):
            raise UsageError(
                f"The parameter {name!r} has numbers less than {_LEAST_APART:g} apart, as Vertex AI wants."
            )


def _parameter(name: str, space: Space) -> dict[str, Any]:
    """Return one parameter, with those that depend on it inside."""
    parameter = space[name]
    range_field, parent_field = _FIELDS[parameter.kind]
    found: dict[str, Any] = {"parameterId": name, range_field: _range(parameter)}
    if not isinstance(parameter, Choice):
        found["scaleType"] = SCALES[parameter.scale]
    below = [
        {
            parent_field: {"values": [_value(parameter, value) for value in other.when[name]]},
            "parameterSpec": _parameter(child, space),
        }
        for child, other in space.items()
        if name in other.when
    ]
    return found | ({"conditionalParameterSpecs": below} if below else {})


def _range(parameter: Parameter) -> dict[str, Any]:
    if isinstance(parameter, Choice):
        return {"values": [_value(parameter, value) for value in parameter.values]}
    return {"minValue": _value(parameter, parameter.low), "maxValue": _value(parameter, parameter.high)}


def _value(parameter: Parameter, value: Value) -> Value:
    """Return a value as the API's JSON has it: an int64 is a text there."""
    if parameter.kind == "INTEGER":
        return str(int(value))
    return value if parameter.kind == "CATEGORICAL" else float(value)


def _add(space: dict[str, Parameter], found: Mapping[str, Any], when: Mapping[str, Sequence[Value]]) -> None:
    name = found["parameterId"]
    kind = next((kind for kind, (field, _) in _FIELDS.items() if field in found), None)
    if kind is None:
        raise UsageError(
            f"The parameter {name!r} has no range: one of {', '.join(field for field, _ in _FIELDS.values())}."
        )
    bounds = found[_FIELDS[kind][0]]
    if kind in ("CATEGORICAL", "DISCRETE"):
        space[name] = Choice([_read(kind, value) for value in bounds["values"]], when)
    else:
        spelled = {given: scale for scale, given in SCALES.items()}
        scale = spelled.get(found.get("scaleType", ""), "linear")
        # an end of 0 is left out where a message is written as JSON
        low, high = (_read(kind, bounds.get(end, 0)) for end in ("minValue", "maxValue"))
        made = Float if kind == "DOUBLE" else Int
        space[name] = made(low, high, scale, when)  # type: ignore[arg-type]  # numbers, of these kinds
    for condition in found.get("conditionalParameterSpecs", ()):
        values = condition[_FIELDS[kind][1]]["values"]
        _add(space, condition["parameterSpec"], {name: [_read(kind, value) for value in values]})


def _read(kind: str, value: Any) -> Value:
    if kind == "CATEGORICAL":
        return str(value)
    number = float(value)
    return int(number) if kind == "INTEGER" or (kind == "DISCRETE" and number.is_integer()) else number
