"""The serving room: models and versions, predictors in process and over HTTP, the prediction server.

    from mlhelpers import serving

    serving.ModelStore().create_version("MNIST", "v1", "output/export/Servo")
    serving.load("MNIST").predict([{"inputs": image}])            # in this process
    with serving.start() as server:                               # a real server on loopback
        serving.connect("MNIST", address=server.address).predict([{"inputs": image}])

May import `errors`, `settings`, `storage`; knows a trainer only by the export folder it left. Everything here is
imported on first use: the door itself is light. A model format to serve is one file and a table line in
`serving/runtimes/`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlhelpers.serving.client import connect
    from mlhelpers.serving.predictor import Predictor, load, shipped
    from mlhelpers.serving.registry.store import ModelStore
    from mlhelpers.serving.server.process import start

__all__ = ["ModelStore", "Predictor", "connect", "load", "shipped", "start"]

_HOME = {
    "ModelStore": "registry.store",
    "Predictor": "predictor",
    "connect": "client",
    "load": "predictor",
    "shipped": "predictor",
    "start": "server.process",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
