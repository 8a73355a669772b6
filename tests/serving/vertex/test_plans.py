"""The plans: true requests of Vertex AI, made with neither account nor network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from google.cloud import aiplatform_v1
from google.protobuf import json_format

from mlhelpers import serving, settings
from mlhelpers.errors import UsageError
from mlhelpers.serving import BatchSpec, batch
from mlhelpers.serving.vertex import images, names, plans
from mlhelpers.serving.vertex.names import Where

WHERE = Where("test-project", "us-central1", "staging")
PARENT = "projects/test-project/locations/us-central1"


def parsed(kind: str, body: Mapping[str, Any]) -> Any:
    """Return Google's own message, which refuses a field that it does not have."""
    message = getattr(aiplatform_v1, kind)
    return message.wrap(json_format.ParseDict(dict(body), message.pb(message()), ignore_unknown_fields=False))


def test_a_first_version_is_four_requests_that_google_s_classes_take(tiny_export: Path) -> None:
    plan = plans.plan_version(
        WHERE,
        "MNIST",
        "v_1",
        tiny_export,
        description="ours",
        labels={"team": "a"},
        cloud={"machineType": "n1-highcpu-4"},
    )

    upload = parsed("UploadModelRequest", plan.request["uploadModel"])
    endpoint = parsed("CreateEndpointRequest", plan.request["createEndpoint"])
    deployment = parsed("DeployModelRequest", plan.request["deployModel"])
    assert (upload.parent, upload.model_id, upload.parent_model) == (PARENT, "mnist", "")
    assert list(upload.model.version_aliases) == ["v-1", "default"]
    assert upload.model.artifact_uri == plan.request["files"]["to"] == "gs://staging/models/MNIST/v_1"
    assert upload.model.container_spec.ports[0].container_port == images.PORT
    assert upload.model.container_spec.image_uri.startswith("us-central1-docker.pkg.dev/test-project/mlhelpers/serve:")
    assert (endpoint.endpoint_id, endpoint.endpoint.display_name) == ("mnist", "MNIST")
    assert deployment.deployed_model.model == f"{PARENT}/models/mnist@v-1"
    assert deployment.deployed_model.dedicated_resources.machine_spec.machine_type == "n1-highcpu-4"
    assert dict(deployment.traffic_split) == {"0": 100}


def test_a_later_version_is_a_child_and_leaves_the_default(tiny_export: Path) -> None:
    plan = plans.plan_version(WHERE, "MNIST", "v2", tiny_export)

    later = parsed("UploadModelRequest", plans.as_later(plan, WHERE).request["uploadModel"])

    assert (later.parent_model, later.model_id) == (f"{PARENT}/models/mnist", "")
    assert list(later.model.version_aliases) == ["v2"]
    assert plan.request["uploadModel"]["modelId"] == "mnist"  # the plan that was printed is not changed


def test_without_a_project_a_plan_is_read_and_not_sent(tiny_export: Path) -> None:
    plan = serving.models("vertex").plan_version("MNIST", "v1", tiny_export)

    assert "projects/PROJECT/locations/us-central1" in str(plan)
    assert "gs://BUCKET/models/MNIST/v1" in str(plan)
    with pytest.raises(UsageError, match="needs a project, and none is set"):
        serving.models("vertex").create(plan)
    settings.use(project="test-project", bucket="staging", vertex_endpoint="http://127.0.0.1:9")
    with pytest.raises(UsageError, match=r"planned without a project and a bucket.*mlhelpers\.use"):
        serving.models("vertex").create(plan)


def test_files_in_a_bucket_are_taken_where_they_lie() -> None:
    plan = plans.plan_version(WHERE, "MNIST", "v1", "gs://other/export/1/", deploy=False)

    assert list(plan.request) == ["uploadModel"]
    assert plan.request["uploadModel"]["model"]["artifactUri"] == "gs://other/export/1"
    assert "taken where they lie" in plan.notes[0]


def test_a_prebuilt_image_has_no_routes_of_ours_and_its_end_is_told(tiny_export: Path) -> None:
    image = "us-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest"

    plan = plans.plan_version(WHERE, "MNIST", "v1", tiny_export, container_image=image)

    assert plan.request["uploadModel"]["model"]["containerSpec"] == {"imageUri": image}
    assert "tf2-cpu.2-15 ends on 2027-01-14" in plan.notes[0]
    assert "not among the newest" in images.image_notes(image.replace("2-15", "2-8"))[0]
    assert images.image_notes("docker.io/me/own:1") == []


