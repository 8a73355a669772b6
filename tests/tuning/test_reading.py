"""The quick reader of the journal, beside Optuna's own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mlhelpers import tuning
from mlhelpers.errors import DataError
from mlhelpers.jobs import JobSpec
from mlhelpers.jobs.local.store import Store
from mlhelpers.settings import home_folder
from mlhelpers.tuning.journal import JOURNAL, carry_over, open_study, read_study, suggest
from mlhelpers.tuning.reading import TrialReader
from mlhelpers.tuning.results import Trial, trials_of

_SPACE = {
    "rate": tuning.Float(1e-4, 1.0, scale="log"),
    "momentum": tuning.Float(0.5, 0.99, scale="reverse_log"),
    "units": tuning.Int(1, 9),
    "width": tuning.Choice([16, 32, 64]),
    "act": tuning.Choice(["relu", "tanh"]),
    "slope": tuning.Float(0.0, 1.0, when={"act": ["relu"]}),
}


def _open(folder: Path) -> Any:
    import optuna

    folder.mkdir(exist_ok=True)
    study = open_study(folder, "minimize", optuna.pruners.NopPruner(), fill=lambda study: None)
    study.sampler = optuna.samplers.RandomSampler(seed=1)
    return study


def _write(folder: Path) -> Any:
    """Have Optuna write trials of every kind; return its study."""
    from optuna.trial import TrialState

    study = _open(folder)
    ends: list[Mapping[str, Any]] = [
        {"values": 0.5},
        {"state": TrialState.PRUNED},
        {"state": TrialState.FAIL},
        {},  # runs
    ]
    for number, end in enumerate(ends, 1):
        trial = study.ask()
        suggest(trial, _SPACE)
        trial.set_user_attr("job", f"study.{number}")
        for step in (10, 20, 5):  # a replica may report late
            trial.report(1.0 / step, step)
        if end:
            trial.set_user_attr("start_time", "2026-05-01T12:00:00.000Z")
            trial.set_user_attr("end_time", "2026-05-01T12:00:02.500Z")
            trial.set_user_attr("error", "why")
            study.tell(trial, **end)
    study.enqueue_trial({"units": 3, "act": "tanh", "width": 1})
    return study


def _by_optuna(folder: Path) -> list[Trial]:
    return trials_of(read_study(folder), _SPACE)


def _without_begin(trials: list[Trial]) -> list[dict[str, Any]]:
    """Return the trials but for the begin of those that run, which Optuna's way does not tell."""
    found = [dict(vars(trial)) for trial in trials]
    for trial in found:
        if trial["state"] == "RUNNING":
            trial["start_time"] = ""
    return found


def test_all_states_kinds_and_scales_are_read_as_optuna_reads_them(tmp_path: Path) -> None:
    _write(tmp_path / "study")

    read = TrialReader(tmp_path / "study", _SPACE).read()

    assert [trial.state for trial in read] == ["SUCCEEDED", "STOPPED_EARLY", "INFEASIBLE", "RUNNING", "QUEUED"]
    assert _without_begin(read) == _without_begin(_by_optuna(tmp_path / "study"))
    assert (read[0].seconds, read[0].curve, read[3].start_time[:4]) == (2.5, {5: 0.2, 10: 0.1, 20: 0.05}, "2026")


def test_trials_that_were_taken_over_from_another_study_are_read(tmp_path: Path) -> None:
    _write(tmp_path / "before")
    carry_over(_open(tmp_path / "after"), tmp_path / "before", _SPACE, settle=lambda trial: None)

    read = TrialReader(tmp_path / "after", _SPACE).read()

    assert [trial.state for trial in read] == ["SUCCEEDED", "STOPPED_EARLY", "INFEASIBLE", "QUEUED", "QUEUED"]
    assert read == _by_optuna(tmp_path / "after")


def test_a_second_look_sees_what_has_come_since(tmp_path: Path) -> None:
    study = _write(tmp_path)
    reader = TrialReader(tmp_path, _SPACE)
    before = reader.read()

    study.tell(3, 0.125)
    waiting = study.ask()
    suggest(waiting, _SPACE)

    after = reader.read()
    assert [trial.state for trial in after[3:]] == ["SUCCEEDED", "RUNNING"]
    assert after[3].objective == 0.125
    assert after[4].parameters["units"] == 3
    assert after[0] is before[0]
    assert _without_begin(after) == _without_begin(_by_optuna(tmp_path))


