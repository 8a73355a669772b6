"""A bad network between us and Vertex AI: nothing is made twice, nothing is lost, every refusal says its cure."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from faults import Fault, Proxy, google_error

from mlhelpers import serving
from mlhelpers.cloud import ledger
from mlhelpers.errors import CloudError, PredictionError
from mlhelpers.serving.registry.resources import UnknownModelError
from mlhelpers.serving.vertex.registry import VertexRegistry

pytestmark = pytest.mark.usefixtures("models")


@pytest.mark.parametrize(
    "fault",
    [{"cut": "after"}, {"cut": "before"}, {"cut": "answering"}, {"status": 503}, {"status": 504}],
    ids=lambda fault: "-".join(map(str, fault.values())),
)
def test_a_lost_answer_makes_nothing_twice(fault: dict[str, object], wire: Proxy, tiny_export: Path) -> None:
    models = VertexRegistry()
    for target in (r"/endpoints\?|/endpoints$", "models:upload", ":deployModel"):
        wire.add(Fault("POST", target, **fault))  # type: ignore[arg-type]

    made = models.create(models.plan_version("MNIST", "v1", tiny_export))

    assert (made.number, made.traffic) == ("1", 100)
    assert [one.name for one in models.list_versions("MNIST")] == ["v1"]
    for target in (r"/endpoints\?|/endpoints$", "models:upload", ":deployModel"):
        statuses = [one.status for one in wire.passed if one.method == "POST" and _is(target, one.target)]
        assert statuses.count(200) == 1, (target, statuses)
    assert all(entry.name for entry in ledger.entries())


def _is(pattern: str, target: str) -> bool:
    return re.search(pattern, target) is not None


def test_a_refusal_leaves_nothing_on_the_ledger_and_names_permission_and_role(wire: Proxy) -> None:
    message = "Permission 'aiplatform.endpoints.create' denied on resource '//aiplatform.googleapis.com/…'"
    wire.add(Fault("POST", "/endpoints", status=403, body=google_error(403, message)))

    with pytest.raises(CloudError, match=r"aiplatform\.endpoints\.create is missing.*roles/aiplatform\.user"):
        VertexRegistry().create_model("MNIST")
    assert ledger.entries() == []


def test_a_deployment_that_fails_tells_how_to_go_on(wire: Proxy, tiny_export: Path) -> None:
    models = VertexRegistry()
    wire.add(Fault("POST", ":deployModel", status=400, body=google_error(400, "No such machine type.")))

    with pytest.raises(CloudError, match=r"No such machine type.*is uploaded, and not deployed.*versions deploy v1"):
        models.create(models.plan_version("MNIST", "v1", tiny_export))
    assert models.version("MNIST", "v1").deployed_id == ""
    assert models.deploy(models.plan_deploy("MNIST", "v1")).traffic == 100


def test_a_busy_endpoint_is_asked_again(wire: Proxy, tiny_export: Path) -> None:
    models = VertexRegistry()
    models.create(models.plan_version("MNIST", "v1", tiny_export))
    expected = serving.load(tiny_export).predict([[0.5] * 784])
    wire.add(
        Fault("POST", ":predict", status=429),
        Fault("POST", ":predict", status=503),
        Fault("POST", ":predict", cut="before"),
    )

    with serving.connect("MNIST") as predictor:
        assert predictor.predict([[0.5] * 784]) == expected
    assert wire.count("POST", ":predict") == 1


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (503, PredictionError, "answered 503"),
        (404, UnknownModelError, "answered 404: gone"),
        (401, CloudError, "gcloud auth application-default login"),
        (403, CloudError, "roles/aiplatform.user"),
    ],
)
def test_a_refused_prediction_says_what_to_do(
    status: int, kind: type[Exception], message: str, wire: Proxy, tiny_export: Path
) -> None:
    models = VertexRegistry()
    models.create(models.plan_version("MNIST", "v1", tiny_export))
    wire.add(Fault("POST", ":predict", times=99, status=status, body=google_error(status, "gone")))

    with serving.connect("MNIST", timeout_s=0.5, backend="vertex") as predictor, pytest.raises(kind, match=message):
        predictor.predict([[0.5] * 784])


def test_an_endpoint_that_cannot_be_reached_says_so(wire: Proxy, tiny_export: Path) -> None:
    models = VertexRegistry()
    models.create(models.plan_version("MNIST", "v1", tiny_export))
    wire.add(Fault("POST", ":predict", times=99, cut="before"))

    with serving.connect("MNIST") as predictor, pytest.raises(PredictionError, match="cannot be reached"):
        predictor.predict([[0.5] * 784])
