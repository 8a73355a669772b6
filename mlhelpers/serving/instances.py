"""From the instances of a request to named arrays, every value checked against the model's signature.

The quick way takes a whole batch at once; only where it finds a fault is each instance looked at alone, so that the
message names the instance, what was sent and what the signature takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.errors import PredictionError
from mlhelpers.serving.signature import ModelSignature, Signature, Tensor
from mlhelpers.serving.texts import to_texts

__all__ = ["KEY", "Batch", "check_parameters", "to_batch"]

KEY = "key"  # what an instance may carry beside its inputs, to be found again beside its prediction

_JSON_NAMES = {bool: "a boolean", str: "text", type(None): "null", dict: "an object", bytes: "bytes"}
_NUMBERS = frozenset([int, float])
_EXACT = 2**53  # up to here a float64 tells neighbouring whole numbers apart
_SHOWN = 60  # characters of a value that a message repeats


@dataclass(frozen=True)
class Batch:
    """Checked input of one call.

    Attributes:
        signature: The signature that was chosen.
        size: Number of instances, n.
        arrays: By input name: array (n, …) of the signature's dtype and shape, all finite and in range.
        keys: What the instances carry under "key", any value, one each; empty where they carry none.
    """

    signature: Signature
    size: int
    arrays: dict[str, NDArray[Any]]
    keys: tuple[Any, ...] = ()


def to_batch(model: ModelSignature, instances: object, signature_name: str | None = None) -> Batch:
    """Turn instances into arrays.

    Args:
        model: What the model takes.
        instances: A list of instances: objects with the inputs' names as keys, or bare values where the signature has
            a single input. An array (n, …) stands for the list of its n parts. Where the signature has no input or
            output "key", each object may carry one: any value, which its prediction gets too.
        signature_name: Which signature to take; None lets the keys of the first instance decide, then the default.

    Returns:
        The batch; an instance of another shape with the right number of values (28x28 for 784) has been reshaped.

    Raises:
        PredictionError: Anything that the signature does not take; the message names the instance.
    """
    if isinstance(instances, np.ndarray) and instances.ndim:
        instances = list(instances)
    if not isinstance(instances, (list, tuple)):
        raise PredictionError(f"instances is {_kind(instances)}; it should be a list with one entry per prediction.")
    if not instances:
        raise PredictionError("instances is empty; send at least one instance.")
    if signature_name is not None and not isinstance(signature_name, str):
        raise PredictionError(f"signature_name is {_kind(signature_name)}; it should be text.")
    first = instances[0]
    is_object = isinstance(first, dict) and first.keys() != {"b64"}
    signature = model.choose(signature_name, _names(model, first) if is_object else None)
    keys: tuple[Any, ...] = ()
    if KEY not in signature.inputs and KEY not in signature.outputs and any(map(_has_key, instances)):
        instances, keys = _without_keys(instances)
    columns = _columns(model, signature, instances)
    arrays = {name: _column(model, signature, signature.inputs[name], values) for name, values in columns.items()}
    return Batch(signature, len(instances), arrays, keys)


def check_parameters(parameters: object) -> None:
    """Refuse parameters: the protocol has them, no runtime takes any.

    Args:
        parameters: What a request brings as `parameters`; None and an empty object say nothing and are fine.

    Raises:
        PredictionError: There is something in them, or they are no object.
    """
    if parameters is None or parameters == {}:
        return
    if not isinstance(parameters, dict):
        raise PredictionError(f"parameters is {_kind(parameters)}; it should be an object, or be left out.")
    names = ", ".join(_show(name) for name in list(parameters)[:5])
    raise PredictionError(f"parameters has {names}, but this model takes no parameters. Leave them out.")


def _names(model: ModelSignature, first: dict[Any, Any]) -> frozenset[str]:
    """The keys by which the signature is chosen; a key that only passes through says nothing of it."""
    names = frozenset(map(str, first))
    if KEY in names and not any(KEY in signature.inputs for signature in model.signatures.values()):
        return names - {KEY}
    return names


def _has_key(instance: object) -> bool:
    return isinstance(instance, dict) and KEY in instance


def _without_keys(instances: Sequence[Any]) -> tuple[list[Any], tuple[Any, ...]]:
    """Part the instances from their keys; with some keyed and some not, nobody could tell the predictions apart."""
    for index, instance in enumerate(instances):
        if not _has_key(instance):
            raise PredictionError(
                f"instances[{index}] has no {KEY!r}, but others have one. Give every instance a key, or none."
            )
    keys = tuple(instance[KEY] for instance in instances)
    return [{name: value for name, value in one.items() if name != KEY} for one in instances], keys


def _columns(model: ModelSignature, signature: Signature, instances: Sequence[Any]) -> dict[str, list[Any]]:
    """Split instances by input name; every instance has to have every name and no other."""
    names = signature.inputs.keys()
    only = next(iter(names)) if len(names) == 1 else None
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for index, instance in enumerate(instances):
        if isinstance(instance, dict) and not (only is not None and instance.keys() == {"b64"}):
            if instance.keys() != names and not signature.fits(frozenset(map(str, instance))):
                raise PredictionError(_wrong_keys(model, signature, instance, index))
            for name in names:
                columns[name].append(instance[name] if name in instance else signature.inputs[name].default)
        elif only is not None:
            columns[only].append(instance)
        else:
            wanted = ", ".join(map(repr, names))
            raise PredictionError(
                f"instances[{index}] is {_kind(instance)}; the signature {signature.name!r} has several inputs, "
                f"so each instance is an object with the keys {wanted}."
            )
    return columns


def _wrong_keys(model: ModelSignature, signature: Signature, instance: dict[Any, Any], index: int) -> str:
    faults = []
    missing = [name for name, tensor in signature.inputs.items() if name not in instance and tensor.default is None]
    extra = [key for key in instance if key not in signature.inputs]
    if missing:
        faults.append(f"lacks {', '.join(map(repr, missing))}")
    if extra:
        more = f" and {len(extra) - 5} more" if len(extra) > 5 else ""
        faults.append(f"has {', '.join(_show(key) for key in extra[:5])}{more}, which the signature does not know")
    return f"instances[{index}] {' and '.join(faults)}. {_takes(model, signature)}"


def _column(model: ModelSignature, signature: Signature, tensor: Tensor, values: list[Any]) -> NDArray[Any]:
    """Convert one input of all instances."""
    array = _convert(tensor, values)
    if not isinstance(array, str):
        return array
    rows = []
    for index, value in enumerate(values):
        row = _convert(tensor, [value])
        if isinstance(row, str):
            raise PredictionError(f"instances[{index}]: {tensor.name!r} {row}. {_takes(model, signature)}")
        rows.append(row)
    try:
        return np.concatenate(rows)  # each fits alone: they only came in different shapes
    except ValueError:
        shapes = sorted({str(list(row.shape[1:])) for row in rows})
        raise PredictionError(
            f"The instances have different shapes for {tensor.name!r}: {', '.join(shapes)}. Send them one by one."
        ) from None


def _convert(tensor: Tensor, values: list[Any]) -> NDArray[Any] | str:
    """Convert values to an array (n, …), or say what is wrong with them."""
    if tensor.dtype == "string":
        return to_texts(tensor, values)
    if tensor.dtype == "bool":
        return _to_booleans(tensor, values)
    try:
        array = _to_array(values)
    except OverflowError:
        return "holds something that is not a number of ordinary size"
    except (ValueError, TypeError):
        return "has rows of different lengths, or is nested too deep"
    if isinstance(array, str):
        return array
    if array.dtype.kind not in "iuf":
        return f"holds {'booleans' if array.dtype.kind == 'b' else 'something that is not a number of ordinary size'}"
    fault = _wrong_shape(tensor, array)
    if fault:
        return fault
    result = _cast(tensor, array)  # in the shape that was sent, so that a fault's place is the sender's
    if isinstance(result, str) or tensor.instance_size is None:
        return result
    return result.reshape(len(values), *(axis or 0 for axis in tensor.instance_shape))


def _to_booleans(tensor: Tensor, values: list[Any]) -> NDArray[Any] | str:
    try:
        array = np.asarray(values)
    except ValueError:
        return "has rows of different lengths, or is nested too deep"
    if array.dtype.kind != "b":
        return "holds something other than true and false"
    fault = _wrong_shape(tensor, array)
    if fault or tensor.instance_size is None:
        return fault or array
    return array.reshape(len(values), *(axis or 0 for axis in tensor.instance_shape))


def _to_array(values: Sequence[Any]) -> NDArray[Any] | str:
    """Do what `np.asarray` does, in half the time for JSON's numbers, and refuse what it would take for a number."""
    level, shape = values, [len(values)]
    while True:
        kinds = set(map(type, level))
        if kinds <= _NUMBERS:
            try:
                dtype: type[Any] = np.int64 if kinds == {int} else np.float64
                return np.fromiter(level, dtype, len(level)).reshape(shape)
            except OverflowError:
                return np.asarray(values)  # has one more try: 64 bits without a sign
        nested = kinds & {list, tuple}
        for kind in _JSON_NAMES.keys() & kinds:
            value = next(value for value in level if type(value) is kind)
            shown = "" if kind is type(None) else f" ({_show(value)})"
            return f"holds {_JSON_NAMES[kind]}{shown} where a number belongs"
        if not nested:
            return np.asarray(values)
        if kinds - nested:
            return "has rows of different lengths: numbers and lists side by side"
        sizes = set(map(len, level))
        if len(sizes) > 1:
            return "has rows of different lengths, or is nested too deep"
        shape += sizes
        level = level[0] if len(level) == 1 else list(chain.from_iterable(level))


def _wrong_shape(tensor: Tensor, array: NDArray[Any]) -> str:
    shape = array.shape[1:]
    size = tensor.instance_size
    if size is None:
        wanted = tensor.instance_shape
        if len(shape) == len(wanted) and all(w is None or w == s for s, w in zip(shape, wanted, strict=True)):
            return ""
    elif array.size == size * array.shape[0]:
        return ""
    sent = f"the shape {list(shape)}" if shape else "a single number"
    return f"has {sent}" if len(shape) < 2 else f"has {sent}, {int(np.prod(shape))} values"


def _cast(tensor: Tensor, array: NDArray[Any]) -> NDArray[Any] | str:
    """Bring numbers to the tensor's dtype, checked for whole numbers, range, NaN and infinity."""
    low = -np.inf if tensor.minimum is None else tensor.minimum
    high = np.inf if tensor.maximum is None else tensor.maximum
    with np.errstate(over="ignore", invalid="ignore"):
        result = array.astype(tensor.dtype, copy=False)
    if result.dtype.kind == "f":
        checked = result  # after rounding: what is 1.0 as a float32 is not over 1
    else:
        checked = array  # before it wraps around
        limits = np.iinfo(tensor.dtype)
        low, high = max(low, limits.min), min(high, limits.max)
        if array.dtype.kind == "f":  # 7.0 is a whole number: Google's own client writes every number so
            broken = array != np.floor(array)
            if broken.any():
                return f"holds {array[broken][0]!s}; {tensor.dtype} takes whole numbers"
            low, high = max(low, -_EXACT), min(high, _EXACT)
    if not checked.size:
        return result
    least, most = checked.min(), checked.max()  # NaN comes through both and fails each comparison
    if least >= low and most <= high and np.isfinite(least) and np.isfinite(most):
        return result
    wrong = ~np.isfinite(checked) | (checked < low) | (checked > high)
    return _first_wrong(array, wrong)


