from __future__ import annotations

import math
from typing import Any

import optuna
import pytest

from mlhelpers.errors import UsageError
from mlhelpers.tuning.params import from_params, to_params
from mlhelpers.tuning.space import Choice, Float, Int, check_space, parents_first, used

optuna.logging.set_verbosity(optuna.logging.WARNING)

SPACE = {
    "rate": Float(1e-4, 1e-1, "log"),
    "momentum": Float(0.5, 0.99, "reverse_log"),
    "units": Int(64, 512, "log"),
    "late": Int(2, 60, "reverse_log"),
    "batch": Choice([16, 32, 64]),
    "act": Choice(["relu", "tanh"]),
}


@pytest.mark.parametrize("name", SPACE)
def test_every_value_is_the_same_after_optunas_words_and_back(name: str) -> None:
    parameter = SPACE[name]
    ends = parameter.values if isinstance(parameter, Choice) else (parameter.low, parameter.high)

    for value in ends:
        assert parameter.decode(parameter.encode(value)) == pytest.approx(value)


def test_what_optuna_draws_lies_in_the_range_and_is_of_its_kind() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(200):
        trial = study.ask()
        values = {name: parameter.decode(parameter.draw(trial, name)) for name, parameter in SPACE.items()}
        assert {name: trial.distributions[name] for name in SPACE} == {n: p.distribution() for n, p in SPACE.items()}
        assert 1e-4 <= values["rate"] <= 1e-1
        assert 0.5 <= values["momentum"] <= 0.99
        assert isinstance(values["late"], int)
        assert 2 <= values["late"] <= 60
        assert values["batch"] in (16, 32, 64)
        assert values["act"] in ("relu", "tanh")


def test_a_reversed_log_scale_looks_closely_at_the_upper_end() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    parameter = Float(1.0, 1000.0, "reverse_log")

    values = sorted(float(parameter.decode(parameter.draw(study.ask(), "x"))) for _ in range(400))

    # by the definition: high + low - x is spread evenly over its logarithm, so half of them lie above this
    middle = 1001 - math.sqrt(1000)
    assert sum(value > middle for value in values) / 400 == pytest.approx(0.5, abs=0.08)


def test_the_services_words_come_back_as_they_were() -> None:
    space = SPACE | {"decay": Float(0.1, 0.9, when={"act": ["relu"]})}

    assert from_params(to_params(space)) == space


def test_numbers_without_a_fraction_go_to_the_trainer_without_one() -> None:
    space = from_params([{"parameterName": "batch", "type": "DISCRETE", "discreteValues": [8.0, 16.0, 0.5 + 16]}])

    assert [str(value) for value in space["batch"].values] == ["8", "16", "16.5"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        (Float(2, 1), "'x' has the least value 2 over the greatest, 1: exchange them."),
        (Float(0, 1, "log"), "'x' has a log scale and the least value 0: a log scale needs a least value over 0."),
        (Int(-1, 4, "reverse_log"), "a log scale needs a least value over 0"),
        (Float(0, 1, "exponential"), "a scale is one of linear, log, reverse_log"),
        (Float(0, math.inf), "two finite numbers"),
        (Int(0, 1.5), "give whole numbers"),
        (Choice(list(range(1001))), "'x' has 1,001 values; 1,000 are allowed"),
        (Choice([2, 1]), "they must increase"),
        (Choice([1, 1]), "they must increase"),
        (Choice(["a", "a"]), "has a value twice"),
        (Choice(["a", 1]), "mixes texts and numbers"),
        (Choice([]), "has no values"),
        (Choice([True, False]), "give texts, or finite numbers"),
        (Float("0", 1), "give two numbers"),
        (Float(0, 1, when={"y": [1]}), "There is no parameter on which 'x' could depend 'y'."),
        (Float(0, 1, when={"x": [1]}), "a real number: only Int and Choice serve"),
        (Int(0, 1, when={"x": [1]}), "in a circle"),
        (3, "Give a Float, an Int or a Choice"),
    ],
)
def test_what_cannot_be_searched_is_refused(parameter: Any, message: str) -> None:
    with pytest.raises(UsageError) as error:
        check_space({"x": parameter})
    assert message in str(error.value)


def test_a_condition_on_a_value_that_never_comes_is_refused() -> None:
    with pytest.raises(UsageError, match="'y' depends on 'x' being 'c', which it never is"):
        check_space({"x": Choice(["a", "b"]), "y": Float(0, 1, when={"x": ["c"]})})


@pytest.mark.parametrize(
    ("param", "message"),
    [
        ({"type": "DOUBLE", "minValue": 0.0, "maxValue": 1.0}, "params[0] has no parameterName"),
        ({"parameterName": "x", "minValue": 0.0}, "'x' has no type"),
        ({"parameterName": "x", "type": "DOUBLE", "minValue": 0.0}, "'x' is DOUBLE and has no maxValue"),
        (
            {"parameterName": "x", "type": "INTEGER", "minValue": 0.0, "maxValue": 1.0, "categoricalValues": ["a"]},
            "'x' is INTEGER, to which categoricalValues does not belong",
        ),
    ],
)
def test_a_config_files_parameter_that_lacks_something_is_refused(param: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        from_params([param])
    assert message in str(error.value)


def test_a_parameter_that_is_there_twice_is_refused() -> None:
    param = {"parameterName": "x", "type": "DOUBLE", "minValue": 0.0, "maxValue": 1.0}
    with pytest.raises(UsageError, match="'x' is there twice"):
        from_params([param, param])


def test_a_parameter_is_used_where_all_above_it_have_the_values_that_it_asks_for() -> None:
    space = {
        "rate": Float(0, 1, when={"kind": ["sgd", "adam"]}),
        "nesterov": Choice(["yes", "no"], when={"kind": ["sgd"]}),
        "depth": Int(1, 3, when={"nesterov": ["yes"]}),
        "kind": Choice(["sgd", "adam", "none"]),
    }
    check_space(space)

    order = parents_first(space)
    assert order.index("kind") < order.index("nesterov") < order.index("depth")
    assert used(space, {"kind": "sgd", "nesterov": "yes"}, "depth")
    assert not used(space, {"kind": "adam", "nesterov": "yes"}, "depth")
    assert not used(space, {"kind": "none"}, "rate")
