"""TensorFlow's SavedModel, for machines and models without LiteRT: the signature is called as a compiled function."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mlhelpers.errors import ModelError, PredictionError
from mlhelpers.frameworks import import_tensorflow
from mlhelpers.serving.runtimes import Run, check_names, warm_up
from mlhelpers.serving.signature import ModelSignature

__all__ = ["EXTRA", "FILE", "PACKAGE", "load"]

FILE = "saved_model.pb"
PACKAGE = "tensorflow"
EXTRA = "train"
_THREADS = 2


def load(folder: Path, signature: ModelSignature) -> Run:
    """Load a SavedModel with its named signatures.

    Args:
        folder: The export folder.
        signature: What signature.json says; the model is held against it.

    Returns:
        The function that runs the model, safe to call from several threads.

    Raises:
        ModelError: The files are damaged or incomplete, or do not agree with signature.json.
    """
    tf = import_tensorflow()
    with suppress(RuntimeError):  # TensorFlow is already at work in this process and keeps its threads
        tf.config.threading.set_intra_op_parallelism_threads(_THREADS)
    try:
        loaded = tf.saved_model.load(str(folder))
        functions = {name: loaded.signatures[name] for name in loaded.signatures}
        found = {
            name: (set(function.structured_input_signature[1]), set(function.structured_outputs))
            for name, function in functions.items()
        }
        check_names(signature, found, FILE)

        def run(signature_name: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
            try:
                outputs = functions[signature_name](**{name: tf.constant(array) for name, array in arrays.items()})
            except tf.errors.InvalidArgumentError as error:  # texts and bytes are taken apart inside the model
                raise PredictionError(f"The model refuses what was sent: {_reason(error)}.") from None
            return {name: value.numpy() for name, value in outputs.items()}

        run.__dict__["keeps"] = loaded  # the functions hold their variables only weakly
        warm_up(run, signature)
    except ModelError:
        raise
    # damaged files come as one of a dozen classes (errors of TensorFlow, protobuf, OS, missing ops), never documented
    except Exception as error:
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise ModelError(
            f"The SavedModel in {folder} cannot be loaded: {reason[0]}. Export the model again."
        ) from error
    return run


def _reason(error: Exception) -> str:
    """Return what an operation says of its input, without where in the graph it stands."""
    lines = [line.strip() for line in str(error).splitlines()]
    around = ("Graph execution error", "Detected at node", "<stack traces", "[[")
    said = [line for line in lines if line and not line.startswith(around)]
    return said[-1].rstrip(".!") if said else type(error).__name__
