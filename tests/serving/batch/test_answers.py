"""The lines of the two files that a shard becomes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mlhelpers.errors import PredictionError
from mlhelpers.serving.batch.answers import Answers
from mlhelpers.serving.predictor import to_rows


@pytest.fixture
def paths(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "results", tmp_path / "errors"


def test_a_prediction_reads_as_the_predictors_own(paths: tuple[Path, Path]) -> None:
    draw = np.random.default_rng(1)
    numbers = np.exp(draw.uniform(-80, 80, (2000, 3))).astype(np.float32)
    columns = {
        "numbers": numbers,
        "wide": draw.normal(size=2000),
        "classes": draw.integers(0, 10, 2000),
        "texts": np.array(["é", {"b64": "/w=="}] * 1000, object),
    }

    with Answers(*paths, "a", "line") as answers:
        answers.predicted(columns, [{}] * 2000)

    rows = [json.loads(line) for line in paths[0].read_bytes().splitlines()]
    assert rows == to_rows(columns)
    assert (answers.predictions, answers.errors) == (2000, 0)


def test_a_key_stands_behind_the_outputs_whatever_value_it_is(paths: tuple[Path, Path]) -> None:
    with Answers(*paths, "a", "line") as answers:
        answers.predicted({"y": np.array([1, 2])}, [{"key": {"a": [None]}}, {}])

    assert paths[0].read_text() == '{"y":1,"key":{"a":[null]}}\n{"y":2}\n'


def test_an_error_has_its_place_and_the_beginning_of_what_stands_there(paths: tuple[Path, Path]) -> None:
    with Answers(*paths, "/in/a.json", "line") as answers:
        answers.refused(7, b"x" * 5000 + b"\n", PredictionError("instances[0]: 'y' holds text"))
        answers.refused(9, None, PredictionError("too long"))

    first, second = (json.loads(line) for line in paths[1].read_bytes().splitlines())
    assert first == {"file": "/in/a.json", "line": 7, "error": "'y' holds text", "input": "x" * 1000}
    assert second == {"file": "/in/a.json", "line": 9, "error": "too long"}
    assert (answers.errors, answers.first_error) == (2, "/in/a.json, line 7: 'y' holds text")
    assert paths[0].read_bytes() == b""
