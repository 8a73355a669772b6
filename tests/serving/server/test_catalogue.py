"""What a running server serves follows the store: made later, changed, deleted."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests

from mlhelpers import serving
from mlhelpers.serving.registry.resources import UnknownModelError
from mlhelpers.serving.server.catalogue import Catalogue
from mlhelpers.serving.server.process import RunningServer


@pytest.fixture
def server(home: Path) -> Iterator[RunningServer]:
    with serving.start() as running:
        yield running


def _answered_by(server: RunningServer, path: str) -> str:
    """Return the version that answers, known by the name its signature.json bears, or the error."""
    answer = requests.get(f"{server.address}/v1/models/{path}/metadata", timeout=10)
    document = answer.json()
    if answer.status_code == 404:
        return str(document["error"])
    predicted = requests.post(
        f"{server.address}/v1/models/{path}:predict", json={"instances": [[0.5] * 784]}, timeout=10
    )
    assert predicted.status_code == 200
    return str(document["version"])


def test_the_server_follows_the_store(server: RunningServer, tiny_export: Path) -> None:
    store = serving.ModelStore()
    assert _answered_by(server, "MNIST") == "There is no model 'MNIST'. No model exists yet."

    store.create_model("MNIST")
    assert "'MNIST' has no version yet" in _answered_by(server, "MNIST")

    store.create_version("MNIST", "v1", tiny_export)
    assert _answered_by(server, "MNIST") == "v1"

    store.create_version("MNIST", "v2", tiny_export)
    assert _answered_by(server, "MNIST") == "v1"
    assert _answered_by(server, "MNIST/versions/v2") == "v2"

    store.set_default("MNIST", "v2")
    assert _answered_by(server, "MNIST") == "v2"

    store.delete_version("MNIST", "v1")
    assert "no MNIST version 'v1'" in _answered_by(server, "MNIST/versions/v1")
    assert _answered_by(server, "MNIST") == "v2"

    store.delete_version("MNIST", "v2")
    store.delete_model("MNIST")
    assert _answered_by(server, "MNIST") == "There is no model 'MNIST'. No model exists yet."


def test_a_version_made_anew_is_loaded_anew(server: RunningServer, own_export: Path) -> None:
    store = serving.ModelStore()
    store.create_model("MNIST")
    store.create_version("MNIST", "v1", own_export)
    with serving.connect("MNIST", address=server.address) as predictor:
        assert "classes" in predictor.predict([[0.5] * 784])[0]

        store.delete_version("MNIST", "v1")
        document = json.loads((own_export / "signature.json").read_text())
        for entry in document["signatures"].values():
            del entry["outputs"]["classes"]  # the model gives more than its signature tells: the rest stays inside
        (own_export / "signature.json").write_text(json.dumps(document))
        store.create_version("MNIST", "v1", own_export)

        assert list(predictor.predict([[0.5] * 784])[0]) == ["probabilities"]


def test_a_switch_of_the_default_fails_no_request(server: RunningServer, tiny_export: Path) -> None:
    store = serving.ModelStore()
    store.create_model("MNIST")
    for version in ("v1", "v2"):
        store.create_version("MNIST", version, tiny_export)
    picture = np.random.default_rng(0).random((28, 28))

    with serving.connect("MNIST", address=server.address) as predictor:
        first = predictor.predict([picture])
        for turn in range(20):
            store.set_default("MNIST", f"v{turn % 2 + 1}")
            assert predictor.predict([picture]) == first


def test_a_change_within_one_tick_of_the_clock_is_seen(store: serving.ModelStore) -> None:
    versions = store.root / "MNIST" / "versions"
    catalogue = Catalogue(store)
    tick = versions.stat().st_mtime_ns
    assert catalogue.find("MNIST", "v1").name == "v1"

    store.delete_version("MNIST", "v1")
    os.utime(versions, ns=(tick, tick))

    with pytest.raises(UnknownModelError):
        catalogue.find("MNIST", "v1")


def test_what_has_settled_is_not_read_again(store: serving.ModelStore) -> None:
    for path in (store.root / "MNIST" / "versions", store.root / "MNIST" / "model.json"):
        os.utime(path, ns=(10**18, 10**18))
    catalogue = Catalogue(store)

    assert catalogue.find("MNIST") is catalogue.find("MNIST")
