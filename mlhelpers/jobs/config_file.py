"""A job's config file: a Job resource in YAML or JSON, read and checked.

The fields and their types stand in one table, after the service's reference of projects.jobs. A field that is not in it
is refused: a slip in a name would else be a setting that silently does nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from mlhelpers.errors import DataError, UsageError, unknown_name
from mlhelpers.storage import local_path

__all__ = ["read_configuration", "seconds"]

_ROLES = ("master", "worker", "parameterServer", "evaluator")
# what a field holds: str, int, float, bool, "seconds", a range of whole numbers, a tuple of the words that it may be,
# a list of one of these, or a table of fields
_REPLICA = {
    "imageUri": str,
    "acceleratorConfig": {"type": str, "count": int},
    "tpuTfVersion": str,
    "containerCommand": [str],
    "containerArgs": [str],
    "diskConfig": {"bootDiskType": str, "bootDiskSizeGb": int},
}
_PARAMETER = {
    "parameterName": str,
    "type": ("DOUBLE", "INTEGER", "CATEGORICAL", "DISCRETE"),
    "minValue": float,
    "maxValue": float,
    "categoricalValues": [str],
    "discreteValues": [float],
    "scaleType": ("NONE", "UNIT_LINEAR_SCALE", "UNIT_LOG_SCALE", "UNIT_REVERSE_LOG_SCALE"),
}
_TRAINING_INPUT = {
    **{f"{prefix}Type": str for prefix in _ROLES},
    **{f"{prefix}Count": int for prefix in _ROLES if prefix != "master"},
    **{f"{prefix}Config": _REPLICA for prefix in _ROLES},
    "scaleTier": str,
    "packageUris": [str],
    "pythonModule": str,
    "args": [str],
    "region": str,
    "jobDir": str,
    "runtimeVersion": str,
    "pythonVersion": str,
    "useChiefInTfConfig": bool,
    "network": str,
    "serviceAccount": str,
    "enableWebAccess": bool,
    "encryptionConfig": {"kmsKeyName": str},
    "scheduling": {"maxRunningTime": "seconds", "maxWaitTime": "seconds", "priority": range(1001)},
    "hyperparameters": {
        "goal": ("MAXIMIZE", "MINIMIZE"),
        "hyperparameterMetricTag": str,
        "maxTrials": int,
        "maxParallelTrials": int,
        "maxFailedTrials": int,
        "enableTrialEarlyStopping": bool,
        "resumePreviousJobId": str,
        "algorithm": ("ALGORITHM_UNSPECIFIED", "GRID_SEARCH", "RANDOM_SEARCH", "TPE"),  # the last one is ours
        "params": [_PARAMETER],
    },
}
_LEAST_WAIT_S = 1800
# what `describe` prints besides: only the service writes these, so that a description can serve as a config file
_OUTPUT = (
    *("state", "createTime", "startTime", "endTime", "etag", "jobPosition", "errorMessage"),
    *("trainingOutput", "localOutput"),
)


def read_configuration(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a config file and check its fields.

    Args:
        path: A YAML or JSON file (or its gs:// address) that holds a Job resource: trainingInput and labels.

    Returns:
        labels and trainingInput with values of the types that they should have; times in seconds.

    Raises:
        DataError: The file cannot be read.
        UsageError: It is no YAML or JSON, a field is not known (the message names the nearest), or holds another type.
    """
    import yaml

    place = local_path(path)
    try:
        content = place.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise DataError(f"The config file {os.fspath(path)!r} cannot be read: {reason}.") from error
    try:
        return _job(yaml.load(content, _loader()))  # noqa: S506  # a SafeLoader with fewer types
    except yaml.YAMLError as error:
        told = " ".join(str(error).replace('in "<unicode string>", ', "at ").split())
        raise UsageError(f"The config file {os.fspath(path)!r} is neither YAML nor JSON: {told}.") from None
    except UsageError as error:
        raise UsageError(f"The config file {os.fspath(path)!r}: {error}") from None


