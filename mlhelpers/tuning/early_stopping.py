"""When a trial is hopeless: the median rule of Google's service, as a pruner of Optuna's."""

from __future__ import annotations

import math

import numpy as np
from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from mlhelpers.errors import UsageError

__all__ = ["MedianRule"]


class MedianRule(BasePruner):
    """Stop a trial whose best value so far is worse than the median of what finished trials averaged by then.

    Golovin and others, Google Vizier: A Service for Black-Box Optimization, KDD 2017, section 3.2.2: at step s a trial
    is stopped if its best objective up to s is strictly worse than the median of the running averages, up to s, of all
    completed trials' objectives. It compares a best with averages, so it is a mild rule: it ends the clearly hopeless.

    Trials may report at different steps: an average is over what a trial reported up to s, and a trial that reported
    nothing by then has no say. Trials that were stopped or failed are not completed and have none either. A value that
    is no number counts as infinitely bad.

    Args:
        min_trials: How many completed trials must have reported up to s, at least 1. The default is 5, as many as the
            search spreads over the space before it begins to learn: the median of fewer is the luck of one or two.

    Raises:
        UsageError: `min_trials` below 1.
    """

    def __init__(self, min_trials: int = 5) -> None:
        if min_trials < 1:
            raise UsageError(f"min_trials is {min_trials}: the median rule needs at least 1 completed trial.")
        self._min_trials = min_trials

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether a trial is to be stopped at the last step that it reported; never before its first report."""
        step = trial.last_step
        if step is None:
            return False
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        completed = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        curves = [curve for other in completed if (curve := _curve(other, step, sign))]
        if len(curves) < self._min_trials:
            return False
        best = min(_curve(trial, step, sign))
        return best > float(np.median([sum(curve) / len(curve) for curve in curves]))


def _curve(trial: FrozenTrial, step: int, sign: float) -> list[float]:
    """Return what a trial reported up to a step, small is good."""
    values = [sign * value for at, value in trial.intermediate_values.items() if at <= step]
    return [math.inf if math.isnan(value) else value for value in values]
