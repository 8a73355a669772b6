"""A tiny export with NumPy's own answer to what it predicts; servers of it, here and behind the emulator."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults import Proxy, proxy
from vertex import Vertex

from mlhelpers import serving, settings, storage
from mlhelpers.cloud import ledger
from mlhelpers.serving.server.process import RunningServer
from mlhelpers.serving.vertex.registry import VertexRegistry


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
    with settings.using(home=tmp_path_factory.mktemp("server_home")):
        server = serving.start(models={"tiny": tiny_export})
    with server:
        yield server


@pytest.fixture
def models(vertex: Vertex) -> Iterator[VertexRegistry]:
    """Return the models of the emulator; what a test makes is deleted after it."""
    if not storage.exists("gs://staging"):
        storage.make_bucket("gs://staging")
    yield VertexRegistry()
    _clear()
    assert VertexRegistry().list_models() == []
    assert ledger.entries() == []


def _clear() -> None:
    place = VertexRegistry()
    for model in place.list_models():
        if model.traffic and model.default_version:
            place.set_traffic(model.name, {})
        for version in sorted(place.list_versions(model.name), key=lambda one: (one.is_default, one.traffic > 0)):
            place.delete_version(model.name, version.name)
        if model.endpoint:
            place.delete_model(model.name)


@pytest.fixture
def wire(models: VertexRegistry, vertex: Vertex) -> Iterator[Proxy]:
    """Return a proxy before the emulator, which the settings of this test name as Vertex AI."""
    with proxy(vertex.address) as found, settings.using(vertex_endpoint=found.address):
        yield found
        found.clear()
        _clear()
