"""What runs a model, one file per format; the first in the table that fits the folder and is installed is taken.

To add one: a module here with

- `FILE`: the file in an export folder by which the format is known,
- `PACKAGE`: the module it needs, and `EXTRA`: the extra of mlhelpers that brings it,
- `load(folder, signature) -> Run`, which also warms the model up, and a line in `RUNTIMES`.

A `Run` takes a signature's name and its named arrays (n, …) and returns the named outputs (n, …); it may be called from
several threads. Heavy packages are imported inside `load`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.errors import MissingExtraError, ModelError, unknown_name
from mlhelpers.serving.signature import ModelSignature, Tensor
from mlhelpers.serving.texts import to_texts

__all__ = ["RUNTIMES", "Run", "check_names", "choose", "warm_up"]

_ONE_TEXT = Tensor("text", "string", (None,))

Run = Callable[[str, Mapping[str, NDArray[Any]]], dict[str, NDArray[Any]]]

# in order of preference: LiteRT answers several times sooner and needs a fraction of the memory
RUNTIMES = {
    "litert": "mlhelpers.serving.runtimes.litert",
    "savedmodel": "mlhelpers.serving.runtimes.savedmodel",
}


def choose(folder: Path, runtime: str | None = None) -> tuple[str, ModuleType]:
    """Return the runtime for a folder: its name and its module.

    Args:
        folder: An export folder.
        runtime: The name of a runtime that has to be taken; None leaves the choice to what is there.

    Raises:
        UsageError: No runtime has that name.
        ModelError: The folder has no file that a runtime knows.
        MissingExtraError: The packages of the runtimes that fit are not installed.
    """
    if runtime is not None and runtime not in RUNTIMES:
        raise unknown_name("runtime", runtime, RUNTIMES)
    names = RUNTIMES if runtime is None else [runtime]
    modules = {name: importlib.import_module(RUNTIMES[name]) for name in names}
    fitting = {name: module for name, module in modules.items() if (folder / module.FILE).is_file()}
    for name, module in fitting.items():
        if importlib.util.find_spec(module.PACKAGE) is not None:
            return name, module
    if not fitting:
        files = " or ".join(module.FILE for module in modules.values())
        raise ModelError(f"{folder} holds no {files}. Export the model again.")
    first = next(iter(fitting.values()))
    raise MissingExtraError(f"{first.PACKAGE}, which runs {first.FILE},", first.EXTRA)


def check_names(signature: ModelSignature, found: Mapping[str, tuple[set[str], set[str]]], file: str) -> None:
    """Hold what a model file offers against signature.json.

    Args:
        signature: What signature.json says.
        found: What the model file has: by signature, the names of its inputs and of its outputs.
        file: The model file's name, for the message.

    Raises:
        ModelError: A signature, an input or an output of signature.json is not in the model.
    """
    for name, entry in signature.signatures.items():
        if name not in found:
            raise ModelError(
                f"signature.json names the signature {name!r}, which {file} does not have; it has "
                f"{', '.join(map(repr, sorted(found))) or 'none'}. Export the model again."
            )
        inputs, outputs = found[name]
        if inputs != set(entry.inputs) or not set(entry.outputs) <= outputs:
            raise ModelError(
                f"signature.json says that {name!r} takes {sorted(entry.inputs)} and gives {sorted(entry.outputs)}; "
                f"{file} takes {sorted(inputs)} and gives {sorted(outputs)}. Export the model again."
            )


def warm_up(run: Run, signature: ModelSignature) -> None:
    """Run every signature once on its smallest input, so that the first real request does not pay for it."""
    for entry in signature.signatures.values():
        arrays = {}
        for name, tensor in entry.inputs.items():
            shape = [1, *(axis or 1 for axis in tensor.instance_shape)]
            if tensor.dtype == "string":
                text = next(filter(None, [tensor.example, tensor.default, *tensor.values]), "")
                arrays[name] = np.broadcast_to(to_texts(_ONE_TEXT, [text]), shape)
            else:
                arrays[name] = np.full(shape, tensor.minimum or 0, tensor.dtype)
        run(entry.name, arrays)
