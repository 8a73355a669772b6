"""The serving room: models and versions, predictors in process and over HTTP, the prediction server.

    from mlhelpers import serving

    serving.ModelStore().create_version("MNIST", "v1", "output/export/Servo")
    with serving.connect("MNIST") as predictor:                   # in this process
        predictor.predict([{"inputs": image}])
    with serving.start() as server:                               # a real server on loopback
        serving.connect("MNIST", address=server.address).predict_frame(frame)
    serving.batch_predict("MNIST", "test.json", "predicted").wait()   # files of any size, as a job

May import `errors`, `settings`, `storage`, and in `batch/` `jobs` and `tfrecords`; knows a trainer only by the export
folder it left. Everything here is imported on first use: the door itself is light. A model format to serve is one file
and a table line in `serving/runtimes/`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlhelpers.serving.backends import connect
    from mlhelpers.serving.batch import BatchSpec, batch_predict
    from mlhelpers.serving.predictor import Predictor, load, shipped
    from mlhelpers.serving.registry.places import models
    from mlhelpers.serving.registry.store import ModelStore
    from mlhelpers.serving.server.process import start

__all__ = ["BatchSpec", "ModelStore", "Predictor", "batch_predict", "connect", "load", "models", "shipped", "start"]

_HOME = {
    "BatchSpec": "batch",
    "batch_predict": "batch",
    "ModelStore": "registry.store",
    "Predictor": "predictor",
    "connect": "backends",
    "load": "predictor",
    "models": "registry.places",
    "shipped": "predictor",
    "start": "server.process",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