def test_the_setting_names_the_image(tiny_export: Path) -> None:
    with settings.using(serving_image="europe-docker.pkg.dev/me/own/serve:7"):
        plan = plans.plan_version(WHERE, "MNIST", "v1", tiny_export, trust_pickle=True)

    spec = parsed("ModelContainerSpec", plan.request["uploadModel"]["model"]["containerSpec"])
    assert spec.image_uri == "europe-docker.pkg.dev/me/own/serve:7"
    assert spec.args[-1] == "--trust-pickle"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"cloud": {"autoScaling": {"minNodes": 0}}}, "has 1 machine at least"),
        ({"cloud": {"autoScaling": {"minNodes": 3, "maxNodes": 2}}}, "--min-nodes 3 is over --max-nodes 2"),
        ({"container_image": "no image"}, "no address of a container image"),
        ({"framework": "xgboost"}, "Leave the framework out"),
        ({"labels": {"Team": "a"}}, "label Team=a is refused"),
    ],
)
def test_what_cannot_be_is_refused_in_the_plan(words: dict[str, Any], message: str, tiny_export: Path) -> None:
    with pytest.raises(UsageError, match=message):
        plans.plan_version(WHERE, "MNIST", "v1", tiny_export, **words)


@pytest.mark.parametrize("version", ["V1", "v", "v_", "default", "vA"])
def test_a_version_that_can_have_no_alias_is_refused(version: str) -> None:
    with pytest.raises(UsageError, match="lower-case letter"):
        names.to_alias(version)


@pytest.mark.parametrize("version", ["v1", "v_1", "my_best_one2"])
def test_an_alias_leads_back_to_its_version(version: str) -> None:
    assert names.to_version(names.to_alias(version)) == version


def test_names_of_models_become_ids() -> None:
    assert (names.model_id("My_Model"), names.endpoint_id("My_Model")) == ("my_model", "my-model")
    with pytest.raises(UsageError, match="ends with '_'"):
        names.endpoint_id("model_")
    with pytest.raises(UsageError, match="64 characters; Vertex AI takes 63"):
        names.model_id("m" * 64)


def test_traffic_is_by_deployed_model_in_whole_percent() -> None:
    deployed = {"v1": "11", "v2": "22"}

    assert plans.traffic_to(deployed, {"v1": 90, "v2": 10}) == {"11": 90, "22": 10}
    with pytest.raises(UsageError, match="sum to 90"):
        plans.traffic_to(deployed, {"v1": 90})
    with pytest.raises(UsageError, match=r"'v3' is not deployed.*Deployed: v1, v2"):
        plans.traffic_to(deployed, {"v3": 100})


def batch_spec(**changes: Any) -> BatchSpec:
    words: dict[str, Any] = {
        "name": "births",
        "input_paths": ["gs://staging/births/part*"],
        "output_path": "gs://staging/predicted",
        "model": "babyweight",
        "version": "v1",
        "labels": {"team": "a"},
    }
    return BatchSpec(**(words | changes))


def test_a_batch_is_a_request_that_google_s_class_takes() -> None:
    plan = batch.plan(batch_spec(batch_size=32, max_workers=4, machine_type="n1-standard-8"), "vertex")

    job = parsed("BatchPredictionJob", plan.request["batchPredictionJob"])
    assert job.model == "projects/PROJECT/locations/us-central1/models/babyweight@v1"
    assert (job.input_config.instances_format, job.output_config.predictions_format) == ("jsonl", "jsonl")
    assert list(job.input_config.gcs_source.uris) == ["gs://staging/births/part*"]
    assert job.dedicated_resources.machine_spec.machine_type == "n1-standard-8"
    assert (job.dedicated_resources.starting_replica_count, job.dedicated_resources.max_replica_count) == (1, 4)
    assert job.manual_batch_tuning_parameters.batch_size == 32
    assert dict(job.labels) == {"team": "a"}
    json.dumps(dict(plan.request))  # plain data


def test_a_batch_over_an_export_needs_no_model() -> None:
    plan = batch.plan(batch_spec(model=None, version=None, model_dir="gs://staging/export/1"), "vertex")

    job = parsed("BatchPredictionJob", plan.request["batchPredictionJob"])
    assert job.unmanaged_container_model.artifact_uri == "gs://staging/export/1"
    assert job.unmanaged_container_model.container_spec.predict_route == images.PREDICT_ROUTE


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_paths": ["births.json"]}, "'births.json' is on this machine.*mlhelpers storage cp"),
        ({"output_path": "out"}, "'out' is on this machine"),
        ({"signature_name": "pixels"}, "cannot name a signature"),
        ({"data_format": "tf-record", "features": {"a": "b"}}, "looks for no features"),
        ({"region": "europe-west1"}, "not the region in force, us-central1"),
        ({"version": "V1"}, "cannot be made an alias"),
    ],
)
def test_what_a_batch_on_vertex_ai_cannot_do_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        batch.plan(batch_spec(**changes), "vertex")


def test_a_batch_that_was_planned_for_nowhere_is_not_sent() -> None:
    plan = batch.plan(batch_spec(), "vertex")

    settings.use(project="test-project", vertex_endpoint="http://127.0.0.1:9")
    with pytest.raises(UsageError, match="planned without a project"):
        batch.place("vertex").submit(plan)
