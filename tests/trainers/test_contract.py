"""What holds for every trainer in the table, on one small real run of each as a command."""

from __future__ import annotations

import csv
import hashlib
import importlib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mlhelpers import datasets, serving, trainers


@dataclass(frozen=True)
class Small:
    """A run of some seconds: {data} and {run} stand for the folders of the data and of the run.

    The column of history.csv that a study goes by is `tuned`; `points` is how often it is told, at least.
    """

    flags: str
    steps: int
    metric: str
    last_line: str
    tuned: str
    points: int


# a trainer without a line here is an error
SMALL = {
    "babyweight": Small(
        "--data_dir={data} --output_dir={run} --train_examples=15 --batch_size=500 --save_checkpoints_secs=0",
        30, "rmse", "eval rmse ", "eval_rmse", 20,
    ),
    "babyweight_sklearn": Small(
        "--data_dir={data} --output_dir={run} --n_components=8",
        1, "rmse", "eval rmse ", "eval_rmse", 1,
    ),
    "babyweight_xgboost": Small(
        "--data_dir={data} --output_dir={run} --num_boost_round=20 --save_checkpoints_secs=0",
        20, "rmse", "eval rmse ", "eval_rmse", 20,
    ),
    "cbis_ddsm": Small(
        "--data_bucket={data} --model_dir={run} --training_steps=6 --batch_size=8 --save_checkpoints_secs=0",
        6, "accuracy", "test accuracy 0.", "test_accuracy", 1,
    ),
    "iris": Small(
        "--train-files={data}/iris_training.csv --eval-files={data}/iris_test.csv --job-dir={run} --train-steps=30",
        30, "accuracy", "test accuracy ", "test_accuracy", 10,
    ),
    "iris_sklearn": Small(
        "--train-files={data}/iris_training.csv --eval-files={data}/iris_test.csv --job-dir={run} --max-iter=200",
        1, "accuracy", "test accuracy ", "test_accuracy", 1,
    ),
    "iris_xgboost": Small(
        "--train-files={data}/iris_training.csv --eval-files={data}/iris_test.csv --job-dir={run} --num-boost-round=30",
        30, "accuracy", "test accuracy ", "test_accuracy", 10,
    ),
    "mnist": Small(
        "--data_dir={data} --output_dir={run} --train_steps=30 --train_batch_size=50 --save_checkpoints_secs=0",
        30, "accuracy", "test accuracy 0.", "validation_accuracy", 2,
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

    @property
    def part(self) -> str:
        """Return what the metrics that a study goes by begin with in history.csv: validation_, test_ or eval_."""
        return self.small.tuned.removesuffix(self.small.metric)

    def entries(self) -> dict[str, list[tuple[int, float]]]:
        """Return the metric file by tag: step and value of each line."""
        found: dict[str, list[tuple[int, float]]] = {}
        for line in map(json.loads, self.metric_file.read_text().splitlines()):
            (tag,) = line.keys() - {"timestamp", "trial", "global_step", "checkpoint_path"}
            assert line["trial"] == "3"
            found.setdefault(tag, []).append((int(line["global_step"]), float(line[tag])))
        return found


@pytest.fixture(scope="module", params=trainers.names())
def run(request: pytest.FixtureRequest, small_mnist: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    place, small = tmp_path_factory.mktemp(request.param), SMALL[request.param]
    files = {"CLOUD_ML_HP_METRIC_FILE": place / "tune" / "metrics", "MLHELPERS_PROGRESS_FILE": place / "progress.json"}
    trial = {"TF_CONFIG": json.dumps({"cluster": {}, "task": {"trial": "3"}}), "CLOUD_ML_TRIAL_ID": "3"}
    data = small_mnist
    if request.param != "mnist":
        data = place / "data"
        datasets.prepare(data_set(request.param), data)
    words = small.flags.format(data=data, run=place / "run").split()
    done = subprocess.run(
        [sys.executable, "-m", trainers.module_path(request.param), *words],
        env=os.environ | trial | {name: str(path) for name, path in files.items()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    folder = place / "run" if "--job-dir={run}" in small.flags else place / "run" / "3"
    return Run(request.param, small, folder, done.stdout, *files.values())


def data_set(name: str) -> str:
    """Return the data set that a trainer learns from: its own name, without that of a framework behind it."""
    return re.sub("_(sklearn|xgboost)$", "", name)


def help_page(name: str) -> str:
    code = (
        f"import sys, runpy; sys.argv = ['task', '--help']\n"
        f"try: runpy.run_module({trainers.module_path(name)!r}, run_name='__main__')\n"
        "finally: assert not {'tensorflow', 'keras', 'jax', 'sklearn', 'xgboost'} & set(sys.modules), 'imported'"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


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


def test_the_metric_file_ends_with_the_last_validation_or_with_the_result_where_there_is_none(run: Run) -> None:
    with (run.folder / "history.csv").open(newline="") as stream:
        last = list(csv.DictReader(stream))[-1]
    tags = {name.partition("_")[2]: float(value) for name, value in last.items() if name.startswith(run.part)}

    entries = run.entries()
    assert {tag: values[-1] for tag, values in entries.items()} == {
        tag: (run.small.steps, pytest.approx(value, rel=1e-4, abs=1e-4)) for tag, value in tags.items()
    }


def test_the_metric_file_holds_a_curve_of_each_metric_and_no_point_twice(run: Run) -> None:
    for values in run.entries().values():
        steps = [step for step, _ in values]
        assert len(steps) >= run.small.points
        assert sorted(set(steps)) == steps


def test_the_metrics_that_the_help_promises_are_those_that_are_reported(run: Run) -> None:
    (line,) = re.findall(r"^reports to tuning: (.+)$", help_page(run.name), re.MULTILINE)

    assert set(line.split(", ")) == set(run.entries())


@pytest.mark.parametrize("name", trainers.names())
def test_the_help_names_every_flag_that_may_be_tuned_and_imports_no_framework(name: str) -> None:
    (line,) = re.findall(r"^tunable: (.+)$", help_page(name), re.MULTILINE)

    known = importlib.import_module(trainers.module_path(name)).Hyperparameters.__dataclass_fields__
    assert line.split(", ") == [flag for flag, field in known.items() if field.metadata["tunable"]] != []


def test_the_progress_file_ends_with_done(run: Run) -> None:
    progress = json.loads(run.progress_file.read_text())

    assert (progress["phase"], progress["step"], progress["total_steps"]) == ("done", run.small.steps, run.small.steps)


def test_the_export_loads_and_predicts_what_a_request_sends(run: Run) -> None:
    (export,) = (run.folder / "export").glob("*/*")

    with serving.load(export) as predictor:
        answers = predictor.predict(datasets.request(data_set(run.name), 5))

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
    litert = export / "model.tflite"  # a damaged one is known before it is opened
    assert signature.get("sha256") == (hashlib.sha256(litert.read_bytes()).hexdigest() if litert.is_file() else None)


def _final(metric: str) -> set[str]:
    """Return the columns under which a history may hold the metric that the run ends with."""
    return {f"test_{metric}", f"eval_{metric}"}
