from __future__ import annotations

import base64
import csv
import itertools
import json
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlhelpers import serving
from mlhelpers.datasets import iris
from mlhelpers.datasets.records import serialize
from mlhelpers.errors import DataError, PredictionError, UsageError
from mlhelpers.trainers.flags import parse
from mlhelpers.trainers.iris import Hyperparameters, build_model, layer_widths, train

MODULE = "mlhelpers.trainers.iris"
FLOWER = {"SepalLength": 5.9, "SepalWidth": 3.0, "PetalLength": 4.2, "PetalWidth": 1.5}  # the tutorial's test.json


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Return the training and the test file."""
    training, test = map(str, iris.prepare(tmp_path_factory.mktemp("iris")))
    return training, test


def settings(files: tuple[str, str], out: Path, **more: Any) -> Hyperparameters:
    return Hyperparameters(**{"train_files": files[:1], "eval_files": files[1:], "job_dir": str(out)} | more)


@pytest.fixture(scope="module")
def json_run(files: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the tutorial's run: 1000 steps, everything else as it is by default."""
    folder = tmp_path_factory.mktemp("json")
    train(settings(files, folder, train_steps=1000))
    return folder


@pytest.fixture(scope="module")
def exports(json_run: Path, files: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return an export of each form."""
    (of_json,) = (json_run / "export" / "iris").iterdir()
    folders = {form: tmp_path_factory.mktemp(form) for form in ("CSV", "EXAMPLE")}
    made = {form: train(settings(files, folder, export_format=form)) for form, folder in folders.items()}
    return {"JSON": of_json} | made


def instances(form: str, flowers: list[dict[str, float]]) -> list[Any]:
    """Write flowers as a request of one form."""
    if form == "CSV":
        return [{"csv_row": ",".join(str(length) for length in flower.values())} for flower in flowers]
    if form == "EXAMPLE":
        return [{"examples": {"b64": base64.b64encode(serialize(flower)).decode()}} for flower in flowers]
    return list(flowers)


# --- network and flags -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "layers", "scale", "widths"),
    [
        (100, 4, 0.7, [100, 70, 48, 34]),  # 100 * 0.7 * 0.7 is 48.99999999999999 in floating point
        (100, 1, 0.7, [100]),
        (10, 6, 0.5, [10, 5, 2, 2, 2, 2]),
        (1, 2, 1.0, [2, 2]),
    ],
)
def test_layers_grow_narrower_as_in_the_original(first: int, layers: int, scale: float, widths: list[int]) -> None:
    assert layer_widths(first, layers, scale) == widths


def test_the_network_has_the_tutorials_layers_and_as_many_parameters() -> None:
    model = build_model(layer_widths(100, 4, 0.7))

    sizes = [4, 100, 70, 48, 34, 3]
    assert model.count_params() == sum((a + 1) * b for a, b in itertools.pairwise(sizes)) == 12_749
    assert model(np.ones((2, 4), "float32")).shape == (2, 3)


def test_the_original_trainers_flags_are_taken_with_its_defaults() -> None:
    taken = parse(Hyperparameters, ["--train-files", "a", "b", "--eval-files", "c", "--job-dir", "gs://d/e"], MODULE)

    assert (taken.train_files, taken.eval_files, taken.job_dir) == (("a", "b"), ("c",), "gs://d/e")
    assert (taken.train_steps, taken.eval_steps, taken.train_batch_size, taken.eval_batch_size) == (100, 100, 40, 40)
    assert (taken.first_layer_size, taken.num_layers, taken.scale_factor, taken.embedding_size) == (100, 4, 0.7, 8)
    assert (taken.num_epochs, taken.num_parallel_calls, taken.prefetch_buffer_size) == (None, None, None)
    assert (taken.export_format, taken.verbosity, taken.learning_rate) == ("JSON", "INFO", 0.05)


def test_the_tutorials_command_line_is_understood() -> None:
    words = "--train-files t.csv --eval-files e.csv --job-dir out --train-steps 1000 --eval-steps 100 --num-epochs 9 "
    words += "--num-parallel-calls 2 --prefetch_buffer_size 64 --verbosity DEBUG --export-format CSV --embedding-size 4"

    taken = parse(Hyperparameters, words.split(), MODULE)

    assert (taken.num_epochs, taken.num_parallel_calls, taken.prefetch_buffer_size) == (9, 2, 64)
    assert (taken.verbosity, taken.export_format, taken.embedding_size) == ("DEBUG", "CSV", 4)


def test_help_names_every_flag_says_what_has_no_effect_and_never_imports_tensorflow() -> None:
    code = (
        "import sys, runpy; sys.argv = ['m', '--help']\n"
        f"try: runpy.run_module('{MODULE}', run_name='__main__')\n"
        "finally: assert not {'tensorflow', 'keras', 'sklearn'} & set(sys.modules), 'imported'"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    for field in fields(Hyperparameters):
        assert f"--{field.name}" in done.stdout
    assert "has no effect" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--train-steps=5"], 2, "--train-files is missing: one or more CSV files"),
        (["--train-files=TRAIN"], 2, "--eval-files is missing"),
        (["--train-files=TRAIN", "--eval-files=TEST"], 2, "--output_dir is missing"),
        (["--train-files=TRAIN", "--eval-files=none.csv"], 65, "mlhelpers data prepare iris --output-dir"),
        (["--train-files=TRAIN", "--first-layer-sise=10"], 2, "Did you mean --first_layer_size?"),
        (["--train-files=TRAIN", "--export-format=XML"], 2, "invalid choice: 'XML'"),
        (["--train-files=TRAIN", "--eval-files=TEST", "--train-batch-size=121"], 2, "only 120 flowers"),
    ],
)
def test_the_command_ends_with_the_right_code_and_one_sentence(
    words: list[str], code: int, message: str, files: tuple[str, str]
) -> None:
    given = [word.replace("TRAIN", files[0]).replace("TEST", files[1]) for word in words]

    done = subprocess.run([sys.executable, "-m", MODULE, *given], capture_output=True, text=True, check=False)

    assert code == done.returncode
    assert message in done.stderr
    assert "Traceback" not in done.stderr


# --- training ----------------------------------------------------------------------------------------------------


def test_the_tutorials_run_is_right_about_29_of_the_30_test_flowers(json_run: Path) -> None:
    metrics = json.loads((json_run / "metrics.json").read_text())

    assert metrics["accuracy"] >= 0.96
    assert (metrics["global_step"], metrics["parameters"]) == (1000, 12_749)


def test_loss_is_the_sum_over_a_batch_and_average_loss_its_mean(json_run: Path) -> None:
    with (json_run / "history.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))

    assert [int(row["step"]) for row in rows] == [1, *range(100, 1001, 100)]
    for row in rows:
        assert float(row["loss"]) == pytest.approx(40 * float(row["average_loss"]), rel=1e-3)
    assert float(rows[-1]["test_loss"]) == pytest.approx(30 * float(rows[-1]["test_average_loss"]), rel=1e-3)
    assert float(rows[-1]["average_loss"]) < 0.1 < 0.9 < float(rows[0]["average_loss"])


def test_tensorboard_gets_the_original_scalars_at_every_hundredth_step(json_run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for part, steps in (("train", [1, *range(100, 1001, 100)]), ("eval", list(range(100, 1001, 100)))):
        events = EventAccumulator(str(json_run / part), size_guidance={"tensors": 0})  # every one
        events.Reload()
        for name in ("accuracy", "average_loss", "loss"):
            assert [event.step for event in events.Tensors(name)] == steps


def test_several_files_are_read_as_one(files: tuple[str, str], tmp_path: Path) -> None:
    train(settings(files, tmp_path, train_files=files, train_batch_size=150, train_steps=1))

    with (tmp_path / "history.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert float(row["loss"]) == pytest.approx(150 * float(row["average_loss"]), rel=1e-3)


def test_epochs_end_a_run_that_steps_would_let_go_on(files: tuple[str, str], tmp_path: Path) -> None:
    train(settings(files, tmp_path, num_epochs=2, train_steps=100))

    assert json.loads((tmp_path / "metrics.json").read_text())["steps"] == 6  # twice 120 flowers in batches of 40


def test_few_evaluation_steps_look_at_few_flowers(files: tuple[str, str], tmp_path: Path) -> None:
    train(settings(files, tmp_path, train_steps=1, eval_steps=2, eval_batch_size=2))

    accuracy = json.loads((tmp_path / "metrics.json").read_text())["accuracy"]
    assert accuracy * 4 == round(accuracy * 4)


def test_a_run_taken_up_again_ends_where_an_undisturbed_one_ends(files: tuple[str, str], tmp_path: Path) -> None:
    options = {"train_steps": 40, "save_checkpoints_secs": 0.0}
    train(settings(files, tmp_path / "whole", **options))
    shutil.copytree(tmp_path / "whole", tmp_path / "broken")
    for file in (tmp_path / "broken" / "checkpoints").glob("ckpt-40.*"):
        file.unlink()

    train(settings(files, tmp_path / "broken", **options))

    ends = [json.loads((tmp_path / name / "metrics.json").read_text())["loss"] for name in ("whole", "broken")]
    assert ends[0] == pytest.approx(ends[1], rel=1e-5)


def test_data_come_from_a_bucket_and_the_run_goes_to_one(home: Path) -> None:
    iris.prepare("gs://workshop-ml/iris")
    names = (["gs://workshop-ml/iris/iris_training.csv"], ["gs://workshop-ml/iris/iris_test.csv"])

    export = train(Hyperparameters(tuple(names[0]), tuple(names[1]), job_dir="gs://workshop-ml/run", train_steps=1))

    assert home / "buckets" / "workshop-ml" / "run" / "export" / "iris" == export.parent


def test_a_malformed_row_stops_the_run_before_it_starts(files: tuple[str, str], tmp_path: Path) -> None:
    broken = tmp_path / "broken.csv"
    broken.write_text(Path(files[0]).read_text().replace("\n", "\nfour,", 1))

    with pytest.raises(DataError, match=r"broken.csv, line 2: 'four,"):
        train(settings((str(broken), files[1]), tmp_path / "run"))

    assert not (tmp_path / "run").exists()


def test_a_folder_with_a_run_of_another_width_is_refused(files: tuple[str, str], tmp_path: Path) -> None:
    train(settings(files, tmp_path, train_steps=1))

    with pytest.raises(UsageError, match=r"holds a run with other settings: num_layers 4 \(now 3\)"):
        train(settings(files, tmp_path, train_steps=1, num_layers=3))


# --- serving -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["JSON", "CSV", "EXAMPLE"])
def test_the_tutorials_flower_is_a_versicolor_in_each_form(form: str, exports: dict[str, Path]) -> None:
    with serving.load(exports[form]) as predictor:
        (answer,) = predictor.predict(instances(form, iris.request()))

    assert answer["class_ids"] == [1]
    assert answer["classes"] == ["versicolor"]
    powers = np.exp(answer["logits"])
    np.testing.assert_allclose(answer["probabilities"], powers / powers.sum(), rtol=1e-4)
    assert iris.request() == [FLOWER]  # and no species: the original's own request lacked what its model demanded


@pytest.mark.parametrize("form", ["JSON", "CSV", "EXAMPLE"])
def test_the_export_is_as_accurate_on_the_test_flowers_as_the_run_says(form: str, exports: dict[str, Path]) -> None:
    species = iris.load().test["Species"]
    with serving.load(exports[form]) as predictor:
        answers = predictor.predict(instances(form, iris.request(30)))
        said = predictor.signature["metrics"]["accuracy"]

    right = np.array([answer["class_ids"][0] for answer in answers]) == species
    assert right.mean() == pytest.approx(said, abs=1e-6)
    assert right.mean() > 0.8


def test_litert_and_savedmodel_answer_alike(exports: dict[str, Path]) -> None:
    answers = []
    for runtime in ("litert", "savedmodel"):
        with serving.load(exports["JSON"], runtime=runtime) as predictor:
            answers.append(predictor.predict(iris.request(30)))

    for lite, saved in zip(*answers, strict=True):
        assert (lite["classes"], lite["class_ids"]) == (saved["classes"], saved["class_ids"])
        np.testing.assert_allclose(lite["probabilities"], saved["probabilities"], atol=1e-5)


def test_every_form_is_served_over_http_with_the_answers_of_this_process(
    exports: dict[str, Path], tmp_path: Path
) -> None:
    flowers = iris.request(3)

    with serving.start(models={form.lower(): folder for form, folder in exports.items()}) as server:
        for form, folder in exports.items():
            with serving.connect(form.lower(), address=server.address) as remote, serving.load(folder) as local:
                assert remote.predict(instances(form, flowers)) == local.predict(instances(form, flowers))
        with (
            serving.connect("example", address=server.address) as remote,
            pytest.raises(PredictionError, match=r"Feature: PetalLength .* is required but could not be found"),
        ):
            remote.predict([{"examples": {"b64": base64.b64encode(serialize({"SepalLength": 5.9})).decode()}}])


@pytest.mark.parametrize(
    ("form", "instance", "message"),
    [
        ("JSON", FLOWER | {"Species": 1}, r"instances\[0\] has 'Species', which the signature does not know"),
        ("JSON", {"SepalLength": 5.9}, "lacks 'SepalWidth', 'PetalLength', 'PetalWidth'"),
        ("JSON", FLOWER | {"PetalWidth": 25}, r"holds 25.*from 0 to 20"),
        ("CSV", {"csv_row": "5.9,3.0,4.2"}, r"'5.9,3.0,4.2', which is not written as .* as in '5.9,3.0,4.2,1.5'"),
        ("CSV", {"csv_row": "5.9,3.0,4.2,1.5,1"}, "not written as it should be"),
        ("CSV", {"csv_row": "5.9,3.0,,1.5"}, "not written as it should be"),
        ("CSV", {"csv_row": "5.9,3.0,4.2,wide"}, "not written as it should be"),
        ("CSV", {"csv_row": "5.9,3.0,4.2,nan"}, "not written as it should be"),
        ("CSV", {"csv_row": "59,30,42,15"}, "not written as it should be"),
        ("CSV", {"csv_row": "5.9,3.0,4.2,20.5"}, "not written as it should be"),
        ("CSV", {"csv_row": "5.9,3.0,4.2,1.5\n5.9,3.0,4.2,1.5"}, "not written as it should be"),
        ("CSV", {"csv_row": 5.9}, "5.9 where text belongs"),
        ("EXAMPLE", {"examples": serialize({"SepalLength": 5.9})}, "PetalLength .* is required but could not be found"),
        ("EXAMPLE", {"examples": b"no example"}, "The model refuses what was sent: "),
        ("EXAMPLE", {"examples": serialize(FLOWER | {"PetalWidth": 15.0 * 10})}, "lengths are 0 to 20 cm"),
        ("EXAMPLE", {"examples": serialize(FLOWER | {"PetalWidth": -1.0})}, "lengths are 0 to 20 cm"),
    ],
)
def test_what_is_no_flower_is_refused_in_a_sentence(
    form: str, instance: dict[str, Any], message: str, exports: dict[str, Path]
) -> None:
    with serving.load(exports[form]) as predictor, pytest.raises(PredictionError, match=message) as caught:
        predictor.predict([instance])

    assert "Graph execution error" not in str(caught.value)
    assert "node" not in str(caught.value)


@pytest.mark.parametrize("row", ["5.9, 3.0, 4.2, 1.5", " 5.9,3,4.2,1.5 ", "5.90,3.0,4.2,1.50"])
def test_a_row_may_be_written_in_several_ways(row: str, exports: dict[str, Path]) -> None:
    with serving.load(exports["CSV"]) as predictor:
        one, other = predictor.predict([{"csv_row": row}, "5.9,3.0,4.2,1.5"])

    assert one == other


def test_more_flowers_than_run_at_once_come_back_in_their_order(exports: dict[str, Path]) -> None:
    flowers = iris.request(30) * 10

    with serving.load(exports["CSV"]) as predictor:
        answers = predictor.predict(instances("CSV", flowers))

    assert len(answers) == 300
    for one, other in zip(answers[:30], answers[270:], strict=True):
        np.testing.assert_allclose(one["logits"], other["logits"], rtol=1e-4)
