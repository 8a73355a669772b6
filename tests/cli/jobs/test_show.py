"""`mlhelpers jobs describe`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlhelpers import tuning
from mlhelpers.jobs import JobSpec
from mlhelpers.jobs.local.store import Store
from mlhelpers.tuning.results import Trial, training_output

Run = Callable[..., Any]
_SUBMIT = ("submit", "training", "first", "--module-name", "trainer.task", "--package-path", "trainer")


@pytest.fixture
def over(run: Run) -> Run:
    """Give the function that runs commands, after a job that has succeeded."""
    run(*_SUBMIT, "--stream-logs", "--job-dir", "gs://my-bucket/out", "--", "--x", "1")
    return run


def test_yaml_and_json_hold_every_field_and_stderr_says_where_the_log_is(over: Run, home: Path) -> None:
    answer = over("describe", "first")

    assert yaml.safe_load(answer.out)["state"] == "SUCCEEDED"
    assert json.loads(over("describe", "first", "--format", "json").out) == yaml.safe_load(answer.out)
    assert answer.err.splitlines()[-2:] == [
        "See its log with:  mlhelpers jobs stream-logs first",
        f"Its files are in:  {home / 'jobs' / 'first'}",
    ]


def test_a_summary_is_tables(over: Run) -> None:
    out = over("describe", "first", "--summarize").out

    lines = out.splitlines()
    for title in ("Job Overview", "Training Input Summary", "Training Output Summary", "Replicas"):
        assert title in lines
    assert _row(out, "first")[1] == "SUCCEEDED"
    assert _row(out, "args") == ["args", "--x 1"]
    assert _row(out, "master-replica-0") == ["master-replica-0", "0", "0", ""]
    assert _row(out, "TRIALS") == ["TRIALS", "ML_UNITS", "RETRIES"]
    assert out == over("describe", "first", "--format", "table").out


def test_a_format_beside_the_summary_is_said_to_be_left_aside(over: Run) -> None:
    answer = over("describe", "first", "--summarize", "--format", "json")

    assert answer.out.startswith("Job Overview")
    assert "so --format json is left aside" in answer.err
    assert "left aside" not in over("describe", "first", "--summarize").err


def test_a_failed_jobs_summary_tells_why(run: Run) -> None:
    Path("trainer/task.py").write_text("raise SystemExit(78)")
    run(*_SUBMIT, "--stream-logs")

    out = run("describe", "first", "--summarize").out

    assert _row(out, "first")[1] == "FAILED"
    assert any(line.startswith("Error: ") and "exited with code 78" in line for line in out.splitlines())


@pytest.fixture
def study(home: Path) -> None:
    """Record a study that is over, with what its controller wrote."""
    space = {
        "rate": tuning.Float(1e-4, 1.0, scale="log"),
        "units": tuning.Int(8, 512),
        "width": tuning.Choice(list(range(1, 41))),
        "act": tuning.Choice(["relu", "tanh"]),
        "slope": tuning.Float(0.0, 1.0, when={"act": ["relu"], "units": [8, 16]}),
    }
    spec = tuning.StudySpec(JobSpec("babies", "trainer.task"), space, metric="rmse", trials=3, algorithm="random")
    trials = [
        Trial(7, "SUCCEEDED", {"rate": 0.1, "units": 8}, 0.123456789, 100),
        Trial(8, "STOPPED_EARLY", {"rate": 0.2, "units": 9}, 2e-7, 50),
        Trial(9, "INFEASIBLE", {"rate": 0.3, "units": 10}, error="The trainer exited with code 1.\n  no memory"),
    ]
    store = Store(home / "jobs")
    store.prepare()
    inputs = {"scaleTier": "BASIC", "pythonModule": "trainer.task", "hyperparameters": spec.hyperparameters()}
    store.add({"name": "babies", "token": "", "labels": {}, "training_input": inputs}, then=lambda: None)
    store.finish("babies", "SUCCEEDED", None, 0)
    (home / "jobs" / "babies").mkdir()
    output = training_output(trials, "rmse", minimizes=True)
    (home / "jobs" / "babies" / "training_output.json").write_text(json.dumps(output))


@pytest.mark.usefixtures("study")
def test_a_studys_summary_has_a_row_for_each_setting_and_a_table_of_what_it_tunes(run: Run) -> None:
    out = run("describe", "babies", "--summarize").out

    assert _row(out, "goal") == ["goal", "MINIMIZE"]
    assert _row(out, "hyperparameterMetricTag") == ["hyperparameterMetricTag", "rmse"]
    assert not [line for line in out.splitlines() if line.startswith(("| hyperparameters ", "| params "))]
    assert max(map(len, out.splitlines())) < 120
    assert "Tuned Parameters" in out.splitlines()
    assert _row(out, "PARAMETER") == ["PARAMETER", "TYPE", "VALUES", "SCALE", "CONDITION"]
    assert _row(out, "rate") == ["rate", "DOUBLE", "0.0001 to 1", "UNIT_LOG_SCALE", ""]
    assert _row(out, "units") == ["units", "INTEGER", "8 to 512", "UNIT_LINEAR_SCALE", ""]
    assert _row(out, "width")[2] == "1, 2, 3, 4, 5, 6, … 40 (40 values)"
    assert _row(out, "act") == ["act", "CATEGORICAL", "relu, tanh", "", ""]
    assert _row(out, "slope")[4] == "act is relu, units is 8 or 16"


@pytest.mark.usefixtures("study")
def test_a_studys_trials_have_six_digits_and_a_failed_one_the_first_line_of_its_error(run: Run) -> None:
    out = run("describe", "babies", "--summarize").out

    assert _row(out, "TRIALS") == ["TRIALS", "ML_UNITS", "RETRIES"]
    assert _row(out, "TRIAL") == ["TRIAL", "OBJECTIVE_VALUE", "STEP", "HYPERPARAMETERS", "STATE"]
    assert _row(out, "8") == ["8", "2e-07", "50", "rate=0.2, units=9", "STOPPED_EARLY"]
    assert _row(out, "7") == ["7", "0.123457", "100", "rate=0.1, units=8", "SUCCEEDED"]
    assert _row(out, "9")[4] == "FAILED: The trainer exited with code 1."
    assert "no memory" not in out


def _row(out: str, first: str) -> list[str]:
    """Return the cells of the table row that begins with a text."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines() if line.startswith("|")]
    return next(row for row in rows if row[0] == first)
