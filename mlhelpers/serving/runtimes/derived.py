"""signature.json for a model that comes without one: what its file says of itself, brought into the same form.

A runtime reads the names, dtypes and shapes in its own way (`derive`); what of it can be served, and what is said of
the rest, is decided here for all formats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.errors import ModelError
from mlhelpers.serving.signature import DTYPES

__all__ = ["Found", "TensorAsFound", "document", "is_one_at_a_time", "one_at_a_time"]

# tried in this order; the second is what a canned estimator calls what others call the first
_DEFAULTS = ("serving_default", "predict", "serve")
_CURE = "Export it with inputs and outputs whose first axis is open (None): the batch, one row per instance."


@dataclass(frozen=True)
class TensorAsFound:
    """One input or output as a model file tells it.

    Attributes:
        dtype: NumPy's name of the dtype, "string", or in words what NumPy has no name for.
        shape: Sizes of all axes, None where one is open; None altogether where not even their number is known.
        note: What else the file says of it, a sentence; it becomes the description.
    """

    dtype: str
    shape: tuple[int | None, ...] | None
    note: str = ""


@dataclass(frozen=True)
class Found:
    """One signature as a model file tells it: inputs and outputs by name."""

    inputs: Mapping[str, TensorAsFound]
    outputs: Mapping[str, TensorAsFound]


def document(file: Path, found: Mapping[str, Found]) -> dict[str, Any]:
    """Make the document of a signature.json.

    Signatures that cannot be served one row per instance are left out, and so are outputs that have no row for each
    instance; `left_out` in the document says which, and why.

    Args:
        file: The model file, for messages and for `derived_from` in the document.
        found: What it says, by signature.

    Returns:
        The document, as `parse_signature` takes it.

    Raises:
        ModelError: No signature can be served; the message gives the reason for each.
    """
    signatures: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    for name, signature in found.items():
        faults = {key: _output_fault(tensor, signature) for key, tensor in signature.outputs.items()}
        kept = {key: _entry(tensor) for key, tensor in signature.outputs.items() if not faults[key]}
        reason = _fault(signature) or ("" if kept else "none of its outputs has a row for each instance")
        if reason:
            left_out[name] = reason
            continue
        left_out |= {f"{name}.{key}": fault for key, fault in faults.items() if fault}
        signatures[name] = {
            "inputs": {key: _entry(tensor) for key, tensor in signature.inputs.items()},
            "outputs": kept,
        }
    if not signatures:
        reasons = "; ".join(f"{name!r}: {left_out[name]}" for name in found)
        raise ModelError(
            f"{file} has no signature that can be served: {reasons}. {_CURE}"
            if found
            else f"{file} has no signature, which would say what the model takes. {_CURE}"
        )
    derived: dict[str, Any] = {
        "format": 1,
        "name": "",
        "default_signature": next((name for name in _DEFAULTS if name in signatures), min(signatures)),
        "signatures": signatures,
        "derived_from": file.name,
    }
    return derived | ({"left_out": left_out} if left_out else {})


def is_one_at_a_time(signature: Found) -> bool:
    """Tell whether a signature takes one row only: the first axis of one of its inputs is 1, not open."""
    return any(tensor.shape is not None and tensor.shape[:1] == (1,) for tensor in signature.inputs.values())


def one_at_a_time(
    run: Callable[[Mapping[str, NDArray[Any]]], dict[str, NDArray[Any]]], arrays: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Run a model that takes one row on each row of a batch.

    Args:
        run: Takes named arrays (1, …) and gives named arrays (1, …).
        arrays: By input name: array (n, …).

    Returns:
        By output name: array (n, …).
    """
    size = len(next(iter(arrays.values())))
    rows = [run({name: array[row : row + 1] for name, array in arrays.items()}) for row in range(size)]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def _fault(signature: Found) -> str:
    """Say why a signature cannot be served; nothing where it can."""
    if not signature.inputs:
        return "it has no inputs, so there is nothing to predict from"
    for name, tensor in signature.inputs.items():
        if tensor.dtype not in DTYPES:
            return f"its input {name!r} is {tensor.dtype}, which has no form in JSON"
        if tensor.shape is None:
            return f"its input {name!r} may have any number of axes, so an instance has no shape to be checked against"
        if not tensor.shape:
            return f"its input {name!r} is one {tensor.dtype} for the whole batch, without an axis for the instances"
        if tensor.shape[0] not in (None, 1):
            return (
                f"its input {name!r} has the shape {_shown(tensor.shape)}: its first axis is always {tensor.shape[0]} "
                "and holds neither one instance nor any number"
            )
        if 0 in tensor.shape:
            return f"its input {name!r} has the shape {_shown(tensor.shape)}, which holds nothing"
    return ""


def _output_fault(tensor: TensorAsFound, signature: Found) -> str:
    """Say why an output cannot be given by instance; nothing where it can."""
    if tensor.dtype not in DTYPES:
        return f"it is {tensor.dtype}, which has no form in JSON"
    rows = (None, 1) if is_one_at_a_time(signature) else (None,)
    if tensor.shape is not None and (not tensor.shape or tensor.shape[0] not in rows):
        return f"it has the shape {_shown(tensor.shape)}, which is not one row per instance"
    return ""


def _entry(tensor: TensorAsFound) -> dict[str, Any]:
    note = tensor.note
    if tensor.shape is None or 0 in tensor.shape:
        note = f"{note} The shape is known only when it is computed.".strip()
    shape = (None,) if tensor.shape is None else (None, *(size or None for size in tensor.shape[1:]))
    return {"dtype": tensor.dtype, "shape": list(shape)} | ({"description": note} if note else {})


def _shown(shape: tuple[int | None, ...]) -> str:
    return f"[{', '.join('any' if size is None else str(size) for size in shape)}]"
