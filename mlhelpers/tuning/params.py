"""A space in the service's words: `hyperparameters.params` of a job's config file (reference of projects.jobs)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlhelpers.errors import UsageError
from mlhelpers.tuning.space import SCALES, Choice, Float, Int, Parameter, Space, check_space

__all__ = ["from_params", "to_params"]


def from_params(params: Sequence[Mapping[str, Any]]) -> dict[str, Parameter]:
    """Return the space of a config file's `hyperparameters.params`.

    Args:
        params: As `config_file.read_configuration` gives them.

    Raises:
        UsageError: A parameter without a name, type or range, one named twice, or one that cannot be searched.
    """
    space: dict[str, Parameter] = {}
    for index, param in enumerate(params):
        name = str(param.get("parameterName", ""))
        if not name:
            raise UsageError(f"hyperparameters.params[{index}] has no parameterName: the trainer's flag, no dashes.")
        if name in space:
            raise UsageError(f"The parameter {name!r} is there twice. Keep one.")
        space[name] = _from_param(name, param)
    check_space(space)
    return space


def to_params(space: Space) -> list[dict[str, Any]]:
    """Return a space as a config file's `hyperparameters.params`; "when" is our own word for a condition."""
    params = []
    for name, parameter in space.items():
        param: dict[str, Any] = {"parameterName": name, "type": parameter.kind, **parameter.to_param()}
        if parameter.when:
            param["when"] = {parent: list(values) for parent, values in parameter.when.items()}
        params.append(param)
    return params


# type -> the fields that it needs, and the one in which its scale stands
_NEEDS = {
    "DOUBLE": ("minValue", "maxValue"),
    "INTEGER": ("minValue", "maxValue"),
    "CATEGORICAL": ("categoricalValues",),
    "DISCRETE": ("discreteValues",),
}


def _from_param(name: str, param: Mapping[str, Any]) -> Parameter:
    kind = param.get("type")
    if kind not in _NEEDS:
        raise UsageError(f"The parameter {name!r} has no type: one of {', '.join(_NEEDS)}.")
    for needed in _NEEDS[kind]:
        if needed not in param:
            raise UsageError(f"The parameter {name!r} is {kind} and has no {needed}.")
    fields = {field for fields in _NEEDS.values() for field in fields}
    if extra := [given for given in param if given in fields and given not in _NEEDS[kind]]:
        raise UsageError(f"The parameter {name!r} is {kind}, to which {extra[0]} does not belong.")
    when = param.get("when", {})
    if kind == "CATEGORICAL":
        return Choice([str(value) for value in param["categoricalValues"]], when)
    if kind == "DISCRETE":
        return Choice([_whole(value) for value in param["discreteValues"]], when)
    spelled = {given: scale for scale, given in SCALES.items()} | {"NONE": "linear"}
    low, high = param["minValue"], param["maxValue"]
    scale = spelled[param.get("scaleType", "NONE")]
    return Float(low, high, scale, when) if kind == "DOUBLE" else Int(_whole(low), _whole(high), scale, when)


def _whole(number: float) -> float:
    """Return 8.0 as 8, so that a flag for whole numbers takes it."""
    return int(number) if number == int(number) else number
