"""The trainers of scikit-learn and XGBoost: as good as the TensorFlow ones, the same requests, without TensorFlow."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlhelpers import datasets, serving
from mlhelpers.datasets import iris
from mlhelpers.errors import DataError, MissingExtraError, UsageError
from mlhelpers.trainers import babyweight_sklearn, babyweight_xgboost, boosting, iris_sklearn, iris_xgboost, pipelines

IRIS = pytest.mark.parametrize("trainer", [iris_sklearn, iris_xgboost], ids=["sklearn", "xgboost"])
BABYWEIGHT = pytest.mark.parametrize("trainer", [babyweight_sklearn, babyweight_xgboost], ids=["sklearn", "xgboost"])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    iris.prepare(folder / "iris")
    datasets.prepare("babyweight", folder / "babyweight", source="shipped")
    return folder


def flowers(trainer: Any, data: Path, out: Path, **more: Any) -> Any:
    files = {"train_files": (str(data / "iris/iris_training.csv"),), "eval_files": (str(data / "iris/iris_test.csv"),)}
    return trainer.Hyperparameters(**files, job_dir=str(out), **more)


def births(trainer: Any, data: Path, out: Path, **more: Any) -> Any:
    return trainer.Hyperparameters(data_dir=str(data / "babyweight"), output_dir=str(out), **more)


@IRIS
def test_29_of_30_irises_are_told_and_the_export_answers_as_the_run_says(
    trainer: Any, data: Path, tmp_path: Path
) -> None:
    export = trainer.train(flowers(trainer, data, tmp_path))

    assert json.loads((tmp_path / "metrics.json").read_text())["accuracy"] >= 0.96
    asked = iris.request(30)
    with serving.load(export) as predictor:
        by_name = predictor.predict(asked)
        bare = predictor.predict([list(flower.values()) for flower in asked])
        said = predictor.signature["metrics"]["accuracy"]
    right = [answer["class_ids"][0] for answer in by_name] == iris.load().test["Species"]
    assert np.mean(right) == pytest.approx(said, abs=1e-6)
    assert bare == by_name
    assert by_name[0]["classes"] == ["versicolor"]
    assert set(by_name[0]) == {"class_ids", "classes", "probabilities"}


@BABYWEIGHT
def test_births_are_predicted_as_well_as_by_the_network_and_the_tutorials_requests_are_understood(
    trainer: Any, data: Path, tmp_path: Path
) -> None:
    export = trainer.train(births(trainer, data, tmp_path))

    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["rmse"] < 0.92
    assert metrics["rmse"] == pytest.approx(metrics["loss"] ** 0.5)
    with serving.load(export) as predictor:
        answers = predictor.predict(datasets.request("babyweight", 4))
        (without_key,) = predictor.predict(
            [{"is_male": "True", "mother_age": 26, "plurality": "Single(1)", "gestation_weeks": 39}]
        )
    pounds = [answer["predictions"][0] for answer in answers]
    assert [answer["key"] for answer in answers] == ["b1", "g1", "b2", "u1"]
    assert pounds[0] > pounds[1] > pounds[3] > 5.5
    assert 4.5 < pounds[2] < pounds[1]
    assert without_key == {"predictions": answers[0]["predictions"], "key": "nokey"}


@BABYWEIGHT
def test_the_export_is_as_good_on_the_evaluation_rows_as_the_run_says(trainer: Any, data: Path, tmp_path: Path) -> None:
    export = trainer.train(births(trainer, data, tmp_path))

    rows = datasets.babyweight.read_csv(datasets.babyweight.find_shards(data / "babyweight", "eval"))
    some = slice(0, 500)
    words = datasets.babyweight.VOCABULARY
    columns = {
        n: np.array(words[n])[rows[n][some]] if n in words else rows[n][some] for n in datasets.babyweight.FEATURES
    }
    asked = [dict(zip(columns, row, strict=True)) for row in zip(*(c.tolist() for c in columns.values()), strict=True)]
    with serving.load(export) as predictor:
        answered = np.array([answer["predictions"][0] for answer in predictor.predict(asked)])
    error = np.sqrt(np.mean((answered - rows["weight_pounds"][some]) ** 2))
    assert error == pytest.approx(json.loads((tmp_path / "metrics.json").read_text())["rmse"], abs=0.1)


@pytest.mark.parametrize("name", ["iris_sklearn", "iris_xgboost"])
def test_training_and_predicting_need_no_tensorflow(name: str, data: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'keras', 'jax'): sys.modules[name] = None\n"
        f"from mlhelpers.trainers import {name} as trainer; from mlhelpers import serving\n"
        f"export = trainer.train(trainer.Hyperparameters(('{data}/iris/iris_training.csv',), "
        f"('{data}/iris/iris_test.csv',), '{tmp_path}'))\n"
        "print(serving.load(export).predict([[5.9, 3.0, 4.2, 1.5]])[0]['classes'])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "['versicolor']"
    assert list((tmp_path / "train").glob("events.out.tfevents.*"))


def test_plain_skops_opens_the_exports_without_being_told_to_trust_anything(data: Path, tmp_path: Path) -> None:
    import skops.io

    exports = [
        iris_sklearn.train(flowers(iris_sklearn, data, tmp_path / "iris")),
        babyweight_sklearn.train(births(babyweight_sklearn, data, tmp_path / "babies")),
    ]
    tables = [[[5.9, 3.0, 4.2, 1.5]], np.array([["True", 26.0, "Single(1)", 39.0]], object)]

    answers = [
        skops.io.load(export / "model.skops").predict(table) for export, table in zip(exports, tables, strict=True)
    ]

    assert answers[0].tolist() == ["versicolor"]
    assert answers[1] == pytest.approx(7.7, abs=0.3)


def test_a_finished_pipeline_is_not_fitted_again_and_says_so(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = flowers(iris_sklearn, data, tmp_path)
    first = iris_sklearn.train(settings)
    before = json.loads((tmp_path / "metrics.json").read_text())
    capsys.readouterr()
    monkeypatch.setattr(iris_sklearn, "build_pipeline", lambda *_: None)  # nothing that could be fitted

    second = iris_sklearn.train(settings)

    assert "the pipeline is fitted already" in capsys.readouterr().out
    assert json.loads((tmp_path / "metrics.json").read_text()) == before
    assert first != second
    with serving.load(first) as one, serving.load(second) as other:
        assert one.predict(iris.request(30)) == other.predict(iris.request(30))


def test_a_pipeline_that_was_damaged_since_is_named(data: Path, tmp_path: Path) -> None:
    settings = flowers(iris_sklearn, data, tmp_path)
    iris_sklearn.train(settings)
    (tmp_path / "checkpoints" / "model.skops").write_bytes(b"PK")

    with pytest.raises(DataError, match=r"model\.skops cannot be read by this trainer.*Remove"):
        iris_sklearn.train(settings)


@pytest.mark.parametrize("newest_is_damaged", [False, True])
def test_boosting_that_was_broken_off_ends_with_the_same_trees(
    newest_is_damaged: bool, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"num_boost_round": 30, "save_checkpoints_secs": 0.0}
    whole = iris_xgboost.train(flowers(iris_xgboost, data, tmp_path / "whole", **options))

    def stop(after: int) -> Callable[..., None]:
        def save(*words: Any) -> None:
            boosting_save(*words)
            if words[2] >= after:
                raise KeyboardInterrupt

        return save

    boosting_save = boosting._save
    settings = flowers(iris_xgboost, data, tmp_path / "broken", **options)
    with monkeypatch.context() as patch:
        patch.setattr(boosting, "_save", stop(12))
        with pytest.raises(KeyboardInterrupt):
            iris_xgboost.train(settings)
    kept = sorted(path.name for path in (tmp_path / "broken" / "checkpoints").iterdir())
    assert kept == ["round-11.ubj", "round-12.ubj"]
    if newest_is_damaged:
        (tmp_path / "broken" / "checkpoints" / "round-12.ubj").write_bytes(b"{L")

    again = iris_xgboost.train(settings)

    with serving.load(whole) as one, serving.load(again) as other:
        assert one.predict(iris.request(30)) == other.predict(iris.request(30))


def test_a_finished_boosting_says_so_and_boosts_no_more(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = flowers(iris_xgboost, data, tmp_path, num_boost_round=5)
    iris_xgboost.train(settings)
    before = json.loads((tmp_path / "metrics.json").read_text())
    capsys.readouterr()

    iris_xgboost.train(settings)

    assert "going on from the checkpoint at round 5/5" in capsys.readouterr().out
    assert json.loads((tmp_path / "metrics.json").read_text()) == before


@IRIS
def test_a_folder_of_a_run_with_other_settings_is_refused(trainer: Any, data: Path, tmp_path: Path) -> None:
    name = "max_iter" if trainer is iris_sklearn else "max_depth"
    trainer.train(flowers(trainer, data, tmp_path))

    with pytest.raises(UsageError, match=f"holds a run with other settings: {name} "):
        trainer.train(flowers(trainer, data, tmp_path, **{name: 7}))


@pytest.mark.parametrize(
    ("name", "words", "code", "message"),
    [
        ("iris_sklearn", ["--max-iter=5"], 2, "--train-files is missing"),
        ("iris_xgboost", ["--max-dept=5"], 2, "Did you mean --max_depth?"),
        ("babyweight_sklearn", ["--alpha=-1"], 2, "--alpha was given -1.0; allowed is"),
        ("babyweight_xgboost", ["--data_dir=nowhere", "--output_dir=x"], 65, "mlhelpers data prepare babyweight"),
    ],
)
def test_the_command_ends_with_the_right_code_and_one_sentence(
    name: str, words: list[str], code: int, message: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", f"mlhelpers.trainers.{name}", *words]

    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
    assert message in done.stderr


@pytest.mark.parametrize(
    ("module", "needed"), [(pipelines.import_sklearn, "skops.io"), (boosting.import_xgboost, "xgboost")]
)
def test_a_missing_package_is_named_with_its_extra(
    module: Callable[[], Any], needed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, needed, None)

    with pytest.raises(MissingExtraError, match=r"is not installed.*mlhelpers\[frameworks\]"):
        module()


@pytest.mark.mirror
@BABYWEIGHT
def test_real_births_are_predicted_as_well_as_the_columns_allow(trainer: Any, mirror: Path, tmp_path: Path) -> None:
    for part in ("train", "eval"):
        (tmp_path / f"{part}.csv-00000-of-00001").symlink_to(mirror / "babyweight" / f"{part}.csv")

    trainer.train(trainer.Hyperparameters(data_dir=str(tmp_path), output_dir=str(tmp_path / "run")))

    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["rmse"] <= 1.055  # least squares: 1.052
