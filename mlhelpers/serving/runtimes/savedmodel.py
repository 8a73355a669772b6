"""TensorFlow's SavedModel, for machines and models without LiteRT: the signature is called as a compiled function.

Any SavedModel with a signature will do, whoever wrote it: Keras, a `tf.Module`, an estimator, TensorFlow 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mlhelpers.errors import ModelError, PredictionError
from mlhelpers.frameworks import import_tensorflow
from mlhelpers.serving.runtimes import Run, check_names, refusal, threads, warm_up
from mlhelpers.serving.runtimes.derived import document, is_one_at_a_time, one_at_a_time
from mlhelpers.serving.runtimes.saved_model_file import read_signatures, read_tags
from mlhelpers.serving.signature import ModelSignature

__all__ = ["EXTRA", "FILES", "PACKAGE", "derive", "load"]

FILES = ("saved_model.pb",)
_FILE = FILES[0]
PACKAGE = "tensorflow"
EXTRA = "train"


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
    tags = read_tags(folder / _FILE)
    found = read_signatures(folder / _FILE)
    tf = import_tensorflow()
    with suppress(RuntimeError):  # TensorFlow is already at work in this process and keeps its threads
        tf.config.threading.set_intra_op_parallelism_threads(threads())
    tags = read_tags(folder / _FILE)
    found = read_signatures(folder / _FILE)
    try:
        loaded = tf.saved_model.load(str(folder), tags=tags)
        functions = {name: loaded.signatures[name] for name in loaded.signatures}
        names = {
            name: (set(function.structured_input_signature[1]), set(function.structured_outputs))
            for name, function in functions.items()
        }
        check_names(signature, names, _FILE)

        def call(signature_name: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
            try:
                outputs = functions[signature_name](**{name: tf.constant(array) for name, array in arrays.items()})
            except tf.errors.InvalidArgumentError as error:  # texts and bytes are taken apart inside the model
                raise PredictionError(f"The model refuses what was sent: {refusal(error)}.") from None
            return {name: value.numpy() for name, value in outputs.items()}

        single = frozenset(name for name in signature.signatures if is_one_at_a_time(found[name]))

        def run(signature_name: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
            if signature_name in single:
                return one_at_a_time(partial(call, signature_name), arrays)
            return call(signature_name, arrays)

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


def derive(folder: Path) -> dict[str, Any]:
    """Return the document of a signature.json for a SavedModel without one; nothing is loaded.

    Args:
        folder: The export folder.

    Raises:
        ModelError: The file is damaged, or has no signature that can be served.
    """
    return document(folder / _FILE, read_signatures(folder / _FILE))
