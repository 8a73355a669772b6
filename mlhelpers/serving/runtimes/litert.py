"""LiteRT (formerly TensorFlow Lite): loads in milliseconds, answers one image in about a tenth of one."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mlhelpers.errors import ModelError
from mlhelpers.serving.runtimes import Run, check_names, warm_up
from mlhelpers.serving.signature import ModelSignature

__all__ = ["EXTRA", "FILE", "PACKAGE", "load"]

FILE = "model.tflite"
PACKAGE = "ai_edge_litert"
EXTRA = "serve"
_THREADS = 2
_quiet_lock = threading.Lock()


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
    from ai_edge_litert.interpreter import Interpreter

    lock = threading.Lock()  # the signatures share one interpreter and its tensors
    runners: dict[str, Any] = {}

    def run(signature_name: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        with lock:
            outputs: dict[str, NDArray[Any]] = runners[signature_name](**arrays)
        return outputs

    try:
        with _without_notices():
            # from memory: the file may be moved or deleted while the model is in use
            interpreter = Interpreter(model_content=(folder / FILE).read_bytes(), num_threads=_THREADS)
            found = interpreter.get_signature_list()
            check_names(signature, {key: (set(e["inputs"]), set(e["outputs"])) for key, e in found.items()}, FILE)
            runners |= {name: interpreter.get_signature_runner(name) for name in signature.signatures}
            warm_up(run, signature)
    except (ValueError, RuntimeError, OSError) as error:
        raise ModelError(f"{folder / FILE} cannot be loaded: {error}. Export the model again.") from error
    return run


@contextmanager
def _without_notices() -> Iterator[None]:
    """Keep LiteRT's "INFO: Created … delegate" off the terminal and out of notebooks; anything else is passed on."""
    with _quiet_lock, tempfile.TemporaryFile() as kept:
        sys.stderr.flush()
        saved = os.dup(2)
        try:
            os.dup2(kept.fileno(), 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            kept.seek(0)
            for line in kept:
                if not line.startswith(b"INFO: "):
                    os.write(2, line)
