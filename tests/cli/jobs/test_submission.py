"""`mlhelpers jobs submit training`: flags, config file, and what they make together."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml

from mlhelpers import jobs
from mlhelpers.storage import local_path

Run = Callable[..., Any]
_MINE = ("submit", "training", "first", "--package-path", "trainer")
_SUBMIT = (*_MINE, "--module-name", "trainer.task")
_CUSTOM = ("--scale-tier", "custom", "--master-machine-type", "n1-standard-4")


def _dry(run: Run, *words: str) -> dict[str, Any]:
    answer = run(*_MINE, "--dry-run", *words)
    assert answer.code == 0, answer.err
    request: dict[str, Any] = yaml.safe_load(answer.out)
    return request


def _config(text: str) -> str:
    Path("config.yaml").write_text(text)
    return "config.yaml"


def _make_wheel(path: Path) -> None:
    name = path.name.partition("-")[0]
    with ZipFile(path, "w") as file:
        file.writestr(f"{name}.py", "")
        file.writestr(f"{name}-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{name}-1.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        file.writestr(f"{name}-1.dist-info/RECORD", "")


def test_every_flag_of_the_original_command_reaches_the_request(run: Run, home: Path) -> None:
    (home / "buckets" / "my-bucket").mkdir(parents=True)
    wheels = ("a-1-py3-none-any.whl", "gs://my-bucket/b-1-py3-none-any.whl")
    for wheel in wheels:
        _make_wheel(local_path(wheel))
    request = _dry(
        run,
        *("--module-name", "trainer.task", "--packages", ",".join(wheels)),
        *("--job-dir", "gs://my-bucket/out", "--staging-bucket", "gs://my-bucket", "--region", "us-central1"),
        *("--runtime-version", "1.14", "--python-version", "3.5", "--labels", "team=blue,n=1"),
        *("--service-account", "me@p", "--enable-web-access", "--kms-key", "k", "--network", "n"),
        *("--max-running-time", "3600s", "--use-chief-in-tf-config", "--scale-tier", "CUSTOM", "--async"),
        *("--master-machine-type", "a", "--master-accelerator", "type=nvidia-tesla-k80,count=2"),
        *("--worker-machine-type", "b", "--worker-server-count", "2", "--worker-accelerator", "type=nvidia-tesla-t4"),
        *("--parameter-server-machine-type", "c", "--parameter-server-count", "3"),
        *("--parameter-server-image-uri", "gcr.io/ps", "--evaluator-machine-type", "d", "--evaluator-count", "1"),
        *("--", "--x", "1"),
    )

    assert request["labels"] == {"team": "blue", "n": "1"}
    assert request["trainingInput"] == {
        "scaleTier": "CUSTOM",
        "masterType": "a",
        "masterConfig": {"acceleratorConfig": {"type": "NVIDIA_TESLA_K80", "count": "2"}},
        "workerType": "b",
        "workerCount": "2",
        "workerConfig": {"acceleratorConfig": {"type": "NVIDIA_TESLA_T4", "count": "1"}},
        "parameterServerType": "c",
        "parameterServerCount": "3",
        "parameterServerConfig": {"imageUri": "gcr.io/ps"},
        "evaluatorType": "d",
        "evaluatorCount": "1",
        "packageUris": ["trainer", *wheels],
        "pythonModule": "trainer.task",
        "args": ["--x", "1"],
        "region": "us-central1",
        "jobDir": "gs://my-bucket/out",
        "runtimeVersion": "1.14",
        "pythonVersion": "3.5",
        "useChiefInTfConfig": True,
        "scheduling": {"maxRunningTime": "3600s"},
        "serviceAccount": "me@p",
        "network": "n",
        "enableWebAccess": True,
        "encryptionConfig": {"kmsKeyName": "k"},
    }


_FILE = """
labels: {team: blue, stage: test}
trainingInput:
  pythonModule: trainer.task
  args: [--from, file]
  scaleTier: CUSTOM
  masterType: small
  workerType: small
  workerCount: 4
  region: europe-west1
  scheduling: {maxRunningTime: 60s, priority: 3}
