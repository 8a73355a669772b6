"""ONNX detectors of the YOLOX family, as its authors export them. Needs onnxruntime, an extra of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.detection.decoders import Answer
from mlhelpers.detection.runtimes import Opened
from mlhelpers.detection.spec import DetectorSpec
from mlhelpers.errors import MissingExtraError, ModelError
from mlhelpers.settings import cores

__all__ = ["open_model"]

# how YOLOX's own demo for ONNX prepares a picture: from the top left corner, the rest grey, colours as OpenCV has them
_YOLOX_FILL, _YOLOX_OVERLAP = 114, 0.45


def open_model(path: Path, spec: DetectorSpec | None) -> Opened:
    """Open an .onnx file.

    Args:
        path: The file.
        spec: What detector.json says; None where there is none: then it is read as a YOLOX.

    Raises:
        ModelError: It is damaged, or takes more than one picture of a fixed size.
        MissingExtraError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("onnxruntime, which runs ONNX models,", "onnx") from error

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # each of its errors is a class of its own, below Exception
        raise ModelError(f"{path} cannot be loaded as an ONNX model: {error}.") from error
    taken, outputs = session.get_inputs(), [one.name for one in session.get_outputs()]
    if len(taken) != 1 or len(taken[0].shape) != 4 or not all(isinstance(side, int) for side in taken[0].shape[1:]):
        raise ModelError(f"{path} takes {[one.shape for one in taken]}; a YOLOX takes one picture of a fixed size.")
    height, width = taken[0].shape[2:]
    found = spec or DetectorSpec(
        "yolox", (height, width), "BGR", fit="corner", fill=_YOLOX_FILL, channels_first=True,
        most_overlap=_YOLOX_OVERLAP,
    )  # fmt: skip

    def network(batch: NDArray[Any]) -> Answer:
        return dict(zip(outputs, session.run(outputs, {taken[0].name: batch}), strict=True))

    return Opened(network, found, np.dtype(np.float32))
