"""A Keras 3 file, model.keras: loaded without any code but Keras' own, called as one compiled function.

`predict()` would build a data pipeline for every request; a function compiled for the model's input shapes answers some
tens of times sooner.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mlhelpers.errors import ModelError, PredictionError
from mlhelpers.frameworks import import_tensorflow
from mlhelpers.serving.runtimes import Run, check_names, refusal, threads, warm_up
from mlhelpers.serving.runtimes.derived import Found, TensorAsFound, document, is_one_at_a_time, one_at_a_time
from mlhelpers.serving.runtimes.keras_file import check_archive
from mlhelpers.serving.signature import ModelSignature

__all__ = ["EXTRA", "FILES", "PACKAGE", "derive", "load"]

FILES = ("model.keras",)
PACKAGE = "tensorflow"
EXTRA = "train"
_FILE = FILES[0]
_SIGNATURE = "serving_default"


def load(folder: Path, signature: ModelSignature) -> Run:
    """Load model.keras.

    Args:
        folder: The export folder.
        signature: What signature.json says; the model is held against it.

    Returns:
        The function that runs the model, safe to call from several threads.

    Raises:
        ModelError: The file is damaged, brings code or needs code that is not in it, or does not agree with
            signature.json.
        MissingExtraError: TensorFlow is not installed.
    """
    check_archive(folder / _FILE)
    tf = import_tensorflow()
    with suppress(RuntimeError):  # TensorFlow is already at work in this process and keeps its threads
        tf.config.threading.set_intra_op_parallelism_threads(threads())
    model, found = _open(folder)
    check_names(signature, {_SIGNATURE: (set(found.inputs), set(found.outputs))}, _FILE)
    function = _compiled(tf, model, found)

    def call(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        try:
            outputs = function({name: tf.constant(array) for name, array in arrays.items()})
        except tf.errors.InvalidArgumentError as error:  # what a preprocessing layer finds wrong with an instance
            raise PredictionError(f"The model refuses what was sent: {refusal(error)}.") from None
        return {name: value.numpy() for name, value in outputs.items()}

    def run(signature_name: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return one_at_a_time(call, arrays) if single else call(arrays)

    single = is_one_at_a_time(found)
    try:
        warm_up(run, signature)
    # a layer that cannot work on what the file says it takes; each has its own class of error
    except Exception as error:
        raise _unloadable(folder, error) from error
    return run


def derive(folder: Path) -> dict[str, Any]:
    """Return the document of a signature.json for a model.keras without one; the model is loaded for it.

    The file says what goes in; what comes out is known only of the model built.

    Args:
        folder: The export folder.

    Raises:
        ModelError: As for `load`; or the model does not say what it takes.
        MissingExtraError: TensorFlow is not installed.
    """
    check_archive(folder / _FILE)
    import_tensorflow()
    return document(folder / _FILE, {_SIGNATURE: _open(folder)[1]})


def _open(folder: Path) -> tuple[Any, Found]:
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ModelError(
            f"{_FILE} is served by Keras on TensorFlow, and in this process Keras works on {keras.backend.backend()}. "
            "Start it anew with KERAS_BACKEND=tensorflow."
        )
    try:
        model = keras.saving.load_model(folder / _FILE, compile=False, safe_mode=True)
    # Keras has no class for a file that is not what it should be: whatever comes, comes of the file
    except Exception as error:
        raise _unloadable(folder, error) from error
    return model, _found(keras, model, folder)


def _found(keras: Any, model: Any, folder: Path) -> Found:
    if not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
        raise ModelError(
            f"{folder / _FILE} does not say what the model takes: it is a {type(model).__name__} that was never built. "
            "Give it keras.Input(...), or call it once, and save it again."
        )
    sequential = isinstance(model, keras.Sequential)
    inputs, outputs = (model.inputs[0], model.outputs[0]) if sequential else (model.input, model.output)
    output_names = [model.layers[-1].name] if sequential else model.output_names
    tensors = dict(zip(_names(keras, inputs, [one.name for one in model.inputs]), model.inputs, strict=True))
    results = dict(zip(_names(keras, outputs, output_names), model.outputs, strict=True))
    return Found(
        {name: _tensor(one, one.sparse) for name, one in tensors.items()},
        {name: _tensor(one) for name, one in results.items()},
    )


def _names(keras: Any, structure: Any, flat: list[str]) -> list[str]:
    """Name each tensor: by its key where they come in a dict, else by its layer."""
    paths = [path for path, _ in keras.tree.flatten_with_path(structure)]
    if all(path and all(isinstance(step, str) for step in path) for path in paths):
        return [".".join(path) for path in paths]
    if len(set(flat)) == len(flat):
        return flat
    return [f"{name}_{place}" for place, name in enumerate(flat)]


def _tensor(tensor: Any, sparse: bool = False) -> TensorAsFound:
    batch, *shape = tensor.shape
    # a model built by its first call keeps that batch's size, which binds nobody: Keras' own export drops it too
    return TensorAsFound("a sparse tensor" if sparse else tensor.dtype, (1 if batch == 1 else None, *shape))


def _compiled(tf: Any, model: Any, found: Found) -> Any:
    """Return the model as one function from named tensors to named tensors, compiled for its shapes."""
    import keras

    structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    specs = {name: tf.TensorSpec(tensor.shape, tensor.dtype, name) for name, tensor in found.inputs.items()}

    def answer(named: Mapping[str, Any]) -> dict[str, Any]:
        outputs = model(keras.tree.pack_sequence_as(structure, [named[name] for name in found.inputs]), training=False)
        return dict(zip(found.outputs, keras.tree.flatten(outputs), strict=True))

    return tf.function(answer, input_signature=[specs], autograph=False)


def _unloadable(folder: Path, error: Exception) -> ModelError:
    reason = (str(error).strip().splitlines()[:1] or [type(error).__name__])[0]
    return ModelError(
        f"{folder / _FILE} cannot be loaded: {reason.rstrip('.')}. Save the model again with model.save('{_FILE}')."
    )
