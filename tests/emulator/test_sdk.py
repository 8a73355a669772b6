"""Google's own SDK, unchanged, against the emulator: every line here is one that would go to Vertex AI."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from vertex import Vertex

_MACHINE = "n1-standard-4"
_IMAGE = "tensorflow/tensorflow:2.21.0"
_PREBUILT = "us-docker.pkg.dev/vertex-ai/training/tf-cpu.2-17.py310:latest"
_TRAINER = """
import argparse, json, os
import hypertune
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float, default=0.0)
x = parser.parse_args().x
print("training with", x)
hypertune.HyperTune().report_hyperparameter_tuning_metric("loss", (x - 1) ** 2, 10)
task = json.loads(os.environ["TF_CONFIG"])["task"]
if "AIP_MODEL_DIR" in os.environ:
    client = storage.Client(project="p", credentials=AnonymousCredentials())
    address = os.environ["AIP_MODEL_DIR"] + f"{task.get('type', 'chief')}.json"
    storage.Blob.from_uri(address, client=client).upload_from_string(json.dumps({"x": x, **task}))
"""


@pytest.fixture
def sdk(vertex: Vertex, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return `google.cloud.aiplatform`, pointed at the emulator; it looks at jobs every tenth of a second."""
    from google.cloud import aiplatform
    from google.cloud.aiplatform import initializer, jobs

    monkeypatch.setattr(jobs, "_JOB_WAIT_TIME", 0.1)
    aiplatform.init(**vertex.init)
    yield aiplatform
    initializer.global_pool.shutdown(wait=True)
    aiplatform.init()


@pytest.fixture
def bucket(vertex: Vertex) -> Any:
    """Return the staging bucket of Google's own Cloud Storage client."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    return storage.Client(project="test-project", credentials=AnonymousCredentials()).bucket("staging")


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "task.py"
    path.write_text(_TRAINER)
    return str(path)


@pytest.fixture
def artefacts(vertex: Vertex, repository: Path) -> str:
    """Return the address of the digit model that ships, written into the bucket's folder as a trainer would."""
    shutil.copytree(repository / "data/models/mnist", vertex.home / "buckets/staging/digits", dirs_exist_ok=True)
    return "gs://staging/digits"


def _pool(*command: str, count: int = 1) -> dict[str, Any]:
    container = {"image_uri": _IMAGE, "command": list(command)}
    return {"machine_spec": {"machine_type": _MACHINE}, "replica_count": count, "container_spec": container}


def _trained_on_two(sdk: Any, script: str, bucket: Any, name: str, image: str) -> Any:
    job = sdk.CustomJob.from_local_script(
        name, script, container_uri=image, replica_count=2, machine_type=_MACHINE, args=["--x=3"],
        base_output_dir=f"gs://staging/{name}", labels={"made": name},
    )  # fmt: skip
    job.run()

    assert job.state.name == "JOB_STATE_SUCCEEDED"
    found = {blob.name: json.loads(blob.download_as_bytes()) for blob in bucket.list_blobs(prefix=f"{name}/model/")}
    assert {blob: about["x"] for blob, about in found.items()} == {
        f"{name}/model/chief.json": 3.0,
        f"{name}/model/worker.json": 3.0,
    }
    return job


def test_a_script_is_packed_uploaded_and_trained_on_two_replicas(sdk: Any, script: str, bucket: Any) -> None:
    job = _trained_on_two(sdk, script, bucket, "packaged", _PREBUILT)

    assert job.gca_resource.job_spec.worker_pool_specs[1].python_package_spec.package_uris
    assert [one.name for one in sdk.CustomJob.list(filter='display_name="packaged" AND labels.made:*')] == [job.name]
    assert sdk.CustomJob.list(filter='labels.made="elsewhere"') == []
    job.delete()
    assert sdk.CustomJob.list(filter='display_name="packaged"') == []


@pytest.mark.slow
def test_in_an_image_of_ones_own_the_sdks_pip_installs_for_the_replica_alone(
    sdk: Any, script: str, bucket: Any
) -> None:
    job = _trained_on_two(sdk, script, bucket, "installed", _IMAGE)

    assert "pip3 install -q --user /gcs/" in job.gca_resource.job_spec.worker_pool_specs[0].container_spec.command[2]
    assert importlib.util.find_spec("aiplatform_custom_trainer_script") is None


