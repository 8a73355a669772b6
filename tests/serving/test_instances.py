"""From JSON to arrays: what is taken, and for everything else which instance, what was sent, what is taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlhelpers.errors import PredictionError
from mlhelpers.serving.instances import check_parameters, to_batch
from mlhelpers.serving.signature import ModelSignature, parse_signature

HALF = [0.5] * 784


@pytest.fixture
def model(signature_document: dict[str, Any]) -> ModelSignature:
    return parse_signature(signature_document)


def test_flat_and_square_pictures_are_the_same(model: ModelSignature) -> None:
    picture = np.linspace(0, 1, 784)

    flat = to_batch(model, [{"inputs": picture.tolist()}])
    square = to_batch(model, [{"inputs": picture.reshape(28, 28).tolist()}])

    assert flat.arrays["inputs"].shape == (1, 784)
    assert flat.arrays["inputs"].dtype == np.float32
    np.testing.assert_array_equal(flat.arrays["inputs"], square.arrays["inputs"])
    np.testing.assert_array_equal(flat.arrays["inputs"][0], picture.astype(np.float32))


def test_shapes_may_differ_within_one_request(model: ModelSignature) -> None:
    picture = np.linspace(0, 1, 784)
    sent = [picture.tolist(), picture.reshape(28, 28).tolist(), {"inputs": picture.reshape(28, 28, 1)}]

    batch = to_batch(model, sent)

    assert batch.size == 3
    for row in batch.arrays["inputs"]:
        np.testing.assert_array_equal(row, picture.astype(np.float32))


def test_the_keys_choose_the_signature(model: ModelSignature, images: np.ndarray) -> None:
    batch = to_batch(model, [{"pixels": image.tolist()} for image in images])

    assert batch.signature.name == "pixels"
    np.testing.assert_array_equal(batch.arrays["pixels"], images)
    assert batch.arrays["pixels"].dtype == np.uint8


def test_the_name_chooses_the_signature_of_bare_values(model: ModelSignature, images: np.ndarray) -> None:
    batch = to_batch(model, images.tolist(), "pixels")

    np.testing.assert_array_equal(batch.arrays["pixels"], images)


def test_an_array_stands_for_the_list_of_its_parts(model: ModelSignature, images: np.ndarray) -> None:
    batch = to_batch(model, images, "pixels")

    np.testing.assert_array_equal(batch.arrays["pixels"], images)


def test_whole_numbers_are_fine_where_floats_are_taken(model: ModelSignature) -> None:
    assert to_batch(model, [[0, 1] * 392]).arrays["inputs"].sum() == 392


def test_rounding_to_float32_does_not_push_a_value_out_of_range(model: ModelSignature) -> None:
    assert to_batch(model, [[1.000000001] * 784]).arrays["inputs"].max() == 1


FAULTS = {
    "no list": ({"inputs": HALF}, "instances is an object; it should be a list"),
    "text": ("abc", "instances is text; it should be a list"),
    "null": (None, "instances is null; it should be a list"),
    "empty": ([], "instances is empty; send at least one instance"),
    "missing key": ([{}], r"instances\[0\] lacks 'inputs'\. The signature 'serving_default' takes 'inputs': float32"),
    "other key": ([{"inputs": HALF}, {"input": HALF}], r"instances\[1\] lacks 'inputs' and has 'input', which the sig"),
    "extra name": ([{"inputs": HALF, "id": 1}], r"instances\[0\] has 'id', which the signature does not know"),
    "one key missing": ([{"inputs": HALF, "key": 1}, {"inputs": HALF}], r"instances\[1\] has no 'key', but others"),
    "one key beside a bare value": ([HALF, {"inputs": HALF, "key": 1}], r"instances\[0\] has no 'key', but others"),
    "short": ([HALF, HALF[:-1]], r"instances\[1\]: 'inputs' has the shape \[783\]\. The .* float32 \[784\] from"),
    "long square": ([[[0.5] * 28] * 29], r"has the shape \[29, 28\], 812 values"),
    "one number": ([0.5], r"instances\[0\]: 'inputs' has a single number"),
    "ragged": ([[[0.5] * 28] * 27 + [[0.5] * 27]], "has rows of different lengths"),
    "numbers beside lists": ([[0.5, [0.5]]], "has rows of different lengths: numbers and lists side by side"),
    "numbers as text": ([["0.5"] * 784], r"holds text \('0\.5'\) where a number belongs"),
    "one text": ([[*HALF[:-1], "x"]], r"holds text \('x'\) where a number belongs"),
    "one boolean": ([[*HALF[:-1], True]], r"holds a boolean \(True\) where a number belongs"),
    "array of booleans": ([np.zeros(784, bool)], "holds booleans"),
    "one null": ([[*HALF[:-1], None]], "holds null where a number belongs"),
    "object inside": ([[*HALF[:-1], {"b64": "AA=="}]], r"holds an object \(\{'b64': 'AA=='\}\) where a number"),
    "over the maximum": ([HALF, [*HALF[:-1], 1.5]], r"instances\[1\]: 'inputs' holds 1\.5 at \[783\] .* 0\.5 to 1\.5"),
    "under the minimum": ([[-0.25, *HALF[1:]]], r"holds -0\.25 at \[0\]"),
    "pixels where greys belong": ([[[255] * 28] * 28], r"holds 255 at \[0\]\[0\] .* Other .*: 'pixels' takes"),
    "nan": ([[float("nan"), *HALF[1:]]], r"holds nan at \[0\], which is not a finite number"),
    "infinity": ([[*HALF[:-1], float("-inf")]], r"holds -inf at \[783\], which is not a finite number"),
    "beyond float32": ([[1e300] * 784], r"holds 1e\+300 at \[0\]"),
    "beyond float64": ([[10**400] * 784], "that is not a number of ordinary size"),
    "beyond float64 among floats": ([[0.5, *[10**400] * 783]], "that is not a number of ordinary size"),
    "pixel over 255": ([{"pixels": [256] * 784}], r"'pixels' holds 256 at \[0\] .* uint8 \[28, 28\] from 0 to 255"),
    "pixel under 0": ([{"pixels": [-1] * 784}], r"holds -1 at \[0\]"),
    "pixel beyond int64": ([{"pixels": [2**63] * 784}], r"holds 9223372036854775808 at \[0\]"),
    "greys where pixels belong": ([{"pixels": HALF}], r"holds 0\.5; uint8 takes whole numbers"),
    "pixel over 255 with a point": ([{"pixels": [256.0] * 784}], r"holds 256\.0 at \[0\]"),
    "nan where pixels belong": ([{"pixels": [float("nan")] * 784}], r"holds nan; uint8 takes whole numbers"),
    "infinity where pixels belong": ([{"pixels": [float("inf")] * 784}], r"holds inf at \[0\], which is not a finite"),
}  # fmt: skip


@pytest.mark.parametrize(("instances", "message"), FAULTS.values(), ids=FAULTS)
def test_what_the_signature_does_not_take_is_refused_by_name(
    model: ModelSignature, instances: Any, message: str
) -> None:
    with pytest.raises(PredictionError, match=message):
        to_batch(model, instances)


def test_whole_numbers_may_be_written_with_a_point(model: ModelSignature) -> None:
    batch = to_batch(model, [{"pixels": [7.0] * 784}, {"pixels": [[255] * 28] * 28}])

    assert batch.arrays["pixels"].dtype == np.uint8
    assert batch.arrays["pixels"][:, 0, 0].tolist() == [7, 255]


def test_whole_numbers_with_a_point_are_taken_only_where_they_are_exact() -> None:
    entry = {"dtype": "int64", "shape": [None]}
    model = parse_signature({"format": 1, "signatures": {"a": {"inputs": {"x": entry}, "outputs": {"y": entry}}}})

    assert to_batch(model, [2.0**53]).arrays["x"].tolist() == [2**53]
    assert to_batch(model, [2**63 - 1]).arrays["x"].tolist() == [2**63 - 1]
    for number in (2.0**54, -(2.0**54), 2.0**63):
        with pytest.raises(PredictionError, match=r"'x' holds .*e\+1"):
            to_batch(model, [number])


def test_keys_are_parted_from_the_inputs_and_kept_in_order(model: ModelSignature) -> None:
    batch = to_batch(model, [{"inputs": HALF, "key": 5}, {"key": None, "inputs": HALF}, {"inputs": HALF, "key": [1]}])

    assert batch.keys == (5, None, [1])
    assert list(batch.arrays) == ["inputs"]
    assert to_batch(model, [{"inputs": HALF}]).keys == ()


def test_a_key_that_is_an_input_is_an_input() -> None:
    entry = {
        "inputs": {"key": {"dtype": "int32", "shape": [None]}},
        "outputs": {"y": {"dtype": "int32", "shape": [None]}},
    }
    batch = to_batch(parse_signature({"format": 1, "signatures": {"a": entry}}), [{"key": 5}])

    assert (batch.arrays["key"].tolist(), batch.keys) == ([5], ())


def test_a_key_that_is_an_output_is_not_covered_up() -> None:
    number = {"dtype": "int32", "shape": [None]}
    entry = {"inputs": {"x": number}, "outputs": {"key": number}}
    with pytest.raises(PredictionError, match="has 'key', which the signature does not know"):
        to_batch(parse_signature({"format": 1, "signatures": {"a": entry}}), [{"x": 1, "key": 5}])


@pytest.mark.parametrize(("parameters", "message"), [({"a": 1}, "parameters has 'a'"), ("x", "parameters is text")])
def test_parameters_are_refused_by_their_names(parameters: Any, message: str) -> None:
    check_parameters(None)
    check_parameters({})
    with pytest.raises(PredictionError, match=message):
        check_parameters(parameters)


def test_nesting_beyond_numpy_is_refused(model: ModelSignature) -> None:
    value: Any = 0.5
    for _ in range(200):
        value = [value]

    with pytest.raises(PredictionError, match="nested too deep"):
        to_batch(model, [value])


def test_a_long_value_is_cut_in_the_message(model: ModelSignature) -> None:
    with pytest.raises(PredictionError) as caught:
        to_batch(model, [["x" * 100_000]])

    assert len(str(caught.value)) < 600


def test_a_signature_name_that_is_no_text_is_refused(model: ModelSignature) -> None:
    with pytest.raises(PredictionError, match="signature_name is the number 5; it should be text"):
        to_batch(model, [HALF], 5)  # type: ignore[arg-type]


def _two_inputs(shape: list[int | None]) -> ModelSignature:
    tensor = {"dtype": "int32", "shape": shape}
    entry = {"inputs": {"a": tensor, "b": {"dtype": "float64", "shape": [None]}}, "outputs": {"y": tensor}}
    return parse_signature({"format": 1, "signatures": {"serving_default": entry}})


def test_several_inputs_want_objects() -> None:
    model = _two_inputs([None, 2])

    batch = to_batch(model, [{"a": [1, 2], "b": 0.5}, {"b": 7, "a": [3, 4]}])

    assert batch.arrays["a"].tolist() == [[1, 2], [3, 4]]
    assert batch.arrays["b"].tolist() == [0.5, 7.0]
    with pytest.raises(PredictionError, match=r"instances\[0\] is a list; .* an object with the keys 'a', 'b'"):
        to_batch(model, [[1, 2]])


def test_without_bounds_nan_is_refused_all_the_same() -> None:
    with pytest.raises(PredictionError, match="'b' holds nan, which is not a finite number"):
        to_batch(_two_inputs([None, 2]), [{"a": [1, 2], "b": float("nan")}])


def test_without_bounds_the_dtype_bounds_whole_numbers() -> None:
    with pytest.raises(PredictionError, match=r"'a' holds 2147483648 at \[1\]"):
        to_batch(_two_inputs([None, 2]), [{"a": [1, 2**31], "b": 0}])


def test_an_open_axis_takes_any_length_but_one_per_request() -> None:
    model = _two_inputs([None, None])

    assert to_batch(model, [{"a": [1, 2, 3], "b": 0}]).arrays["a"].shape == (1, 3)
    with pytest.raises(PredictionError, match=r"different shapes for 'a': \[1\], \[2\]\. Send them one by one"):
        to_batch(model, [{"a": [1], "b": 0}, {"a": [1, 2], "b": 0}])
    with pytest.raises(PredictionError, match=r"instances\[0\]: 'a' has the shape \[1, 1\], 1 values"):
        to_batch(model, [{"a": [[1]], "b": 0}])
