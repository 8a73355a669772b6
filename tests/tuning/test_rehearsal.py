from __future__ import annotations

import pytest

from mlhelpers import tuning


def test_the_function_gets_the_parameters_by_name_and_its_results_come_back() -> None:
    space = {"x": tuning.Float(-1, 1), "kind": tuning.Choice(["a", "b"])}

    trials = tuning.rehearse(lambda x, kind: x + (kind == "a"), space, trials=9, algorithm="random")

    assert [trial.number for trial in trials] == list(range(1, 10))
    for trial in trials:
        assert trial.objective == trial.parameters["x"] + (trial.parameters["kind"] == "a")


def test_the_same_seed_gives_the_same_trials_and_another_one_others() -> None:
    def values(seed: int) -> list[object]:
        space = {"x": tuning.Float(0, 1)}
        return [trial.parameters["x"] for trial in tuning.rehearse(lambda x: x, space, algorithm="random", seed=seed)]

    assert values(1) == values(1)
    assert values(1) != values(2)


@pytest.mark.parametrize("parallel", [1, 3, 20, 50])
def test_so_many_have_begun_before_the_first_result(parallel: int) -> None:
    begun_before_first: list[int] = []
    calls: list[str] = []
    original = tuning.Float.draw

    def objective(x: float) -> float:
        begun_before_first.append(calls.count("draw"))
        return x

    def draw(self, trial, name):
        calls.append("draw")
        return original(self, trial, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning.Float, "draw", draw)
        tuning.rehearse(objective, {"x": tuning.Float(0, 1)}, trials=20, parallel=parallel, algorithm="random")

    assert begun_before_first[0] == min(parallel, 20)
    assert len(begun_before_first) == 20


def test_a_grid_has_every_point_once() -> None:
    space = {"n": tuning.Int(1, 3), "kind": tuning.Choice(["a", "b"])}

    trials = tuning.rehearse(lambda n, kind: n, space, trials=100, algorithm="grid")

    assert len({tuple(trial.parameters.values()) for trial in trials}) == len(trials) == 6
