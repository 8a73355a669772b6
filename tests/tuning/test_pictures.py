"""The pictures of a study, read from the artists; the numbers behind them are made by hand."""

from __future__ import annotations

import math
import warnings
from typing import Any

import matplotlib
import numpy as np
import pytest

from mlhelpers import tuning
from mlhelpers.errors import JobError, UsageError
from mlhelpers.jobs import JobSpec
from mlhelpers.tuning.pictures import in_memory, plot
from mlhelpers.tuning.results import Trial

_SPACE = {
    "rate": tuning.Float(1e-4, 1.0, scale="log"),
    "momentum": tuning.Float(0.5, 0.99, scale="reverse_log"),
    "width": tuning.Choice([16, 32, 64]),
    "act": tuning.Choice(["relu", "tanh"]),
    "slope": tuning.Float(0.0, 1.0, when={"act": ["relu"]}),
}


def _spec(**more: Any) -> tuning.StudySpec:
    fields = {"space": _SPACE, "metric": "rmse", "trials": 40, "algorithm": "random"} | more
    return tuning.StudySpec(JobSpec("babies", "trainer.task"), **fields)


def _trials(count: int) -> list[Trial]:
    """Return trials whose objective depends on the rate alone; of each five one failed and one was stopped early."""
    random = np.random.default_rng(3)
    trials = []
    for number in range(1, count + 1):
        act = str(random.choice(["relu", "tanh"]))
        parameters = {
            "rate": float(10 ** random.uniform(-4, 0)),
            "momentum": float(random.uniform(0.5, 0.99)),
            "width": int(random.choice([16, 32, 64])),
            "act": act,
        } | ({"slope": float(random.uniform())} if act == "relu" else {})
        value = (math.log10(parameters["rate"]) + 2) ** 2
        state = {0: "INFEASIBLE", 1: "STOPPED_EARLY"}.get(number % 5, "SUCCEEDED")
        curve = {step: value + 1 / step for step in (1, 2, 3)}
        objective = None if state == "INFEASIBLE" else value
        trials.append(Trial(number, state, parameters, objective, 3, 1.0, curve=curve))
    return trials


def test_optuna_is_told_true_values_on_true_scales() -> None:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    done = [trial for trial in _trials(20) if trial.state == "SUCCEEDED"]
    told = in_memory(_spec(), done).trials

    assert [trial.params for trial in told] == [trial.parameters for trial in done]
    assert [trial.value for trial in told] == [trial.objective for trial in done]
    ranges = {name: found for trial in told for name, found in trial.distributions.items()}
    assert ranges["rate"] == FloatDistribution(1e-4, 1.0, log=True)
    assert ranges["momentum"] == FloatDistribution(0.5, 0.99)
    assert ranges["width"] == CategoricalDistribution((16, 32, 64))
    assert ranges["act"] == CategoricalDistribution(("relu", "tanh"))


def test_the_history_has_the_studys_name_and_metric_and_all_its_trials() -> None:
    ax = plot(_spec(), _trials(10), "history")

    assert (ax.get_title("left"), ax.get_ylabel()) == ("babies: rmse of each trial", "rmse")
    assert {dots.get_label(): len(dots.get_offsets()) for dots in ax.collections} == {
        "succeeded": 6,
        "stopped early": 2,
        "failed": 2,
    }


@pytest.mark.parametrize(("goal", "choose"), [("minimize", min), ("maximize", max)])
def test_the_best_of_the_curves_is_the_best_by_the_studys_goal(goal: str, choose: Any) -> None:
    trials = _trials(10)
    best = choose((trial for trial in trials if trial.objective is not None), key=lambda trial: trial.objective)

    ax = plot(_spec(goal=goal), trials, "curves")

    assert ax.lines[-1].get_label() == f"trial {best.number}"
    assert len(ax.lines) == 10


def test_optunas_pictures_have_our_titles_and_names_and_warn_of_nothing() -> None:
    before = dict(matplotlib.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = {kind: plot(_spec(), _trials(40), kind) for kind in ("parallel", "slices", "importance")}
        for found in drawn.values():
            np.atleast_1d(np.asarray(found, object))[0].figure.canvas.draw()

    assert dict(matplotlib.rcParams) == before
    titles = {kind: np.atleast_1d(np.asarray(found, object))[0].figure.get_suptitle() for kind, found in drawn.items()}
    assert titles == {
        "parallel": "babies: rmse and the parameters of each trial",
        "slices": "babies: rmse over each parameter",
        "importance": "babies: which parameter matters for rmse",
    }
    names = [text.get_text() for text in drawn["parallel"].get_xticklabels()]
    assert names == ["rmse", "act", "momentum", "rate", "slope", "width"]
    assert drawn["slices"][0].get_ylabel() == "rmse"


def test_the_parameter_that_decides_is_the_most_important() -> None:
    ax = plot(_spec(), _trials(60), "importance")

    widths = [bar.get_width() for bar in ax.patches]
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert names[widths.index(max(widths))] == "rate"
    assert set(names) == set(_SPACE)  # conditional ones, too
    assert sum(widths) == pytest.approx(1)


def test_slices_are_coloured_by_our_numbers_and_log_scales_are_log() -> None:
    trials = _trials(20)
    axes = {ax.get_xlabel(): ax for ax in plot(_spec(), trials, "slices")}

    succeeded = [trial for trial in trials if trial.state == "SUCCEEDED"]
    dots = axes["rate"].collections[0]
    expected = {(trial.parameters["rate"], trial.objective): trial.number for trial in succeeded}
    found = {(x, y): number for (x, y), number in zip(dots.get_offsets().tolist(), dots.get_array(), strict=True)}
    assert found == expected
    assert axes["rate"].get_xscale() == "log"
    assert axes["momentum"].get_xscale() == "linear"


def test_an_unknown_kind_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no plot of a study 'slice'. Did you mean 'slices'"):
        plot(_spec(), _trials(20), "slice")


@pytest.mark.parametrize(("kind", "needed"), [("parallel", 2), ("slices", 2), ("importance", 10)])
def test_too_few_trials_are_told_with_how_many_it_needs(kind: str, needed: int) -> None:
    few = [trial for trial in _trials(40) if trial.state == "SUCCEEDED"][: needed - 1]

    with pytest.raises(JobError, match=f"'{kind}' needs {needed} trials that succeeded, and 'babies' has {needed - 1}"):
        plot(_spec(), few, kind)
    plot(_spec(), _trials(40)[: needed * 2], kind)


def test_a_study_that_has_begun_nothing_has_no_picture_yet() -> None:
    with pytest.raises(JobError, match="has begun no trial yet"):
        plot(_spec(), [], "history")
    with pytest.raises(JobError, match="has reported anything yet"):
        plot(_spec(), [Trial(1, "RUNNING", {"rate": 0.1})], "curves")


def test_axes_are_refused_where_the_picture_makes_its_own() -> None:
    import matplotlib.pyplot as plt

    ax = plt.subplots()[1]
    assert plot(_spec(), _trials(5), "curves", ax) is ax
    with pytest.raises(UsageError, match="makes a figure of its own: leave ax out"):
        plot(_spec(), _trials(40), "slices", ax)
