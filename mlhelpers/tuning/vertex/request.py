"""A study as a `HyperparameterTuningJob` of google.cloud.aiplatform.v1, in REST's JSON, and its studySpec read back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlhelpers.errors import UsageError
from mlhelpers.jobs import JobSpec
from mlhelpers.tuning.spec import ALGORITHMS, StudySpec
from mlhelpers.tuning.vertex.parameters import to_parameters, to_space

__all__ = ["study_from", "tuning_job"]

# what is offered here, and has no word there -> what to do
_TPE = 'The algorithm "tpe" is Optuna\'s. Vertex AI offers "bayesian", "random" and "grid": choose one of these'
_RESUME = (
    "Vertex AI goes on from no earlier study: its tuning jobs have no resumePreviousJobId. Start a new study over a "
    "narrower space around the best trial of {name!r}"
)
_SEED = "Vertex AI's search takes no seed, and seed={seed} was given: leave it out"
_HERE = ", or run the study with backend='local'."


def tuning_job(study: StudySpec, trial: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the complete request of a study.

    Args:
        study: The study.
        trial: The `CustomJobSpec` of one trial; the service adds the trial's parameters to its arguments as
            `--name=value`.
        labels: Of the tuning job.

    Raises:
        UsageError: Something in the study cannot be said on Vertex AI; it is named.
    """
    _check(study)
    found: dict[str, Any] = {
        "displayName": study.job.name,
        "maxTrialCount": study.trials,
        "parallelTrialCount": min(study.parallel, study.trials),
        "maxFailedTrialCount": study.max_failed,
        "studySpec": _study_spec(study),
        "trialJobSpec": dict(trial),
    }
    return found | ({"labels": dict(labels)} if labels else {})


def study_from(job: JobSpec, found: Mapping[str, Any]) -> StudySpec:
    """Return the study that a tuning job is.

    Args:
        job: What its trials run.
        found: The `HyperparameterTuningJob` in REST's JSON.

    Raises:
        UsageError: It has no parameters or metric, as no tuning job has.
    """
    given = found.get("studySpec", {})
    metrics = given.get("metrics", [])
    if len(metrics) != 1:
        raise UsageError(
            f"The tuning job {found.get('displayName', '')!r} has {len(metrics)} metrics; a study here has one."
        )
    spelled = {ours: name for name, ours in ALGORITHMS.items() if ours}
    return StudySpec(
        job=job,
        space=to_space(given.get("parameters", [])),
        metric=metrics[0]["metricId"],
        goal="minimize" if metrics[0].get("goal") == "MINIMIZE" else "maximize",  # unsaid it is the latter there
        trials=int(found.get("maxTrialCount", 1)),
        parallel=int(found.get("parallelTrialCount", 1)),
        max_failed=int(found.get("maxFailedTrialCount", 0)),
        early_stopping=any(name.endswith("StoppingSpec") for name in given),
        algorithm=spelled.get(given.get("algorithm", ""), "bayesian"),
    )


def _check(study: StudySpec) -> None:
    if study.algorithm == "tpe":
        raise UsageError(_TPE + _HERE)
    if study.resume is not None:
        raise UsageError(_RESUME.format(name=study.resume) + _HERE)
    if study.seed:
        raise UsageError(_SEED.format(seed=study.seed) + _HERE)
    if any(character.isspace() for character in study.metric):
        raise UsageError(f"The metric {study.metric!r} holds a space, which Vertex AI takes in no metricId.")


def _study_spec(study: StudySpec) -> dict[str, Any]:
    found: dict[str, Any] = {
        "metrics": [{"metricId": study.metric, "goal": study.goal.upper()}],
        "parameters": to_parameters(study.space),
        "measurementSelectionType": "LAST_MEASUREMENT",  # a trial's objective is what it reported last, here as there
    }
    if algorithm := ALGORITHMS[study.algorithm]:  # unsaid it is Vizier's own, which is Bayesian
        found["algorithm"] = algorithm
    if study.early_stopping:
        found["medianAutomatedStoppingSpec"] = {"useElapsedDuration": False}  # by steps, as here
    return found
