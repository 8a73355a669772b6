"""A tiny export, made once per session, and NumPy's own answer to what it predicts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlhelpers import serving
from mlhelpers.serving.server.process import RunningServer


@pytest.fixture
def own_export(tiny_export: Path, tmp_path: Path) -> Path:
    """Return a copy of the export that a test may damage."""
    return Path(shutil.copytree(tiny_export, tmp_path / "own_export"))


@pytest.fixture(scope="session")
def signature_document(tiny_export: Path) -> dict[str, Any]:
    """Return the export's signature.json."""
    document: dict[str, Any] = json.loads((tiny_export / "signature.json").read_text())
    return document


@pytest.fixture(scope="session")
def expected(tiny_export: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return NumPy's softmax regression with the export's weights: images (n, 784) in 0..1 -> probabilities (n, 10)."""
    with np.load(tiny_export.with_suffix(".npz")) as saved:
        weights, bias = saved["weights"].astype(np.float64), saved["bias"].astype(np.float64)

    def probabilities(images: np.ndarray) -> np.ndarray:
        scores = np.asarray(images, np.float64).reshape(-1, 784) @ weights + bias
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    return probabilities


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """Return five pictures: (5, 28, 28) uint8."""
    return np.random.default_rng(3).integers(0, 256, (5, 28, 28), dtype=np.uint8)


@pytest.fixture(scope="session")
def shared_server(tiny_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Return a server at work with the model "tiny", for tests that leave no trace in it."""
    from mlhelpers import settings

    with settings.using(home=tmp_path_factory.mktemp("server_home")):
        server = serving.start(models={"tiny": tiny_export})
    with server:
        yield server
