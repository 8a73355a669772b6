"""Predictors in process: where a model is found, what comes back, what a closed one says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlhelpers import serving, settings
from mlhelpers.errors import ModelError, PredictionError, UsageError
from mlhelpers.serving import predictor
from mlhelpers.serving.model import load_model
from mlhelpers.serving.predictor import to_rows


def test_predictions_are_plain_python_values(
    tiny_export: Path, images: np.ndarray, expected: Callable[[np.ndarray], np.ndarray]
) -> None:
    with serving.load(tiny_export) as predictor:
        predictions = predictor.predict([{"pixels": image.tolist()} for image in images])

    assert json.loads(json.dumps(predictions)) == predictions
    assert [type(one["classes"]) for one in predictions] == [int] * 5
    np.testing.assert_allclose([one["probabilities"] for one in predictions], expected(images / 255.0), atol=1e-5)


def test_float32_comes_back_as_the_shortest_number_that_means_it() -> None:
    rows = to_rows({"a": np.array([0.1, 1e-9], np.float32), "b": np.array([[1, 2], [3, 4]], np.int64)})

    assert rows == [{"a": 0.1, "b": [1, 2]}, {"a": 1e-9, "b": [3, 4]}]


def test_the_signature_is_the_exports_own(tiny_export: Path) -> None:
    assert serving.load(tiny_export).signature == json.loads((tiny_export / "signature.json").read_text())


def test_a_name_is_taken_from_the_store_with_its_default(store: serving.ModelStore, tiny_export: Path) -> None:
    store.create_version("MNIST", "v2", tiny_export)

    assert "MNIST/v1" in repr(serving.load("MNIST"))
    assert "MNIST/v2" in repr(serving.load("MNIST/v2"))


def test_a_folder_of_timestamps_gives_its_newest(tiny_export: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_export, tmp_path / "Servo" / "17")

    assert serving.load(tmp_path / "Servo").predict([[0.5] * 784])


def test_a_relative_folder_is_found_where_the_store_has_no_such_name(
    tiny_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_export, tmp_path / "mymodel")
    monkeypatch.chdir(tmp_path)

    assert serving.load("mymodel").predict([[0.5] * 784])


def test_an_unknown_name_says_what_the_store_and_the_disk_lack(store: serving.ModelStore) -> None:
    with pytest.raises(ModelError, match=r"no model 'MNITS'\. Did you mean 'MNIST'\?.* no folder 'MNITS' either"):
        serving.load("MNITS")
    with pytest.raises(ModelError, match=r"no MNIST version 'v7'.*Known: v1"):
        serving.load("MNIST/v7")


def test_a_closed_predictor_says_so(tiny_export: Path) -> None:
    predictor = serving.load(tiny_export)
    predictor.close()
    predictor.close()

    assert "closed" in repr(predictor)
    with pytest.raises(ModelError, match=r"is closed\. Load it again"):
        predictor.predict([[0.5] * 784])


def test_a_shipped_model_is_loaded_by_name(tiny_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(tiny_export, tmp_path / "models" / "tiny")
    monkeypatch.setattr(settings, "shipped_data", lambda: tmp_path)

    assert serving.shipped("tiny").predict([[0.5] * 784])
    with pytest.raises(UsageError, match=r"no shipped model 'tinny'\. Did you mean 'tiny'\?"):
        serving.shipped("tinny")


@pytest.mark.parametrize("parameters", [None, {}])
def test_parameters_that_say_nothing_are_fine(parameters: dict[str, object] | None, tiny_export: Path) -> None:
    assert serving.load(tiny_export).predict([[0.5] * 784], parameters=parameters)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"top": 3, "x": 1}, "parameters has 'top', 'x', but this model takes no parameters"), ([1], "a list; it should")],
)
def test_parameters_that_no_model_takes_are_refused(parameters: object, message: str, tiny_export: Path) -> None:
    with pytest.raises(PredictionError, match=message):
        serving.load(tiny_export).predict([[0.5] * 784], parameters=parameters)  # type: ignore[arg-type]


@pytest.mark.parametrize(("kept", "given"), [(True, False), (False, True), (False, False)])
def test_the_owners_word_on_pickles_comes_from_the_version_or_the_call(
    kept: bool, given: bool, store: serving.ModelStore, tiny_export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create_version("MNIST", "v2", tiny_export, trust_pickle=kept)
    asked = []
    monkeypatch.setattr(predictor, "load_model", lambda *words: asked.append(words) or load_model(*words))

    serving.load("MNIST/v2", trust_pickle=given)

    assert asked == [(store.version("MNIST", "v2").folder, None, kept or given)]
