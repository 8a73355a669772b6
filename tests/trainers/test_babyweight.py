from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlhelpers import datasets, serving
from mlhelpers.datasets.babyweight import VOCABULARY
from mlhelpers.errors import DataError, PredictionError, UsageError
from mlhelpers.trainers import babyweight, reporting
from mlhelpers.trainers.babyweight import Hyperparameters, count_steps, train

MODULE = "mlhelpers.trainers.babyweight"


def write_births(folder: Path, part: str, shards: int, rows: int) -> None:
    """Write births of a simple kind: 3 lb less a week before the 40th, half a pound less for each step of plurality."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(len(part))
    for shard in range(shards):
        lines = []
        for number in range(rows):
            sex, plurality = generator.integers(3), generator.integers(6)
            age, weeks = generator.integers(14, 47), generator.integers(30, 43)
            pounds = 8 - 0.3 * max(0, 40 - weeks) - 0.5 * plurality + generator.normal(0, 0.3)
            words = VOCABULARY["is_male"][sex], age, VOCABULARY["plurality"][plurality], float(weeks)
            lines.append(",".join(map(str, (max(pounds, 0.5), *words, f"key{number}"))))
        (folder / f"{part}.csv-{shard:05d}-of-{shards:05d}").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bucket")
    for part, shards, rows in (("train", 2, 1200), ("eval", 1, 600)):
        write_births(folder / "babyweight" / "preproc", part, shards, rows)
    return folder


def settings(bucket: Path, out: Path, **more: Any) -> Hyperparameters:
    return Hyperparameters(**{"output_dir": str(out), "train_examples": 1, "bucket": str(bucket)} | more)


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", MODULE, *words]


@pytest.fixture(scope="module")
def run(bucket: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train(settings(bucket, folder, train_examples=200, batch_size=200))
    return folder


@pytest.fixture
def export(run: Path) -> Path:
    (folder,) = (run / "export" / "exporter").iterdir()
    return folder


def test_thousands_of_rows_make_a_whole_number_of_steps() -> None:
    assert [count_steps(5000, 512), count_steps(1, 512), count_steps(1, 5000), count_steps(200_000, 35)] == [
        9765, 1, 1, 5_714_285,
    ]  # fmt: skip
    assert isinstance(count_steps(5000, 512), int)


def test_the_one_step_run_says_its_steps_and_sizes_and_predicts_finite_weights(bucket: Path, tmp_path: Path) -> None:
    words = [f"--bucket={bucket}", f"--output_dir={tmp_path / 'run'}", "--pattern=00000-of-", "--eval_steps=1"]

    done = subprocess.run(command(*words, "--train_examples=1"), capture_output=True, text=True, check=True)

    assert "training for 1 steps of 512 rows" in done.stdout
    assert "128, 32, 4 units" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("eval rmse ")
    assert not done.stderr
    (export,) = (tmp_path / "run" / "export" / "exporter").iterdir()
    with serving.load(export) as predictor:
        answers = predictor.predict(
            [
                {"key": key, "is_male": sex, "mother_age": 26.0, "plurality": "Single(1)", "gestation_weeks": 39}
                for key, sex in (("b1", "True"), ("g1", "False"))
            ]
        )
    assert [answer["key"] for answer in answers] == ["b1", "g1"]
    assert np.isfinite([answer["predictions"] for answer in answers]).all()
    assert np.mean([answer["predictions"] for answer in answers]) < 5  # far from learnt; it may even be below zero


def test_training_comes_close_to_the_noise_of_the_births(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())

    assert metrics["rmse"] < 0.45  # the noise is 0.3; the weights' own deviation 1.5
    assert metrics["rmse"] == pytest.approx(metrics["average_loss"] ** 0.5)
    assert (metrics["steps"], metrics["parameters"]) == (1000, 65_106)


def test_the_export_answers_raw_words_as_well_as_the_run_says(bucket: Path, run: Path, export: Path) -> None:
    import tensorflow as tf

    with (bucket / "babyweight" / "preproc" / "eval.csv-00000-of-00001").open(newline="") as stream:
        weight, *columns = zip(*csv.reader(stream), strict=True)
    names = ("is_male", "mother_age", "plurality", "gestation_weeks", "key")
    kinds = (str, float, str, float, str)
    given = {
        name: tf.constant([kind(v) for v in values]) for name, kind, values in zip(names, kinds, columns, strict=True)
    }

    answer = tf.saved_model.load(str(export)).signatures["serving_default"](**given)

    rest = answer["predictions"].numpy()[:, 0] - np.array(weight, float)
    assert np.sqrt(np.mean(rest**2)) == pytest.approx(json.loads((run / "metrics.json").read_text())["rmse"], rel=1e-4)
    assert answer["predictions"].shape == (600, 1)
    assert answer["key"].numpy().tolist() == [key.encode() for key in columns[-1]]


def test_a_key_may_be_left_out_and_a_word_of_no_vocabulary_is_refused(export: Path) -> None:
    baby = {"is_male": "True", "mother_age": 26.0, "plurality": "Single(1)", "gestation_weeks": 39}

    with serving.load(export) as predictor:
        (answer,) = predictor.predict([baby])
        with pytest.raises(PredictionError, match=r"'is_male' is 'yes'; allowed: 'True', 'False', 'Unknown'"):
            predictor.predict([baby | {"is_male": "yes"}])

    assert answer["key"] == "nokey"


def tuned(path: Path) -> list[tuple[int, float]]:
    """Return (step, rmse) of each such line of a metric file."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [(int(line["global_step"]), float(line["rmse"])) for line in lines if "rmse" in line]


