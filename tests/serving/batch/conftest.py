"""What the tests of batch predictions start from: files of digits, and the running of a batch to its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running_jobs import no_process_is_left

from mlhelpers import serving
from mlhelpers.jobs import Job

__all__ = ["no_process_is_left"]


@pytest.fixture
def pictures() -> np.ndarray:
    """Return (300, 28, 28) uint8."""
    return np.random.default_rng(5).integers(0, 256, (300, 28, 28), dtype=np.uint8)


@pytest.fixture
def probabilities(expected: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """Return NumPy's own answer: pictures (n, 28, 28) uint8 -> probabilities (n, 10)."""
    return lambda pictures: expected(pictures.reshape(-1, 784) / 255)


@pytest.fixture
def predict(tiny_export: Path, tmp_path: Path) -> Callable[..., tuple[Job, Path]]:
    """Return a function that runs a batch over the tiny export to its end, and gives the job and its output folder."""

    def run(inputs: Sequence[Path], data_format: str, **options: Any) -> tuple[Job, Path]:
        output = options.pop("output", tmp_path / "predicted")
        job = serving.batch_predict(tiny_export, inputs, output, data_format=data_format, **options)
        job.wait(120, progress=False)
        return job, output

    return run
