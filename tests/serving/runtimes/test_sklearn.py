"""scikit-learn models: answers as scikit-learn's own, files of strangers refused, signatures read off the model."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from mlhelpers import serving
from mlhelpers.datasets.iris import CLASS_NAMES
from mlhelpers.errors import ModelError, PredictionError
from mlhelpers.serving import runtimes
from mlhelpers.serving.model import load_model

Flowers = tuple[np.ndarray, np.ndarray]


class Malicious:
    """A pickle that writes a file when it is opened."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.target, "ran")


@pytest.fixture
def pipeline(flowers: Flowers) -> Any:
    lengths, species = flowers
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(lengths, np.array(CLASS_NAMES)[species])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    made.mkdir()
    return made


def test_a_model_without_signature_answers_as_scikit_learn_does(pipeline: Any, flowers: Flowers, folder: Path) -> None:
    skops.io.dump(pipeline, folder / "model.skops")
    lengths, _ = flowers

    with serving.load(folder) as predictor:
        answers = predictor.predict(lengths)
        document = predictor.signature

    np.testing.assert_allclose([a["probabilities"] for a in answers], pipeline.predict_proba(lengths), rtol=1e-4)
    assert [a["classes"][0] for a in answers] == pipeline.predict(lengths).tolist()
    assert document["class_names"] == list(CLASS_NAMES)
    assert document["signatures"]["serving_default"]["inputs"]["features"]["shape"] == [None, 4]


def test_columns_of_words_and_numbers_are_known_from_the_encoder(folder: Path) -> None:
    table = np.array([["red", 1.0, "s"], ["blue", 2.0, "m"], ["red", 3.0, "l"]], object)
    encode = make_column_transformer((OneHotEncoder(), [0, 2]), remainder="passthrough")
    model = make_pipeline(encode, Ridge(1e-6)).fit(table, [1.0, 2.0, 3.0])
    skops.io.dump(model, folder / "model.skops")

    with serving.load(folder) as predictor:
        inputs = predictor.signature["signatures"]["serving_default"]["inputs"]
        (answer,) = predictor.predict([{"feature_0": "blue", "feature_1": 2.0, "feature_2": "m"}])
        with pytest.raises(PredictionError, match="'feature_0' is 'green'; allowed: 'blue', 'red'"):
            predictor.predict([{"feature_0": "green", "feature_1": 2.0, "feature_2": "m"}])

    assert {name: tensor.get("values") for name, tensor in inputs.items()} == {
        "feature_0": ["blue", "red"], "feature_1": None, "feature_2": ["l", "m", "s"],
    }  # fmt: skip
    assert answer["predictions"] == [pytest.approx(2.0, abs=1e-3)]


def test_labels_that_are_numbers_and_a_classifier_without_probabilities(flowers: Flowers, folder: Path) -> None:
    lengths, species = flowers
    model = LinearSVC().fit(lengths, species * 10)
    skops.io.dump(model, folder / "model.skops")

    answers = load_model(folder).predict(lengths)

    assert set(answers) == {"class_ids", "classes"}
    assert answers["classes"].ravel().tolist() == [str(label) for label in model.predict(lengths)]
    assert (answers["class_ids"].ravel() * 10 == model.predict(lengths)).all()


def test_a_regression_of_several_targets_has_an_axis_for_them(flowers: Flowers, folder: Path) -> None:
    lengths, _ = flowers
    model = LinearRegression().fit(lengths, lengths[:, :2] * [1, 2])
    skops.io.dump(model, folder / "model.skops")

    np.testing.assert_allclose(load_model(folder).predict(lengths)["predictions"], lengths[:, :2] * [1, 2], rtol=1e-4)


def test_class_names_of_the_signature_stand_for_the_models_numbers(
    flowers: Flowers, folder: Path, write_signature: Callable[..., None]
) -> None:
    skops.io.dump(LogisticRegression(max_iter=500).fit(*flowers), folder / "model.skops")
    write_signature(folder, {"classes": {"dtype": "string", "shape": [None]}}, class_names=CLASS_NAMES)

    assert load_model(folder).predict([[5.9, 3.0, 4.2, 1.5]])["classes"].tolist() == ["versicolor"]


@pytest.mark.parametrize(
    ("outputs", "size", "names", "message"),
    [
        ({"classes": {"dtype": "string", "shape": [None]}}, 5, (), "takes 5 values; .*model.skops takes 4"),
        ({"pounds": {"dtype": "float32", "shape": [None]}}, 4, (), r"gives \['pounds'\]; .* gives \['class_ids'"),
        ({"classes": {"dtype": "string", "shape": [None]}}, 4, ("a", "b", "c"), r"names the classes \['a', 'b', 'c'\]"),
    ],
)
def test_a_signature_of_another_model_is_refused(
    pipeline: Any, folder: Path, write_signature: Callable[..., None],
    outputs: dict[str, Any], size: int, names: tuple[str, ...], message: str,
) -> None:  # fmt: skip
    skops.io.dump(pipeline, folder / "model.skops")
    write_signature(folder, outputs, size, names)

    with pytest.raises(ModelError, match=message):
        load_model(folder)


