"""Which feature of an example holds which input."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from mlhelpers.errors import PredictionError, UsageError
from mlhelpers.serving.batch.examples import ExampleReader, match_features
from mlhelpers.serving.signature import Signature, Tensor
from mlhelpers.tfrecords import example_class, serialize

_PIXELS = Tensor("pixels", "uint8", (None, 2, 3))


def _signature(*inputs: Tensor) -> Signature:
    return Signature("s", {one.name: one for one in inputs}, {"o": Tensor("o", "float32", (None,))})


def _lists(**features: list[float] | list[int]) -> bytes:
    example = example_class()()
    for name, values in features.items():
        kind = "float_list" if isinstance(values[0], float) else "int64_list"
        getattr(example.features.feature[name], kind).value.extend(values)
    data: bytes = example.SerializeToString()
    return data


def test_an_input_stands_in_the_feature_of_its_name() -> None:
    signature = _signature(Tensor("a", "float32", (None,)), Tensor("b", "string", (None,)))
    record = serialize({"a": 1.5, "b": b"x", "label": 7})

    names = match_features(signature, {}, record)

    assert names == {"a": "a", "b": "b"}
    assert ExampleReader(signature, names).instance(record) == {"a": 1.5, "b": b"x"}


def test_a_single_input_stands_in_the_one_feature_whose_bytes_fit() -> None:
    record = serialize({"image_raw": bytes(range(6)), "name": b"seven", "label": 7})

    names = match_features(_signature(_PIXELS), {}, record)
    instance = ExampleReader(_signature(_PIXELS), names).instance(record)

    assert names == {"pixels": "image_raw"}
    assert instance["pixels"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_two_features_that_fit_are_refused_until_somebody_says_which() -> None:
    record = serialize({"left": bytes(6), "right": bytes(range(6))})

    with pytest.raises(PredictionError, match=r"'left' and 'right' could both .*--features pixels=left"):
        match_features(_signature(_PIXELS), {}, record)
    assert match_features(_signature(_PIXELS), {"pixels": "right"}, record) == {"pixels": "right"}


def test_raw_bytes_are_read_in_the_inputs_dtype_low_byte_first() -> None:
    signature = _signature(Tensor("x", "float32", (None, 3)))
    record = serialize({"x": np.array([1, 2, 0.5], "<f4").tobytes()})

    assert ExampleReader(signature, {"x": "x"}).instance(record)["x"].tolist() == [1, 2, 0.5]


def test_lists_of_numbers_are_taken_as_they_are() -> None:
    signature = _signature(Tensor("x", "float32", (None, 3)), Tensor("n", "int64", (None, 2)))
    record = _lists(x=[1.0, 2.0, 0.5], n=[3, 4])

    assert ExampleReader(signature, {"x": "x", "n": "n"}).instance(record) == {"x": [1.0, 2.0, 0.5], "n": [3, 4]}


def test_a_feature_called_key_comes_along() -> None:
    signature = _signature(Tensor("x", "float32", (None,)))

    assert ExampleReader(signature, {"x": "x"}).instance(serialize({"x": 1.0, "key": b"k1"}))["key"] == "k1"
    assert ExampleReader(signature, {"x": "x"}).instance(serialize({"x": 1.0, "key": 7}))["key"] == 7
    assert "key" not in ExampleReader(signature, {"x": "key"}).instance(serialize({"key": 1.0}))


def test_an_input_that_may_be_left_out_may_be_missing() -> None:
    signature = _signature(Tensor("x", "float32", (None,)), Tensor("y", "float32", (None,), default=2.0))

    names = match_features(signature, {}, serialize({"x": 1.0}))

    assert ExampleReader(signature, names).instance(serialize({"x": 1.0})) == {"x": 1.0}


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"pixels": bytes(5)}, r"'pixels' has 5 bytes; 'pixels' takes 6, 1 for each uint8"),
        ({"other": 1}, r"has no feature for 'pixels'. It has other. .*--features pixels=FEATURE"),
    ],
)
def test_what_does_not_fit_is_said_with_what_is_there(features: Mapping[str, int | bytes], message: str) -> None:
    with pytest.raises(PredictionError, match=message):
        match_features(_signature(_PIXELS), {}, serialize(features))


def test_a_record_that_is_no_example_and_an_unknown_input_are_refused() -> None:
    with pytest.raises(PredictionError, match=r"The record of 9 bytes is no tensorflow.Example"):
        match_features(_signature(_PIXELS), {}, b"no record")
    with pytest.raises(UsageError, match=r"There is no input of the signature 's' 'pixel'. Did you mean 'pixels'"):
        match_features(_signature(_PIXELS), {"pixel": "a"}, serialize({"a": 1}))


def test_one_number_is_not_taken_from_several() -> None:
    with pytest.raises(PredictionError, match="'x' has 2 values; 'x' takes one"):
        ExampleReader(_signature(Tensor("x", "float32", (None,))), {"x": "x"}).instance(_lists(x=[1.0, 2.0]))
