"""Texts and bytes in requests and answers."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from mlhelpers.errors import ModelError, PredictionError
from mlhelpers.serving.instances import to_batch
from mlhelpers.serving.predictor import to_rows
from mlhelpers.serving.server.wire import predictions_json
from mlhelpers.serving.signature import ModelSignature, parse_signature
from mlhelpers.serving.texts import from_texts

BIRTH = {
    "is_male": {"dtype": "string", "shape": [None], "values": ["True", "False", "Unknown"]},
    "weeks": {"dtype": "float32", "shape": [None]},
    "key": {"dtype": "string", "shape": [None], "default": "nokey"},
}


def model_of(**inputs: dict[str, Any]) -> ModelSignature:
    outputs = {"y": {"dtype": "float32", "shape": [None]}}
    return parse_signature({"format": 1, "signatures": {"serving_default": {"inputs": inputs, "outputs": outputs}}})


def test_texts_become_bytes_beside_numbers() -> None:
    batch = to_batch(model_of(**BIRTH), [{"is_male": "True", "weeks": 39, "key": "b1"}])

    assert batch.arrays["is_male"].tolist() == [b"True"]
    assert batch.arrays["weeks"].tolist() == [39.0]


def test_an_input_with_a_default_may_be_left_out() -> None:
    sent = [{"is_male": "True", "weeks": 39, "key": "Zoë"}, {"weeks": 38, "is_male": "Unknown"}]

    assert to_batch(model_of(**BIRTH), sent).arrays["key"].tolist() == ["Zoë".encode(), b"nokey"]


def test_what_has_no_default_may_not() -> None:
    with pytest.raises(PredictionError, match=r"instances\[0\] lacks 'weeks'\. .*'key': one string \(may be left out"):
        to_batch(model_of(**BIRTH), [{"is_male": "True", "key": "b1"}])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("Tru", r"'is_male' is 'Tru'; allowed: 'True', 'False', 'Unknown'"),
        (True, r"'is_male' holds True where text belongs"),
        (None, r"'is_male' holds None where text belongs"),
        ({"b64": "?"}, r"'is_male' holds \{'b64': …\} that is no base64"),
        (["True", "False"], r"'is_male' has the shape \[2\]"),
        ([[[["True"]]]], r"'is_male' is nested too deep"),
    ],
)
def test_what_is_no_allowed_text_is_refused_with_its_instance(value: Any, message: str) -> None:
    sent = [{"is_male": "True", "weeks": 39}, {"is_male": value, "weeks": 39}]

    with pytest.raises(PredictionError, match=r"instances\[1\]: " + message):
        to_batch(model_of(**BIRTH), sent)


def test_a_text_that_is_not_written_as_it_should_be_is_refused_with_an_example() -> None:
    row = {"dtype": "string", "shape": [None], "pattern": r"[\d.]+(,[\d.]+){3}", "example": "5.9,3.0,4.2,1.5"}

    assert to_batch(model_of(csv_row=row), ["5.9,3,4.2,1.5"]).arrays["csv_row"].tolist() == [b"5.9,3,4.2,1.5"]
    with pytest.raises(PredictionError, match=r"'5.9,x', which is not written .* '5.9,3.0,4.2,1.5'"):
        to_batch(model_of(csv_row=row), ["5.9,x"])


@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: {"examples": value}])
def test_base64_stands_for_bytes_bare_or_under_its_name(wrap: Any) -> None:
    content = bytes(range(256))
    sent = [wrap({"b64": base64.b64encode(content).decode()})]

    assert to_batch(model_of(examples={"dtype": "string", "shape": [None]}), sent).arrays["examples"].tolist() == [
        content
    ]


def test_one_text_fits_an_axis_of_one() -> None:
    model = model_of(key={"dtype": "string", "shape": [None, 1]})

    assert to_batch(model, ["a", ["b"]]).arrays["key"].tolist() == [[b"a"], [b"b"]]


def test_texts_of_a_model_come_back_as_text_and_bytes_as_base64() -> None:
    columns = {"classes": from_texts(np.array([[b"setosa"], ["Zoë".encode()], [b"\xff"]], object))}
    rows = [{"classes": ["setosa"]}, {"classes": ["Zoë"]}, {"classes": [{"b64": "/w=="}]}]

    assert to_rows(columns) == rows
    assert json.loads(predictions_json(columns)) == {"predictions": rows}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"values": "True"}, "values is 'True'; it should be a list of texts"),
        ({"pattern": "("}, r"pattern is '\(', which is no regular expression"),
    ],
)
def test_a_signature_that_cannot_be_is_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        model_of(key={"dtype": "string", "shape": [None]} | more)
