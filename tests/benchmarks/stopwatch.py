"""What the training peers share: settings, pictures, and a watch that stands still while test accuracy is looked at.

Needs NumPy only, because it runs in PyTorch's environment too.
"""

import json
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

WANTED = SimpleNamespace(**json.loads(sys.argv[1]))  # see SETTINGS in run.py


def pictures(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures (n, 28, 28) float32 in 0..1 and labels (n,) int64 of the train or test part."""
    with np.load(WANTED.data) as arrays:
        return arrays[f"{part}_images"].astype(np.float32) / 255, arrays[f"{part}_labels"]


class Watch:
    """Counts steps and training seconds from when it is made; `accuracy` measures test accuracy, 0 to 1."""

    def __init__(self, accuracy: Callable[[], float]) -> None:
        self._accuracy, self._steps, self._began = accuracy, 0, time.perf_counter()

    def enough(self) -> bool:
        """Count a step that has just ended; once the peer has shown enough, print its figures as a line of JSON."""
        now, figures = time.perf_counter(), {}
        self._steps += 1
        if WANTED.benchmark == "speed":
            if self._steps == WANTED.warm_up:
                self._began = now
            elif self._steps == WANTED.warm_up + WANTED.steps:
                figures = {"steps_per_second": WANTED.steps / (now - self._began)}
        elif self._steps % WANTED.look_every == 0:
            seconds, accuracy = now - self._began, self._accuracy()
            self._began += time.perf_counter() - now
            if accuracy >= WANTED.target or seconds >= WANTED.give_up_s:
                reached = accuracy >= WANTED.target
                figures = {"seconds": seconds, "accuracy": accuracy, "steps": self._steps, "reached": reached}
        if figures:
            print(json.dumps(figures))
        return bool(figures)
