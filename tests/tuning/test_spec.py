from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlhelpers.errors import UsageError
from mlhelpers.jobs import JobSpec
from mlhelpers.jobs.config_file import read_configuration
from mlhelpers.jobs.configuration import spec_fields
from mlhelpers.tuning import Choice, Float, Int, StudySpec, study_of

_REPOSITORY = Path(__file__).resolve().parents[2]
JOB = JobSpec("babies", "trainer.task")


def _study(**fields: Any) -> StudySpec:
    return StudySpec(**({"job": JOB, "space": {"x": Int(1, 3)}, "metric": "rmse"} | fields))


def test_the_tutorials_own_file_says_the_study_of_the_tutorial() -> None:
    configuration = read_configuration(_REPOSITORY / "notebooks" / "packages" / "babyweight" / "hyperparam.yaml")

    study = study_of(JobSpec("babies", "trainer.task", **spec_fields(configuration)))

    assert study == StudySpec(
        job=JobSpec("babies", "trainer.task", scale_tier="STANDARD_1"),
        space={"batch_size": Int(8, 512, "log"), "nembeds": Int(3, 30), "nnsize": Int(64, 512, "log")},
        metric="rmse",
        goal="minimize",
        trials=20,
        parallel=5,
        early_stopping=True,
        algorithm="bayesian",
    )


def test_a_study_comes_back_from_its_resource_as_it_was() -> None:
    study = _study(goal="maximize", trials=7, parallel=3, max_failed=2, algorithm="random", resume="old")

    assert study_of(replace(JOB, cloud={"hyperparameters": study.hyperparameters()})) == study


def test_what_a_config_file_leaves_out_is_as_on_the_service() -> None:
    found = {"goal": "MINIMIZE", "params": [{"parameterName": "x", "type": "DISCRETE", "discreteValues": [1.0, 2.0]}]}

    study = study_of(replace(JOB, cloud={"hyperparameters": found, "network": "mine"}))

    assert (study.metric, study.trials, study.parallel) == ("training/hptuning/metric", 1, 1)
    assert (study.algorithm, study.early_stopping, study.max_failed) == ("bayesian", False, 0)
    assert study.job.cloud == {"network": "mine"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"goal": "smaller"}, "There is no goal 'smaller'"),
        ({"algorithm": "grd"}, "There is no algorithm 'grd'. Did you mean 'grid'?"),
        ({"trials": 0}, "trials=0 is refused"),
        ({"parallel": True}, "parallel=True is refused"),
        ({"max_failed": -1}, "max_failed=-1 is refused"),
        ({"metric": " "}, "Give the tag that the trainer reports"),
        ({"space": {}}, "The study has no parameters"),
        ({"space": {"x": Float(0, 1)}, "algorithm": "grid"}, "The grid search cannot take 'x', a real number (DOUBLE)"),
        (
            {"space": {"a": Choice([1, 2]), "x": Int(1, 2, when={"a": [1]})}, "algorithm": "grid"},
            "The grid search takes no conditions",
        ),
        ({"job": JobSpec("b", "m", args={"x": 3})}, "--x stands among the trainer's arguments"),
    ],
)
def test_what_cannot_be_a_study_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        _study(**fields)
    assert message in str(error.value)


def test_hyperparameters_without_a_goal_are_refused() -> None:
    with pytest.raises(UsageError, match="has no goal: MINIMIZE or MAXIMIZE"):
        study_of(replace(JOB, cloud={"hyperparameters": {"maxTrials": 2}}))
