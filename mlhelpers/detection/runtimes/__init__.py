"""What runs a network: one file for each form that models come in.

Each has `open_model(path, spec)`, which returns an `Opened`; the packages it needs are imported inside it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mlhelpers.detection.detector import Network
from mlhelpers.detection.spec import DetectorSpec

__all__ = ["Opened"]


class Opened(NamedTuple):
    """A network that is ready to run.

    Attributes:
        network: Runs it on a batch of one.
        spec: What it takes and how it answers.
        dtype: Of its input.
    """

    network: Network
    spec: DetectorSpec
    dtype: np.dtype[Any]
