"""What holds for every trainer in the table, on one small real run of each as a command."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlhelpers import datasets, serving, trainers

# trainer -> flags of a run of some seconds; a trainer without a line here is an error
SMALL_RUN = {"mnist": ["--train_steps=30", "--train_batch_size=50", "--save_checkpoints_secs=0"]}


@dataclass
class Run:
    name: str
    folder: Path
    out: str
    metric_file: Path
    progress_file: Path


@pytest.fixture(scope="module", params=trainers.names())
def run(request: pytest.FixtureRequest, small_mnist: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    place = tmp_path_factory.mktemp(request.param)
    files = {"CLOUD_ML_HP_METRIC_FILE": place / "tune" / "metrics", "MLHELPERS_PROGRESS_FILE": place / "progress.json"}
    words = [f"--data_dir={small_mnist}", f"--output_dir={place / 'run'}", *SMALL_RUN[request.param]]
    done = subprocess.run(
        [sys.executable, "-m", trainers.module_path(request.param), *words],
        env=os.environ | {name: str(path) for name, path in files.items()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Run(request.param, place / "run", done.stdout, *files.values())


def test_it_prints_its_steps_and_ends_with_the_test_result(run: Run) -> None:
    assert "step 30/30  loss" in run.out
    assert run.out.splitlines()[-1].startswith("test accuracy 0.")


def test_it_leaves_metrics_history_events_and_a_checkpoint(run: Run) -> None:
    metrics = json.loads((run.folder / "metrics.json").read_text())
    with (run.folder / "history.csv").open(newline="") as stream:
        history = list(csv.DictReader(stream))

    assert {"accuracy", "loss", "steps", "seconds", "parameters"} <= set(metrics)
    assert history[-1]["step"] == "30"
    assert abs(float(history[-1]["test_accuracy"]) - metrics["accuracy"]) < 1e-5
    for part in ("train", "eval", "test"):
        assert list((run.folder / part).glob("events.out.tfevents.*"))
    assert (run.folder / "checkpoints" / "ckpt-30.index").is_file()


def test_the_events_hold_the_loss(run: Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.folder / "train"))
    events.Reload()

    assert {"loss", "accuracy", "steps_per_second"} <= set(events.Tags()["tensors"])


def test_the_metric_file_is_what_tuning_reads(run: Run) -> None:
    lines = [json.loads(line) for line in run.metric_file.read_text().splitlines()]

    metrics = json.loads((run.folder / "metrics.json").read_text())
    (accuracy,) = [line for line in lines if "accuracy" in line]
    assert abs(float(accuracy["accuracy"]) - metrics["accuracy"]) < 1e-6
    assert accuracy["global_step"] == "30"


def test_the_progress_file_ends_with_done(run: Run) -> None:
    progress = json.loads(run.progress_file.read_text())

    assert (progress["phase"], progress["step"], progress["total_steps"]) == ("done", 30, 30)


def test_the_export_loads_and_predicts_what_a_request_sends(run: Run) -> None:
    (export,) = (run.folder / "export").glob("*/*")

    with serving.load(export) as predictor:
        answers = predictor.predict(datasets.request(run.name, 5))

    assert len(answers) == 5
    assert all(0.999 < sum(answer["probabilities"]) < 1.001 for answer in answers)


def test_the_export_says_what_it_takes_and_what_it_was_made_of(run: Run) -> None:
    (export,) = (run.folder / "export").glob("*/*")
    signature = json.loads((export / "signature.json").read_text())

    assert signature["default_signature"] in signature["signatures"]
    assert signature["metrics"]["accuracy"] > 0
    assert str(run.folder) not in json.dumps(signature)
