"""TensorFlow detectors of the Object Detection API: SavedModels, and the frozen graphs of TensorFlow 1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.detection.decoders import Answer
from mlhelpers.detection.runtimes import Opened
from mlhelpers.detection.spec import DetectorSpec
from mlhelpers.errors import ModelError
from mlhelpers.frameworks import import_tensorflow

__all__ = ["FROZEN_GRAPH", "open_frozen_graph", "open_saved_model"]

FROZEN_GRAPH = "frozen_inference_graph.pb"
_OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
_INPUT = "image_tensor:0"
_SIGNATURE = "serving_default"


def open_saved_model(folder: Path, spec: DetectorSpec | None) -> Opened:
    """Open a SavedModel whose signature takes a picture and gives the Object Detection API's four outputs.

    Args:
        folder: The folder with saved_model.pb.
        spec: What detector.json says, or None.

    Raises:
        ModelError: It is damaged, or has no such signature.
        MissingExtraError: TensorFlow is not installed.
    """
    tf = import_tensorflow()
    try:
        model = tf.saved_model.load(str(folder))
    except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
        raise ModelError(f"{folder} cannot be loaded as a SavedModel: {error}.") from error
    if _SIGNATURE not in model.signatures:
        raise ModelError(f"{folder} has no signature {_SIGNATURE!r}; it has {', '.join(model.signatures) or 'none'}.")
    signature = model.signatures[_SIGNATURE]
    takes = signature.structured_input_signature[1]
    _check(folder, set(signature.structured_outputs), spec)
    if len(takes) != 1:
        raise ModelError(f"{folder} takes {', '.join(takes)}; a detector takes one picture.")
    ((name, tensor),) = takes.items()
    kind = np.dtype(tensor.dtype.as_numpy_dtype)

    def network(batch: NDArray[Any]) -> Answer:
        # `model` is named here so that its variables live as long as the function
        answer = model.signatures[_SIGNATURE](**{name: tf.constant(batch)})
        return {output: value.numpy() for output, value in answer.items()}

    return Opened(network, spec or _spec(tensor.shape.as_list()), kind)


def open_frozen_graph(path: Path, spec: DetectorSpec | None) -> Opened:
    """Open a frozen_inference_graph.pb, the form of TensorFlow 1's model zoo.

    Args:
        path: The file.
        spec: What detector.json says, or None.

    Raises:
        ModelError: It is no graph, or lacks the input or one of the four outputs.
        MissingExtraError: TensorFlow is not installed.
    """
    tf = import_tensorflow()
    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(path.read_bytes())
        function = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from error
    except Exception as error:  # protobuf's DecodeError is no ValueError
        raise ModelError(f"{path} cannot be loaded as a frozen graph: {error}.") from error
    _check(path, {operation.name for operation in function.graph.get_operations()}, spec)
    try:
        picture = function.graph.get_tensor_by_name(_INPUT)
    except KeyError as error:
        raise ModelError(f"{path} has no {_INPUT!r}, which the Object Detection API's graphs take.") from error
    pruned = function.prune([picture], {name: f"{name}:0" for name in _OUTPUTS})

    def network(batch: NDArray[Any]) -> Answer:
        return {name: value.numpy() for name, value in pruned(tf.constant(batch)).items()}

    return Opened(network, spec or _spec(picture.shape.as_list()), np.dtype(picture.dtype.as_numpy_dtype))


def _spec(shape: list[int | None] | None) -> DetectorSpec:
    """Return the description: the picture as it is, unless the graph was frozen for one size."""
    height, width = shape[1:3] if shape and len(shape) == 4 else (None, None)
    return DetectorSpec("object_detection_api", (height, width) if height and width else None)


def _check(place: Path, outputs: set[str], spec: DetectorSpec | None) -> None:
    lacking = [name for name in _OUTPUTS if name not in outputs]
    if lacking and (spec is None or spec.decoder == "object_detection_api"):
        raise ModelError(
            f"{place} gives no {', '.join(lacking)}. The Object Detection API's detectors give {', '.join(_OUTPUTS)}."
        )
