"""The export directory: `export/<name>/<timestamp>/` with a model in a standard form and signature.json.

Here the form is a SavedModel with a LiteRT model beside it; `write_export` is for every other one, too.
The SavedModel is what TensorFlow, TF Serving and Vertex AI read; the LiteRT model answers one picture several times
faster, loads in a tenth of a second and needs a fraction of the memory, so our own server prefers it.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlhelpers.errors import DataError
from mlhelpers.frameworks import import_tensorflow
from mlhelpers.trainers.base import write_json

__all__ = ["Signature", "export", "made_of", "number", "text", "write_export"]

# flags of the trainers that say where a run lay, which says nothing about the model
_PLACES = {
    "bucket", "data_dir", "data_bucket", "train_files", "eval_files", "training_data", "eval_data",
    "training_data_dir", "eval_data_dir", "output_dir", "model_dir", "job_dir",
}  # fmt: skip

Signature = tuple[Callable[..., Any], list[Any], dict[str, Any]]
"""A serving signature: the function, its `tf.TensorSpec`s, and its description as signature.json has it."""


def export(
    folder: Path,
    name: str,
    model: Any,
    signatures: Mapping[str, Signature],
    description: Mapping[str, Any],
    litert: bool = True,
) -> Path:
    """Write an export directory with a SavedModel.

    Args:
        folder: The run's output folder.
        name: The export's name below `export/`, for instance "Servo".
        model: The Keras model whose variables the functions use.
        signatures: Signature name -> function, specs, description; the first is the default one.
        description: More fields for signature.json.
        litert: Whether to write a LiteRT model as well; it has no operations that take text apart.

    Returns:
        `<folder>/export/<name>/<seconds since the epoch>`.

    Raises:
        DataError: The disk is full or the folder cannot be written.
    """

    def write_model(aside: Path) -> None:
        _write_saved_model(aside, model, signatures)
        if litert:
            _write_litert(aside, signatures)

    described = {key: signature[2] for key, signature in signatures.items()}
    return write_export(folder, name, write_model, described, description, int(model.count_params()))


def write_export(
    folder: Path,
    name: str,
    write_model: Callable[[Path], None],
    signatures: Mapping[str, dict[str, Any]],
    description: Mapping[str, Any],
    parameters: int,
) -> Path:
    """Write an export directory, aside first: it is there whole or not at all.

    Args:
        folder: The run's output folder.
        name: The export's name below `export/`, for instance "Servo".
        write_model: Writes the model's files into the folder it is given.
        signatures: Signature name -> its inputs and outputs, as signature.json has them; the first is the default one.
        description: More fields for signature.json.
        parameters: How many numbers the model has learnt.

    Returns:
        `<folder>/export/<name>/<seconds since the epoch>`.

    Raises:
        DataError: The disk is full or the folder cannot be written.
    """
    stamp = int(time.time())
    parent = folder / "export" / name
    while (parent / str(stamp)).exists():
        stamp += 1
    aside = parent / f".{stamp}.part"
    try:
        aside.mkdir(parents=True)
        write_model(aside)
        content = {
            "format": 1,
            **description,
            "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "default_signature": next(iter(signatures)),
            "signatures": dict(signatures),
            "parameters": parameters,
        }
        if (litert := aside / "model.tflite").is_file():  # a damaged one could end the process that loads it
            content["sha256"] = hashlib.sha256(litert.read_bytes()).hexdigest()
        write_json(aside / "signature.json", content)
        aside.rename(parent / str(stamp))
    except OSError as error:
        raise DataError(f"The export cannot be written to {parent}: {error}. Free some room and run again.") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return parent / str(stamp)


def made_of(settings: Any, result: Mapping[str, float]) -> dict[str, Any]:
    """Return what signature.json says of the run that made a model: its metrics and its hyperparameters.

    Args:
        settings: The trainer's hyperparameters, a dataclass.
        result: Metric -> value.
    """
    return {
        "metrics": {name: round(value, 6) for name, value in result.items()},
        "hyperparameters": {name: value for name, value in asdict(settings).items() if name not in _PLACES},
    }


def number(
    dtype: str, shape: list[int | None], text: str, low: float | None = None, high: float | None = None
) -> dict[str, Any]:
    """Describe one tensor for signature.json.

    Args:
        dtype: NumPy's name of its type.
        shape: Its shape, None for the number of instances.
        text: What it means, with order of axes and unit.
        low: Least value, if it has a range.
        high: Greatest value.
    """
    span = {} if low is None else {"min": low, "max": high}
    return {"dtype": dtype, "shape": shape, **span, "description": text}


def text(
    shape: list[int | None],
    meaning: str,
    *,
    default: str | None = None,
    values: Sequence[str] = (),
    pattern: str = "",
    example: str | dict[str, str] | None = None,
) -> dict[str, Any]:
    """Describe one tensor of texts for signature.json.

    Args:
        shape: Its shape, None for the number of instances.
        meaning: What the text says.
        default: What stands for an input that an instance leaves out; without one the input is needed.
        values: The only texts that are taken; anything else is refused before the model sees it.
        pattern: A regular expression that a text has to match as a whole.
        example: A text that the model takes, where not every one will do; {"b64": …} for bytes.
    """
    more = {"default": default, "values": list(values), "pattern": pattern, "example": example}
    return {"dtype": "string", "shape": shape, **{name: value for name, value in more.items() if value}} | {
        "description": meaning
    }


def _write_saved_model(aside: Path, model: Any, signatures: Mapping[str, Signature]) -> None:
    tf = import_tensorflow()
    module = tf.Module()
    module.model_variables = [variable.value for variable in model.variables]  # TensorFlow's own, which it can track
    functions = {
        key: tf.function(function, input_signature=specs).get_concrete_function()
        for key, (function, specs, _) in signatures.items()
    }
    tf.saved_model.save(module, str(aside), signatures=functions)


def _write_litert(aside: Path, signatures: Mapping[str, Signature]) -> None:
    tf = import_tensorflow()
    try:
        converter = tf.lite.TFLiteConverter.from_saved_model(str(aside), signature_keys=list(signatures))
        content = converter.convert()
    except tf.errors.OpError as error:
        raise DataError(f"The model cannot be converted for LiteRT: {error}") from error
    (aside / "model.tflite").write_bytes(content)