"""


def test_a_config_file_says_what_no_flag_says(run: Run) -> None:
    given = _dry(run, "--config", _config(_FILE))

    assert given["labels"] == {"team": "blue", "stage": "test"}
    assert given["trainingInput"]["args"] == ["--from", "file"]
    assert given["trainingInput"]["pythonModule"] == "trainer.task"
    assert given["trainingInput"]["workerCount"] == "4"
    assert given["trainingInput"]["scheduling"] == {"maxRunningTime": "60s", "priority": 3}


def test_a_flag_counts_for_more_than_the_config_file(run: Run) -> None:
    given = _dry(
        run,
        *("--config", _config(_FILE), "--region", "us-east1", "--worker-count", "1", "--labels", "team=red"),
        *("--max-running-time", "90s", "--", "--from", "flag"),
    )["trainingInput"]

    assert given["args"] == ["--from", "flag"]
    assert (given["region"], given["workerCount"], given["workerType"]) == ("us-east1", "1", "small")
    assert given["scheduling"] == {"maxRunningTime": "90s", "priority": 3}
    assert _dry(run, "--config", "config.yaml", "--labels", "team=red")["labels"] == {"team": "red", "stage": "test"}


def test_the_code_is_what_the_flags_say_and_no_mixture(run: Run) -> None:
    file = _config("trainingInput:\n  pythonModule: trainer.task\n  packageUris: [gs://my-bucket/old.tar.gz]\n")

    assert _dry(run, "--config", file)["trainingInput"]["packageUris"] == ["trainer"]


def test_a_description_serves_as_config_file(run: Run) -> None:
    run(*_SUBMIT, "--stream-logs", "--labels", "a=b", "--job-dir", "gs://my-bucket/out", "--", "--x", "1")
    described = run("describe", "first").out

    again = run("submit", "training", "second", "--dry-run", "--config", _config(described)).out

    assert yaml.safe_load(again)["jobId"] == "second"
    assert yaml.safe_load(again)["labels"] == {"a": "b"}
    assert yaml.safe_load(again)["trainingInput"] == yaml.safe_load(described)["trainingInput"]


@pytest.mark.parametrize(("form", "word"), [("json", '"jobId": "first"'), ("table", "jobId  first")])
def test_the_answer_comes_in_any_format(run: Run, form: str, word: str) -> None:
    answer = run(*_SUBMIT, "--format", form)

    jobs.attach("first").wait(progress=False)
    assert word in answer.out


def test_a_streamed_log_comes_in_the_format_asked_for_and_else_in_columns(run: Run) -> None:
    lines = run(*_SUBMIT, "--stream-logs", "--format", "json").out.splitlines()

    assert "trained" in [json.loads(line)["message"] for line in lines]
    again = run("submit", "training", "second", *_SUBMIT[3:], "--stream-logs").out.splitlines()
    assert any(line.startswith("INFO ") and line.endswith(" trained") for line in again)


def test_one_line_says_what_runs_in_place_of_old_versions(run: Run) -> None:
    installed = importlib.metadata.packages_distributions()["tensorflow"]

    answer = run(*_SUBMIT, "--runtime-version", "1.14", "--python-version", "2.7", "--stream-logs")

    (line,) = [line for line in answer.err.splitlines() if "Asked" in line]
    said, _, tensorflow = line.removesuffix(".").rpartition(" with TensorFlow ")
    assert said == f"Asked for runtime 1.14 and Python 2.7; what runs here is Python {platform.python_version()}"
    assert tensorflow in {importlib.metadata.version(name) for name in installed}


def test_without_versions_no_line_speaks_of_them(run: Run) -> None:
    assert "Asked" not in run(*_SUBMIT, "--stream-logs").err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--async", "--stream-logs"], "give one of the two"),
        (["--scale-tier", "custom"], "CUSTOM needs a machine type for the master: --master-machine-type"),
        (["--master-machine-type", "a"], "BASIC (one machine) brings its own machines"),
        (["--scale-tier", "standard-1", "--worker-count", "2"], "yet machines of the worker were given"),
        ([*_CUSTOM, "--worker-count", "2"], "give --worker-machine-type too"),
        ([*_CUSTOM, "--parameter-server-count", "2"], "give --parameter-server-machine-type too"),
        ([*_CUSTOM, "--evaluator-count", "1"], "give --evaluator-machine-type too"),
        ([*_CUSTOM, "--worker-machine-type", "a"], "give --worker-count too"),
        (["--worker-count", "-1"], "-1 is not in the range"),
        (
            [*_CUSTOM, "--master-image-uri", "gcr.io/x", "--runtime-version", "2.1"],
            "Give --runtime-version or --master-image-uri, not both",
        ),
        ([*_CUSTOM, "--master-accelerator", "kind=x"], "no part of --master-accelerator 'kind'"),
        ([*_CUSTOM, "--master-accelerator", "count=2"], "Write type=nvidia-tesla-t4,count=1."),
        ([*_CUSTOM, "--master-accelerator", "type=x,count=0"], "Write type=nvidia-tesla-t4,count=1."),
        (["--runtime-version", "one"], "'one' is no runtime version"),
        (["--python-version", "3"], "'3' is no Python version"),
        (["--max-running-time", "1h"], "--max-running-time is '1h'. Write the seconds with an s"),
        (["--packages", "a/x.whl,b/x.whl"], "Two packages have the file name 'x.whl'"),
        (["--labels", "Team=x"], "The label Team=x is refused"),
        (["--use-chief-in-tf-config=maybe"], "'maybe' is not a valid boolean"),
    ],
)
def test_a_rule_that_is_broken_is_told(run: Run, words: list[str], message: str) -> None:
    answer = run(*_SUBMIT, *words)

    assert answer.code == 2
    assert message in " ".join(answer.err.split())
    assert jobs.list_jobs() == []


def test_a_slip_in_the_config_file_is_told_with_its_place(run: Run) -> None:
    answer = run(*_SUBMIT, "--config", _config("trainingInput:\n  scaleTeir: BASIC\n"))

    assert answer.code == 2
    assert "config file 'config.yaml': There is no field 'trainingInput.scaleTeir'. Did you mean" in answer.err


def test_a_config_file_that_is_not_there_is_a_failure(run: Run) -> None:
    answer = run(*_SUBMIT, "--config", "none.yaml")

    assert (answer.code, "'none.yaml' cannot be read: No such file" in answer.err) == (1, True)


def test_a_study_without_a_goal_is_refused_in_one_sentence(run: Run) -> None:
    file = _config("trainingInput:\n  hyperparameters: {maxTrials: 3, params: [{parameterName: x}]}\n")

    answer = run(*_SUBMIT, "--config", file)

    assert answer.code == 2
    assert "hyperparameters has no goal: MINIMIZE or MAXIMIZE" in answer.err
    assert jobs.list_jobs() == []
