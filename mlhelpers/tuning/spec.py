"""What a study is: `StudySpec`, checked when it is made, and the same as a job's `hyperparameters` on the service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mlhelpers.errors import UsageError, unknown_name
from mlhelpers.jobs import JobSpec
from mlhelpers.tuning.params import from_params, to_params
from mlhelpers.tuning.space import Choice, Float, Space, check_space

__all__ = ["ALGORITHMS", "StudySpec", "grid_of", "study_of"]

# name here -> name in a config file, after the service's Algorithm; "tpe" is Optuna's, and ours alone
ALGORITHMS = {"bayesian": None, "grid": "GRID_SEARCH", "random": "RANDOM_SEARCH", "tpe": "TPE"}
_GOALS = ("minimize", "maximize")
_DEFAULT_TAG = "training/hptuning/metric"


@dataclass(frozen=True)
class StudySpec:
    """A study, in words that every place to run understands; checked when it is made.

    Attributes:
        job: The trainer with the arguments that all trials share; its name is the study's.
        space: Parameter -> range. Each trial's trainer gets `--name=value` behind the other arguments.
        metric: The tag that the trainer reports, for instance "rmse". A trial's objective is what it reported last.
        goal: "minimize" or "maximize".
        trials: How many trials in all, those of a study that it goes on from included.
        parallel: How many at once, at most.
        max_failed: With more failed trials than this the study fails. With 0 it fails when three have failed before
            one succeeded, or half of all have.
        early_stopping: Whether trials are ended that do worse than the median of the others (see `early_stopping`).
        algorithm: "bayesian" (a Gaussian process, see `sampler`), "random", "grid" or "tpe".
        resume: The study to go on from: its finished trials are taken over, those it left unfinished are run again.
        seed: What decides the search's random draws. With one trial at a time the same seed tries the same values.

    Raises:
        UsageError: A field that is malformed; the message says which, and what is allowed.
    """

    job: JobSpec
    space: Space
    metric: str = _DEFAULT_TAG
    goal: str = "minimize"
    trials: int = 1
    parallel: int = 1
    max_failed: int = 0
    early_stopping: bool = False
    algorithm: str = "bayesian"
    resume: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_space(self.space)
        if not isinstance(self.metric, str) or not self.metric.strip():
            raise UsageError(
                f"The metric is {self.metric!r}. Give the tag that the trainer reports, for instance rmse."
            )
        if self.goal not in _GOALS:
            raise unknown_name("goal", self.goal, _GOALS)
        if self.algorithm not in ALGORITHMS:
            raise unknown_name("algorithm", self.algorithm, ALGORITHMS)
        for name, least in (("trials", 1), ("parallel", 1), ("max_failed", 0), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise UsageError(f"{name}={value!r} is refused. Give a whole number, {least} or more.")
        if self.algorithm == "grid":
            self._check_grid()
        flags = {word.partition("=")[0].lstrip("-").replace("-", "_") for word in self.job.words if word[:2] == "--"}
        for name in self.space:
            if name.replace("-", "_") in flags:
                raise UsageError(
                    f"--{name} stands among the trainer's arguments, and the study is to change it. Take it out of one "
                    "of the two."
                )

    @property
    def minimizes(self) -> bool:
        """Tell whether smaller is better."""
        return self.goal == "minimize"

    def hyperparameters(self) -> dict[str, Any]:
        """Return the study as a config file's `trainingInput.hyperparameters`, all fields said."""
        found: dict[str, Any] = {
            "goal": self.goal.upper(),
            "hyperparameterMetricTag": self.metric,
            "maxTrials": self.trials,
            "maxParallelTrials": self.parallel,
            "maxFailedTrials": self.max_failed,
            "enableTrialEarlyStopping": self.early_stopping,
            "resumePreviousJobId": self.resume,
            "algorithm": ALGORITHMS[self.algorithm],
            "params": to_params(self.space),
        }
        return {name: value for name, value in found.items() if value is not None}

    def _check_grid(self) -> None:
        for name, parameter in self.space.items():
            if isinstance(parameter, Float):
                raise UsageError(
                    f"The grid search cannot take {name!r}, a real number (DOUBLE): give the values to try, "
                    f"Choice([…]) (DISCRETE), or choose another algorithm."
                )
            if parameter.when:
                raise UsageError(f"The grid search takes no conditions, and {name!r} has one: use another algorithm.")


def study_of(spec: JobSpec, seed: int = 0) -> StudySpec:
    """Return the study that a job with a config file's `hyperparameters` describes.

    Args:
        spec: A job with "hyperparameters" among its `cloud` fields.
        seed: As in `StudySpec`.

    Raises:
        UsageError: No goal, no parameters, or one that is malformed.
    """
    given: Mapping[str, Any] = spec.cloud["hyperparameters"]
    if "goal" not in given:
        raise UsageError("hyperparameters has no goal: MINIMIZE or MAXIMIZE.")
    named = {spelled: name for name, spelled in ALGORITHMS.items() if spelled}
    rest = {name: value for name, value in spec.cloud.items() if name != "hyperparameters"}
    return StudySpec(
        job=replace(spec, cloud=rest),
        space=from_params(given.get("params", [])),
        metric=given.get("hyperparameterMetricTag", _DEFAULT_TAG),
        goal=str(given["goal"]).lower(),
        trials=given.get("maxTrials", 1),
        parallel=given.get("maxParallelTrials", 1),
        max_failed=given.get("maxFailedTrials", 0),
        early_stopping=given.get("enableTrialEarlyStopping", False),
        algorithm=named.get(given.get("algorithm", ""), "bayesian"),
        resume=given.get("resumePreviousJobId"),
        seed=seed,
    )


def grid_of(space: Space) -> dict[str, list[Any]]:
    """Return every value of each parameter of a grid, in Optuna's words."""
    return {
        name: [parameter.encode(value) for value in parameter.values]
        if isinstance(parameter, Choice)
        else list(range(int(parameter.low), int(parameter.high) + 1))
        for name, parameter in space.items()
    }
