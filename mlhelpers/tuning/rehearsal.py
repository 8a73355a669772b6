"""A study of a plain Python function, in this process: what a search does, before it is given hours of training."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from mlhelpers.jobs import JobSpec
from mlhelpers.tuning.journal import import_optuna, suggest, values_of
from mlhelpers.tuning.results import Trial, trials_of
from mlhelpers.tuning.search import lay_out_grid, make_sampler
from mlhelpers.tuning.space import Space
from mlhelpers.tuning.spec import StudySpec

__all__ = ["rehearse"]


def rehearse(
    objective: Callable[..., float],
    space: Space,
    *,
    goal: str = "minimize",
    trials: int = 20,
    parallel: int = 1,
    algorithm: str = "bayesian",
    seed: int = 0,
) -> list[Trial]:
    """Search a Python function as a study searches a trainer; nothing is written, and no process started.

    Args:
        objective: Called with the parameters by name; returns a number.
        space: Name -> `Float`, `Int` or `Choice`.
        goal: "minimize" or "maximize".
        trials: How many calls.
        parallel: How many trials have begun whose result the search does not know yet; the oldest ends first.
        algorithm: "bayesian", "random", "grid" or "tpe".
        seed: Of the search; the same seed gives the same trials.

    Returns:
        The trials in the order in which they began.

    Raises:
        UsageError: Something in these words cannot be a study.

    Example:
        >>> [trial.objective for trial in rehearse(lambda n: n * n, {"n": Int(2, 2)}, trials=1)]
        [4.0]

    Taught in notebook 07.
    """
    spec = StudySpec(
        JobSpec("rehearsal", "rehearsal"), space, "value", goal, trials, parallel, 0, False, algorithm, None, seed
    )
    optuna = import_optuna()
    study = optuna.create_study(direction=goal, sampler=make_sampler(spec))
    total = lay_out_grid(study, spec) if algorithm == "grid" else trials
    begun: deque[Any] = deque()
    for _ in range(total):
        trial = study.ask()
        suggest(trial, space)
        begun.append(trial)
        if len(begun) == parallel:
            _end(study, begun.popleft(), objective, space)
    while begun:
        _end(study, begun.popleft(), objective, space)
    return trials_of(study.get_trials(deepcopy=False), space)


def _end(study: Any, trial: Any, objective: Callable[..., float], space: Space) -> None:
    study.tell(trial, float(objective(**values_of(trial.params, space))))
