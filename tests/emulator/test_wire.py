"""What is refused, and how: error bodies, lists, names; read from the wire and through Google's own clients."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import requests
from vertex import Vertex

from mlhelpers.cloud import client, place

_PARENT = "projects/test-project/locations/us-central1"
_POOL = {
    "machineSpec": {"machineType": "n1-standard-4"},
    "replicaCount": "1",
    "containerSpec": {"imageUri": "python:3", "command": ["python3", "-c", "print('hello')"]},
}


def _ask(vertex: Vertex, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    answer = requests.request(method, f"{vertex.address}/v1/{_PARENT}/{path}", json=body, timeout=30)
    return answer.status_code, answer.json()


def _job(**changes: Any) -> dict[str, Any]:
    return {"displayName": "refused", "jobSpec": {"workerPoolSpecs": [_POOL]}, **changes}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "named"),
    [
        ("POST", "customJobs", _job(displayNam="x"), (400, "INVALID_ARGUMENT"), "displayNam"),
        ("POST", "customJobs", _job(displayName=""), (400, "INVALID_ARGUMENT"), "displayName"),
        ("POST", "customJobs", _job(jobSpec={}), (400, "INVALID_ARGUMENT"), "workerPoolSpecs[0]"),
        ("POST", "customJobs", _job(encryptionSpec={"kmsKeyName": "k"}), (501, "UNIMPLEMENTED"), "encryptionSpec"),
        ("POST", "customJobs", [], (400, "INVALID_ARGUMENT"), "object"),
        ("GET", "customJobs/1", None, (404, "NOT_FOUND"), "customJobs/1"),
        ("GET", "customJobs/a.b", None, (400, "INVALID_ARGUMENT"), "resource name"),
        ("GET", "customJobs?filter=create_time>1", None, (400, "INVALID_ARGUMENT"), "create_time>1"),
        ("GET", "customJobs?readMask=name", None, (501, "UNIMPLEMENTED"), "readMask"),
        ("GET", "customJobs?pageToken=abc", None, (400, "INVALID_ARGUMENT"), "pageToken"),
        ("GET", "datasets", None, (501, "UNIMPLEMENTED"), "datasets"),
        ("POST", "endpoints/1:explain", {}, (501, "UNIMPLEMENTED"), "explain"),
        ("POST", "models:upload", {"model": {"displayName": "m"}}, (400, "INVALID_ARGUMENT"), "artifactUri"),
        ("POST", "endpoints/1:predict", {"instances": [1]}, (404, "NOT_FOUND"), "endpoints/1"),
    ],
)  # fmt: skip
def test_a_refusal_has_googles_form_and_names_what_was_wrong(
    vertex: Vertex, method: str, path: str, body: Any, status: tuple[int, str], named: str
) -> None:
    code, answer = _ask(vertex, method, path, body)

    assert (code, answer["error"]["code"], answer["error"]["status"]) == (status[0], *status)
    assert named in answer["error"]["message"]


def test_what_was_refused_has_left_nothing_behind(vertex: Vertex) -> None:
    assert _ask(vertex, "GET", 'customJobs?filter=display_name="refused"') == (200, {"customJobs": []})


def test_an_endpoint_is_made_once_and_listed_by_pages(vertex: Vertex) -> None:
    from google.api_core import exceptions

    endpoints = client("endpoints", place())
    made = [
        endpoints.create_endpoint(
            parent=_PARENT,
            endpoint={"display_name": f"paged-{at}", "labels": {"of": "pages"}},
            endpoint_id=f"paged{at}",
        ).result()
        for at in range(3)
    ]
    with pytest.raises(exceptions.Conflict, match="paged0"):
        endpoints.create_endpoint(parent=_PARENT, endpoint={"display_name": "again"}, endpoint_id="paged0")

    asked = {"parent": _PARENT, "filter": 'labels.of="pages"', "page_size": 1, "order_by": "display_name desc"}
    found = list(endpoints.list_endpoints(request=asked).pages)
    assert [[one.display_name for one in page.endpoints] for page in found] == [["paged-2"], ["paged-1"], ["paged-0"]]

    changed = endpoints.update_endpoint(
        endpoint={"name": made[0].name, "description": "changed"}, update_mask={"paths": ["description"]}
    )
    assert (changed.description, changed.display_name) == ("changed", "paged-0")
    for one in made:
        endpoints.delete_endpoint(name=one.name).result()
    with pytest.raises(exceptions.NotFound):
        endpoints.get_endpoint(name=made[0].name)


def test_a_job_that_runs_is_cancelled_before_it_is_deleted(vertex: Vertex) -> None:
    import time

    from google.api_core import exceptions

    jobs = client("jobs", place())
    pool = {**_POOL, "containerSpec": {"imageUri": "i", "command": ["sleep", "600"]}}
    name = _ask(vertex, "POST", "customJobs", _job(displayName="long", jobSpec={"workerPoolSpecs": [pool]}))[1]["name"]
    with pytest.raises(exceptions.BadRequest, match="Cancel it first"):
        jobs.delete_custom_job(name=name)
    jobs.cancel_custom_job(name=name)
    deadline = time.monotonic() + 20
    while jobs.get_custom_job(name=name).state.name != "JOB_STATE_CANCELLED":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    operation = jobs.delete_custom_job(name=name)
    assert operation.done()
    asked = _ask(vertex, "GET", operation.operation.name.removeprefix(f"{_PARENT}/"))[1]
    assert asked["response"] == {"@type": "type.googleapis.com/google.protobuf.Empty"}
    assert asked["metadata"]["@type"].endswith("aiplatform.v1.DeleteOperationMetadata")


def test_what_is_in_use_is_not_taken_away_and_aliases_belong_to_one_version(vertex: Vertex, repository: Path) -> None:
    from google.api_core import exceptions

    shutil.copytree(repository / "data/models/mnist", vertex.home / "buckets/staging/in_use", dirs_exist_ok=True)
    models, endpoints = client("models", place()), client("endpoints", place())
    about = {"display_name": "used", "artifact_uri": "gs://staging/in_use", "version_aliases": ["golden"]}
    model = models.upload_model(parent=_PARENT, model=about).result().model
    again = models.upload_model(request={"parent": _PARENT, "parent_model": model, "model": about}).result()
    versions = {one.version_id: list(one.version_aliases) for one in models.list_model_versions(name=model)}
    assert (again.model_version_id, versions) == ("2", {"1": ["default"], "2": ["golden"]})

    endpoint = endpoints.create_endpoint(parent=_PARENT, endpoint={"display_name": "using"}).result().name
    deployed = {"model": f"{model}@golden"}
    with pytest.raises(exceptions.BadRequest, match="sum to 90"):
        endpoints.deploy_model(endpoint=endpoint, deployed_model=deployed, traffic_split={"0": 90})
    made = endpoints.deploy_model(endpoint=endpoint, deployed_model=deployed, traffic_split={"0": 100}).result()
    refused = {
        "is deployed on": lambda: models.delete_model_version(name=f"{model}@2"),
        "is the default": lambda: models.delete_model_version(name=f"{model}@1"),
        "has deployed models": lambda: endpoints.delete_endpoint(name=endpoint),
        "instances is required": lambda: client("predictions", place()).predict(endpoint=endpoint),
        "takes 'inputs'": lambda: client("predictions", place()).predict(endpoint=endpoint, instances=[{"inputs": 1}]),
    }
    for why, ask in refused.items():
        with pytest.raises(exceptions.BadRequest, match=why):
            ask()
    endpoints.undeploy_model(endpoint=endpoint, deployed_model_id=made.deployed_model.id).result()
    models.merge_version_aliases(name=f"{model}@2", version_aliases=["default", "-golden"])
    models.delete_model_version(name=f"{model}@1").result()
    assert [list(one.version_aliases) for one in models.list_model_versions(name=model)] == [["default"]]
    endpoints.delete_endpoint(name=endpoint).result()
    models.delete_model(name=model).result()
    assert list((vertex.home / "models").glob("vertex_*")) == []
