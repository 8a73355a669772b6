"""What a study reads of a trial, written by the real `cloudml-hypertune`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlhelpers.errors import DataError
from mlhelpers.trainers.metric_file import MetricFile


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "metrics" / "master-replica-0" / "output.metrics"
    monkeypatch.setenv("CLOUD_ML_HP_METRIC_FILE", str(path))
    monkeypatch.setenv("CLOUD_ML_TRIAL_ID", "3")
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_metric_is_a_line_with_its_step_and_trial(path: Path) -> None:
    file = MetricFile()
    file.report(10, {"rmse": 1.5, "loss": 2.25})
    file.report(20, {"rmse": 1.25, "loss": 2.0})

    assert [(line["global_step"], line.get("rmse"), line.get("loss"), line["trial"]) for line in lines(path)] == [
        ("10", "1.5", None, "3"), ("10", None, "2.25", "3"), ("20", "1.25", None, "3"), ("20", None, "2.0", "3"),
    ]  # fmt: skip


def test_a_metric_is_told_once_for_a_step(path: Path) -> None:
    file = MetricFile()
    file.report(10, {"rmse": 1.5})
    file.report(10, {"rmse": 9.0, "loss": 2.0})

    assert [(line.get("rmse"), line.get("loss")) for line in lines(path)] == [("1.5", None), (None, "2.0")]


def test_outside_of_a_study_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypertune.hypertune._DEFAULT_METRIC_PATH", str(tmp_path / "default" / "output.metrics"))

    MetricFile().report(10, {"rmse": 1.5})

    assert not (tmp_path / "default").exists()


def test_a_run_that_begins_again_forgets_the_lines_of_the_run_before(path: Path) -> None:
    before = MetricFile()
    before.report(0, {"rmse": 2.0})
    before.report(10, {"rmse": 1.5})
    MetricFile().report(5, {"rmse": 1.0})

    assert [(line["global_step"], line["rmse"]) for line in lines(path)] == [("5", "1.0")]


def test_a_run_taken_up_again_keeps_its_curve_up_to_the_step_it_goes_on_from(path: Path) -> None:
    before = MetricFile()
    for step in (10, 20, 30):
        before.report(step, {"rmse": 40.0 - step})
    with path.open("a") as stream:
        stream.write('3\n{"rmse": "1"}\n{"global_step": "4')  # of another make, and killed while it wrote

    again = MetricFile(first_step=20)
    again.report(20, {"rmse": 99.0})
    again.report(30, {"rmse": 11.0})

    assert [(line["global_step"], line["rmse"]) for line in lines(path)] == [
        ("10", "30.0"), ("20", "20.0"), ("30", "11.0"),
    ]  # fmt: skip


def test_a_file_that_cannot_be_written_is_named_with_the_variable(tmp_path: Path, path: Path) -> None:
    (tmp_path / "metrics").write_text("in the way")

    with pytest.raises(DataError, match=rf"metric file {path} cannot be written: .*CLOUD_ML_HP_METRIC_FILE names it"):
        MetricFile().report(1, {"rmse": 1.0})