def seconds(text: str, what: str) -> float:
    """Return a length of time as the service writes it, for instance "3600s", in seconds.

    Args:
        text: Digits and an s.
        what: The field or flag, for the message.

    Raises:
        UsageError: It is written otherwise.
    """
    if not re.fullmatch(r"\d+(\.\d+)?s", text):
        raise UsageError(f"{what} is {text!r}. Write the seconds with an s behind them, for instance 3600s.")
    return float(text[:-1])


def _job(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict) or not found:
        raise UsageError("it should hold a job's fields, for instance\n  trainingInput:\n    scaleTier: BASIC")
    if "predictionInput" in found:
        raise UsageError("it describes a prediction (predictionInput), and this is about training (trainingInput).")
    known = ("trainingInput", "labels", "jobId")
    for name in found:
        if name in _TRAINING_INPUT:
            raise UsageError(f"{name} does not stand at the top: write it below trainingInput, indented.")
        if name not in known + _OUTPUT:
            raise unknown_name("field", name, known)
    labels = found.get("labels") or {}
    if not isinstance(labels, dict):
        raise UsageError("labels should hold fields, for instance\n  labels:\n    team: blue")
    given = {name: _checked(value, str, f"labels.{name}") for name, value in labels.items()}
    return {
        "labels": given,
        "trainingInput": _checked(found.get("trainingInput") or {}, _TRAINING_INPUT, "trainingInput"),
    }


def _checked(value: Any, form: Any, path: str) -> Any:
    """Return a value in the type that its field has; every plain value comes as the text that stands in the file."""
    if isinstance(form, dict):
        return _table(value, form, path)
    if isinstance(form, list):
        if not isinstance(value, list):
            raise UsageError(f"{path} should be a list, and is {_shown(value)}. Write [a, b], or one '- a' a line.")
        return [_checked(one, form[0], f"{path}[{index}]") for index, one in enumerate(value)]
    if not isinstance(value, str):
        raise UsageError(f"{path} should be one value, and is {_shown(value)}.")
    return _plain(value, form, path)


def _table(value: Any, fields: Mapping[str, Any], path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{path} should hold the fields {', '.join(sorted(fields))}, and is {_shown(value)}.")
    for name in value:
        if name not in fields:
            raise unknown_name("field", f"{path}.{name}", [f"{path}.{known}" for known in fields])
    return {name: _checked(one, fields[name], f"{path}.{name}") for name, one in value.items() if one is not None}


def _plain(text: str, form: Any, path: str) -> Any:
    if form is bool:
        if text.lower() not in ("true", "false"):
            raise UsageError(f"{path} should be true or false, and is {text!r}.")
        return text.lower() == "true"
    if form == "seconds":
        value = seconds(text, path)
        if path.endswith("maxWaitTime") and value < _LEAST_WAIT_S:
            raise UsageError(f"{path} is {text!r}. The service waits {_LEAST_WAIT_S}s at least.")
        return value
    if isinstance(form, tuple):
        if text not in form:
            raise UsageError(f"{path} is {text!r}. It may be {', '.join(form)}.")
        return text
    kind = int if isinstance(form, range) else form
    try:
        number = kind(text)
    except ValueError:
        raise UsageError(f"{path} should be a {'whole ' if kind is int else ''}number, and is {text!r}.") from None
    if isinstance(form, range) and number not in form:
        raise UsageError(f"{path} is {number}. It may be {form.start} to {form.stop - 1}.")
    return number


def _shown(value: Any) -> str:
    if value is None:
        return "empty"
    if isinstance(value, dict | list):
        return "a list" if isinstance(value, list) else "a table of fields"
    return repr(value)


def _loader() -> Any:
    """Return a YAML loader that leaves plain values as they were written (1.10 is no number) and refuses twins."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            """Return a mapping; raise UsageError where a name is there twice."""
            seen: dict[str, int] = {}
            for key, _ in node.value:
                line = key.start_mark.line + 1
                if isinstance(key.value, str) and key.value != "<<" and key.value in seen:
                    raise UsageError(f"{key.value} is there twice, in lines {seen[key.value]} and {line}. Keep one.")
                seen[str(key.value)] = line
            return super().construct_mapping(node, deep)

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag.endswith((":null", ":merge"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader
