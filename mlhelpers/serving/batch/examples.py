"""From a record that is a `tensorflow.Example` to an instance: which feature holds which input, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mlhelpers.errors import PredictionError, unknown_name
from mlhelpers.serving.instances import KEY
from mlhelpers.serving.signature import Signature, Tensor
from mlhelpers.tfrecords import example_class

__all__ = ["ExampleReader", "match_features", "parse_features"]

_SHOWN = 10


class ExampleReader:
    """Takes instances for one signature out of examples.

    Args:
        signature: The signature.
        features: Input -> feature, as `match_features` gives it.
    """

    def __init__(self, signature: Signature, features: Mapping[str, str]) -> None:
        self._inputs = [(name, feature, _Input(signature.inputs[name], feature)) for name, feature in features.items()]
        own = {*signature.inputs, *signature.outputs, *features.values()}
        self._passes_key = KEY not in own

    def instance(self, record: bytes) -> dict[str, Any]:
        """Return the instance in a record, with the feature "key" where there is one.

        Raises:
            PredictionError: The record is no example, or lacks an input, or has too much or too little for it.
        """
        found = parse_features(record)
        instance = {}
        for name, feature, taken in self._inputs:
            if feature in found:
                instance[name] = taken.value(found[feature])
            elif not taken.may_be_left_out:
                raise PredictionError(f"The example has no feature {feature!r}. {_has(found)}")
        if self._passes_key and KEY in found and (keys := _values(found[KEY])):
            instance[KEY] = keys[0].decode("utf-8", "replace") if isinstance(keys[0], bytes) else keys[0]
        return instance


class _Input:
    """How one input is taken out of its feature."""

    def __init__(self, tensor: Tensor, feature: str) -> None:
        self.may_be_left_out = tensor.default is not None
        self._tensor = tensor
        self._feature = feature
        self._takes_numbers = tensor.dtype != "string"
        self._dtype = np.dtype(tensor.dtype if self._takes_numbers else "uint8").newbyteorder("<")
        self._size = tensor.instance_size
        self._bytes = None if self._size is None else self._size * self._dtype.itemsize
        self._shape = None if self._size is None else [axis or 0 for axis in tensor.instance_shape]

    def value(self, feature: Any) -> Any:
        """Return what one instance has; its range and its dtype are looked at with the whole batch.

        Raises:
            PredictionError: It is of another kind or size.
        """
        values = _values(feature)
        if self._takes_numbers and values and isinstance(values[0], bytes):
            return self._array(values)
        if self._tensor.instance_shape:
            return list(values)
        if len(values) != 1:
            raise PredictionError(
                f"The feature {self._feature!r} has {len(values)} values; {self._tensor.name!r} takes one."
            )
        return values[0]

    def fits(self, feature: Any) -> bool:
        """Tell whether a feature is the raw bytes of an array like this input's."""
        values = _values(feature)
        if not self._takes_numbers or self._size is None or self._size < 2:
            return False
        return len(values) == 1 and isinstance(values[0], bytes) and len(values[0]) == self._bytes

    def _array(self, values: Any) -> Any:
        if len(values) != 1:
            raise PredictionError(f"The feature {self._feature!r} has {len(values)} texts where numbers belong.")
        raw = values[0]
        if len(raw) == self._bytes:
            return np.frombuffer(raw, self._dtype).reshape(self._shape)
        if self._bytes is None and not len(raw) % self._dtype.itemsize:
            return np.frombuffer(raw, self._dtype)
        each = f"{self._dtype.itemsize} for each {self._tensor.dtype}"
        wanted = each if self._bytes is None else f"{self._bytes:,}, {each}"
        raise PredictionError(
            f"The feature {self._feature!r} has {len(raw):,} bytes; {self._tensor.name!r} takes {wanted}."
        )


def parse_features(record: bytes) -> Any:
    """Return the features of a record, by name.

    Raises:
        PredictionError: The record is no example.
    """
    try:
        return _parse(record).features.feature
    except Exception:  # protobuf's own DecodeError, which its versions keep in different places
        raise PredictionError(f"The record of {len(record):,} bytes is no tensorflow.Example.") from None


def match_features(signature: Signature, given: Mapping[str, str], record: bytes) -> dict[str, str]:
    """Find out from one record which feature holds which input.

    An input stands in the feature that it is said to, or else in the one of its name; a single input may stand in any
    feature whose raw bytes are just as many as its array has.

    Args:
        signature: The signature.
        given: Input -> feature, as far as somebody has said.
        record: A record's data.

    Returns:
        Input -> feature, for every input.

    Raises:
        UsageError: What was said names no input of the signature.
        PredictionError: The record is no example, or an input is not to be found in it.
    """
    for name in given:
        if name not in signature.inputs:
            raise unknown_name(f"input of the signature {signature.name!r}", name, signature.inputs)
    found = parse_features(record)
    names = {name: given.get(name, name) for name in signature.inputs}
    missing = [
        name for name, feature in names.items() if feature not in found and signature.inputs[name].default is None
    ]
    if missing and not given and len(names) == 1:
        tensor = signature.inputs[missing[0]]
        fitting = sorted(name for name, feature in found.items() if _Input(tensor, name).fits(feature))
        if len(fitting) == 1:
            return {tensor.name: fitting[0]}
        if fitting:
            raise PredictionError(
                f"{' and '.join(map(repr, fitting))} could both be the input {tensor.name!r}. Say which:  "
                f"--features {tensor.name}={fitting[0]}"
            )
    if missing:
        raise PredictionError(
            f"The example has no feature for {', '.join(map(repr, missing))}. {_has(found)} The signature {signature}. "
            f"Where a feature has another name, say so:  --features {missing[0]}=FEATURE"
        )
    for name, feature in names.items():
        if feature in found:
            _Input(signature.inputs[name], feature).value(found[feature])
    return names


def _values(feature: Any) -> Any:
    kind = feature.WhichOneof("kind")
    return getattr(feature, kind).value if kind else ()


def _has(found: Any) -> str:
    names = sorted(found)
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return f"It has {shown or 'none at all'}."


_parse = example_class().FromString
