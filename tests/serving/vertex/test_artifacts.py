"""A serving container fetches its model from the bucket when it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlhelpers import serving
from mlhelpers.errors import ModelError
from mlhelpers.serving.server.container import container_from
from mlhelpers.serving.vertex.registry import VertexRegistry


def test_the_model_at_aip_storage_uri_is_fetched_and_served(models: VertexRegistry, tiny_export: Path) -> None:
    made = models.create(models.plan_version("MNIST", "v1", tiny_export, deploy=False))
    container = container_from({"AIP_HTTP_PORT": "8080", "AIP_STORAGE_URI": made.origin})
    assert container is not None

    name, folders = container.model({})

    assert serving.load(folders[name]).predict([[0.5] * 784]) == serving.load(tiny_export).predict([[0.5] * 784])
    (folders[name] / "left_over").touch()
    assert not (container.model({})[1][name] / "left_over").exists()  # a second start fetches afresh


@pytest.mark.usefixtures("models")
def test_an_empty_address_is_refused() -> None:
    container = container_from({"AIP_HTTP_PORT": "8080", "AIP_STORAGE_URI": "gs://staging/models/none"})
    assert container is not None

    with pytest.raises(ModelError, match="AIP_STORAGE_URI is gs://staging/models/none, and there is nothing"):
        container.model({})
