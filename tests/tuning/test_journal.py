from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from mlhelpers.errors import DataError, JobError
from mlhelpers.tuning.journal import carry_over, has_begun, open_study, read_study, suggest, values_of
from mlhelpers.tuning.space import Choice, Float, Int

SPACE = {"x": Float(0.0, 1.0), "n": Int(1, 9)}


def _open(folder: Path, seed: int = 0) -> optuna.Study:
    study = open_study(folder, "minimize", optuna.pruners.NopPruner(), lambda new: None)
    study.sampler = optuna.samplers.RandomSampler(seed=seed)
    return study


def _run(study: optuna.Study, finished: int, unfinished: int = 0) -> None:
    for _ in range(finished):
        trial = study.ask()
        suggest(trial, SPACE)
        study.tell(trial, trial.params["x"])
    for _ in range(unfinished):
        suggest(study.ask(), SPACE)


def test_another_process_reads_what_one_has_written(tmp_path: Path) -> None:
    assert read_study(tmp_path) == []
    _run(_open(tmp_path), 2, 1)

    trials = read_study(tmp_path)

    assert [trial.state for trial in trials] == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.RUNNING]
    assert [trial.value for trial in trials[:2]] == [trial.params["x"] for trial in trials[:2]]


def test_a_half_written_line_is_cut_off_and_the_study_goes_on(tmp_path: Path) -> None:
    _run(_open(tmp_path), 2)
    journal = tmp_path / "study.journal"
    with journal.open("ab") as file:
        file.write(b'{"op_code":4,"wor')  # a kill in the middle of a write

    assert len(read_study(tmp_path)) == 2
    _run(_open(tmp_path, seed=1), 1)

    assert len(read_study(tmp_path)) == 3
    assert all(json.loads(line) for line in journal.read_bytes().splitlines())


def test_a_damaged_journal_is_named(tmp_path: Path) -> None:
    _run(_open(tmp_path), 1)
    journal = tmp_path / "study.journal"
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join([lines[0], "{", *lines[1:]]) + "\n")

    with pytest.raises(DataError, match=r"journal .*study\.journal cannot be read"):
        read_study(tmp_path)


def test_a_new_study_is_not_there_before_it_has_all_that_it_begins_with(tmp_path: Path) -> None:
    def fill(study: optuna.Study) -> None:
        study.enqueue_trial({"x": 0.5, "n": 3})
        assert not has_begun(tmp_path)
        assert read_study(tmp_path) == []
        raise KeyboardInterrupt  # as a kill would

    with pytest.raises(KeyboardInterrupt):
        open_study(tmp_path, "minimize", optuna.pruners.NopPruner(), fill)
    assert not has_begun(tmp_path)
    assert len(_open(tmp_path).get_trials()) == 0


def test_finished_trials_are_carried_over_and_unfinished_ones_wait_with_their_values(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    _run(_open(old), 2, 1)
    before = read_study(old)
    study = _open(new, seed=5)

    carry_over(study, old, SPACE, lambda trial: None)

    after = read_study(new)
    assert [(trial.number, trial.state, trial.value) for trial in after[:2]] == [
        (trial.number, trial.state, trial.value) for trial in before[:2]
    ]
    assert after[2].state == TrialState.WAITING
    trial = study.ask()
    suggest(trial, SPACE)
    assert (trial.number, trial.params) == (2, before[2].params)


def test_what_was_searched_otherwise_is_not_carried_over(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    _run(_open(old), 1)

    with pytest.raises(JobError, match="it searched n in another way"):
        carry_over(_open(new), old, SPACE | {"n": Int(1, 10)}, lambda trial: None)


def test_suggest_leaves_out_what_is_not_used(tmp_path: Path) -> None:
    space = {"depth": Int(1, 3, when={"kind": ["tree"]}), "kind": Choice(["tree", "line"]), "k": Choice([2, 4, 8])}
    study = _open(tmp_path)
    for _ in range(12):
        trial = study.ask()
        suggest(trial, space)
        values = values_of(trial.params, space)
        assert set(values) == ({"kind", "k", "depth"} if values["kind"] == "tree" else {"kind", "k"})
        assert values["k"] in (2, 4, 8)
        suggest(trial, space)  # as after a restart: what was chosen stays
        assert values_of(trial.params, space) == values