def _first_wrong(array: NDArray[Any], wrong: NDArray[np.bool_]) -> str:
    """Say which value is wrong, where, and between which values all lie."""
    place = tuple(int(axis) for axis in np.argwhere(wrong)[0])
    value = array[place]
    at = "".join(f"[{axis}]" for axis in place[1:])
    seen = f"holds {value!s}" + (f" at {at}" if at else "")
    if not np.isfinite(value):
        return f"{seen}, which is not a finite number"
    if array.size > 1:
        finite = array[np.isfinite(array)]
        seen += f" (all values lie from {finite.min()!s} to {finite.max()!s})"
    return seen


def _takes(model: ModelSignature, signature: Signature) -> str:
    """Say what the signature takes, and which others there are."""
    several = len(signature.inputs) > 1
    notes = [
        f"{tensor.name}: {tensor.description}" if several else tensor.description
        for tensor in signature.inputs.values()
        if tensor.description
    ]
    text = f"The signature {signature}{' (' + '; '.join(notes) + ')' if notes else ''}."
    others = [str(other) for other in model.signatures.values() if other is not signature]
    return f"{text} Other signatures: {'; '.join(others)}." if others else text


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _kind(value: object) -> str:
    if isinstance(value, (bool, str, type(None), dict)):
        return _JSON_NAMES[type(value)]
    if isinstance(value, (int, float)):
        return f"the number {_show(value)}"
    return "a list" if isinstance(value, (list, tuple)) else f"a {type(value).__name__}"
