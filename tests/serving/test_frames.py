"""Tables in, tables out: polars and pandas, in process and over HTTP, in the right order and with the right types."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlhelpers import serving
from mlhelpers.errors import PredictionError, UsageError
from mlhelpers.serving.frames import predict_frame
from mlhelpers.serving.server.process import RunningServer
from mlhelpers.serving.signature import parse_signature


@pytest.fixture(params=["local", "http"])
def predictor(
    request: pytest.FixtureRequest, tiny_export: Path, shared_server: RunningServer
) -> Iterator[serving.Predictor]:
    """Return the tiny model, in this process and behind a server."""
    if request.param == "local":
        made: serving.Predictor = serving.connect(str(tiny_export), backend="local")
    else:
        made = serving.connect("tiny", address=shared_server.address)
    with made:
        yield made


def _signature(inputs: dict[str, Any], outputs: dict[str, Any]) -> Any:
    one = {"inputs": inputs, "outputs": outputs}
    return parse_signature({"format": 1, "name": "m", "default_signature": "d", "signatures": {"d": one}})


_BABY = _signature(
    {
        "is_male": {"dtype": "string", "shape": [None], "default": "Unknown"},
        "age": {"dtype": "float32", "shape": [None]},
    },
    {
        "weight": {"dtype": "float32", "shape": [None]},
        "note": {"dtype": "string", "shape": [None]},
        "parts": {"dtype": "int64", "shape": [None, 2]},
    },
)


def _ask(instances: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [{"weight": one["age"] / 4, "note": json.dumps(one), "parts": [1, 2]} for one in instances]


def test_rows_are_answered_in_order_with_the_types_of_the_signature(
    predictor: serving.Predictor, images: np.ndarray, expected: Callable[[np.ndarray], np.ndarray]
) -> None:
    frame = pl.DataFrame({"key": list("abcde"), "inputs": (images.reshape(5, 784) / 255.0).tolist()})

    answer = predictor.predict_frame(frame)

    assert answer.schema == {"key": pl.String, "classes": pl.Int64, "probabilities": pl.List(pl.Float32)}
    assert answer["key"].to_list() == list("abcde")
    wanted = expected(images / 255.0)
    np.testing.assert_allclose(np.array(answer["probabilities"].to_list()), wanted, atol=1e-5)
    assert answer["classes"].to_list() == wanted.argmax(axis=1).tolist()


def test_more_rows_than_one_request_holds_come_back_whole(predictor: serving.Predictor, images: np.ndarray) -> None:
    rows = [images[number % 5].tolist() for number in range(2100)]
    frame = pl.DataFrame({"pixels": rows}, schema={"pixels": pl.List(pl.List(pl.UInt8))})

    answer = predictor.predict_frame(frame)

    five = predictor.predict([{"pixels": image} for image in images])
    assert answer["classes"].to_list() == [five[number % 5]["classes"] for number in range(2100)]


def test_a_wrong_value_is_named_by_its_row_in_the_table(predictor: serving.Predictor) -> None:
    rows = [[0.5] * 784 for _ in range(2100)]
    rows[2077] = [0.5] * 783 + [7.0]

    with pytest.raises(PredictionError, match=r"row 2077: 'inputs' holds 7\.0 at \[783\]"):
        predictor.predict_frame(pl.DataFrame({"inputs": rows}))


def test_a_value_that_is_missing_is_named_by_its_row_too(predictor: serving.Predictor) -> None:
    with pytest.raises(PredictionError, match=r"row 1: 'inputs' holds null where a number belongs"):
        predictor.predict_frame(pl.DataFrame({"inputs": [[0.5] * 784, None]}))


def test_an_empty_table_gives_an_empty_table(predictor: serving.Predictor) -> None:
    frame = pl.DataFrame(schema={"key": pl.Int32, "inputs": pl.List(pl.Float64)})

    assert predictor.predict_frame(frame).schema == {
        "key": pl.Int32,
        "classes": pl.Int64,
        "probabilities": pl.List(pl.Float32),
    }


def test_a_missing_value_is_left_out_where_the_model_has_a_default() -> None:
    frame = pl.DataFrame({"is_male": ["True", None], "age": [28.0, 30.0]})

    answer = predict_frame(frame, _BABY, _ask)

    assert [json.loads(note) for note in answer["note"]] == [{"is_male": "True", "age": 28.0}, {"age": 30.0}]
    assert answer["weight"].dtype == pl.Float32
    assert answer["parts"].dtype == pl.List(pl.Int64)


def test_nan_counts_as_missing() -> None:
    sent: list[Any] = []

    predict_frame(
        pl.DataFrame({"age": [1.0, float("nan")]}), _BABY, lambda rows, name: sent.extend(rows) or _nothing(rows)
    )

    assert sent == [{"age": 1.0}, {"age": None}]


def _nothing(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"weight": 0.0, "note": "", "parts": [0, 0]} for _ in rows]


def test_any_column_may_be_the_key() -> None:
    frame = pl.DataFrame({"id": [7, 8], "age": [28.0, 30.0]})

    assert predict_frame(frame, _BABY, _ask, key="id").select("id", "weight").rows() == [(7, 7.0), (8, 7.5)]


def test_bytes_that_are_no_text_come_back_as_bytes() -> None:
    def ask(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
        return [{"weight": 1.0, "note": note, "parts": [1, 2]} for note in ("é", {"b64": "/w=="})]

    answer = predict_frame(pl.DataFrame({"age": [1.0, 2.0]}), _BABY, ask)

    assert answer["note"].to_list() == ["é".encode(), b"\xff"]


@pytest.mark.parametrize(
    ("columns", "key", "message"),
    [
        ({"is_male": ["a"]}, None, "The frame lacks the column 'age'. The signature 'd' takes 'is_male'"),
        ({"age": [1.0], "label": [2]}, None, "has the column 'label', which the model does not take"),
        ({"age": [1.0]}, "id", "The frame has no column 'id' for the key; it has 'age'"),
        ({"age": [1.0], "weight": [2]}, "weight", "called like an output of the model"),
    ],
)
def test_a_wrong_column_is_refused_before_anything_is_asked(columns: Any, key: str | None, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        predict_frame(pl.DataFrame(columns), _BABY, lambda rows, name: pytest.fail("asked"), key=key)

    assert message in str(refused.value)


@pytest.mark.parametrize("frame", [{"age": [1.0]}, [{"age": 1.0}], pl.Series([1.0]), np.zeros(3)])
def test_what_is_no_frame_is_refused(frame: object) -> None:
    with pytest.raises(UsageError, match="it takes a DataFrame of polars or pandas"):
        predict_frame(frame, _BABY, _ask)


def test_a_lazy_frame_is_told_to_collect() -> None:
    with pytest.raises(UsageError, match=r"was given a LazyFrame.* \.collect\(\)"):
        predict_frame(pl.LazyFrame({"age": [1.0]}), _BABY, _ask)


def test_pandas_in_pandas_out_with_its_index(predictor: serving.Predictor, images: np.ndarray) -> None:
    pd = pytest.importorskip("pandas")
    flat = (images.reshape(5, 784) / 255.0).tolist()
    frame = pd.DataFrame({"key": list("abcde"), "inputs": flat}, index=[10, 20, 30, 40, 50])

    answer = predictor.predict_frame(frame)

    same = predictor.predict_frame(pl.DataFrame({"inputs": flat}))
    assert isinstance(answer, pd.DataFrame)
    assert list(answer.columns) == ["key", "classes", "probabilities"]
    assert list(answer.index) == [10, 20, 30, 40, 50]
    assert answer["classes"].dtype == np.int64
    assert answer["classes"].tolist() == same["classes"].to_list()
    assert answer["probabilities"].map(len).tolist() == [10] * 5


def test_pandas_missing_values_texts_and_types_are_those_of_polars() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"age": [28, 30], "is_male": pd.Categorical(["True", None])})

    answer = predict_frame(frame, _BABY, _ask)

    assert [json.loads(note) for note in answer["note"]] == [{"age": 28, "is_male": "True"}, {"age": 30}]
    assert answer["weight"].dtype == np.float32
    assert predict_frame(frame[:0], _BABY, _ask).columns.tolist() == ["weight", "note", "parts"]
    with pytest.raises(UsageError, match="two columns of one name"):
        predict_frame(pd.concat([frame, frame], axis=1), _BABY, _ask)


def test_a_value_that_json_cannot_carry_is_named_by_its_row(shared_server: RunningServer) -> None:
    frame = pl.DataFrame({"inputs": [1, datetime.date(2030, 1, 31)]}, schema={"inputs": pl.Object})

    with (
        serving.connect("tiny", address=shared_server.address) as predictor,
        pytest.raises(PredictionError, match="row 1 cannot be sent as JSON: it holds a date"),
    ):
        predictor.predict_frame(frame)


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no pseudo-terminals")
def test_a_long_table_shows_a_bar_in_a_terminal_and_a_short_one_none() -> None:
    import pty
    import termios

    code = """
import sys, time
import polars as pl
from mlhelpers.serving.frames import predict_frame
from mlhelpers.serving.signature import parse_signature
tensor = {"x": {"dtype": "float32", "shape": [None]}}
one = {"inputs": tensor, "outputs": tensor}
model = parse_signature({"format": 1, "name": "m", "default_signature": "d", "signatures": {"d": one}})
def ask(rows, name):
    time.sleep(float(sys.argv[1]))
    return rows
predict_frame(pl.DataFrame({"x": [1.0] * 8192}), model, ask)
"""
    shown = []
    for seconds in ("0", "0.5"):
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 100))
        words = [sys.executable, "-c", code, seconds]
        subprocess.run(words, stdout=theirs, stderr=theirs, timeout=60, check=True)
        os.set_blocking(ours, False)
        try:
            shown.append(os.read(ours, 100_000).decode())
        except BlockingIOError:  # nothing was written
            shown.append("")
        os.close(theirs)
        os.close(ours)

    assert "rows" not in shown[0]
    assert "8192" in shown[1]
    assert "rows/s" in shown[1]
