"""SavedModels of any making: today's TensorFlow, Keras' export, TensorFlow 1; what cannot be served is said by name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from foreign_model import Foreign

from mlhelpers import serving
from mlhelpers.datasets.records import serialize
from mlhelpers.errors import ModelError, PredictionError
from mlhelpers.serving.model import load_model
from mlhelpers.serving.runtimes import savedmodel, signature_of

Kind = Callable[[str], Foreign]


@pytest.mark.parametrize("kind", ["module", "simple_save", "two_graphs", "windows", "one", "keras_export"])
def test_it_answers_as_tensorflow_itself(foreign: Kind, kind: str) -> None:
    model = foreign(kind)
    name = "flowers" if kind == "module" else None

    answer = load_model(model.folder).predict(model.instances, name)

    assert answer.keys() == model.expected.keys()
    for output, values in model.expected.items():
        if isinstance(values[0], str):
            assert answer[output].tolist() == values
        else:
            np.testing.assert_allclose(answer[output], values, rtol=1e-4, atol=1e-5)


def test_texts_whole_numbers_and_booleans_go_in_and_out(foreign: Kind) -> None:
    with serving.load(foreign("module").folder) as predictor:
        colors = [{"color": "blue", "counts": [1, 2]}, {"color": "grün", "counts": [2**40, 1]}]
        assert predictor.predict(colors) == [
            {"number": 2, "loud": "BLUE", "sum": 3},
            {"number": -1, "loud": "GRüN", "sum": 2**40 + 1},
        ]
        assert predictor.predict([{"switches": [True, False]}, {"switches": [True, True]}]) == [
            {"both": False},
            {"both": True},
        ]
        with pytest.raises(PredictionError, match="holds something other than true and false"):
            predictor.predict([{"switches": [True, 1]}])


def test_a_serialised_example_is_a_text_and_an_empty_one_is_refused(foreign: Kind) -> None:
    with serving.load(foreign("examples").folder) as predictor:
        assert predictor.predict([serialize({"length": 2.5}), serialize({"length": 4.0})]) == [
            {"doubled": 5.0},
            {"doubled": 8.0},
        ]
        with pytest.raises(PredictionError, match="The model refuses what was sent"):
            predictor.predict([""])


def test_what_cannot_be_served_is_left_out_with_the_reason(foreign: Kind) -> None:
    document = savedmodel.derive(foreign("module").folder)

    assert sorted(document["signatures"]) == ["colors", "flowers", "switches"]
    assert document["left_out"] == {
        "anything": "its input 'anything' may have any number of axes, so an instance "
        "has no shape to be checked against",
        "eight": "its input 'eight' has the shape [8, 4]: its first axis is always 8 "
        "and holds neither one instance nor any number",
        "flowers.total": "it has the shape [], which is not one row per instance",
        "nothing": "it has no inputs, so there is nothing to predict from",
        "scalar": "its input 'number' is one float32 for the whole batch, without an axis for the instances",
        "wave": "its input 'wave' is complex64, which has no form in JSON",
    }


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("sparse", "'serving_default': its input 'words' is a sparse tensor, which has no form in JSON"),
        ("unservable", "'serving_default': its input 'number' is one float32 for the whole batch"),
        ("unsigned", "has no signature, which would say what the model takes"),
    ],
)
def test_a_model_without_a_signature_for_serving_is_refused(foreign: Kind, kind: str, reason: str) -> None:
    with pytest.raises(ModelError, match=rf"{kind}.saved_model\.pb .*{reason}.*Export it with inputs"):
        load_model(foreign(kind).folder)


def test_the_signature_is_read_without_tensorflow(foreign: Kind) -> None:
    folders = [str(foreign(kind).folder) for kind in ("simple_save", "keras_export", "module")]
    code = (
        "import sys; from pathlib import Path; from mlhelpers.serving.runtimes import signature_of; "
        f"print([str(signature_of(Path(folder)).choose(None, None)) for folder in {folders!r}]); "
        "print([name for name in ('tensorflow', 'keras', 'ai_edge_litert') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    taken, heavy = done.stdout.splitlines()
    assert "'serving_default' takes 'flower': float32 [4]" in taken
    assert heavy == "[]"


def test_an_estimators_predict_is_the_default_where_none_is_called_serving_default(foreign: Kind) -> None:
    assert signature_of(foreign("two_graphs").folder).default == "predict"
    assert signature_of(foreign("module").folder).default == "colors"


def test_every_truncation_and_changed_bit_is_a_model_error_or_a_model(foreign: Kind) -> None:
    model = foreign("simple_save")
    file = model.folder / "saved_model.pb"
    content = file.read_bytes()
    draw = np.random.default_rng(2)
    told = 0

    for round_ in range(40):
        damaged = bytearray(content)
        if round_ % 2:
            damaged = damaged[: draw.integers(len(content))]
        else:
            damaged[draw.integers(len(content))] ^= 1 << int(draw.integers(8))
        file.write_bytes(damaged)
        try:
            load_model(model.folder)
        except ModelError:
            told += 1

    assert told >= 20  # every truncation; a changed bit may be in a comment


def test_damaged_variables_are_named(foreign: Kind) -> None:
    model = foreign("simple_save")
    (values,) = (model.folder / "variables").glob("*.data-*")
    values.write_bytes(values.read_bytes()[:3])

    with pytest.raises(ModelError, match=r"simple_save.* cannot be loaded: .*Export the model again"):
        load_model(model.folder)


def test_a_folder_without_its_variables_is_refused(foreign: Kind, tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "saved_model.pb").write_bytes((foreign("simple_save").folder / "saved_model.pb").read_bytes())

    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(tmp_path / "alone")
