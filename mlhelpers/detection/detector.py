"""A detector: a runtime that holds the network, the picture made ready for it, and its answer read."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.detection.boxes import suppressed
from mlhelpers.detection.classes import name_of
from mlhelpers.detection.decoders import Answer, candidates
from mlhelpers.detection.found import Detections
from mlhelpers.detection.preparing import place, prepared
from mlhelpers.detection.spec import DetectorSpec
from mlhelpers.errors import UsageError

__all__ = ["Detector", "Network"]

Network = Callable[[NDArray[Any]], Answer]
"""Runs a network on a batch of one picture; safe to call from several threads."""


class Detector:
    """A model that finds objects in pictures. `detection.load` makes one; several threads may share it.

    Attributes:
        name: The model's name.
        spec: What its network takes, and how it answers.
    """

    def __init__(self, name: str, spec: DetectorSpec, network: Network, dtype: np.dtype[Any]) -> None:
        self.name = name
        self.spec = spec
        self._network = network
        self._dtype = dtype

    def __repr__(self) -> str:
        size = "any size" if self.spec.size is None else "{1}x{0} pixels".format(*self.spec.size)
        return f"Detector({self.name!r}, {size}, {len(self.spec.classes)} classes)"

    def detect(self, image: NDArray[np.uint8], threshold: float = 0.5, limit: int = 100) -> Detections:
        """Find the objects in a picture.

        Args:
            image: Shape (height, width, 3), uint8, red, green, blue, upright.
            threshold: Objects with a lower score are left out, 0 to 1.
            limit: The most objects to return.

        Raises:
            UsageError: A picture of another shape or dtype, or a threshold or limit out of range.
            ModelError: The network's answer is not of the form that was expected.
        """
        _check(image, threshold, limit)
        start = time.perf_counter()
        placed = place(image, self.spec)
        answer = self._network(prepared(placed.pixels, self.spec, self._dtype))
        boxes, scores, class_ids = candidates(answer, self.spec, threshold)
        most_overlap = 2.0 if self.spec.most_overlap is None else self.spec.most_overlap  # no two overlap so much
        kept = suppressed(boxes, scores, class_ids, most_overlap, limit)
        class_ids = class_ids[kept]
        return Detections(
            placed.back(boxes[kept]),
            np.clip(scores[kept], 0, 1),
            class_ids,
            tuple(name_of(each, self.spec.classes) for each in class_ids),
            model=self.name,
            size=(image.shape[1], image.shape[0]),
            seconds=time.perf_counter() - start,
        )


def _check(image: NDArray[np.uint8], threshold: float, limit: int) -> None:
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        seen = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise UsageError(
            f"A picture to look at is an array of shape (height, width, 3), uint8, red, green, blue; given was {seen}."
        )
    if not image.size:
        raise UsageError(f"The picture has no pixels: its shape is {image.shape}.")
    if not 0 <= threshold <= 1:
        raise UsageError(f"threshold is {threshold!r}; a score runs from 0 to 1.")
    if limit < 1:
        raise UsageError(f"limit is {limit!r}; give 1 or more.")
