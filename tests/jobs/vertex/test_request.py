"""The request is the API's own: Google's message class parses it, strictly."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mlhelpers import jobs
from mlhelpers.errors import UsageError
from mlhelpers.jobs import JobSpec, Pool
from mlhelpers.jobs.spec import SCALE_TIERS
from mlhelpers.jobs.vertex.request import training_input
from mlhelpers.settings import using

MNIST = "mlhelpers.trainers.mnist"


def planned(**fields: Any) -> jobs.Plan:
    return jobs.plan(JobSpec("first", **({"module": MNIST} | fields)), "vertex")


def parsed(request: Mapping[str, Any]) -> Any:
    from google.cloud.aiplatform_v1 import CustomJob
    from google.protobuf import json_format

    return CustomJob(json_format.ParseDict(dict(request), CustomJob.pb()(), ignore_unknown_fields=False))


@pytest.mark.parametrize("tier", [tier for tier in SCALE_TIERS if tier != "CUSTOM"])
def test_googles_own_class_takes_the_request_of_every_tier(tier: str) -> None:
    job = parsed(planned(scale_tier=tier).request)

    pools = job.job_spec.worker_pool_specs
    assert job.display_name == "first"
    assert pools[0].replica_count == 1
    assert len(pools) == 1 + bool(SCALE_TIERS[tier].workers) + bool(SCALE_TIERS[tier].parameter_servers)


def test_googles_own_class_takes_every_field_that_the_cloud_has() -> None:
    cloud = {
        "serviceAccount": "me@p.iam.gserviceaccount.com",
        "network": "projects/1/global/networks/mine",
        "enableWebAccess": True,
        "encryptionConfig": {"kmsKeyName": "projects/p/locations/r/keyRings/k/cryptoKeys/c"},
        "scheduling": {"maxWaitTime": "3600s", "strategy": "SPOT", "restartJobOnWorkerRestart": True, "priority": 3},
        "tensorboard": "projects/1/locations/us-central1/tensorboards/2",
    }
    plan = planned(
        cloud=cloud, labels={"team": "blue"}, max_running_s=90.5, max_retries=0, job_dir="gs://mine/out", env={"A": "1"}
    )
    job = parsed(plan.request)

    spec = job.job_spec
    assert (spec.service_account, spec.enable_web_access) == ("me@p.iam.gserviceaccount.com", True)
    assert spec.network == cloud["network"]
    assert job.encryption_spec.kms_key_name.endswith("cryptoKeys/c")
    assert spec.scheduling.strategy.name == "SPOT"
    assert spec.scheduling.timeout.total_seconds() == 90.5
    assert spec.scheduling.max_wait_duration.total_seconds() == 3600
    assert (spec.scheduling.disable_retries, spec.scheduling.restart_job_on_worker_restart) == (True, True)
    assert spec.base_output_directory.output_uri_prefix == "gs://mine/out"
    assert dict(job.labels) == {"team": "blue"}
    assert [(one.name, one.value) for one in spec.worker_pool_specs[0].container_spec.env] == [("A", "1")]


def test_the_container_starts_with_our_program_and_the_arguments_come_last() -> None:
    plan = planned(args=["--train_steps", "5"], job_dir="gs://mine/out", staging_bucket="gs://mine")
    container = plan.request["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]

    assert container["imageUri"] == "tensorflow/tensorflow:2.21.0"
    assert container["command"][:2] == ["python3", "-c"]
    compile(container["command"][2], "start", "exec")
    split = container["args"].index("--")
    assert container["args"][split + 1 :] == ["--train_steps", "5", "--job-dir", "gs://mine/out"]
    assert container["args"][0].startswith("--package=gs://mine/packages/")
    assert f"--module={MNIST}" in container["args"]
    assert not any("tensorflow" in word for word in container["args"][:split])


def test_a_gpu_has_the_image_for_gpus_and_a_tpu_has_jax() -> None:
    gpu = planned(scale_tier="BASIC_GPU").request["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]
    tpu = planned(scale_tier="BASIC_TPU").request["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]

    assert gpu["imageUri"].endswith("-gpu")
    assert "--require=jax[tpu]>=0.5" in tpu["args"]


def test_without_a_bucket_its_place_is_seen() -> None:
    words = planned().request["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]["args"]

    assert words[0].startswith("--package=gs://BUCKET/packages/")


def test_an_image_of_ones_own_that_has_the_module_starts_it() -> None:
    pool = Pool("n1-standard-4", image_uri="europe-docker.pkg.dev/p/r/mine:1")
    plan = planned(module="mine.task", scale_tier="CUSTOM", master=pool, args=["--x"])

    container = plan.request["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]
    assert container == {"imageUri": pool.image_uri, "command": ["python3", "-m", "mine.task"], "args": ["--x"]}


def test_an_executor_image_gets_a_python_package_spec(tmp_path: Path) -> None:
    package = tmp_path / "trainer"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "task.py").write_text("print(1)")
    plan = planned(
        module="trainer.task", package_path=package, cloud={"executorImageUri": "us-docker.pkg.dev/x/y:1"}, args=["--a"]
    )

    found = parsed(plan.request).job_spec.worker_pool_specs[0].python_package_spec
    assert (found.python_module, list(found.args)) == ("trainer.task", ["--a"])
    assert found.package_uris[0].endswith("/trainer-0.0.0.tar.gz")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cloud": {"serviceAcount": "x"}}, "Did you mean 'serviceAccount'"),
        ({"cloud": {"scheduling": {"strateggy": "SPOT"}}}, "Did you mean 'strategy'"),
        ({"cloud": {"scheduling": {"strategy": "CHEAP"}}}, "no scheduling strategy 'CHEAP'"),
        ({"job_dir": "out"}, "is a folder of this machine"),
        ({"module": "json.tool"}, "is on this machine alone"),
        ({"module": "nowhere.task"}, "no module 'nowhere.task'"),
        ({"cloud": {"hyperparameters": {}}}, "a study of many trials"),
    ],
)
def test_what_the_cloud_cannot_do_is_refused_before_anything_is_sent(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        planned(**fields)


def test_the_same_files_have_the_same_address(tmp_path: Path) -> None:
    first, second = planned(), planned()

    assert first.request == second.request


def test_a_plan_tells_what_will_be_missed() -> None:
    notes = " ".join(planned(scale_tier="STANDARD_1", runtime_version="1.14").notes)

    assert "parameter servers" in notes
    assert "Asked for runtime 1.14" in notes
    assert "goes with its machine" in notes
    assert "goes with its machine" not in " ".join(planned(args=["--output_dir=gs://mine/out"]).notes)


def test_a_request_says_what_the_job_was_given() -> None:
    plan = planned(args=["--a", "1"], scale_tier="STANDARD_1", job_dir="gs://mine/out")
    found = training_input(plan.request, "us-central1")

    assert (found["pythonModule"], found["args"]) == (MNIST, ["--a", "1", "--job-dir", "gs://mine/out"])
    assert (found["workerCount"], found["parameterServerType"]) == ("4", "n1-standard-4")
    assert (found["jobDir"], found["region"]) == ("gs://mine/out", "us-central1")


@pytest.mark.parametrize("request_", [{}, {"jobSpec": {"workerPoolSpecs": [{}]}}])
def test_a_job_of_anybodys_making_can_be_described(request_: dict[str, Any]) -> None:
    assert training_input(request_, "r-a1")["region"] == "r-a1"


def test_the_staging_bucket_is_the_specs_or_the_settings_or_that_of_the_job_dir() -> None:
    def bucket(**fields: Any) -> str:
        word = planned(**fields).request["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]["args"][0]
        return str(word.split("/")[2])

    with using(bucket="gs://setting"):
        assert bucket(staging_bucket="gs://spec", job_dir="gs://dir/out") == "spec"
        assert bucket(job_dir="gs://dir/out") == "setting"
    assert bucket(job_dir="gs://dir/out") == "dir"


def test_a_plan_needs_neither_an_account_nor_googles_packages(tmp_path: Path) -> None:
    code = """
        import sys

        class Hidden:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] == "google" and name != "google":
                    raise ImportError(f"{name} is hidden")

        sys.meta_path.insert(0, Hidden())
        sys.argv = ["mlhelpers", "jobs", "submit", "training", "first", "--backend", "vertex", "--dry-run",
                    "--format", "yaml", "--module-name", "mlhelpers.trainers.mnist", "--", "--train_steps", "3"]
        from mlhelpers.cli import main
        main(sys.argv[1:])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120, check=False
    )

    import yaml

    assert done.returncode == 0, done.stderr
    assert parsed(yaml.safe_load(done.stdout)).display_name == "first"
