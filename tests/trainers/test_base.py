"""Where a run's folder lies, and the callback with which trainers of one's own report to a study."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlhelpers.errors import UsageError
from mlhelpers.trainers.base import output_folder
from mlhelpers.trainers.cluster import Cluster

EPOCHS = """
import os
import keras
import numpy as np
from mlhelpers.errors import UsageError
from mlhelpers.trainers.base import hypertune_callback

x = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
model.compile("sgd", "mse", metrics=["mae"], jit_compile=keras.backend.backend() == "jax")

def fit(file, callback, validation=0.0, epochs=1, **more):
    os.environ["CLOUD_ML_HP_METRIC_FILE"] = file
    options = {"epochs": epochs, "verbose": 0, "validation_split": validation}
    history = model.fit(x, x.sum(1), callbacks=[callback], **options, **more).history
    return history

plain = hypertune_callback()
history = fit("curve/metrics", plain, 0.5, 3)
print(history["val_mae"])
fit("curve/metrics", plain, 0.5)
fit("training/metrics", hypertune_callback())
print(fit("tag/metrics", hypertune_callback("mae"), 0.5, 6, initial_epoch=5)["val_mae"])
fit("metric/metrics", hypertune_callback("objective", "loss"), 0.5)
fit("", hypertune_callback("rmse"))
os.environ["TF_CONFIG"] = '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}'
fit("worker/metrics", hypertune_callback())
del os.environ["TF_CONFIG"]
try:
    fit("wrong/metrics", hypertune_callback(metric="val_meo"), 0.5)
except UsageError as error:
    print(error)
"""


def in_trial(monkeypatch: pytest.MonkeyPatch, trial: object) -> None:
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {}, "task": {"trial": trial}}))


def test_outside_of_a_study_a_run_lies_where_its_flag_says(tmp_path: Path) -> None:
    assert output_folder(str(tmp_path / "run")) == tmp_path / "run"
    assert output_folder("", str(tmp_path / "job")) == tmp_path / "job"
    assert (tmp_path / "job").is_dir()


@pytest.mark.parametrize("trial", ["3", 3])
def test_a_trial_has_a_folder_of_its_own_below_the_output_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trial: object
) -> None:
    in_trial(monkeypatch, trial)

    assert output_folder(str(tmp_path / "run"), str(tmp_path / "job" / "3")) == tmp_path / "run" / "3"
    assert (tmp_path / "run" / "3").is_dir()


def test_the_job_dir_of_a_trial_has_the_trial_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_trial(monkeypatch, "3")

    assert output_folder("", str(tmp_path / "job" / "3")) == tmp_path / "job" / "3"
    assert not (tmp_path / "job" / "3" / "3").exists()


def test_a_trial_in_a_bucket_has_its_folder_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_trial(monkeypatch, "12")

    assert output_folder("gs://babies/tuned") == home / "buckets" / "babies" / "tuned" / "12"


def test_a_worker_finds_its_chiefs_folder_and_makes_none(tmp_path: Path) -> None:
    cluster = Cluster(("a:1", "b:2"), 1, "worker", "3")

    assert output_folder(str(tmp_path / "run"), "", cluster) == tmp_path / "run" / "3"
    assert not (tmp_path / "run").exists()


def test_without_a_folder_the_flag_is_named() -> None:
    with pytest.raises(UsageError, match="--output_dir is missing"):
        output_folder("", "")


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_keras_model_reports_its_epochs(backend: str, tmp_path: Path) -> None:
    pytest.importorskip(backend)
    done = subprocess.run(
        [sys.executable, "-c", EPOCHS],
        env=os.environ | {"KERAS_BACKEND": backend},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    curve_of_mae, tagged, error = done.stdout.splitlines()

    def read(name: str) -> list[tuple[str, str, float]]:
        """Return (step, tag, value) of each line."""
        lines = [json.loads(line) for line in (tmp_path / name / "metrics").read_text().splitlines()]
        none = {"timestamp", "trial", "global_step", "checkpoint_path"}
        return [(line["global_step"], *next((tag, float(line[tag])) for tag in line.keys() - none)) for line in lines]

    curve = read("curve")
    # four epochs of two metrics; the fourth in a second call of fit
    assert [point[:2] for point in curve] == [(str(k), tag) for k in (1, 2, 3, 4) for tag in ("val_loss", "val_mae")]
    assert [value for step, tag, value in curve if tag == "val_mae" and step != "4"] == json.loads(curve_of_mae)
    assert [point[:2] for point in read("training")] == [("1", "loss"), ("1", "mae")]
    assert read("tag") == [("6", "mae", *json.loads(tagged))]
    assert [point[:2] for point in read("metric")] == [("1", "objective")]
    assert not (tmp_path / "worker").exists()
    assert "There is no metric in Keras' logs 'val_meo'. Did you mean 'val_mae'?" in error
