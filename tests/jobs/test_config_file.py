"""A job's config file: what it may hold, and how a slip is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlhelpers.errors import DataError, UsageError
from mlhelpers.jobs.config_file import read_configuration, seconds

Read = Callable[[str], dict[str, Any]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Give a function that writes a text to a file and reads it as a config file."""

    def read_text(text: str) -> dict[str, Any]:
        (tmp_path / "config.yaml").write_text(text, "utf-8")
        return read_configuration(tmp_path / "config.yaml")

    return read_text


# the file with which the MNIST tutorial asked for its cluster
_CLUSTER = """
trainingInput:
  scaleTier: CUSTOM
  masterType: standard_gpu
  workerType: standard_gpu
  parameterServerType: standard
  workerCount: 2
  parameterServerCount: 1
"""


def test_a_tutorials_cluster_is_read(read: Read) -> None:
    assert read(_CLUSTER) == {
        "labels": {},
        "trainingInput": {
            "scaleTier": "CUSTOM",
            "masterType": "standard_gpu",
            "workerType": "standard_gpu",
            "parameterServerType": "standard",
            "workerCount": 2,
            "parameterServerCount": 1,
        },
    }


def test_json_says_the_same(read: Read) -> None:
    given = {"labels": {"n": "1"}, "trainingInput": {"workerCount": "3", "useChiefInTfConfig": True}}

    assert read(json.dumps(given)) == {
        "labels": {"n": "1"},
        "trainingInput": {"workerCount": 3, "useChiefInTfConfig": True},
    }


def test_values_stay_as_they_were_written(read: Read) -> None:
    found = read("trainingInput:\n  runtimeVersion: 1.10\n  args: [--lr, 1e-3, --on, yes, --n, 010]\n")

    assert found["trainingInput"] == {
        "runtimeVersion": "1.10",
        "args": ["--lr", "1e-3", "--on", "yes", "--n", "010"],
    }


def test_hyperparameters_are_read_with_their_types(read: Read) -> None:
    found = read(
        """
trainingInput:
  hyperparameters:
    goal: MINIMIZE
    hyperparameterMetricTag: rmse
    maxTrials: 20
    enableTrialEarlyStopping: true
    params:
    - {parameterName: batch_size, type: INTEGER, minValue: 8, maxValue: 512, scaleType: UNIT_LOG_SCALE}
    - {parameterName: nnsize, type: DISCRETE, discreteValues: [64, 128.5]}
"""
    )

    assert found["trainingInput"]["hyperparameters"] == {
        "goal": "MINIMIZE",
        "hyperparameterMetricTag": "rmse",
        "maxTrials": 20,
        "enableTrialEarlyStopping": True,
        "params": [
            {
                "parameterName": "batch_size",
                "type": "INTEGER",
                "minValue": 8.0,
                "maxValue": 512.0,
                "scaleType": "UNIT_LOG_SCALE",
            },
            {"parameterName": "nnsize", "type": "DISCRETE", "discreteValues": [64.0, 128.5]},
        ],
    }


_INSIDE = "trainingInput:\n  "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainingInputs: {}", "There is no field 'trainingInputs'. Did you mean 'trainingInput'?"),
        ("scaleTier: BASIC", "scaleTier does not stand at the top: write it below trainingInput, indented."),
        (
            _INSIDE + "scaleTeir: BASIC",
            "no field 'trainingInput.scaleTeir'. Did you mean 'trainingInput.scaleTier'?",
        ),
        (
            _INSIDE + "masterConfig: {acceleratorConfig: {tpye: K80}}",
            "Did you mean 'trainingInput.masterConfig.acceleratorConfig.type'?",
        ),
        (
            _INSIDE + "hyperparameters: {params: [{name: x}]}",
            "There is no field 'trainingInput.hyperparameters.params[0].name'.",
        ),
        (_INSIDE + "workerCount: two", "trainingInput.workerCount should be a whole number, and is 'two'."),
        (_INSIDE + "workerCount: 1.5", "trainingInput.workerCount should be a whole number, and is '1.5'."),
        (_INSIDE + "workerCount: [1]", "trainingInput.workerCount should be one value, and is a list."),
        (_INSIDE + "args: --x", "trainingInput.args should be a list, and is '--x'. Write [a, b]"),
        (_INSIDE + "args: [[--x]]", "trainingInput.args[0] should be one value, and is a list."),
        (_INSIDE + "scheduling: 3600s", "trainingInput.scheduling should hold the fields maxRunningTime"),
        (_INSIDE + "scheduling: {maxRunningTime: 3600}", "maxRunningTime is '3600'. Write the seconds with an s"),
        (_INSIDE + "scheduling: {maxWaitTime: 60s}", "maxWaitTime is '60s'. The service waits 1800s at least."),
        (_INSIDE + "scheduling: {priority: 1001}", "priority is 1001. It may be 0 to 1000."),
        (_INSIDE + "enableWebAccess: 1", "trainingInput.enableWebAccess should be true or false, and is '1'."),
        (_INSIDE + "hyperparameters: {goal: BEST}", "goal is 'BEST'. It may be MAXIMIZE, MINIMIZE."),
        (_INSIDE + "region: a\n  region: b", "yaml': region is there twice, in lines 2 and 3. Keep one."),
        ("trainingInput: [", "is neither YAML nor JSON"),
        ("", "it should hold a job's fields"),
        ("- a", "it should hold a job's fields"),
        ("predictionInput: {}", "it describes a prediction"),
        ("labels: [a]", "labels should hold fields"),
    ],
)
def test_a_slip_is_refused_with_its_place(read: Read, text: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        read(text)

    assert message in str(refused.value)
    assert "config.yaml" in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"The config file '.*none\.yaml' cannot be read: No such file"):
        read_configuration(tmp_path / "none.yaml")


def test_a_file_in_a_bucket_is_read(home: Path) -> None:
    (home / "buckets" / "my-bucket").mkdir(parents=True)
    (home / "buckets" / "my-bucket" / "config.yaml").write_text(_CLUSTER)

    assert read_configuration("gs://my-bucket/config.yaml")["trainingInput"]["workerCount"] == 2


@pytest.mark.parametrize(("text", "value"), [("3600s", 3600.0), ("0.5s", 0.5)])
def test_seconds_have_an_s_behind_them(text: str, value: float) -> None:
    assert seconds(text, "--x") == value


@pytest.mark.parametrize("text", ["3600", "1h", "s", "-1s", "1 s", ""])
def test_other_forms_of_time_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--x is .* for instance 3600s"):
        seconds(text, "--x")
