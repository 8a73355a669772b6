"""How a study chooses what to try next, and which trials have no hope."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from mlhelpers.tuning.journal import import_optuna
from mlhelpers.tuning.spec import StudySpec, grid_of

if TYPE_CHECKING:
    import optuna
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

__all__ = ["lay_out_grid", "make_pruner", "make_sampler"]

_MOST_POINTS = 1_000_000  # of a grid whose order is drawn


def make_sampler(spec: StudySpec, begun: int = 0) -> BaseSampler:
    """Return the sampler of a study's algorithm.

    Args:
        spec: The study.
        begun: How many trials there are; a study that is taken up again then draws anew rather than the same.
    """
    samplers = import_optuna().samplers
    seed = int(np.random.SeedSequence([spec.seed, begun]).generate_state(1)[0])
    if spec.algorithm == "bayesian":
        from mlhelpers.tuning.sampler import GaussianProcessSampler

        space = {name: parameter.distribution() for name, parameter in spec.space.items()}
        return GaussianProcessSampler(seed=spec.seed, search_space=space)
    # a grid's trials wait in the study already, so nothing is drawn for them
    made: BaseSampler = samplers.TPESampler(seed=seed) if spec.algorithm == "tpe" else samplers.RandomSampler(seed=seed)
    return made


def make_pruner(spec: StudySpec) -> BasePruner:
    """Return the rule by which trials are stopped early: the median rule, or none."""
    if spec.early_stopping:
        from mlhelpers.tuning.early_stopping import MedianRule

        return MedianRule()
    made: BasePruner = import_optuna().pruners.NopPruner()
    return made


def lay_out_grid(study: optuna.Study, spec: StudySpec) -> int:
    """Put the points of a study's grid, in an order drawn by its seed, into it as trials that wait.

    Args:
        study: The study, without trials.
        spec: What it searches, by "grid".

    Returns:
        How many trials it now has: no more than it was to have, and than there are points.
    """
    grid = grid_of(spec.space)
    size = int(np.prod([float(len(values)) for values in grid.values()]))
    random = np.random.default_rng(spec.seed)
    if size <= _MOST_POINTS:
        points = itertools.product(*grid.values())
        chosen = list(points)
        order = random.permutation(size)[: spec.trials]
        rows = [chosen[place] for place in order]
    else:  # too many to be listed: draw the few that are tried
        rows = list(
            {tuple(values[random.integers(len(values))] for values in grid.values()): None for _ in range(spec.trials)}
        )
    for row in rows:
        study.enqueue_trial(dict(zip(grid, row, strict=True)))
    return len(rows)
