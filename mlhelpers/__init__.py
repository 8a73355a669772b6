"""Helpers of the workshop series: train, serve and draw digits offline; one word sends the same call to the cloud.

The rooms, in the order in which data flows through them:

`datasets` -> `trainers` -> `jobs` -> `tuning`, and from a trainer's export -> `serving` -> `widget`.

`detection` finds objects in pictures. `plots` and `strokes` are leaves that know only arrays. Importing `mlhelpers`
imports no heavy package: TensorFlow, the widgets and the cloud clients are imported on first use.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from mlhelpers.errors import MLHelpersError
from mlhelpers.settings import use

if TYPE_CHECKING:
    from mlhelpers import datasets, detection, emulator, environment, jobs, plots, serving, strokes, tuning, widget

__version__ = "0.1.0"
__all__ = [
    "MLHelpersError",
    "__version__",
    "datasets",
    "detection",
    "emulator",
    "environment",
    "jobs",
    "plots",
    "serving",
    "strokes",
    "tuning",
    "use",
    "widget",
]

_ROOMS = ("datasets", "detection", "emulator", "environment", "jobs", "plots", "serving", "strokes", "tuning", "widget")


def __getattr__(name: str) -> ModuleType:
    """Import a room when it is first named, so that `import mlhelpers` stays quick."""
    if name in _ROOMS:
        return importlib.import_module(f"mlhelpers.{name}")
    raise AttributeError(f"module 'mlhelpers' has no attribute {name!r}")
