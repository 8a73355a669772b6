"""LiteRT (TensorFlow Lite) detectors: those that are shipped, and files that end in the detection operation."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.detection.decoders import Answer
from mlhelpers.detection.runtimes import Opened
from mlhelpers.detection.spec import DetectorSpec
from mlhelpers.errors import MissingExtraError, ModelError
from mlhelpers.frameworks import without_litert_notices
from mlhelpers.settings import cores

__all__ = ["open_model"]

_MAGIC = b"TFL3"  # of the format, at byte 4
_MOST_THREADS = 4  # networks of this size gain nothing from more


def open_model(path: Path, spec: DetectorSpec | None) -> Opened:
    """Open a .tflite file.

    Args:
        path: The file.
        spec: What detector.json says; None where there is none: then it has to end in LiteRT's detection operation.

    Raises:
        ModelError: It is damaged, is not the file that detector.json names, or is no detector.
        MissingExtraError: LiteRT is not installed.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise MissingExtraError("LiteRT", "serve") from error

    content = _content(path, spec)
    try:
        with without_litert_notices():
            interpreter = Interpreter(model_content=content, num_threads=min(cores(), _MOST_THREADS))
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError, MemoryError) as error:
        raise ModelError(f"{path} cannot be loaded: {error}.") from error
    (taken,), given = interpreter.get_input_details(), interpreter.get_output_details()
    found = spec or _postprocessed(path, taken, given)
    names = _names(interpreter, given)
    lock = threading.Lock()  # an interpreter has one set of tensors

    def network(batch: NDArray[Any]) -> Answer:
        with lock:
            interpreter.set_tensor(taken["index"], batch)
            interpreter.invoke()
            return {name: interpreter.get_tensor(index) for name, index in names.items()}

    return Opened(network, found, np.dtype(taken["dtype"]))


def _content(path: Path, spec: DetectorSpec | None) -> bytes:
    """Read the file; a damaged one may end the process that opens it, so it is looked at before."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from error
    if content[4:8] != _MAGIC:
        raise ModelError(f"{path} is no LiteRT model.")
    if spec is not None and spec.sha256 and (sha256 := hashlib.sha256(content).hexdigest()) != spec.sha256:
        raise ModelError(
            f"{path} is not the file for which detector.json was written, or was damaged since: its SHA-256 is "
            f"{sha256}, not {spec.sha256}. Restore it, or make it again."
        )
    return content


def _names(interpreter: Any, given: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return output name -> tensor; the signature's names where there is one, else the file's, in its order."""
    if interpreter.get_signature_list():
        runner = interpreter.get_signature_runner(next(iter(interpreter.get_signature_list())))
        outputs = runner.get_output_details()
        if len({one["index"] for one in outputs.values()}) == len(outputs):
            return {name: one["index"] for name, one in sorted(outputs.items())}
    return {f"{k} {one['name']}": one["index"] for k, one in enumerate(given)}


def _postprocessed(path: Path, taken: Mapping[str, Any], given: Sequence[Mapping[str, Any]]) -> DetectorSpec:
    """Return the description of a model that ends in TFLite_Detection_PostProcess, told by its four outputs."""
    n = int(given[0]["shape"][1]) if len(given[0]["shape"]) == 3 else 0
    # a detection operation that has not run yet may leave its shapes open
    ranks = [len(one["shape"]) for one in given]
    if ranks not in ([3, 2, 2, 1], [0, 0, 0, 0]) or (n and int(given[0]["shape"][2]) != 4):
        shapes = ", ".join(str(tuple(one["shape"])) for one in given)
        raise ModelError(
            f"{path} gives {shapes}: not the four outputs of LiteRT's detection operation. Put a detector.json beside "
            "it that says how its answer is read."
        )
    height, width = map(int, taken["shape"][1:3])
    halves = (127.5, 127.5, 127.5) if np.dtype(taken["dtype"]).kind == "f" else None
    return DetectorSpec("postprocessed", (height, width), mean=halves or (0.0, 0.0, 0.0), std=halves or (1.0, 1.0, 1.0))