def test_types_that_skops_does_not_trust_are_named_and_taken_on_the_owners_word(flowers: Flowers, folder: Path) -> None:
    forest = RandomForestClassifier(5, random_state=0).fit(*flowers)
    skops.io.dump(forest, folder / "model.skops")

    with pytest.raises(ModelError, match=r"was not loaded: .* harmless: .*sklearn.*Tree.*--trust-pickle"):
        load_model(folder)

    found = load_model(folder, trust_pickle=True).predict(flowers[0])["probabilities"]
    np.testing.assert_allclose(found, forest.predict_proba(flowers[0]))


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib"])
@pytest.mark.parametrize("signed", [False, True])
def test_a_malicious_pickle_is_opened_nowhere(
    name: str, signed: bool, folder: Path, tmp_path: Path, home: Path, write_signature: Callable[..., None]
) -> None:
    touched = tmp_path / "touched"
    (joblib.dump if name == "model.joblib" else lambda what, path: path.write_bytes(pickle.dumps(what)))(
        Malicious(touched), folder / name
    )
    if signed:
        write_signature(folder, {"classes": {"dtype": "string", "shape": [None]}})
    store = serving.ModelStore()
    store.create_model("Trap")

    for attempt in (
        lambda: store.create_version("Trap", "v1", folder),
        lambda: serving.load(folder),
        lambda: serving.load(folder, runtime="sklearn"),
    ):
        with pytest.raises(ModelError, match="is a pickle and was not opened: opening a pickle runs whatever code"):
            attempt()
    if signed:
        runtimes.signature_of(folder)  # reads what lies beside it
    else:
        with pytest.raises(ModelError, match="was not opened"):
            runtimes.signature_of(folder)
    with pytest.raises(ModelError, match="was not opened"):
        serving.start(models={"trap": folder}).stop()

    assert not touched.exists()
    assert store.list_versions("Trap") == []
    with pytest.raises(ModelError):  # and the trap is a real one: opened on the owner's word, it snaps
        load_model(folder, trust_pickle=True)
    assert touched.read_text() == "ran"


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib"])
def test_a_pickle_of_ones_own_is_served_on_ones_word(name: str, pipeline: Any, flowers: Flowers, folder: Path) -> None:
    joblib.dump(pipeline, folder / name)

    with serving.load(folder, trust_pickle=True) as predictor:
        answers = predictor.predict(flowers[0])

    assert [a["classes"][0] for a in answers] == pipeline.predict(flowers[0]).tolist()


def test_skops_goes_before_a_pickle_beside_it(pipeline: Any, folder: Path, tmp_path: Path) -> None:
    skops.io.dump(pipeline, folder / "model.skops")
    (folder / "model.pkl").write_bytes(pickle.dumps(Malicious(tmp_path / "touched")))

    assert load_model(folder).predict([[5.9, 3.0, 4.2, 1.5]])["classes"].tolist() == [["versicolor"]]
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("content", [b"", b"\x00" * 300, b"PK\x03\x04" + b"\x00" * 200])
def test_a_damaged_file_is_named(content: bytes, folder: Path) -> None:
    (folder / "model.skops").write_bytes(content)

    with pytest.raises(ModelError, match=r"model\.skops cannot be loaded: .*Export the model again"):
        load_model(folder)


def test_what_cannot_predict_is_named(folder: Path, flowers: Flowers) -> None:
    skops.io.dump(StandardScaler().fit(flowers[0]), folder / "model.skops")

    with pytest.raises(ModelError, match="holds a StandardScaler, which has no predict"):
        load_model(folder)


def test_threads_do_not_mix_their_answers(pipeline: Any, flowers: Flowers, folder: Path) -> None:
    skops.io.dump(pipeline, folder / "model.skops")
    model, lengths = load_model(folder), flowers[0]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda k: model.predict([lengths[k % 96]])["probabilities"][0], range(300)))

    np.testing.assert_allclose(answers, pipeline.predict_proba(lengths[np.arange(300) % 96]), rtol=1e-4)


def test_one_row_starts_no_worker_of_a_forest_that_asks_for_all(flowers: Flowers, folder: Path) -> None:
    skops.io.dump(RandomForestClassifier(20, n_jobs=-1, random_state=0).fit(*flowers), folder / "model.skops")
    model = load_model(folder, trust_pickle=True)
    before = threading.active_count()
    seen = []
    started = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        seen.append(thread.name)
        started(thread)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        for _ in range(3):
            model.predict([flowers[0][0]])

    assert seen == []
    assert threading.active_count() == before


def test_it_is_served_and_predicted_from_without_tensorflow(pipeline: Any, folder: Path) -> None:
    skops.io.dump(pipeline, folder / "model.skops")
    code = (
        "import sys, json; from mlhelpers import serving; "
        f"print(json.dumps(serving.load({str(folder)!r}).predict([[5.9, 3.0, 4.2, 1.5]])[0]['classes'])); "
        "print('tensorflow' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)

    assert (done.stdout.splitlines(), done.stderr) == (['["versicolor"]', "False"], "")


def test_a_row_costs_milliseconds(pipeline: Any, folder: Path) -> None:
    skops.io.dump(pipeline, folder / "model.skops")
    model = load_model(folder)
    seconds = []
    for _ in range(50):
        began = time.perf_counter()
        model.predict([[5.9, 3.0, 4.2, 1.5]])
        seconds.append(time.perf_counter() - began)

    assert min(seconds) < 0.01


def test_the_derived_document_is_plain_json(pipeline: Any, folder: Path) -> None:
    skops.io.dump(pipeline, folder / "model.skops")

    document = runtimes.signature_of(folder).document

    assert json.loads(json.dumps(document)) == document
    assert document["derived_from"] == "model.skops"
