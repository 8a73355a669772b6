"""What a batch prediction may be asked for, and how the service spells it."""

from __future__ import annotations

from typing import Any

import pytest

from mlhelpers.errors import UsageError
from mlhelpers.serving.batch import BatchSpec
from mlhelpers.serving.batch.spec import batch_name


def _spec(**changes: Any) -> BatchSpec:
    return BatchSpec(**{"name": "b", "input_paths": ["a"], "output_path": "o", "model": "MNIST", **changes})


@pytest.mark.parametrize("spelled", ["tf-record-gzip", "TF_RECORD_GZIP", "tf_record_gzip", "TF-RECORD-GZIP"])
def test_a_data_format_may_be_spelled_as_the_service_does(spelled: str) -> None:
    assert _spec(data_format=spelled).prediction_input()["dataFormat"] == "TF_RECORD_GZIP"


def test_the_resource_has_the_services_fields_and_numbers_as_text() -> None:
    spec = _spec(version="v1", signature_name="pixels", region="us-central1", runtime_version="1.14", batch_size=8)

    assert spec.prediction_input() == {
        "versionName": "MNIST/v1",
        "dataFormat": "JSON",
        "outputDataFormat": "JSON",
        "inputPaths": ["a"],
        "outputPath": "o",
        "maxWorkerCount": "10",
        "batchSize": "8",
        "signatureName": "pixels",
        "region": "us-central1",
        "runtimeVersion": "1.14",
    }
    assert _spec().prediction_input()["modelName"] == "MNIST"
    assert _spec(model=None, model_dir="gs://my-bucket/m").prediction_input()["uri"] == "gs://my-bucket/m"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": None}, "neither of the two was given"),
        ({"model_dir": "d"}, "both were given"),
        ({"model": None, "model_dir": "d", "version": "v1"}, "--version names a version of a model"),
        ({"model": "no/name"}, "is no model name"),
        ({"version": "1"}, "is no version name"),
        ({"name": "1st"}, "is no job name"),
        ({"data_format": "csv"}, "There is no data format 'csv'"),
        ({"batch_size": 0}, "batch_size=0 is refused"),
        ({"batch_size": True}, "batch_size=True is refused"),
        ({"max_workers": 1.5}, "max_workers=1.5 is refused"),
        ({"input_paths": []}, "input_paths is empty"),
        ({"input_paths": "a"}, "Give a list of paths"),
        ({"input_paths": [3]}, "input_paths holds 3"),
        ({"output_path": ""}, "output_path='' is no path"),
        ({"features": {"a": "b"}}, "a line of text has none"),
        ({"features": {"a": 1}, "data_format": "tf-record"}, "Give input -> feature"),
        ({"labels": {"Team": "x"}}, "The label Team=x is refused"),
        ({"runtime_version": "new"}, "is no runtime version"),
    ],
)
def test_what_cannot_be_is_refused_with_what_is_allowed(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        _spec(**changes)


@pytest.mark.parametrize("model", ["MNIST/v1", "/tmp/a b/export/Servo/", "gs://bucket/ä", "x" * 300])
def test_a_name_that_is_made_is_one_that_jobs_may_have(model: str) -> None:
    assert _spec(name=batch_name(model)).name.startswith("predict_")
