"""A spec as the service's resource, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mlhelpers.jobs.config_file import read_configuration
from mlhelpers.jobs.configuration import merged, resource, spec_fields
from mlhelpers.jobs.spec import JobSpec, Pool

_FULL = JobSpec(
    "full",
    "trainer.task",
    ["--x", "1", "", "yes"],
    package_path="trainer",
    packages=["gs://my-bucket/a-1.0.tar.gz", "b.whl"],
    job_dir="gs://my-bucket/out",
    scale_tier="CUSTOM",
    master=Pool("n1-standard-8", accelerator_type="NVIDIA_TESLA_T4", accelerator_count=2),
    workers=Pool("n1-standard-4", 3, image_uri="gcr.io/p/worker"),
    parameter_servers=Pool("n1-highmem-2", 1),
    evaluators=Pool("n1-standard-4", 1),
    use_chief=False,
    runtime_version="1.10",
    python_version="3.5",
    region="us-central1",
    max_running_s=1234567.5,
    cloud={
        "network": "projects/p/global/networks/n",
        "serviceAccount": "me@p",
        "enableWebAccess": True,
        "encryptionConfig": {"kmsKeyName": "k"},
        "scheduling": {"maxWaitTime": "3600s", "priority": 7},
        "masterConfig": {"diskConfig": {"bootDiskType": "pd-ssd", "bootDiskSizeGb": 200}},
        "hyperparameters": {"goal": "MAXIMIZE", "params": [{"parameterName": "x", "minValue": 0.5}]},
    },
)


@pytest.mark.parametrize("write", [yaml.safe_dump, lambda values: __import__("json").dumps(values)])
@pytest.mark.parametrize("spec", [_FULL, JobSpec("plain", "trainer.task")], ids=lambda spec: spec.name)
def test_what_a_spec_becomes_gives_the_spec_again(spec: JobSpec, write: Any, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(write({"jobId": "other", "trainingInput": resource(spec)}))

    assert JobSpec(spec.name, **spec_fields(read_configuration(path))) == spec


def test_a_long_time_is_written_in_full() -> None:
    assert resource(_FULL)["scheduling"]["maxRunningTime"] == "1234567.5s"
    assert resource(JobSpec("a", "m", max_running_s=1e7))["scheduling"] == {"maxRunningTime": "10000000s"}


def test_merging_goes_into_tables_and_the_second_counts() -> None:
    assert merged({"a": {"x": 1, "y": 1}, "b": [1]}, {"a": {"y": 2}, "b": [2], "c": 3}) == {
        "a": {"x": 1, "y": 2},
        "b": [2],
        "c": 3,
    }
