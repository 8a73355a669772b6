"""Which results of a run a hyperparameter study is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlhelpers.trainers.cluster import Cluster
from mlhelpers.trainers.reporting import Reporter


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLOUD_ML_HP_METRIC_FILE", str(tmp_path / "metrics"))
    return tmp_path / "metrics"


def told(path: Path) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [(line["global_step"], line["loss"]) for line in lines]


def test_where_a_run_validates_its_test_result_is_kept_from_the_study(tmp_path: Path, path: Path) -> None:
    reporter = Reporter(tmp_path, 20)
    reporter.evaluate(10, "validation", {"loss": 2.0})
    reporter.evaluate(19, "validation", {"loss": 1.0})
    reporter.evaluate(20, "test", {"loss": 0.5})
    reporter.close()

    assert told(path) == [("10", "2.0"), ("19", "1.0")]


def test_without_validation_the_result_is_what_the_study_is_told(tmp_path: Path, path: Path) -> None:
    reporter = Reporter(tmp_path, 20)
    reporter.evaluate(20, "test", {"loss": 0.5})
    reporter.close()

    assert told(path) == [("20", "0.5")]


def test_a_worker_tells_the_study_nothing(tmp_path: Path, path: Path) -> None:
    reporter = Reporter(tmp_path, 20, cluster=Cluster(("a:1", "b:2"), 1, "worker"))
    reporter.evaluate(20, "validation", {"loss": 0.5})
    reporter.close()

    assert not path.exists()
