"""The median rule against cases worked by hand after section 3.2.2 of the Vizier paper."""

from __future__ import annotations

import math

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from mlhelpers.errors import UsageError
from mlhelpers.tuning.early_stopping import MedianRule

Curve = dict[int, float]
# running averages up to step 1: 1, 2, 3, 4, 5, median 3; up to step 2: 1, 3, 2, 6, 4, median 3; up to step 3:
# 1, 4, 5/3, 8, 13/3, median 4
COMPLETED: list[Curve] = [
    {1: 1.0, 2: 1.0, 3: 1.0},
    {1: 2.0, 2: 4.0, 3: 6.0},
    {1: 3.0, 2: 1.0, 3: 1.0},
    {1: 4.0, 2: 8.0, 3: 12.0},
    {1: 5.0, 2: 3.0, 3: 5.0},
]


def _study(curves: list[Curve], sign: float = 1.0, state: TrialState = TrialState.COMPLETE) -> optuna.Study:
    study = optuna.create_study(direction="minimize" if sign > 0 else "maximize")
    for curve in curves:
        reported = {step: sign * value for step, value in curve.items()}
        value = None if state == TrialState.FAIL else reported[max(reported)]
        study.add_trial(create_trial(state=state, value=value, intermediate_values=reported))
    return study


def _running(curve: Curve, sign: float = 1.0) -> FrozenTrial:
    reported = {step: sign * value for step, value in curve.items()}
    return create_trial(state=TrialState.RUNNING, intermediate_values=reported)


@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["minimise", "maximise"])
@pytest.mark.parametrize(
    ("curve", "stopped"),
    [
        ({1: 3.1}, True),
        ({1: 3.0}, False),  # strictly worse only
        ({1: 3.0, 2: 9.0}, False),  # its best counts, not its last
        ({1: 3.5, 2: 3.01}, True),
        ({1: 9.0, 2: 9.0, 3: 3.9}, False),
        ({1: 9.0, 2: 9.0, 3: 4.1}, True),
    ],
)
def test_the_worked_example_is_stopped_where_the_paper_says(curve: Curve, stopped: bool, sign: float) -> None:
    assert MedianRule().prune(_study(COMPLETED, sign), _running(curve, sign)) is stopped


def test_averages_are_of_what_was_reported_up_to_the_step_and_not_after() -> None:
    # by step 20: averages 2 (of 1 and 3), 4 (of 4 alone), and the third has said nothing: median 3
    study = _study([{10: 1.0, 20: 3.0, 30: 500.0}, {15: 4.0, 25: 500.0}, {21: 0.0}])

    assert MedianRule(2).prune(study, _running({20: 3.5}))
    assert not MedianRule(2).prune(study, _running({20: 2.9}))
    assert not MedianRule(3).prune(study, _running({20: 3.5})), "only two have reported by step 20"


def test_nothing_is_stopped_before_five_trials_are_complete() -> None:
    assert not MedianRule().prune(_study(COMPLETED[:4]), _running({1: 1e9}))
    assert MedianRule().prune(_study(COMPLETED), _running({1: 1e9}))


def test_nothing_is_stopped_before_its_first_report() -> None:
    assert not MedianRule().prune(_study(COMPLETED), _running({}))


@pytest.mark.parametrize("state", [TrialState.PRUNED, TrialState.FAIL])
def test_trials_that_did_not_complete_have_no_say(state: TrialState) -> None:
    assert not MedianRule().prune(_study(COMPLETED, state=state), _running({1: 1e9}))


def test_a_value_that_is_no_number_is_infinitely_bad() -> None:
    study = _study([{1: 1.0}, {1: 2.0}, {1: math.inf}])

    assert MedianRule(3).prune(study, _running({1: math.nan}))
    assert not MedianRule(3).prune(study, _running({1: math.nan, 2: 2.0}))
    assert MedianRule(3).prune(study, _running({1: math.nan, 2: 2.1}))


def test_it_stops_a_real_study_s_hopeless_trial() -> None:
    """Through Optuna's own report and should_prune: the sixth trial is ten times worse than all before it."""
    study = optuna.create_study(pruner=MedianRule())
    asked = []
    for number in range(6):
        trial = study.ask()
        for step in range(1, 4):
            trial.report((10.0 if number == 5 else 1.0) / step, step)
            asked.append(trial.should_prune())
        study.tell(trial, 1.0)

    assert asked == [False] * 15 + [True] * 3


def test_a_minimum_below_one_is_refused() -> None:
    with pytest.raises(UsageError, match="min_trials is 0: the median rule needs at least 1"):
        MedianRule(0)
