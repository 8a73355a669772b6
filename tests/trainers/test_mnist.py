from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlhelpers import datasets
from mlhelpers.errors import DataError, MLHelpersError, UsageError
from mlhelpers.trainers.mnist import Hyperparameters, build_model, train

MODULE = "mlhelpers.trainers.mnist"


def settings(data: Path, out: Path, **more: Any) -> Hyperparameters:
    return Hyperparameters(
        **{"data_dir": str(data), "output_dir": str(out), "train_steps": 5, "train_batch_size": 20} | more
    )


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", MODULE, *words]


def test_the_tutorial_network_has_the_parameters_of_the_original() -> None:
    assert build_model("tutorial", 0.4).count_params() == 3_274_634


def test_both_networks_take_pictures_and_return_ten_logits() -> None:
    for architecture in ("fast", "tutorial"):
        assert build_model(architecture, 0.0)(np.zeros((2, 28, 28, 1), "float32")).shape == (2, 10)


@pytest.fixture(scope="module")
def export(small_mnist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(settings(small_mnist, tmp_path_factory.mktemp("export"), train_steps=40))


def test_savedmodel_and_litert_answer_alike_under_both_signatures(export: Path) -> None:
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    pixels = datasets.load("mnist").test["images"][:64]
    sent = {
        "serving_default": {"inputs": pixels.reshape(-1, 784).astype("float32") / 255},
        "pixels": {"pixels": pixels},
    }
    saved, lite = tf.saved_model.load(str(export)), Interpreter(str(export / "model.tflite"))
    answers = []
    for key, inputs in sent.items():
        of_saved = saved.signatures[key](**{name: tf.constant(value) for name, value in inputs.items()})
        of_lite = lite.get_signature_runner(key)(**inputs)
        np.testing.assert_allclose(of_saved["probabilities"].numpy(), of_lite["probabilities"], atol=1e-4)
        np.testing.assert_array_equal(of_saved["classes"].numpy(), of_lite["classes"])
        answers.append(of_lite["probabilities"])

    assert np.int64 == of_lite["classes"].dtype
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-5)
    assert answers[0].max(1).mean() > 0.3  # it learnt something: an untrained or lost set of weights is near 0.1


