"""A space in Vertex AI's words: taken by Google's own message, and the same space when it is read back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.cloud.aiplatform_v1 import types
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from mlhelpers.errors import UsageError
from mlhelpers.tuning import Choice, Float, Int, Space
from mlhelpers.tuning.vertex.parameters import to_parameters, to_space

_SPACE: Space = {
    "rate": Float(1e-5, 0.1, scale="log"),
    "keep": Float(0.5, 0.99, scale="reverse_log"),
    "layers": Int(1, 3),
    "third_width": Int(0, 64, when={"layers": [3]}),
    "third_act": Choice(["relu", "tanh"], when={"third_width": [32, 64]}),
    "batch": Choice([16, 32.5, 64]),
    "warm_up": Float(0, 1, when={"batch": [16, 64]}),
    "optimizer": Choice(["adam", "sgd"]),
    "momentum": Float(0.0, 0.99, when={"optimizer": ["sgd"]}),
}


def as_google_reads_it(parameters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return parameters as Google's message class writes them again, after it has taken every field of them."""
    message = types.StudySpec.pb()()
    json_format.ParseDict({"parameters": parameters}, message, ignore_unknown_fields=False)
    return list(json_format.MessageToDict(message)["parameters"])


def test_googles_own_message_takes_every_field() -> None:
    rate, keep, layers, batch, optimizer = as_google_reads_it(to_parameters(_SPACE))

    assert rate == {
        "parameterId": "rate",
        "doubleValueSpec": {"minValue": 1e-5, "maxValue": 0.1},
        "scaleType": "UNIT_LOG_SCALE",
    }
    assert keep["scaleType"] == "UNIT_REVERSE_LOG_SCALE"
    assert layers["integerValueSpec"] == {"minValue": "1", "maxValue": "3"}
    assert layers["scaleType"] == "UNIT_LINEAR_SCALE"
    assert batch["discreteValueSpec"] == {"values": [16.0, 32.5, 64.0]}
    assert optimizer["categoricalValueSpec"] == {"values": ["adam", "sgd"]}
    assert "scaleType" not in optimizer
    assert "scaleType" not in batch


def test_a_parameter_that_depends_on_another_stands_inside_it() -> None:
    parameters = {one["parameterId"]: one for one in as_google_reads_it(to_parameters(_SPACE))}

    (under_layers,) = parameters["layers"]["conditionalParameterSpecs"]
    assert under_layers["parentIntValues"] == {"values": ["3"]}
    assert under_layers["parameterSpec"]["parameterId"] == "third_width"
    (under_width,) = under_layers["parameterSpec"]["conditionalParameterSpecs"]
    assert under_width["parentIntValues"] == {"values": ["32", "64"]}
    assert under_width["parameterSpec"]["parameterId"] == "third_act"
    (under_batch,) = parameters["batch"]["conditionalParameterSpecs"]
    assert under_batch["parentDiscreteValues"] == {"values": [16.0, 64.0]}
    (under_optimizer,) = parameters["optimizer"]["conditionalParameterSpecs"]
    assert under_optimizer["parentCategoricalValues"] == {"values": ["sgd"]}


def test_what_google_writes_is_read_as_the_same_space() -> None:
    parameters = as_google_reads_it(to_parameters(_SPACE))

    assert _plain(to_space(parameters)) == _plain(_SPACE)
    assert to_space(to_parameters(_SPACE)) == to_space(parameters)


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z_0-9]{0,6}", fullmatch=True),
        st.one_of(
            st.tuples(st.integers(-(10**12), 10**12), st.integers(0, 10**12)).map(lambda p: Int(p[0], p[0] + p[1])),
            st.tuples(st.floats(1e-12, 1e12), st.floats(1, 1e6)).map(lambda p: Float(p[0], p[0] * p[1], "log")),
            st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=5, unique=True).map(Choice),
            st.lists(st.integers(-1000, 1000), min_size=1, max_size=9, unique=True).map(lambda v: Choice(sorted(v))),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_any_space_comes_back_from_googles_message(space: Space) -> None:
    try:
        parameters = as_google_reads_it(to_parameters(space))
    except UnicodeEncodeError:  # half a surrogate pair, which no text in a message can hold
        return

    assert _plain(to_space(parameters)) == _plain(space)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"a": Int(1, 2), "b": Int(1, 2), "c": Int(1, 9, when={"a": [1], "b": [2]})}, "'c' depends on a and b"),
        ({"a": Choice([1.0, 1.0 + 1e-12])}, "'a' has numbers less than 1e-10 apart"),
    ],
)
def test_what_vertex_cannot_search_is_refused_by_name(space: Space, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        to_parameters(space)


def test_a_parameter_without_a_range_is_refused() -> None:
    with pytest.raises(UsageError, match="'rate' has no range: one of doubleValueSpec"):
        to_space([{"parameterId": "rate"}])


def _plain(space: Space) -> str:
    """Return a space as text in which 0 and 0.0 are one."""
    return json.dumps(
        {
            name: [
                one.kind,
                [float(value) if not isinstance(value, str) else value for value in one.values]
                if isinstance(one, Choice)
                else [float(one.low), float(one.high), one.scale],
                {parent: list(values) for parent, values in one.when.items()},
            ]
            for name, one in sorted(space.items())
        }
    )
