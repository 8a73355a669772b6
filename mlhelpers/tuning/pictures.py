"""The pictures of a study: ours of its history and its curves, and Optuna's of what its parameters do.

Optuna's are drawn from a study in memory that holds the true values on their true scales: its own, in the journal,
knows a choice of numbers by their places and a reversed log scale by mirrored values.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mlhelpers.errors import JobError, UsageError, unknown_name
from mlhelpers.tuning.journal import import_optuna
from mlhelpers.tuning.results import Trial
from mlhelpers.tuning.space import Choice, Float, Parameter
from mlhelpers.tuning.spec import StudySpec

if TYPE_CHECKING:
    import optuna
    from matplotlib.axes import Axes
    from optuna.distributions import BaseDistribution

__all__ = ["KINDS", "plot"]

# kind -> how many trials with a result it needs at least
KINDS = {"history": 0, "curves": 0, "parallel": 2, "slices": 2, "importance": 10}
_TOP = 5  # so many good trials PED-ANOVA wants, after its documentation


def plot(spec: StudySpec, trials: Sequence[Trial], kind: str, ax: Axes | None = None) -> Any:
    """Draw one picture of a study; see `Study.plot`.

    Args:
        spec: The study.
        trials: Its trials.
        kind: One of `KINDS`.
        ax: Axes for "history" or "curves".

    Raises:
        UsageError: There is no such kind, or it takes no axes.
        JobError: It needs more trials than there are.
    """
    if kind not in KINDS:
        raise unknown_name("plot of a study", kind, KINDS, "For instance study.plot('history').")
    if kind == "history":
        return _history(spec, trials, ax)
    if kind == "curves":
        return _curves(spec, trials, ax)
    if ax is not None:
        raise UsageError(f"The plot {kind!r} makes a figure of its own: leave ax out. Only history and curves take it.")
    done = [trial for trial in trials if trial.state == "SUCCEEDED" and _is_finite(trial)]
    if len(done) < KINDS[kind]:
        raise JobError(
            f"The plot {kind!r} needs {KINDS[kind]} trials that succeeded, and {spec.job.name!r} has {len(done)}. "
            "Wait for more, or go on with study.resume(trials=…)."
        )
    return _by_optuna(spec, done, kind)


def _history(spec: StudySpec, trials: Sequence[Trial], ax: Axes | None) -> Axes:
    from mlhelpers import plots

    if not trials:
        raise JobError(f"The study {spec.job.name!r} has begun no trial yet: nothing to draw.")
    return plots.study_history(
        [trial.number for trial in trials],
        [math.nan if trial.objective is None else trial.objective for trial in trials],
        [trial.state for trial in trials],
        metric=spec.metric,
        minimizes=spec.minimizes,
        title=f"{spec.job.name}: {spec.metric} of each trial",
        ax=ax,
    )


def _curves(spec: StudySpec, trials: Sequence[Trial], ax: Axes | None) -> Axes:
    from mlhelpers import plots

    curves = {trial.number: (list(trial.curve), list(trial.curve.values())) for trial in trials if trial.curve}
    if not curves:
        raise JobError(f"No trial of {spec.job.name!r} has reported anything yet: nothing to draw.")
    done = [trial for trial in trials if trial.is_over and _is_finite(trial) and trial.number in curves]
    sign = 1 if spec.minimizes else -1
    best = min(done, key=lambda trial: sign * (trial.objective or 0.0)).number if done else None
    title = f"{spec.job.name}: {spec.metric} while its trials learn"
    return plots.study_curves(curves, best=best, metric=spec.metric, title=title, ax=ax)


def _by_optuna(spec: StudySpec, trials: Sequence[Trial], kind: str) -> Any:
    from mlhelpers import plots

    optuna = import_optuna()
    trials = sorted(trials, key=lambda trial: trial.number)
    with plots.foreign_settings(), warnings.catch_warnings():
        # both the plots and the evaluator are marked experimental: Optuna may change them, which our tests would see
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", message="Attempting to set identical")  # where all trials have one value
        study = in_memory(spec, trials)
        draw, title = _DRAWERS[kind]
        drawn = draw(study, spec.metric, [trial.number for trial in trials])
        plots.restyle(drawn, f"{spec.job.name}: {title.format(metric=spec.metric)}")
    return drawn


def in_memory(spec: StudySpec, trials: Sequence[Trial]) -> Any:
    """Return a study in memory with the true values of trials that succeeded, on the scales of the space."""
    optuna = import_optuna()
    study = optuna.create_study(direction=spec.goal, sampler=optuna.samplers.RandomSampler(seed=0))
    true = {name: _distribution(parameter) for name, parameter in spec.space.items()}
    for trial in trials:
        values = trial.parameters
        used = {name: true[name] for name in values}
        study.add_trial(optuna.trial.create_trial(params=values, distributions=used, value=trial.objective))
    return study


def _distribution(parameter: Parameter) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(parameter, Choice):
        return CategoricalDistribution(parameter.values)
    is_log = parameter.scale == "log"  # Optuna has no reversed one: its true values are drawn as they are
    if isinstance(parameter, Float):
        return FloatDistribution(float(parameter.low), float(parameter.high), log=is_log)
    return IntDistribution(int(parameter.low), int(parameter.high), log=is_log)


def _parallel(study: optuna.Study, metric: str, _: Sequence[int]) -> Any:
    from optuna.visualization.matplotlib import plot_parallel_coordinate

    return plot_parallel_coordinate(study, target_name=metric)


def _slices(study: optuna.Study, metric: str, numbers: Sequence[int]) -> Any:
    from optuna.visualization.matplotlib import plot_slice

    axes = plot_slice(study, target_name=metric)
    for ax in [axes] if hasattr(axes, "collections") else axes:
        dots: Any = ax.collections[0]  # coloured by the places of the trials in the study in memory
        dots.set_array([numbers[int(place)] for place in dots.get_array()])
        dots.set_clim(min(numbers), max(numbers))
    return axes


def _importance(study: optuna.Study, metric: str, numbers: Sequence[int]) -> Any:
    """Draw importances by PED-ANOVA: fANOVA would need scikit-learn, and leaves conditional parameters out."""
    from optuna.importance import PedAnovaImportanceEvaluator
    from optuna.visualization.matplotlib import plot_param_importances

    evaluator = PedAnovaImportanceEvaluator(target_quantile=max(0.1, _TOP / len(numbers)))
    ax = plot_param_importances(study, evaluator=evaluator, target_name=metric)
    ax.legend().remove()
    ax.set(xlabel="share of what decides whether a trial is among the best", ylabel="")
    return ax


_DRAWERS: dict[str, tuple[Callable[[Any, str, Sequence[int]], Any], str]] = {
    "parallel": (_parallel, "{metric} and the parameters of each trial"),
    "slices": (_slices, "{metric} over each parameter"),
    "importance": (_importance, "which parameter matters for {metric}"),
}


def _is_finite(trial: Trial) -> bool:
    return trial.objective is not None and math.isfinite(trial.objective)
