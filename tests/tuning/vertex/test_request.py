"""A study as a tuning job: Google's own message takes it strictly, and what cannot be said there is refused by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from google.cloud.aiplatform_v1 import types
from google.protobuf import json_format

from mlhelpers.errors import UsageError
from mlhelpers.jobs import JobSpec
from mlhelpers.jobs.vertex.start import own_job_dir
from mlhelpers.tuning import Choice, Float, Int, StudySpec
from mlhelpers.tuning.vertex.request import study_from, tuning_job

_TRIAL = {"workerPoolSpecs": [{"replicaCount": "1", "machineSpec": {"machineType": "n1-standard-4"}}]}
_JOB = JobSpec("babies", "mlhelpers.trainers.babyweight")
_STUDY = StudySpec(
    _JOB,
    {"batch_size": Int(8, 512, scale="log"), "nembeds": Int(3, 30), "act": Choice(["relu", "tanh"])},
    metric="rmse",
    trials=20,
    parallel=5,
    max_failed=3,
    early_stopping=True,
)


def _message(study: StudySpec, **labels: str) -> Any:
    message = types.HyperparameterTuningJob.pb()()
    json_format.ParseDict(tuning_job(study, _TRIAL, labels), message, ignore_unknown_fields=False)
    return types.HyperparameterTuningJob.wrap(message)


def test_googles_own_message_says_the_same_study() -> None:
    made = _message(_STUDY, team="blue")

    assert (made.display_name, made.max_trial_count, made.parallel_trial_count) == ("babies", 20, 5)
    assert made.max_failed_trial_count == 3
    assert dict(made.labels) == {"team": "blue"}
    (metric,) = made.study_spec.metrics
    assert (metric.metric_id, metric.goal.name) == ("rmse", "MINIMIZE")
    assert made.study_spec.algorithm.name == "ALGORITHM_UNSPECIFIED"
    assert made.study_spec.measurement_selection_type.name == "LAST_MEASUREMENT"
    assert "median_automated_stopping_spec" in made.study_spec
    assert [one.parameter_id for one in made.study_spec.parameters] == ["batch_size", "nembeds", "act"]
    assert made.trial_job_spec.worker_pool_specs[0].machine_spec.machine_type == "n1-standard-4"


@pytest.mark.parametrize(("ours", "theirs"), [("random", "RANDOM_SEARCH"), ("grid", "GRID_SEARCH")])
def test_an_algorithm_has_its_name_there(ours: str, theirs: str) -> None:
    assert _message(replace(_STUDY, algorithm=ours)).study_spec.algorithm.name == theirs


def test_without_early_stopping_none_is_asked_for() -> None:
    assert "median_automated_stopping_spec" not in _message(replace(_STUDY, early_stopping=False)).study_spec


def test_no_more_trials_at_once_than_there_are() -> None:
    assert _message(replace(_STUDY, trials=3)).parallel_trial_count == 3


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_what_google_writes_is_read_as_the_same_study(goal: str) -> None:
    study = replace(_STUDY, goal=goal, algorithm="random")
    written = json_format.MessageToDict(types.HyperparameterTuningJob.pb(_message(study)))

    assert study_from(_JOB, written) == study


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"algorithm": "tpe"}, '"tpe" is Optuna\'s. Vertex AI offers "bayesian", "random" and "grid"'),
        ({"resume": "earlier"}, "no resumePreviousJobId.*best trial of 'earlier'"),
        ({"seed": 7}, "takes no seed, and seed=7 was given"),
        ({"metric": "my loss"}, "'my loss' holds a space"),
    ],
)
def test_what_cannot_be_said_on_vertex_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        tuning_job(replace(_STUDY, **change), _TRIAL, {})


def test_a_grid_over_a_real_number_is_refused_before_it_is_planned() -> None:
    with pytest.raises(UsageError, match="grid search cannot take 'rate', a real number"):
        replace(_STUDY, space={"rate": Float(0, 1)}, algorithm="grid")


def test_a_tuning_job_of_two_metrics_is_no_study_of_ours() -> None:
    found = tuning_job(_STUDY, _TRIAL, {})
    found["studySpec"]["metrics"].append({"metricId": "other", "goal": "MAXIMIZE"})

    with pytest.raises(UsageError, match="'babies' has 2 metrics"):
        study_from(_JOB, found)


@pytest.mark.parametrize(
    ("words", "own"),
    [
        (["--n=1", "--job-dir", "gs://b/out", "--x=0.5"], ["--n=1", "--job-dir", "gs://b/out/7", "--x=0.5"]),
        (["--job-dir=gs://b/out/", "--n", "1"], ["--job-dir=gs://b/out/7", "--n", "1"]),
        (["--n", "1"], ["--n", "1"]),
    ],
)
def test_each_trial_has_a_job_dir_of_its_own_as_on_the_old_service(words: list[str], own: list[str]) -> None:
    assert own_job_dir(words, trial="7") == own
    assert own_job_dir(words, trial="") == words  # a job that is no trial
