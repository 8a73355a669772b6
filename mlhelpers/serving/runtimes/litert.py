"""LiteRT (formerly TensorFlow Lite): loads in milliseconds, answers one image in about a tenth of one."""

from __future__ import annotations

import hashlib
import importlib.util
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.errors import MissingExtraError, ModelError
from mlhelpers.frameworks import without_litert_notices
from mlhelpers.serving.runtimes import Run, check_names, threads, warm_up
from mlhelpers.serving.runtimes.derived import Found, TensorAsFound, document, is_one_at_a_time, one_at_a_time
from mlhelpers.serving.runtimes.litert_trial import try_model
from mlhelpers.serving.runtimes.tflite_file import check_signatures
from mlhelpers.serving.signature import ModelSignature

__all__ = ["EXTRA", "FILES", "PACKAGE", "derive", "describe", "load"]

FILES = ("model.tflite",)
_FILE = FILES[0]
PACKAGE = "ai_edge_litert"
EXTRA = "serve"
_UNNAMED = "serving_default"
# a model below this is done before a second thread is awake: the digits' server answers a tenth more with one
_SMALL_BYTES = 1_000_000
_DIGEST = "sha256"  # in signature.json: of the model file


def load(folder: Path, signature: ModelSignature) -> Run:
    """Load model.tflite.

    Args:
        folder: The export folder.
        signature: What signature.json says; the model is held against it.

    Returns:
        The function that runs the model, safe to call from several threads.

    Raises:
        ModelError: The file is damaged, or does not agree with signature.json.
    """
    lock = threading.Lock()  # the signatures share one interpreter and its tensors
    runners: dict[str, Any] = {}

    def call(signature_name: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        with lock:
            outputs: dict[str, NDArray[Any]] = runners[signature_name](**arrays)
        return outputs

    def run(signature_name: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        # a fixed axis can be resized here, but what was folded into the graph for one row then answers for all
        if signature_name in single:
            return one_at_a_time(partial(call, signature_name), arrays)
        return call(signature_name, arrays)

    with _interpreter(folder, signature.document.get(_DIGEST)) as (interpreter, _):
        found = _found(interpreter)
        check_names(signature, {name: (set(one.inputs), set(one.outputs)) for name, one in found.items()}, _FILE)
        single = frozenset(name for name in signature.signatures if is_one_at_a_time(found[name]))
        unnamed = not interpreter.get_signature_list()
        for name in signature.signatures:
            runners[name] = _by_index(interpreter) if unnamed else interpreter.get_signature_runner(name)
        warm_up(run, signature)
    return run


def derive(folder: Path) -> dict[str, Any]:
    """Return the document of a signature.json for a model.tflite without one; the model is tried in another process.

    A model that was converted without signatures has one here, "serving_default", with its tensors' own names.

    Args:
        folder: The export folder.

    Raises:
        ModelError: The file is damaged, or has no signature that can be served.
        MissingExtraError: LiteRT is not installed.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        raise MissingExtraError("LiteRT", EXTRA)
    return try_model(folder, _FILE)


def describe(folder: Path) -> dict[str, Any]:
    """Return what `derive` does, in this process, which a damaged file may end.

    Args:
        folder: The export folder.

    Raises:
        ModelError: As for `derive`.
    """
    with _interpreter(folder) as (interpreter, content):
        return document(folder / _FILE, _found(interpreter)) | {_DIGEST: hashlib.sha256(content).hexdigest()}


@contextmanager
def _interpreter(folder: Path, digest: str | None = None) -> Iterator[tuple[Any, bytes]]:
    """Open the model without a word on the terminal; what goes wrong in the block is the model's fault.

    A damaged file may end the process, so where its digest is known it is not opened.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        with without_litert_notices():
            # from memory: the file may be moved or deleted while the model is in use
            content = (folder / _FILE).read_bytes()
            if digest is not None:
                _check_digest(folder, digest, content)
            few = 1 if len(content) < _SMALL_BYTES else threads()
            interpreter = Interpreter(model_content=content, num_threads=few)
            check_signatures(content)
            yield interpreter, content
    except (ValueError, RuntimeError, OSError, MemoryError) as error:
        raise ModelError(f"{folder / _FILE} cannot be loaded: {error}. Export the model again.") from error


def _check_digest(folder: Path, digest: str, content: bytes) -> None:
    """Hold the file against the one for which signature.json was written."""
    if hashlib.sha256(content).hexdigest() != digest:
        raise ModelError(
            f"{folder / _FILE} cannot be loaded: it is not the file for which signature.json was written, or was "
            "damaged since. Export the model again, or make the version again from the original; in a folder of your "
            "own, delete signature.json."
        )


def _found(interpreter: Any) -> dict[str, Found]:
    """Return what the file says of its signatures."""
    if not interpreter.get_signature_list():
        inputs, outputs = map(_by_name, (interpreter.get_input_details(), interpreter.get_output_details()))
        return {_UNNAMED: Found(_tensors(inputs), _tensors(outputs))}
    found = {}
    for name in interpreter.get_signature_list():
        runner = interpreter.get_signature_runner(name)
        found[name] = Found(_tensors(runner.get_input_details()), _tensors(runner.get_output_details()))
    return found


def _tensors(details: Mapping[str, Mapping[str, Any]]) -> dict[str, TensorAsFound]:
    return {name: _tensor(one) for name, one in sorted(details.items())}


def _tensor(details: Mapping[str, Any]) -> TensorAsFound:
    dtype = np.dtype(details["dtype"])
    scale, zero = details["quantization"]
    note = f"Quantised: the number meant is {scale:g} * (value - {zero})." if scale and dtype.kind in "iu" else ""
    shape = tuple(None if size < 0 else int(size) for size in details["shape_signature"])
    return TensorAsFound("string" if dtype.kind == "S" else dtype.name, shape, note)


def _by_name(details: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Name tensors as the file does; by their place where it gives two the same name, or none."""
    names = [one["name"] for one in details]
    if len(set(names)) < len(names) or not all(names):
        names = [f"tensor_{place}" for place in range(len(details))]
    return dict(zip(names, details, strict=True))


def _by_index(interpreter: Any) -> Callable[..., dict[str, NDArray[Any]]]:
    """Return what stands in for a signature's runner in a model without signatures."""
    inputs, outputs = map(_by_name, (interpreter.get_input_details(), interpreter.get_output_details()))

    def runner(**arrays: NDArray[Any]) -> dict[str, NDArray[Any]]:
        for name, array in arrays.items():
            interpreter.resize_tensor_input(inputs[name]["index"], array.shape)
        interpreter.allocate_tensors()
        for name, array in arrays.items():
            interpreter.set_tensor(inputs[name]["index"], array)
        interpreter.invoke()
        return {name: interpreter.get_tensor(one["index"]) for name, one in outputs.items()}

    return runner