def test_half_a_line_waits_for_its_other_half(tmp_path: Path) -> None:
    _write(tmp_path)
    path = tmp_path / JOURNAL
    content = path.read_bytes()
    whole = TrialReader(tmp_path, _SPACE).read()
    reader = TrialReader(tmp_path, _SPACE)

    path.write_bytes(content[:-30])
    assert len(reader.read()) == len(whole) - 1
    path.write_bytes(content)
    assert reader.read() == whole


def test_a_study_without_a_journal_has_no_trials_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    assert TrialReader(tmp_path, _SPACE).read() == []

    (tmp_path / JOURNAL).write_bytes(b'{"op_code": 0\x00\n')
    with pytest.raises(DataError, match=r"study\.journal cannot be read"):
        TrialReader(tmp_path, _SPACE).read()


def test_a_line_of_a_kind_that_is_not_known_leaves_the_reading_to_optuna(tmp_path: Path) -> None:
    _write(tmp_path)
    with (tmp_path / JOURNAL).open("a") as file:
        file.write('{"op_code":10,"worker_id":"x","study_id":0,"trial_ids":[]}\n')
    reader = TrialReader(tmp_path, _SPACE)

    for _ in range(2):
        assert reader.read() == _by_optuna(tmp_path)


_OPEN_TABLE = """
import sys, time
began = time.process_time()
from mlhelpers import tuning
study = tuning.attach("large")
study.results
seconds, table = time.process_time() - began, study.trials
print(seconds, *table.shape, table["objective"][0], "optuna" in sys.modules)
"""
_BY_OPTUNA = """
import sys, time
began = time.process_time()
from pathlib import Path
from mlhelpers.tuning.journal import read_study
count = len(read_study(Path(sys.argv[1])))
print(time.process_time() - began, count)
"""


@pytest.mark.slow
def test_5000_trials_are_read_without_optuna_and_in_half_of_its_time(child_environment: dict[str, str]) -> None:
    folder = _large_study(5000)

    seconds, rows, columns, best, has_optuna = _printed(_OPEN_TABLE, child_environment)
    theirs, count = _printed(_BY_OPTUNA, child_environment, str(folder))

    assert (int(rows), int(columns), float(best), has_optuna) == (5000, 9, 1.0, "False")
    assert int(count) == 5000
    assert float(seconds) < 0.5 * float(theirs)


def _printed(program: str, environment: dict[str, str], *arguments: str) -> list[str]:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()


def _large_study(count: int) -> Path:
    """Put a study into the store whose journal holds one trial, written by Optuna, so many times."""
    space = {name: _SPACE[name] for name in ("rate", "units", "act")}
    store = Store(home_folder("jobs"))
    store.prepare()
    folder = store.folder / "large"
    study = _open(folder)
    trial = study.ask()
    suggest(trial, space)
    for name in ("job", "start_time", "end_time"):
        trial.set_user_attr(name, "large.1" if name == "job" else "2026-05-01T12:00:00.000Z")
    for step in range(5):
        trial.report(1.0 / (step + 1), step)
    study.tell(trial, 0.0)
    head, *lines = (folder / JOURNAL).read_text().splitlines()
    one = "\n".join(lines)
    assert one.count('"trial_id":0,') == 12
    many = (
        one.replace('"trial_id":0,', f'"trial_id":{k},').replace('"values":[0.0]', f'"values":[{k + 1}.0]')
        for k in range(count)
    )
    (folder / JOURNAL).write_text("\n".join([head, *many]) + "\n")
    spec = tuning.StudySpec(JobSpec("large", "trainer.task"), space, metric="rmse", trials=count, algorithm="random")
    inputs = {"scaleTier": "BASIC", "pythonModule": "trainer.task", "hyperparameters": spec.hyperparameters()}
    row = {"name": "large", "token": "", "labels": {}, "training_input": json.loads(json.dumps(inputs))}
    store.add(row, then=lambda: None)
    store.finish("large", "SUCCEEDED", None, 0)
    return folder
