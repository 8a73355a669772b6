"""Models that take a table: from named arrays to one table, from the model's answer to the signature's outputs.

The columns are the signature's inputs in their order. An input that is an output, too, is handed back as it came, and
is no column: that is how a key comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.errors import ModelError
from mlhelpers.serving.signature import ModelSignature, Signature, Tensor

__all__ = [
    "Answer",
    "check_columns",
    "check_outputs",
    "class_labels",
    "classified",
    "document",
    "to_outputs",
    "to_table",
]

Answer = dict[str, NDArray[Any]]
"""What a model says, by the name of an output: class_ids, classes and probabilities, or predictions."""

_ANY = "float64"


def features(entry: Signature) -> list[Tensor]:
    """Return the inputs that are columns, in order."""
    return [tensor for name, tensor in entry.inputs.items() if name not in entry.outputs]


def to_table(
    entry: Signature, arrays: Mapping[str, NDArray[Any]], read_texts: Callable[[str, list[str]], NDArray[Any]]
) -> NDArray[Any]:
    """Put named arrays side by side.

    Args:
        entry: The signature that was chosen.
        arrays: By input name: array (n, …); texts as bytes.
        read_texts: Called with an input's name and its n texts, returns what stands in the table for them.

    Returns:
        (n, k): of objects where a text stays one, else of numbers.
    """
    columns = []
    for tensor in features(entry):
        array = arrays[tensor.name]
        if tensor.dtype == "string":
            texts = [value.decode("utf-8", "replace") for value in array.ravel()]
            array = read_texts(tensor.name, texts).reshape(array.shape)
        columns.append(array.reshape(len(array), -1))
    return columns[0] if len(columns) == 1 else np.concatenate(columns, axis=1, dtype=_common(columns))


def to_outputs(entry: Signature, arrays: Mapping[str, NDArray[Any]], answer: Answer) -> Answer:
    """Bring an answer into the dtypes and shapes of a signature, and add the inputs that are handed back."""
    result = {}
    for name, tensor in entry.outputs.items():
        if name in entry.inputs:
            result[name] = arrays[name]
            continue
        values = answer[name] if tensor.dtype == "string" else answer[name].astype(tensor.dtype, copy=False)
        size = tensor.instance_size
        fits = size is not None and values.size == size * len(values)
        result[name] = values.reshape(len(values), *map(int, filter(None, tensor.instance_shape))) if fits else values
    return result


def classified(labels: Sequence[str], ids: NDArray[Any], probabilities: NDArray[Any] | None) -> Answer:
    """Return a classifier's answer.

    Args:
        labels: The names of the classes.
        ids: (n,), the place of each answer among them.
        probabilities: (n, classes), or None.
    """
    names = np.array(labels, object)[ids]
    return {"class_ids": ids, "classes": names} | ({} if probabilities is None else {"probabilities": probabilities})


def class_labels(signature: ModelSignature, found: Sequence[Any], file: Path) -> list[str]:
    """Return the names of the classes: the model's own texts, else signature.json's, else the model's numbers as texts.

    Args:
        signature: What signature.json says.
        found: The model's classes, texts or numbers.
        file: The model file, for the message.

    Raises:
        ModelError: signature.json names other classes than the model, or another number of them.
    """
    named, own = list(signature.class_names), [str(label) for label in found]
    if not named:
        return own
    is_text = any(isinstance(label, str) for label in found)
    if len(named) != len(own) or (is_text and named != own):
        raise ModelError(f"signature.json names the classes {named}; {file} has {own}. Export the model again.")
    return named


def check_columns(signature: ModelSignature, count: int | None, names: Sequence[str] | None, file: Path) -> None:
    """Hold the inputs of each signature against the columns that a model was trained on.

    Args:
        signature: What signature.json says.
        count: How many columns the model has, None where it does not say.
        names: Their names, None where it does not say.
        file: The model file, for the message.

    Raises:
        ModelError: A signature has other columns.
    """
    for entry in signature.signatures.values():
        columns = features(entry)
        sizes = [tensor.instance_size for tensor in columns]
        width = sum(size or 0 for size in sizes)
        if count is not None and None not in sizes and width != count:
            raise ModelError(
                f"signature.json says that {entry.name!r} takes {width} values; {file} takes {count}. "
                "Export the model again."
            )
        given = [tensor.name for tensor in columns]
        if names is not None and len(given) == len(names) and len(given) > 1 and given != list(names):
            raise ModelError(
                f"signature.json says that {entry.name!r} takes {given}, in this order; {file} takes {list(names)}. "
                "Export the model again."
            )


def check_outputs(signature: ModelSignature, known: set[str], file: Path) -> None:
    """Hold the outputs of each signature against what a model can answer.

    Raises:
        ModelError: A signature promises another output.
    """
    for entry in signature.signatures.values():
        wrong = entry.outputs.keys() - entry.inputs.keys() - known
        if wrong:
            raise ModelError(
                f"signature.json says that {entry.name!r} gives {sorted(wrong)}; {file} gives {sorted(known)}. "
                "Export the model again."
            )


def document(
    file: Path,
    count: int,
    names: Sequence[str] | None,
    texts: Mapping[int, Sequence[str]],
    classes: Sequence[str],
    outputs: Mapping[str, int | None],
) -> dict[str, Any]:
    """Make the document of a signature.json for a model that has none.

    Args:
        file: The model file.
        count: How many columns it takes.
        names: Their names; with names an instance is an object, and where all are numbers a bare list, too.
        texts: Column -> the only texts it takes; every other column is a number.
        classes: The names of the classes; none where numbers are predicted.
        outputs: What it can answer, and of how many numbers an answer is (None: of one, or one for each class).

    Returns:
        The document, as `parse_signature` takes it.
    """
    described = {name: _output(name, size, classes) for name, size in outputs.items()}
    signatures: dict[str, Any] = {}
    if names or texts:
        columns = {
            name: {"dtype": "string", "shape": [None], "values": list(texts[k])}
            if k in texts
            else {"dtype": _ANY, "shape": [None]}
            for k, name in enumerate(names or [f"feature_{k}" for k in range(count)])
        }
        signatures["serving_default"] = {"inputs": columns, "outputs": described}
    if not texts:
        meaning = ", ".join(names) if names else "the values that the model was trained on, in their order"
        row = {"dtype": _ANY, "shape": [None, count], "description": meaning}
        signatures["rows" if names else "serving_default"] = {"inputs": {"features": row}, "outputs": described}
    return {
        "format": 1,
        "name": "",
        "default_signature": "serving_default",
        "signatures": signatures,
        "class_names": list(classes),
        "derived_from": file.name,
    }


def _output(name: str, size: int | None, classes: Sequence[str]) -> dict[str, Any]:
    listed = ", ".join(f"{k} {label}" for k, label in enumerate(classes[:20]))
    of_classes = {
        "class_ids": {"dtype": "int64", "shape": [None, 1], "description": f"the most probable class: {listed}"},
        "classes": {"dtype": "string", "shape": [None, 1], "description": "its name"},
        "probabilities": {"dtype": _ANY, "shape": [None, len(classes)], "description": "one probability per class"},
    }
    return of_classes.get(name) or {"dtype": _ANY, "shape": [None, size or 1]}


def _common(columns: Sequence[NDArray[Any]]) -> Any:
    return object if any(column.dtype == object for column in columns) else np.result_type(*columns)