@pytest.mark.slow
def test_digits_are_trained_on_two_replicas_uploaded_and_recognised(sdk: Any, vertex: Vertex) -> None:
    from mlhelpers import datasets

    prepare = [sys.executable, "-m", "mlhelpers.cli", "data", "prepare", "mnist", "--output-dir"]
    subprocess.run([*prepare, str(vertex.home / "buckets/staging/mnist")], check=True, capture_output=True)
    command = ["python3", "-m", "mlhelpers.trainers.mnist", "--data_dir=gs://staging/mnist"]
    pool = _pool(*command, "--output_dir=gs://staging/run", "--train_steps=40", "--train_batch_size=64")
    sdk.CustomJob("digits", worker_pool_specs=[pool, pool], staging_bucket="gs://staging").run()

    model = sdk.Model.upload(
        display_name="trained", artifact_uri="gs://staging/run/export/Servo", serving_container_image_uri=_IMAGE
    )
    endpoint = model.deploy(machine_type=_MACHINE)
    test = datasets.load("mnist").test
    pixels = [{"inputs": image.reshape(-1).tolist()} for image in test["images"][:50] / 255]
    answers = [row["classes"] for row in endpoint.predict(pixels).predictions]
    assert sum(int(answer) == label for answer, label in zip(answers, test["labels"][:50], strict=True)) > 25
    endpoint.delete(force=True)
    model.delete()


def test_a_study_of_six_trials_tells_each_trial(sdk: Any, script: str) -> None:
    trainer = sdk.CustomJob.from_local_script("tuned", script, container_uri=_PREBUILT, machine_type=_MACHINE)
    space = {"x": sdk.hyperparameter_tuning.DoubleParameterSpec(min=-3, max=3, scale="linear")}
    job = sdk.HyperparameterTuningJob(
        "tuned", trainer, metric_spec={"loss": "minimize"}, parameter_spec=space, max_trial_count=6,
        parallel_trial_count=2,
    )  # fmt: skip
    job.run()

    assert job.state.name == "JOB_STATE_SUCCEEDED"
    assert [trial.id for trial in job.trials] == ["1", "2", "3", "4", "5", "6"]
    for trial in job.trials:
        assert trial.state.name == "SUCCEEDED"
        assert trial.final_measurement.metrics[0].value == pytest.approx((trial.parameters[0].value - 1) ** 2)


def test_a_model_goes_from_its_artefacts_to_predictions_and_away_again(sdk: Any, artefacts: str, bucket: Any) -> None:
    first = sdk.Model.upload(display_name="digits", artifact_uri=artefacts, serving_container_image_uri=_IMAGE)
    second = sdk.Model.upload(
        display_name="digits", artifact_uri=artefacts, serving_container_image_uri=_IMAGE,
        parent_model=first.resource_name, is_default_version=False, version_aliases=["golden"],
    )  # fmt: skip
    assert (first.version_id, second.version_id, second.version_aliases) == ("1", "2", ["golden"])
    assert {info.version_id for info in first.versioning_registry.list_versions()} == {"1", "2"}
    assert sdk.Model(f"{first.resource_name}@golden").version_id == "2"

    endpoint = sdk.Endpoint.create(display_name="digits")
    endpoint.deploy(first, machine_type=_MACHINE)
    endpoint.deploy(second, machine_type=_MACHINE, traffic_percentage=25)
    assert sorted(endpoint.traffic_split.values()) == [25, 75]
    answers = [endpoint.predict([{"inputs": [0.0] * 784}]) for _ in range(8)]
    assert sorted(answer.model_version_id for answer in answers) == ["1"] * 6 + ["2"] * 2
    assert set(answers[0].predictions[0]) >= {"classes", "probabilities"}

    bucket.blob("in/digits.jsonl").upload_from_string(json.dumps({"inputs": [0.0] * 784}) + "\n")
    batch = first.batch_predict(
        "digits", gcs_source="gs://staging/in/digits.jsonl", gcs_destination_prefix="gs://staging/out",
        machine_type=_MACHINE,
    )  # fmt: skip
    assert batch.state.name == "JOB_STATE_SUCCEEDED"
    assert batch.completion_stats.successful_count == 1
    assert any("prediction.results-" in blob.name for blob in batch.iter_outputs())

    endpoint.undeploy_all()
    endpoint.delete()
    first.delete()
    batch.delete()
    assert (sdk.Endpoint.list(), sdk.Model.list(), sdk.BatchPredictionJob.list()) == ([], [], [])
