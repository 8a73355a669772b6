from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlhelpers.datasets.cbis_ddsm import phantoms
from mlhelpers.datasets.cbis_ddsm.pictures import write_png
from mlhelpers.datasets.records import write_records
from mlhelpers.errors import DataError, UsageError
from mlhelpers.trainers.cbis_ddsm import Hyperparameters, resolve, train
from mlhelpers.trainers.flags import parse

MODULE = "mlhelpers.trainers.cbis_ddsm"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty phantoms to train on and twenty to test, as PNG folders and as record files."""
    folder = tmp_path_factory.mktemp("bucket")
    for part, place, n in (("train", "small_train", 40), ("test", "small_test", 20)):
        views = phantoms.views(part)[:n]
        images = [phantoms.draw(view).image for view in views]
        for view, image in zip(views, images, strict=True):
            name = f"{view.density}_Phantom-{part}_P_{view.patient:05d}_{view.side}_{view.projection}.png"
            write_png(folder / place / name, image)
        records = (
            {"label": view.density - 1, "image": image.astype("<f4").tobytes()}
            for view, image in zip(views, images, strict=True)
        )
        write_records(folder / f"{part}.tfrecords", records)
    return folder


def settings(data: Path, run: Path, **more: Any) -> Hyperparameters:
    return Hyperparameters(
        **{"data_bucket": str(data), "model_dir": str(run), "training_steps": 3, "batch_size": 8} | more
    )


@pytest.fixture(scope="module")
def export(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(settings(data, tmp_path_factory.mktemp("run"), training_steps=6))


def test_the_flags_of_both_originals_are_taken_with_their_defaults() -> None:
    words = (
        "--data_bucket=b --training_data_dir=t --eval_data_dir=e --training_data=t --eval_data=e --image_width=95 "
        "--image_height=128 --image_channel=1 --model_dir=m --tpu=t --tpu_zone=z --gcp_project=p --recipe=tutorial"
    )
    taken = resolve(parse(Hyperparameters, words.split(), MODULE))

    assert (taken.batch_size, taken.training_steps, taken.eval_steps, taken.category_count) == (96, 1000, 100, 0)
    assert (taken.iterations, taken.num_shards, Hyperparameters().tpu_zone) == (50, 8, "us-central1-b")
    assert taken.learning_rate == 0.05
    assert resolve(Hyperparameters(recipe="tutorial")).learning_rate == 0.001
    assert resolve(Hyperparameters(recipe="tutorial", tpu="t", learning_rate=0.2)).learning_rate == 0.2


def test_help_says_which_flags_have_no_effect_and_imports_no_framework() -> None:
    code = (
        "import sys, runpy; sys.argv = ['m', '--help']\n"
        f"try: runpy.run_module({MODULE!r}, run_name='__main__')\n"
        "finally: assert not {'tensorflow', 'keras', 'jax'} & set(sys.modules), 'imported'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert " ".join(done.stdout.split()).count("has no effect") == 4


def test_the_tutorial_network_has_the_parameters_of_the_original() -> None:
    from mlhelpers.trainers.density_network import build_model

    assert build_model("tutorial", (128, 95), 4).count_params() == 48_291_716


@pytest.mark.parametrize("recipe", ["fast", "tutorial"])
def test_both_networks_see_the_same_at_another_exposure(recipe: str) -> None:
    """Not to the last bit: the logarithm needs a floor. But levels of 16 bits must not explode."""
    from mlhelpers.trainers.density_network import build_model

    image = phantoms.draw(phantoms.View(1, 2, "LEFT", "CC")).image[None, :64, :48, None].astype("float32")
    model = build_model(recipe, (64, 48), 4)

    bright, dark = np.asarray(model(image)), np.asarray(model(image * 0.8))

    assert bright.shape == (1, 4)
    assert np.abs(bright).max() < 10
    assert np.abs(bright - dark).max() < 0.3


def test_the_run_leaves_accuracy_kappa_recalls_and_a_confusion_matrix(export: Path) -> None:
    metrics = json.loads((export.parents[2] / "metrics.json").read_text())

    matrix = np.array(metrics["confusion_matrix"])
    assert matrix.shape == (4, 4)
    assert matrix.sum() == 20
    assert metrics["accuracy"] == pytest.approx(np.diag(matrix).sum() / 20)
    assert metrics["majority"] == pytest.approx(matrix.sum(1).max() / 20)
    assert len(metrics["recalls"]) == 4
    assert {"kappa", "loss", "seconds", "parameters"} <= set(metrics)
    assert metrics["backend"] == "tensorflow"


def answers(export: Path, data: Path) -> tuple[np.ndarray, dict[str, Any]]:
    from ai_edge_litert.interpreter import Interpreter

    images = np.stack([phantoms.draw(view).image for view in phantoms.views("test")[:20]]).astype("float32")
    return images, Interpreter(str(export / "model.tflite")).get_signature_runner("serving_default")(image=images)


def test_savedmodel_and_litert_answer_alike_for_grey_levels_as_they_are(export: Path, data: Path) -> None:
    import tensorflow as tf

    images, lite = answers(export, data)
    saved = tf.saved_model.load(str(export)).signatures["serving_default"](image=tf.constant(images))

    np.testing.assert_allclose(saved["probabilities"].numpy(), lite["probabilities"], atol=1e-3)
    np.testing.assert_array_equal(lite["classes"] + 1, lite["density"])
    assert lite["density"].dtype == np.int64
    np.testing.assert_allclose(lite["probabilities"].sum(1), 1, atol=1e-5)


def test_the_export_is_as_accurate_as_the_run_says_and_tells_what_it_was_trained_on(export: Path, data: Path) -> None:
    signature = json.loads((export / "signature.json").read_text())
    labels = np.array([view.density for view in phantoms.views("test")[:20]])

    right = np.mean(answers(export, data)[1]["density"] == labels)

    assert right == pytest.approx(signature["metrics"]["accuracy"], abs=0.051)
    assert "synthetic phantoms" in signature["trained_on"]
    assert signature["class_names"] == [f"density {k}" for k in (1, 2, 3, 4)]


def test_on_jax_it_trains_and_exports_and_ends_with_the_test_accuracy(data: Path, tmp_path: Path) -> None:
    words = [f"--data_bucket={data}", f"--model_dir={tmp_path}", "--training_steps=3", "--batch_size=8"]
    done = subprocess.run(
        [sys.executable, "-m", MODULE, *words],
        env=os.environ | {"KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    metrics = json.loads((tmp_path / "metrics.json").read_text())
    (export,) = tmp_path.glob("export/cbis_ddsm/*")
    labels = np.array([view.density for view in phantoms.views("test")[:20]])
    assert metrics["backend"] == "jax"
    assert np.mean(answers(export, data)[1]["density"] == labels) == pytest.approx(metrics["accuracy"], abs=0.051)
    assert done.stdout.splitlines()[-1].startswith(f"test accuracy {metrics['accuracy']:.4f} (linear-weighted kappa ")
    assert not list(tmp_path.glob("weights.npz"))


def test_records_are_read_in_place_of_folders(data: Path, tmp_path: Path) -> None:
    files = {"training_data": str(data / "train.tfrecords"), "eval_data": str(data / "test.tfrecords")}

    export = train(settings(data, tmp_path, data_bucket="", **files, training_steps=1))

    assert "records" in json.loads((export / "signature.json").read_text())["trained_on"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model_dir": ""}, UsageError, "--model_dir is missing"),
        ({"data_bucket": ""}, UsageError, "No pictures for training: give --data_bucket.*data prepare cbis_ddsm"),
        ({"training_data": "f", "training_data_dir": "d"}, UsageError, "'d' and --training_data 'f' were both given"),
        ({"training_data_dir": "none"}, DataError, "holds no picture.*data prepare cbis_ddsm"),
        ({"image_width": 94}, UsageError, "are 95x128 pixels.*--image_width 94"),
        ({"batch_size": 41}, UsageError, "--batch_size is 41, but there are only 40 pictures"),
        ({"category_count": 3}, DataError, "densities 1 to 4; with 3 categories they are 1 to 3.*--category_count"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_starts(
    data: Path, tmp_path: Path, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        train(settings(data, tmp_path, **change))

    assert not list(tmp_path.iterdir())


def test_a_folder_of_a_run_with_other_settings_is_refused(export: Path, data: Path) -> None:
    with pytest.raises(UsageError, match=r"holds a run with other settings: .*seed 0 \(now 1\)"):
        train(settings(data, export.parents[2], training_steps=6, seed=1))


def test_an_unknown_backend_is_refused(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(UsageError, match=r"no Keras backend for this trainer 'torch'.*Known: jax, tensorflow"):
        train(settings(data, tmp_path))
