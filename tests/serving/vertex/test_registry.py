"""Models, versions, traffic and predictions on the wire: our calls, Google's clients, the emulator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlhelpers import serving, storage
from mlhelpers.cloud import ledger
from mlhelpers.errors import ModelError, PredictionError, UsageError
from mlhelpers.serving.registry.resources import UnknownModelError
from mlhelpers.serving.vertex.registry import VertexRegistry


def test_a_model_lives_its_whole_life(models: VertexRegistry, tiny_export: Path, images: np.ndarray) -> None:
    here = serving.load(tiny_export)
    made = models.create_model("MNIST", description="digits", labels={"team": "a"})
    assert made.describe()["endpoint"].endswith("/endpoints/mnist")
    assert (made.description, dict(made.labels), made.default_version) == ("digits", {"team": "a"}, None)

    first = models.create(models.plan_version("MNIST", "v1", tiny_export, description="one"))
    assert (first.is_default, first.traffic, first.description) == (True, 100, "one")
    assert storage.exists("gs://staging/models/MNIST/v1/signature.json")
    with serving.connect("MNIST") as predictor:
        assert predictor.predict(images / 255.0) == here.predict(images / 255.0)
        assert predictor.answered_by["deployedModelId"] == first.deployed_id
        assert predictor.answered_by["modelVersionId"] == "1"

    second = models.create(models.plan_version("MNIST", "v_2", tiny_export, cloud={"machineType": "n1-highcpu-4"}))
    assert (second.name, second.is_default, second.traffic) == ("v_2", False, 0)
    assert second.describe()["machineType"] == "n1-highcpu-4"
    assert [one.name for one in models.list_versions("MNIST")] == ["v1", "v_2"]

    split = models.set_traffic("MNIST", {"v1": 90, "v_2": 10})
    assert dict(split.traffic) == {"v1": 90, "v_2": 10}
    with pytest.raises(ModelError, match="'v_2' has 10 percent of the traffic"):
        models.delete_version("MNIST", "v_2")
    assert models.set_default("MNIST", "v_2").is_default
    assert models.version("MNIST").name == "v_2"
    assert models.version("MNIST", "v_2").traffic == 100

    assert not models.undeploy("MNIST", "v1").deployed_id
    with pytest.raises(ModelError, match="v1 is not deployed, so it cannot answer"):
        models.set_default("MNIST", "v1")
    assert models.deploy(models.plan_deploy("MNIST", "v1")).traffic == 0
    models.set_traffic("MNIST", {"v1": 100})
    with pytest.raises(ModelError, match="goes last"):
        models.delete_version("MNIST", "v_2")

    changed = models.update_version("MNIST", "v1", description="better", labels={"stage": "trial"})
    assert (changed.description, dict(changed.labels)) == ("better", {"stage": "trial"})
    assert dict(models.update_model("MNIST", labels={"team": None}).labels) == {}
    assert {entry.kind for entry in ledger.entries()} == {"endpoint", "model", "object"}
    assert all(entry.name for entry in ledger.entries())


def test_what_is_there_already_is_refused(models: VertexRegistry, tiny_export: Path) -> None:
    models.create_model("MNIST")
    plan = models.plan_version("MNIST", "v1", tiny_export)
    models.create(plan)

    with pytest.raises(ModelError, match="There is a model 'MNIST' already"):
        models.create_model("MNIST")
    with pytest.raises(ModelError, match="has a version 'v1' already"):
        models.create(plan)
    with pytest.raises(ModelError, match="v1 is deployed already"):
        models.deploy(models.plan_deploy("MNIST", "v1"))
    with pytest.raises(ModelError, match="capitals do not count"):
        models.create_model("mnist")
    with pytest.raises(ModelError, match="still has versions: v1"):
        models.delete_model("MNIST")


def test_what_is_not_there_is_named(models: VertexRegistry, tiny_export: Path) -> None:
    models.create_model("MNIST")

    with pytest.raises(UnknownModelError, match=r"no model 'MNITS'\. Did you mean 'MNIST'"):
        models.model("MNITS")
    with pytest.raises(UnknownModelError, match="no MNIST version 'v1'"):
        models.version("MNIST", "v1")
    with pytest.raises(UnknownModelError, match="Nothing is deployed on the endpoint"):
        serving.connect("MNIST")
    with pytest.raises(UnknownModelError, match="no endpoint '123'"):
        serving.connect("123")
    with pytest.raises(UsageError, match="in another region"):
        serving.connect("projects/test-project/locations/europe-west1/endpoints/1")


def test_a_version_that_is_only_uploaded_costs_nothing(models: VertexRegistry, tiny_export: Path) -> None:
    made = models.create(models.plan_version("MNIST", "v1", tiny_export, deploy=False))

    assert (made.deployed_id, models.model("MNIST").endpoint) == ("", "")
    assert models.set_default("MNIST", "v1").is_default


def test_a_predictor_has_the_contract_of_the_others(
    models: VertexRegistry, tiny_export: Path, images: np.ndarray
) -> None:
    import polars as pl

    here = serving.load(tiny_export)
    models.create(models.plan_version("MNIST", "v1", tiny_export))
    endpoint = models.model("MNIST").endpoint
    frame = pl.DataFrame({"key": ["a", "b"], "inputs": [[0.5] * 784, [0.25] * 784]})

    with serving.connect("MNIST", "v1") as predictor:
        assert predictor.signature == here.signature
        rows = predictor.predict([{"pixels": image, "key": str(n)} for n, image in enumerate(images)])
        assert rows == here.predict([{"pixels": image, "key": str(n)} for n, image in enumerate(images)])
        assert [type(row["classes"]) for row in rows] == [int] * 5
        assert predictor.predict_frame(frame).equals(here.predict_frame(frame))
        with pytest.raises(PredictionError, match=r"answered 400: .*'inputs' has the shape \[1\]"):
            predictor.predict([[1.0]])
        with pytest.raises(PredictionError, match="parameters"):
            predictor.predict([[0.5] * 784], parameters={"top": 3})
        with pytest.raises(PredictionError, match="an endpoint takes 1,500,000"):
            predictor.predict(np.full((400, 784), 1 / 3))
        with pytest.raises(PredictionError, match="NaN and infinity are no JSON"):
            predictor.predict([float("nan")])
    with pytest.raises(ModelError, match="is closed"):
        predictor.predict([[0.5] * 784])
    with serving.connect(endpoint) as by_name:
        assert by_name.predict([[0.5] * 784]) == here.predict([[0.5] * 784])


def test_a_version_is_named_only_where_it_has_all_requests(models: VertexRegistry, tiny_export: Path) -> None:
    for version in ("v1", "v2"):
        models.create(models.plan_version("MNIST", version, tiny_export))

    with pytest.raises(ModelError, match="v2 has 0 percent of the endpoint's requests"):
        serving.connect("MNIST", "v2")
    with serving.connect("MNIST", "v1") as predictor:
        models.set_traffic("MNIST", {"v2": 100})
        with pytest.raises(PredictionError, match="MNIST/v1 was asked and MNIST/v2 answered"):
            predictor.predict([[0.5] * 784])
