"""The default search of a study: a Gaussian process that learns from every trial, as a sampler of Optuna's.

Each suggestion is a function of the seed and of the trials so far alone, so that a study that is taken up again in
another process goes on as it would have gone on.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.search_space import intersection_search_space
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import qmc

from mlhelpers.errors import UsageError
from mlhelpers.tuning.acquisition import most_promising, untried
from mlhelpers.tuning.gaussian_process import fit, log_expected_improvement
from mlhelpers.tuning.unit_cube import UnitCube

__all__ = ["GaussianProcessSampler"]

Array = NDArray[np.float64]

_START = 5  # trials that are spread before the search learns
_SEEN = 1  # values without which there is nothing to learn from
_WHOLE = 2048  # a space of so many points is searched whole
_LEARNT = 100  # trials that are learnt from: a study of hundreds stays quick, and OpenBLAS with one thread
_CAP = 2.0  # times the distance of the median from the best: values worse than that count as that bad


class GaussianProcessSampler(BaseSampler):
    """Search by a Gaussian process: what the service calls Bayesian optimisation.

    The first five trials are a scrambled Sobol sequence. Every later one is the point of the highest expected
    improvement, under a Gaussian process that is fitted anew to all trials: inputs in the unit cube of the parameters'
    own scales, values cut off on the bad side (what lies further from the median than twice the best does counts as
    that far) and standardised. Trials still running are believed to come out as predicted, so that several at a time
    go to different places. A failed trial, or a value that is no finite number, counts as bad as the worst; a trial
    stopped early counts with its last report. A point that was tried is not proposed again while others are left.

    Args:
        seed: Of all that is random, at least 0. The same seed and the same trials give the same suggestions; None takes
            another seed each time.
        search_space: Name -> distribution: every parameter, also those that only some trials have. A trial that lacks
            one counts as if in the middle of it, and each suggestion is for all of them. None takes the parameters
            that all finished trials have in common, and draws the others at random.

    Raises:
        UsageError: A distribution that is neither a float nor an int nor categorical; on the first suggestion, a
            study of several objectives.
    """

    def __init__(self, seed: int | None = None, search_space: Mapping[str, BaseDistribution] | None = None) -> None:
        self._seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
        self._space = None if search_space is None else dict(search_space)
        UnitCube(self._space or {})

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the declared space, or what all finished trials have in common."""
        if self._space is not None:
            return dict(self._space)
        return intersection_search_space(study.get_trials(deepcopy=False), include_pruned=True)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return a value for each parameter of the space.

        Raises:
            UsageError: A study of several objectives.
        """
        if len(study.directions) > 1:
            count = len(study.directions)
            raise UsageError(f"The study has {count} objectives: the search by Gaussian process takes 1. Use Optuna's.")
        cube = UnitCube(search_space)
        if not cube.names:
            return cube.decode(np.empty(0))
        generator = np.random.default_rng([self._seed, trial.number])
        return cube.decode(self._propose(_History(study, trial, cube), cube, generator))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return a value for one parameter outside the space, at random on its scale."""
        cube = UnitCube({param_name: param_distribution})
        generator = np.random.default_rng([self._seed, trial.number, zlib.crc32(param_name.encode())])
        return cube.decode(cube.spread(generator.random((1, len(cube.names))))[0])[param_name]

    def _propose(self, history: _History, cube: UnitCube, generator: np.random.Generator) -> Array:
        count, grid = len(history.tried), cube.grid(_WHOLE)
        if count < _START or np.isfinite(history.values).sum() < _SEEN:
            return self._spread(count, cube, None if grid is None else untried(grid, history.tried))
        points, values = history.worth_learning()
        process = fit(points, values, cube.categorical)
        process = process.believe(history.pending)
        best = float(process.predict(process.points)[0].min())
        if grid is None:
            return most_promising(process, best, cube, history.tried, generator)
        left = untried(grid, history.tried)
        return np.asarray(left[np.argmax(log_expected_improvement(*process.predict(left), best)[0])])

    def _spread(self, number: int, cube: UnitCube, left: Array | None) -> Array:
        """Return a point of the Sobol sequence; in a small space the nearest of those left."""
        engine = qmc.Sobol(len(cube.names), rng=np.random.default_rng(self._seed))
        if number:
            engine.fast_forward(number)
        point = cube.spread(engine.random(1))
        return np.asarray(point[0] if left is None else left[np.argmin(((left - point) ** 2).sum(1))])


class _History:
    """What the other trials of a study tell: where they are, and how they came out.

    Attributes:
        seen: Points of the trials that are over, (n, d).
        values: What came out, (n,); small is good, not finite where the trial is bad or failed.
        pending: Points of those that run, (p, d).
        tried: Both together.
    """

    def __init__(self, study: Study, trial: FrozenTrial, cube: UnitCube) -> None:
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        others = [other for other in study.get_trials(deepcopy=False) if other.number != trial.number and other.params]
        over = [other for other in others if other.state.is_finished()]
        running = [other for other in others if other.state == TrialState.RUNNING]
        width = len(cube.names)
        self.seen = np.array([cube.encode(other.params) for other in over]).reshape(-1, width)
        self.pending = np.array([cube.encode(other.params) for other in running]).reshape(-1, width)
        self.values = np.array([sign * _outcome(other) for other in over])
        self.tried = np.vstack([self.seen, self.pending])

    def worth_learning(self) -> tuple[Array, Array]:
        """Return points and standardised values, of all trials or of a part: the best, and others evenly over time."""
        values = _standardised(self.values)
        if len(values) <= _LEARNT:
            return self.seen, values
        order = np.argsort(values, kind="stable")
        half = _LEARNT // 2
        others = np.sort(order[half:])
        chosen = np.concatenate([order[:half], others[np.linspace(0, len(others) - 1, half).astype(int)]])
        return self.seen[chosen], values[chosen]


def _outcome(trial: FrozenTrial) -> float:
    if trial.state == TrialState.COMPLETE and trial.values:
        return float(trial.values[0])
    if trial.state == TrialState.PRUNED and trial.intermediate_values:
        return float(trial.intermediate_values[max(trial.intermediate_values)])
    return float("nan")


def _standardised(values: Array) -> Array:
    """Return values cut off on the bad side, of mean 0 and deviation 1; what is not finite counts as the worst."""
    finite = np.isfinite(values)
    good = values[finite] / (np.abs(values[finite]).max() or 1.0)  # so that no difference overflows
    middle = np.median(good)
    good = np.minimum(good, middle + _CAP * (middle - good.min()))
    told = np.full(len(values), good.max())
    told[finite] = good
    deviation = told.std()
    return np.asarray((told - told.mean()) / deviation if deviation > 1e-12 else np.zeros(len(told)))
