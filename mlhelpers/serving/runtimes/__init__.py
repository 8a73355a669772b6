"""What runs a model, one file per format; the first in the table that fits the folder and is installed is taken.

To add one: a module here with

- `FILES`: the files in an export folder by which the format is known, each enough; the first is the one we write,
- `PACKAGE`: the module it needs, and `EXTRA`: the extra of mlhelpers that brings it,
- `load(folder, signature) -> Run`, which also warms the model up,
- where some of its files are pickles, `PICKLES`, their names: `load` and `derive` then take `trust_pickle` as well,
- where the model file itself says what the model takes, `derive(folder)`: the document of a signature.json for a model
  that comes without one; see `derived.py`,

and a line in `RUNTIMES`. From that table everything else knows the format: the registry which folders hold a model, the
server and the command line what runs it.

A `Run` takes a signature's name and its named arrays (n, …) and returns the named outputs (n, …); it may be called from
several threads. Heavy packages are imported inside functions: the table is read by programs that run no model.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.errors import MissingExtraError, ModelError, unknown_name
from mlhelpers.serving.runtimes.pickles import check_pickle
from mlhelpers.serving.signature import FILE_NAME, ModelSignature, Tensor, parse_signature, read_signature
from mlhelpers.serving.texts import to_texts

__all__ = [
    "RUNTIMES",
    "Run",
    "check_names",
    "check_trust",
    "choose",
    "describes_itself",
    "model_files",
    "refusal",
    "signature_of",
    "threads",
    "trust",
    "warm_up",
]

_THREADS = 2
_ONE_TEXT = Tensor("text", "string", (None,))
_TRIED_SIZES = (1, 32, 256)  # a sequence takes any; a picture has to be larger than the model's windows
_log = logging.getLogger("mlhelpers.serving")

Run = Callable[[str, Mapping[str, NDArray[Any]]], dict[str, NDArray[Any]]]

# in order of preference: LiteRT answers several times sooner and needs a fraction of the memory
RUNTIMES = {
    "litert": "mlhelpers.serving.runtimes.litert",
    "savedmodel": "mlhelpers.serving.runtimes.savedmodel",
    "keras": "mlhelpers.serving.runtimes.keras",
    "sklearn": "mlhelpers.serving.runtimes.sklearn",
    "xgboost": "mlhelpers.serving.runtimes.xgboost",
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
    fitting = _fitting(folder, runtime)
    for name, module in fitting.items():
        if importlib.util.find_spec(module.PACKAGE) is not None:
            return name, module
    first = next(iter(fitting.values()))
    raise MissingExtraError(f"{first.PACKAGE}, which runs {_file(folder, first)},", first.EXTRA)


def signature_of(folder: Path, runtime: str | None = None, trust_pickle: bool = False) -> ModelSignature:
    """Return what a model takes and gives: its signature.json, else what its model file says of itself.

    Args:
        folder: An export folder.
        runtime: The name of the runtime that will run it; None stands for the one that `choose` takes.
        trust_pickle: Whether its owner vouches for a pickle in it.

    Raises:
        UsageError: No runtime has that name.
        ModelError: signature.json cannot be read; or there is none, and the model file does not say it either, or is a
            pickle that is not trusted.
        MissingExtraError: The model file can be read only by a package that is not installed.
    """
    if (folder / FILE_NAME).exists():
        return read_signature(folder)
    fitting = _fitting(folder, runtime)
    installed = [module for module in fitting.values() if importlib.util.find_spec(module.PACKAGE) is not None]
    module = (installed or list(fitting.values()))[0]
    if not hasattr(module, "derive"):
        raise ModelError(
            f"{folder} has no {FILE_NAME}, and {_file(folder, module)} does not say what the model takes. "
            f"Write a {FILE_NAME} beside it."
        )
    return parse_signature(module.derive(folder, **trust(module, trust_pickle)))


def describes_itself(folder: Path) -> bool:
    """Tell whether a folder holds a model whose file says what it takes, so that it needs no signature.json."""
    return any(hasattr(module, "derive") and _file(folder, module) for module in _modules().values())


def model_files() -> dict[str, str]:
    """Return every file by which a model is known, with the name of its runtime, in order of preference."""
    return {file: name for name, module in _modules().items() for file in module.FILES}


def check_trust(folder: Path, trust_pickle: bool) -> None:
    """Refuse a folder whose model would be opened from a pickle, unless its owner vouches for it; nothing is opened.

    Args:
        folder: An export folder.
        trust_pickle: Whether the owner does.

    Raises:
        ModelError: The owner does not.
    """
    first = next((name for name in model_files() if (folder / name).is_file()), "")
    check_pickle(folder / first, trust_pickle)


def trust(module: ModuleType, trust_pickle: bool) -> dict[str, bool]:
    """Return what `load` and `derive` of a runtime are told besides: the owner's word, where it has pickles."""
    return {"trust_pickle": trust_pickle} if hasattr(module, "PICKLES") else {}


def _modules() -> dict[str, ModuleType]:
    return {name: importlib.import_module(path) for name, path in RUNTIMES.items()}


def _file(folder: Path, module: ModuleType) -> str:
    """Return the name of the runtime's file that lies in the folder, or nothing."""
    return next((name for name in module.FILES if (folder / name).is_file()), "")


def _fitting(folder: Path, runtime: str | None) -> dict[str, ModuleType]:
    if runtime is not None and runtime not in RUNTIMES:
        raise unknown_name("runtime", runtime, RUNTIMES)
    modules = {name: module for name, module in _modules().items() if runtime in (None, name)}
    fitting = {name: module for name, module in modules.items() if _file(folder, module)}
    if not fitting:
        files = " or ".join(file for module in modules.values() for file in module.FILES)
        raise ModelError(f"{folder} holds no {files}. Export the model again.")
    return fitting


def threads() -> int:
    """Return how many threads a model may use: what OMP_NUM_THREADS says, as a batch's worker does, or else two."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdecimal() and int(said) else _THREADS


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
    """Run every signature once on its smallest input, so that the first real request does not pay for it.

    What a model without a signature.json takes besides dtype and shape is not known: it is tried with open axes of
    several sizes, and may refuse them all (a text that should have been a picture) without being broken.
    """
    derived = "derived_from" in signature.document
    for entry in signature.signatures.values():
        for size in _TRIED_SIZES if derived else (1,):
            try:
                run(entry.name, {name: _trial(tensor, size) for name, tensor in entry.inputs.items()})
                break
            except Exception as error:  # each runtime has its own classes for a failing operation
                if not derived:
                    raise
                _log.debug("%s refused a trial input with open axes of %d: %s", entry.name, size, error)


def refusal(error: Exception) -> str:
    """Return what an operation of TensorFlow says of its input, without where in the graph it stands."""
    lines = [line.strip() for line in str(error).splitlines()]
    around = ("Graph execution error", "Detected at node", "<stack traces", "[[")
    said = [line for line in lines if line and not line.startswith(around)]
    return said[-1].rstrip(".!") if said else type(error).__name__


def _trial(tensor: Tensor, size: int) -> NDArray[Any]:
    shape = [1, *(axis or size for axis in tensor.instance_shape)]
    if tensor.dtype == "string":
        text = next(filter(None, [tensor.example, tensor.default, *tensor.values]), "")
        return np.broadcast_to(to_texts(_ONE_TEXT, [text]), shape)
    return np.full(shape, tensor.minimum or 0, tensor.dtype)