def test_the_export_answers_as_accurately_as_the_run_says(export: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    split = datasets.load("mnist")
    runner = Interpreter(str(export / "model.tflite")).get_signature_runner("pixels")

    right = runner(pixels=split.test["images"][:200])["classes"] == split.test["labels"][:200]

    said = json.loads((export / "signature.json").read_text())["metrics"]["accuracy"]
    assert abs(right.mean() - said) <= 0.005


def test_a_run_killed_at_any_moment_goes_on_and_ends_where_an_undisturbed_one_ends(
    small_mnist: Path, tmp_path: Path
) -> None:
    words = [f"--data_dir={small_mnist}", "--train_steps=60", "--train_batch_size=50", "--dropout=0"]
    words += ["--save_checkpoints_secs=0", "--learning_rate=0.002"]
    broken = subprocess.Popen(command(*words, f"--output_dir={tmp_path / 'broken'}"), stdout=subprocess.DEVNULL)
    state = tmp_path / "broken" / "checkpoints" / "checkpoint"
    deadline = time.monotonic() + 120
    while not state.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(broken.pid, signal.SIGKILL)
    broken.wait()

    again = subprocess.run(
        command(*words, f"--output_dir={tmp_path / 'broken'}"), capture_output=True, text=True, check=True
    )
    options = {"train_steps": 60, "train_batch_size": 50, "dropout": 0.0, "learning_rate": 0.002}
    train(settings(small_mnist, tmp_path / "whole", **options))

    assert "going on from the checkpoint at step" in again.stdout
    ends = []
    for name in ("whole", "broken"):
        with (tmp_path / name / "history.csv").open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert sorted({int(row["step"]) for row in rows}) == [int(row["step"]) for row in rows]
        ends.append(json.loads((tmp_path / name / "metrics.json").read_text())["loss"])
    assert ends[0] == pytest.approx(ends[1], rel=1e-3)


def test_a_finished_run_started_again_trains_no_step_more(
    small_mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(settings(small_mnist, tmp_path / "run"))
    first = json.loads((tmp_path / "run" / "metrics.json").read_text())
    monkeypatch.setenv("CLOUD_ML_HP_METRIC_FILE", str(tmp_path / "metrics"))

    train(settings(small_mnist, tmp_path / "run"))

    assert first == json.loads((tmp_path / "run" / "metrics.json").read_text())
    with (tmp_path / "run" / "history.csv").open(newline="") as stream:
        last = list(csv.DictReader(stream))[-1]
    told = [json.loads(line) for line in (tmp_path / "metrics").read_text().splitlines()]
    assert [line["global_step"] for line in told] == [last["step"]] * 2
    assert float(told[-1]["loss"]) == pytest.approx(float(last["validation_loss"]), rel=1e-5)
    assert float(told[-1]["loss"]) != pytest.approx(float(last["test_loss"]), rel=1e-4)


def test_a_folder_with_a_run_of_other_settings_is_refused(small_mnist: Path, tmp_path: Path) -> None:
    train(settings(small_mnist, tmp_path / "run"))

    with pytest.raises(
        UsageError, match=r"holds a run with other settings: seed 0 \(now 1\).*Choose another output folder"
    ):
        train(settings(small_mnist, tmp_path / "run", seed=1))


def test_unreadable_checkpoints_are_named_not_passed_over(small_mnist: Path, tmp_path: Path) -> None:
    train(settings(small_mnist, tmp_path / "run"))
    for data in (tmp_path / "run" / "checkpoints").glob("*.index"):
        data.write_bytes(b"not a checkpoint")

    with pytest.raises(DataError, match=r"No checkpoint in .* can be read by this trainer"):
        train(settings(small_mnist, tmp_path / "run"))


def test_missing_records_name_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train.tfrecords does not exist.*mlhelpers data prepare mnist --output-dir"):
        train(settings(tmp_path, tmp_path / "run"))


@pytest.mark.parametrize("spoil", [lambda b: b[:-100], lambda b: b[:5000] + b"?" + b[5001:], lambda b: b"no records"])
def test_spoiled_records_are_refused_with_the_file_named(spoil: Any, small_mnist: Path, tmp_path: Path) -> None:
    shutil.copytree(small_mnist, tmp_path / "data")
    path = tmp_path / "data" / "train.tfrecords"
    path.write_bytes(spoil(path.read_bytes()))

    with pytest.raises(DataError, match=r"train.tfrecords is truncated, altered .*Write it again"):
        train(settings(tmp_path / "data", tmp_path / "run"))

    assert not (tmp_path / "run" / "export").exists()


def test_a_batch_larger_than_the_data_is_refused(small_mnist: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--train_batch_size is 601, but there are only 600 records"):
        train(settings(small_mnist, tmp_path / "run", train_batch_size=601))


def test_a_loss_that_is_no_number_ends_the_run_with_the_cure(small_mnist: Path, tmp_path: Path) -> None:
    with pytest.raises(MLHelpersError, match=r"loss stopped being a number before step .* Lower --learning_rate"):
        train(settings(small_mnist, tmp_path / "run", architecture="tutorial", learning_rate=1e30, train_steps=50))

    assert not (tmp_path / "run" / "export").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--data_dir=DATA", "--output_dir=RUN", "--train_stepps=5"], 2, "Did you mean --train_steps?"),
        (["--data_dir=DATA"], 2, "--output_dir is missing"),
        (["--data_dir=none", "--output_dir=RUN"], 65, "mlhelpers data prepare mnist"),
        (["--data_dir=DATA", "--output_dir=/proc/none"], 65, "output folder /proc/none cannot be made"),
    ],
)
def test_the_command_ends_with_the_right_code_and_one_sentence(
    words: list[str], code: int, message: str, small_mnist: Path, tmp_path: Path
) -> None:
    given = [word.replace("DATA", str(small_mnist)).replace("RUN", str(tmp_path / "run")) for word in words]

    done = subprocess.run(command(*given), capture_output=True, text=True, check=False)

    assert code == done.returncode
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run" / "export").exists()


def test_a_full_disk_ends_the_run_with_a_sentence_and_no_half_export(small_mnist: Path, tmp_path: Path) -> None:
    # a limit on file size is what a full disk looks like to the process: write() fails half-way
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "from mlhelpers.trainers.base import main; from mlhelpers.trainers.mnist import Hyperparameters, train\n"
        "main(Hyperparameters, train, 'mnist', sys.argv[1:])"
    )
    words = [f"--data_dir={small_mnist}", f"--output_dir={tmp_path / 'run'}", "--train_steps=3", "--train_batch_size=9"]

    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)

    assert done.returncode == 65
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "run").glob("export/*/*"))
