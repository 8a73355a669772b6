"""What holds for every trainer in the table, on one small real run of each as a command."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mlhelpers import datasets, serving, trainers


@dataclass(frozen=True)
class Small:
    """A run of some seconds: {data} and {run} stand for the folders of the data and of the run."""

    flags: str
    steps: int
    metric: str
    last_line: str


# a trainer without a line here is an error
SMALL = {
    "babyweight": Small(
        "--data_dir={data} --output_dir={run} --train_examples=15 --batch_size=500 --save_checkpoints_secs=0",
        30, "rmse", "eval rmse ",
    ),
    "cbis_ddsm": Small(
        "--data_bucket={data} --model_dir={run} --training_steps=6 --batch_size=8 --save_checkpoints_secs=0",
        6, "accuracy", "test accuracy 0.",
    ),
    "iris": Small(
        "--train-files={data}/iris_training.csv --eval-files={data}/iris_test.csv --job-dir={run} --train-steps=30",
        30, "accuracy", "test accuracy ",
    ),
    "mnist": Small(
        "--data_dir={data} --output_dir={run} --train_steps=30 --train_batch_size=50 --save_checkpoints_secs=0",
        30, "accuracy", "test accuracy 0.",
    ),
}  # fmt: skip


@dataclass
class Run:
    name: str
    small: Small
    folder: Path
    out: str
    metric_file: Path
    progress_file: Path


@pytest.fixture(scope="module", params=trainers.names())
def run(request: pytest.FixtureRequest, small_mnist: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    place, small = tmp_path_factory.mktemp(request.param), SMALL[request.param]
    files = {"CLOUD_ML_HP_METRIC_FILE": place / "tune" / "metrics", "MLHELPERS_PROGRESS_FILE": place / "progress.json"}
    data = small_mnist
    if request.param != "mnist":
        data = place / "data"
        datasets.prepare(request.param, data)
    words = small.flags.format(data=data, run=place / "run").split()
    done = subprocess.run(
        [sys.executable, "-m", trainers.module_path(request.param), *words],
        env=os.environ | {name: str(path) for name, path in files.items()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Run(request.param, small, place / "run", done.stdout, *files.values())


def test_it_prints_its_steps_and_ends_with_the_test_result(run: Run) -> None:
    assert f"step {run.small.steps}/{run.small.steps}  loss" in run.out
    assert run.out.splitlines()[-1].startswith(run.small.last_line)


def test_it_leaves_metrics_history_events_and_a_checkpoint(run: Run) -> None:
    metrics = json.loads((run.folder / "metrics.json").read_text())
    with (run.folder / "history.csv").open(newline="") as stream:
        history = list(csv.DictReader(stream))

    assert {run.small.metric, "loss", "steps", "seconds", "parameters"} <= set(metrics)
    assert history[-1]["step"] == str(run.small.steps)
    (shown,) = [value for name, value in history[-1].items() if name in _final(run.small.metric)]
    assert float(shown) == pytest.approx(metrics[run.small.metric], abs=1e-4)
    assert list((run.folder / "train").glob("events.out.tfevents.*"))
    assert any((run.folder / "checkpoints").iterdir())


def test_the_events_hold_the_loss(run: Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.folder / "train"))
    events.Reload()

    assert {"loss", "steps_per_second"} <= set(events.Tags()["tensors"])


def test_the_metric_file_is_what_tuning_reads(run: Run) -> None:
    lines = [json.loads(line) for line in run.metric_file.read_text().splitlines()]

    metrics = json.loads((run.folder / "metrics.json").read_text())
    reported = [line for line in lines if run.small.metric in line][-1]
    assert float(reported[run.small.metric]) == pytest.approx(metrics[run.small.metric], abs=1e-6)
    assert reported["global_step"] == str(run.small.steps)


def test_the_progress_file_ends_with_done(run: Run) -> None:
    progress = json.loads(run.progress_file.read_text())

    assert (progress["phase"], progress["step"], progress["total_steps"]) == ("done", run.small.steps, run.small.steps)


def test_the_export_loads_and_predicts_what_a_request_sends(run: Run) -> None:
    (export,) = (run.folder / "export").glob("*/*")

    with serving.load(export) as predictor:
        answers = predictor.predict(datasets.request(run.name, 5))

    assert len(answers) == 5
    for answer in answers:
        numbers = np.array(answer.get("probabilities", answer.get("predictions")))
        assert np.isfinite(numbers).all()
        assert "probabilities" not in answer or numbers.sum() == pytest.approx(1, abs=1e-3)


def test_the_export_says_what_it_takes_and_what_it_was_made_of(run: Run) -> None:
    (export,) = (run.folder / "export").glob("*/*")
    signature = json.loads((export / "signature.json").read_text())

    assert signature["default_signature"] in signature["signatures"]
    assert signature["metrics"][run.small.metric] > 0
    assert str(run.folder) not in json.dumps(signature)


def _final(metric: str) -> set[str]:
    """Return the columns under which a history may hold the metric that the run ends with."""
    return {f"test_{metric}", f"eval_{metric}"}
