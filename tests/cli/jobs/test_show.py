"""`mlhelpers jobs describe`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

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


def _row(out: str, first: str) -> list[str]:
    """Return the cells of the table row that begins with a text."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines() if line.startswith("|")]
    return next(row for row in rows if row[0] == first)
