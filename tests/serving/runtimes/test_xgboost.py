"""XGBoost models: answers as XGBoost's own, categories as words, signatures read off the model."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

from mlhelpers import serving
from mlhelpers.errors import ModelError, PredictionError
from mlhelpers.serving.model import load_model

Flowers = tuple[np.ndarray, np.ndarray]
CLASSES = {"classes": {"dtype": "string", "shape": [None]}}
WORDS = ["red", "green", "blue"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    made.mkdir()
    return made


def boost(table: np.ndarray, targets: np.ndarray, objective: str, rounds: int = 5, **more: Any) -> xgboost.Booster:
    classes = {"num_class": 3} if objective.startswith("multi:") else {}
    data = xgboost.DMatrix(table, targets, **more)
    return xgboost.train({"objective": objective, **classes}, data, rounds)


@pytest.fixture(scope="session")
def softprob(flowers: Flowers) -> xgboost.Booster:
    return boost(*flowers, "multi:softprob")


@pytest.mark.parametrize("name", ["model.ubj", "model.json", "model.bst"])
def test_each_name_of_a_model_file_is_known(
    name: str, softprob: xgboost.Booster, flowers: Flowers, folder: Path
) -> None:
    if name == "model.bst":
        (folder / name).write_bytes(softprob.save_raw("ubj"))
    else:
        softprob.save_model(folder / name)

    with serving.load(folder) as predictor:
        answers = predictor.predict(flowers[0])

    np.testing.assert_allclose(
        [answer["probabilities"] for answer in answers], softprob.predict(xgboost.DMatrix(flowers[0])), rtol=1e-5
    )
    assert {answer["classes"][0] for answer in answers} == {"0", "1", "2"}


def test_two_classes_have_two_probabilities(flowers: Flowers, folder: Path) -> None:
    model = boost(flowers[0], flowers[1] == 2, "binary:logistic")
    model.save_model(folder / "model.json")

    answers = load_model(folder).predict(flowers[0])

    of_one = model.predict(xgboost.DMatrix(flowers[0]))
    np.testing.assert_allclose(answers["probabilities"], np.stack([1 - of_one, of_one], 1), rtol=1e-5)
    assert (answers["class_ids"].ravel() == (of_one > 0.5)).all()


def test_a_model_that_answers_with_classes_has_no_probabilities(flowers: Flowers, folder: Path) -> None:
    model = boost(*flowers, "multi:softmax")
    model.save_model(folder / "model.ubj")

    answers = load_model(folder).predict(flowers[0])

    assert set(answers) == {"class_ids", "classes"}
    np.testing.assert_array_equal(answers["class_ids"].ravel(), model.predict(xgboost.DMatrix(flowers[0])))


def test_names_of_columns_and_of_classes_come_from_the_file(flowers: Flowers, folder: Path) -> None:
    model = boost(*flowers, "multi:softprob", feature_names=["a", "b", "c", "d"])
    model.set_attr(class_names=json.dumps(["setosa", "versicolor", "virginica"]))
    model.save_model(folder / "model.ubj")

    with serving.load(folder) as predictor:
        (by_name,) = predictor.predict([{"a": 5.9, "b": 3.0, "c": 4.2, "d": 1.5}])
        (bare,) = predictor.predict([[5.9, 3.0, 4.2, 1.5]])

    assert by_name == bare
    assert bare["classes"] == ["versicolor"]


def colours() -> tuple[np.ndarray, np.ndarray]:
    places = np.arange(90) % 3
    return np.stack([places, np.ones(90)], 1).astype(np.float32), np.array([1.0, 5.0, 9.0])[places]


def test_words_are_categories_whose_list_lies_in_the_model_file(folder: Path) -> None:
    model = boost(*colours(), "reg:squarederror", 40, feature_names=["colour", "one"], feature_types=["c", "float"])
    model.set_attr(categories=json.dumps({"colour": WORDS}))
    model.save_model(folder / "model.ubj")

    with serving.load(folder) as predictor:
        answers = predictor.predict([{"colour": word, "one": 1.0} for word in WORDS])
        with pytest.raises(PredictionError, match="'colour' is 'pink'; allowed: 'red', 'green', 'blue'"):
            predictor.predict([{"colour": "pink", "one": 1.0}])

    assert [answer["predictions"][0] for answer in answers] == [pytest.approx(v, abs=0.01) for v in (1.0, 5.0, 9.0)]


def test_a_word_that_the_model_does_not_know_is_refused_where_the_signature_allows_any(folder: Path) -> None:
    model = boost(*colours(), "reg:squarederror", 2, feature_names=["colour", "one"], feature_types=["c", "float"])
    model.set_attr(categories=json.dumps({"colour": WORDS}))
    model.save_model(folder / "model.ubj")
    columns = {
        "colour": {"dtype": "string", "shape": [None], "example": "red"},
        "one": {"dtype": "float32", "shape": [None]},
    }
    entry = {"inputs": columns, "outputs": {"predictions": {"dtype": "float32", "shape": [None]}}}
    (folder / "signature.json").write_text(json.dumps({"format": 1, "signatures": {"serving_default": entry}}))

    with pytest.raises(PredictionError, match="'colour' is 'pink'; allowed: 'red', 'green', 'blue'"):
        load_model(folder).predict([{"colour": "pink", "one": 1.0}])


def test_a_text_without_a_list_of_words_and_a_word_that_is_in_none_are_refused(folder: Path) -> None:
    model = boost(*colours(), "reg:squarederror", 2, feature_names=["colour", "one"], feature_types=["c", "float"])
    columns = {
        "colour": {"dtype": "string", "shape": [None], "values": ["pink"]},
        "one": {"dtype": "float32", "shape": [None]},
    }
    entry = {"inputs": columns, "outputs": {"predictions": {"dtype": "float32", "shape": [None]}}}
    (folder / "signature.json").write_text(json.dumps({"format": 1, "signatures": {"serving_default": entry}}))

    for categories, message in ((None, "has no list of words"), (json.dumps({"colour": WORDS}), "allows 'pink'")):
        model.set_attr(categories=categories)
        model.save_model(folder / "model.ubj")
        with pytest.raises(ModelError, match=message):
            load_model(folder)


def test_rounds_after_the_best_do_not_answer(flowers: Flowers, folder: Path) -> None:
    lengths, species = flowers
    data, other = xgboost.DMatrix(lengths[::2], species[::2]), xgboost.DMatrix(lengths[1::2], species[1::2])
    model = xgboost.train(
        {"objective": "multi:softprob", "num_class": 3, "eta": 1.0}, data, 60, evals=[(other, "other")],
        early_stopping_rounds=10, verbose_eval=False,
    )  # fmt: skip
    model.save_model(folder / "model.ubj")

    assert model.best_iteration < model.num_boosted_rounds() - 1
    expected = model.predict(xgboost.DMatrix(lengths), iteration_range=(0, model.best_iteration + 1))
    np.testing.assert_allclose(load_model(folder).predict(lengths)["probabilities"], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("outputs", "size", "names", "message"),
    [
        (CLASSES, 5, (), "takes 5 values; .*model.ubj takes 4"),
        ({"pounds": {"dtype": "float32", "shape": [None]}}, 4, (), r"gives \['pounds'\]; .* gives \['class_ids'"),
        (CLASSES, 4, ("a", "b"), r"names the classes \['a', 'b'\]"),
    ],
)
def test_a_signature_of_another_model_is_refused(
    softprob: xgboost.Booster, folder: Path, write_signature: Callable[..., None],
    outputs: dict[str, Any], size: int, names: tuple[str, ...], message: str,
) -> None:  # fmt: skip
    softprob.save_model(folder / "model.ubj")
    write_signature(folder, outputs, size, names)

    with pytest.raises(ModelError, match=message):
        load_model(folder)


def test_columns_in_another_order_are_refused(flowers: Flowers, folder: Path) -> None:
    boost(*flowers, "multi:softprob", feature_names=["a", "b", "c", "d"]).save_model(folder / "model.ubj")
    columns = {name: {"dtype": "float32", "shape": [None]} for name in "bacd"}
    entry = {"inputs": columns, "outputs": CLASSES}
    (folder / "signature.json").write_text(json.dumps({"format": 1, "signatures": {"serving_default": entry}}))

    with pytest.raises(
        ModelError, match=r"takes \['b', 'a', 'c', 'd'\], in this order; .* takes \['a', 'b', 'c', 'd'\]"
    ):
        load_model(folder)


@pytest.mark.parametrize("content", [b"", b"binf" + b"\x00" * 200, b"{}", b'{"learner": {}}', b"\x80\x04."])
def test_a_damaged_file_is_named(content: bytes, folder: Path) -> None:
    (folder / "model.bst").write_bytes(content)

    with pytest.raises(ModelError, match=r"model\.bst cannot be loaded: .*save_model\('model\.ubj'\)"):
        load_model(folder)


def test_threads_do_not_mix_their_answers(softprob: xgboost.Booster, flowers: Flowers, folder: Path) -> None:
    softprob.save_model(folder / "model.ubj")
    model, lengths = load_model(folder), flowers[0]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda k: model.predict([lengths[k % 96]])["probabilities"][0], range(300)))

    np.testing.assert_allclose(answers, softprob.predict(xgboost.DMatrix(lengths[np.arange(300) % 96])), rtol=1e-5)