def test_a_study_is_told_the_validation_alone(bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_ML_HP_METRIC_FILE", str(tmp_path / "metrics"))
    shutil.copytree(bucket, tmp_path / "bucket")
    write_births(tmp_path / "bucket" / "babyweight" / "preproc", "validation", 1, 300)

    train(settings(tmp_path / "bucket", tmp_path / "run", batch_size=50))

    with (tmp_path / "run" / "history.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    told = tuned(tmp_path / "metrics")
    assert dict(told) == {int(row["step"]): pytest.approx(float(row["validation_rmse"]), rel=1e-5) for row in rows}
    assert len(told) == len(rows) == 20
    assert told[-1][1] != pytest.approx(float(rows[-1]["eval_rmse"]), rel=1e-4)


def test_without_validation_shards_a_study_ends_with_the_final_result(
    bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUD_ML_HP_METRIC_FILE", str(tmp_path / "metrics"))
    monkeypatch.setattr(babyweight, "_EVAL_BATCH_SIZE", 100)

    train(settings(bucket, tmp_path / "run", batch_size=100, eval_steps=2))  # of six batches

    result = json.loads((tmp_path / "run" / "metrics.json").read_text())["rmse"]
    assert tuned(tmp_path / "metrics")[-1] == (10, pytest.approx(result, rel=1e-6))


def test_the_pattern_chooses_shards(bucket: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--batch_size is 4000, but there are only 2400 rows"):
        train(settings(bucket, tmp_path, batch_size=4000))
    with pytest.raises(UsageError, match="only 1200 rows"):
        train(settings(bucket, tmp_path, batch_size=4000, pattern="00000-of-"))


def test_a_bucket_is_a_bare_name_an_address_or_a_folder(bucket: Path, tmp_path: Path, home: Path) -> None:
    (home / "buckets").mkdir(parents=True)
    (home / "buckets" / "my-bucket").symlink_to(bucket)
    shards = str(bucket / "babyweight" / "preproc")

    for words in (
        {"bucket": "my-bucket"}, {"bucket": "gs://my-bucket"}, {"bucket": str(bucket)},
        {"data_dir": shards}, {"data_dir": "gs://my-bucket/babyweight/preproc"},
    ):  # fmt: skip
        with pytest.raises(UsageError, match="only 2400 rows"):  # so far it reads
            train(Hyperparameters(output_dir=str(tmp_path / "run"), batch_size=4000, **words))


def test_the_data_have_to_be_named_once(bucket: Path, tmp_path: Path) -> None:
    for words in ({}, {"bucket": str(bucket), "data_dir": str(bucket)}):
        with pytest.raises(UsageError, match=r"Give one of --bucket.*and --data_dir"):
            train(Hyperparameters(output_dir=str(tmp_path), **words))


def test_missing_shards_name_the_command_that_makes_them(tmp_path: Path) -> None:
    command = "mlhelpers data prepare babyweight --output-dir gs://my-bucket/babyweight/preproc"
    with pytest.raises(DataError, match=f"does not exist. Make the shards first:  {command}$"):
        train(settings(Path("my-bucket"), tmp_path))


def test_a_finished_run_started_again_trains_no_step_more(bucket: Path, run: Path) -> None:
    first = json.loads((run / "metrics.json").read_text())

    train(settings(bucket, run, train_examples=200, batch_size=200))

    assert first == json.loads((run / "metrics.json").read_text())
    newest = max((run / "export" / "exporter").iterdir())
    newest.rename(run / newest.name)  # the other tests know of one export


def test_a_folder_with_a_run_of_other_settings_is_refused(bucket: Path, run: Path) -> None:
    with pytest.raises(UsageError, match=r"holds a run with other settings: .*nembeds 3 \(now 7\)"):
        train(settings(bucket, run, train_examples=200, batch_size=200, nembeds=7))


def test_a_run_broken_off_goes_on_with_both_optimizers_and_ends_where_an_undisturbed_one_ends(
    bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"train_examples": 60, "batch_size": 300, "save_checkpoints_secs": 0}
    monkeypatch.setenv("CLOUD_ML_HP_METRIC_FILE", str(tmp_path / "metrics"))

    def stop(_: Any, step: int, *__: Any, **___: Any) -> None:
        if step > 150:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(reporting.Reporter, "train", stop)
        with pytest.raises(KeyboardInterrupt):
            train(settings(bucket, tmp_path / "broken", **options))
    assert list((tmp_path / "broken" / "checkpoints").glob("ckpt-*.index"))
    assert not (tmp_path / "broken" / "metrics.json").exists()

    train(settings(bucket, tmp_path / "broken", **options))
    steps = [step for step, _ in tuned(tmp_path / "metrics")]
    assert sorted(set(steps)) == steps  # the curve of both attempts
    assert steps[0] < 100 < steps[-1] == 200
    train(settings(bucket, tmp_path / "whole", **options))

    ends = [json.loads((tmp_path / name / "metrics.json").read_text())["rmse"] for name in ("whole", "broken")]
    assert ends[0] == pytest.approx(ends[1], rel=1e-4)
    steps = [int(row["step"]) for row in csv.DictReader((tmp_path / "broken" / "history.csv").open(newline=""))]
    assert steps == sorted(set(steps))


@pytest.mark.mirror
def test_real_births_are_predicted_as_well_as_the_columns_allow(mirror: Path, tmp_path: Path) -> None:
    for part in ("train", "eval"):
        (tmp_path / f"{part}.csv-00000-of-00001").symlink_to(mirror / "babyweight" / f"{part}.csv")

    train(Hyperparameters(data_dir=str(tmp_path), output_dir=str(tmp_path / "run")))

    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["rmse"] <= 1.06  # a linear model on the wide columns: 1.052; the mean weight alone: 1.302
    assert metrics["seconds"] < 120


@pytest.mark.mirror
def test_a_model_of_synthetic_births_is_of_use_on_real_ones(mirror: Path, tmp_path: Path) -> None:
    datasets.prepare("babyweight", tmp_path, source="shipped")
    for shard in tmp_path.glob("eval.csv-*"):
        shard.unlink()
    (tmp_path / "eval.csv-00000-of-00001").symlink_to(mirror / "babyweight" / "eval.csv")

    train(Hyperparameters(data_dir=str(tmp_path), output_dir=str(tmp_path / "run"), train_examples=2000))

    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["rmse"] <= 1.10  # the mean of the real weights alone: 1.302
