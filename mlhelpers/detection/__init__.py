"""Objects in pictures: detectors that are shipped, detectors of your own, one form of answer.

    found = detect(image, "nanodet", threshold=0.5)      # image: (height, width, 3), uint8, red, green, blue
    found.counts()                                       # {'dog': 2, 'kite': 1}

`cards` holds the table of models, `loading` tells what a folder or file is, `runtimes` run the networks (LiteRT,
TensorFlow, ONNX), `decoders` read their answers, `convert` made those that are shipped, `server` is the web app. To add
a model: its card; to add a family of networks: its decoder. May import `errors`, `settings`, `storage`, `frameworks`,
the download of `datasets`, and what reads picture files. Taught in notebook 11.
"""

from __future__ import annotations

import os
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mlhelpers.detection.cards import MODELS, ModelCard
from mlhelpers.detection.detector import Detector
from mlhelpers.detection.found import Detections
from mlhelpers.detection.loading import load
from mlhelpers.detection.server.process import RunningWebApp, start_app

__all__ = ["MODELS", "Detections", "Detector", "ModelCard", "RunningWebApp", "detect", "load", "start_app"]


def detect(image: NDArray[np.uint8], model: str | os.PathLike[str] = "nanodet", threshold: float = 0.5) -> Detections:
    """Find the objects in a picture; the model is loaded once for a process and kept.

    Args:
        image: Shape (height, width, 3), uint8, red, green, blue, upright.
        model: A name of `MODELS`, or the path of a folder or file of your own.
        threshold: Objects with a lower score are left out, 0 to 1.

    Raises:
        UsageError: A picture, model or threshold that is not allowed.
        ModelError: The model is damaged, is no detector, or has to be made first.
        DataError: The model cannot be downloaded.
        MissingExtraError: What runs it is not installed.

    Example:
        >>> detect(np.full((480, 640, 3), 255, np.uint8)).counts()
        {}

    Taught in notebook 11.
    """
    return _kept(os.fspath(model)).detect(image, threshold)


@lru_cache(maxsize=2)
def _kept(model: str) -> Detector:
    return load(model)
