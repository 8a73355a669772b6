"""Texts and bytes on their way to a model and back: JSON strings, and {"b64": "…"} for bytes that are no text.

The base64 form is TensorFlow Serving's and the service's (https://www.tensorflow.org/tfx/serving/api_rest, "Encoding
binary values").
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.serving.signature import Tensor

__all__ = ["from_texts", "to_texts"]

_SHOWN = 60


def to_texts(tensor: Tensor, values: list[Any]) -> NDArray[np.object_] | str:
    """Convert one input of all instances.

    Args:
        tensor: What the signature takes; its dtype is "string".
        values: One text, {"b64": …} or bytes per instance, in nested lists where the tensor has more axes.

    Returns:
        Bytes of shape (n, …), object; or what is wrong with the values, in words.
    """
    leaves: list[bytes] = []
    shape = _collect(values, leaves, len(tensor.instance_shape) + 2)
    if isinstance(shape, str):
        return shape
    wanted = tensor.instance_shape
    if len(shape) - 1 != len(wanted) or any(w not in (None, s) for w, s in zip(wanted, shape[1:], strict=False)):
        if tensor.instance_size != 1 or len(leaves) != len(values):
            return f"has the shape {shape[1:]}"
        shape = [len(values), *(1 for _ in wanted)]
    for leaf in leaves:
        if fault := _wrong(tensor, leaf):
            return fault
    array = np.empty(len(leaves), object)
    array[:] = leaves
    return array.reshape(shape)


def from_texts(array: NDArray[Any]) -> NDArray[np.object_]:
    """Return a model's bytes as str, and as {"b64": …} where they are no UTF-8."""
    result = np.empty(array.shape, object)
    for place, value in np.ndenumerate(array):
        try:
            result[place] = value.decode("utf-8") if isinstance(value, bytes) else str(value)
        except UnicodeDecodeError:
            result[place] = {"b64": base64.b64encode(value).decode("ascii")}
    return result


def _collect(values: list[Any], leaves: list[bytes], depth: int) -> list[int] | str:
    """Append every leaf as bytes and return the shape, or what is wrong."""
    if not depth:
        return "is nested too deep"
    shapes = []
    for value in values:
        if isinstance(value, (list, tuple)):
            inner = _collect(list(value), leaves, depth - 1)
            if isinstance(inner, str):
                return inner
            shapes.append(inner)
            continue
        leaf = _to_bytes(value)
        if isinstance(leaf, str):
            return leaf
        leaves.append(leaf)
        shapes.append([])
    if any(shape != shapes[0] for shape in shapes):
        return "has rows of different lengths"
    return [len(values), *(shapes[0] if shapes else [])]


def _to_bytes(value: Any) -> bytes | str:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, bytes):
        return value
    if isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError) as error:
            return f"holds {{'b64': …}} that is no base64 ({error})"
    return f'holds {repr(value)[:_SHOWN]} where text belongs (or {{"b64": "…"}} for bytes)'


def _wrong(tensor: Tensor, leaf: bytes) -> str:
    """Say what is wrong with a text that the signature says more about; nothing where it is right."""
    if not tensor.values and not tensor.pattern:
        return ""
    text = leaf.decode("utf-8", "replace")
    if tensor.values and text not in tensor.values:
        return f"is {text[:_SHOWN]!r}; allowed: {', '.join(map(repr, tensor.values))}"
    if tensor.pattern and not re.fullmatch(tensor.pattern, text):
        example = f", as in {tensor.example!r}" if tensor.example is not None else ""
        return f"is {text[:_SHOWN]!r}, which is not written as it should be{example}"
    return ""
