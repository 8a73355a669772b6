"""One word chooses where a model answers; the answers are the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mlhelpers import serving, settings
from mlhelpers.errors import ModelError, PredictionError, UsageError
from mlhelpers.serving.backends import BACKENDS
from mlhelpers.serving.predictor import Predictor
from mlhelpers.serving.server.process import RunningServer


def test_without_an_address_the_model_answers_in_this_process(store: serving.ModelStore) -> None:
    with serving.connect("MNIST") as predictor, serving.connect("MNIST", "v1", backend="local") as same:
        assert "in this process" in repr(predictor)
        assert "MNIST/v1" in repr(same)
        assert predictor.predict([[0.5] * 784]) == same.predict([[0.5] * 784])

    assert "closed" in repr(predictor)


def test_with_an_address_a_server_answers(shared_server: RunningServer, tiny_export: Path, images: np.ndarray) -> None:
    with serving.connect("tiny", address=shared_server.address) as remote, serving.connect(str(tiny_export)) as local:
        assert "over HTTP" in repr(remote)
        assert remote.predict(images / 255.0) == local.predict(images / 255.0)


def test_http_without_an_address_is_the_servers_own_default() -> None:
    with pytest.raises(PredictionError, match=r"127\.0\.0\.1:8501"):
        serving.connect("tiny", backend="http", timeout_s=2)


def test_the_setting_chooses_where_nothing_is_said(store: serving.ModelStore) -> None:
    with (
        settings.using(backend="vertx"),
        pytest.raises(UsageError, match=r"no backend 'vertx'\..*Known: http, local, vertex"),
    ):
        serving.connect("MNIST")
    with settings.using(backend="vertx"):
        assert serving.connect("MNIST", backend="local").predict([[0.5] * 784])


@pytest.mark.parametrize("given", [{"address": "http://127.0.0.1:1"}, {"token": "x"}, {"timeout_s": 3.0}])
def test_what_belongs_to_a_server_is_refused_in_process(store: serving.ModelStore, given: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="belong to a server, and backend='local' answers in this process"):
        serving.connect("MNIST", backend="local", **given)  # type: ignore[arg-type]


@pytest.fixture(params=sorted(BACKENDS))
def predictor(request: pytest.FixtureRequest, tiny_export: Path) -> Iterator[Predictor]:
    """Return the same model behind each backend of the table."""
    backend = request.param
    words: dict[str, dict[str, str]] = {"local": {"model": str(tiny_export)}, "http": {"model": "tiny"}}
    if backend == "http":
        words["http"]["address"] = request.getfixturevalue("shared_server").address
    if backend == "vertex":
        models = request.getfixturevalue("models")
        models.create(models.plan_version("tiny", "v1", tiny_export))
        words["vertex"] = {"model": "tiny"}
    with serving.connect(**words[backend], backend=backend) as found:
        yield found


def test_parameters_that_no_model_takes_are_refused_everywhere(predictor: Predictor) -> None:
    assert predictor.predict([[0.5] * 784], parameters=None)
    with pytest.raises(PredictionError, match="parameters"):
        predictor.predict([[0.5] * 784], parameters={"top": 3})


def test_every_backend_answers_the_same_plain_values(
    predictor: Predictor, tiny_export: Path, images: np.ndarray
) -> None:
    here = serving.load(tiny_export)

    assert predictor.signature == here.signature
    assert predictor.predict(images / 255.0) == here.predict(images / 255.0)
    found = predictor.predict([{"pixels": image, "key": n} for n, image in enumerate(images)])
    assert found == here.predict([{"pixels": image, "key": n} for n, image in enumerate(images)])
    assert [(type(one["classes"]), type(one["probabilities"][0])) for one in found] == [(int, float)] * 5


def test_every_backend_names_the_instance_that_it_refuses(predictor: Predictor) -> None:
    with pytest.raises(PredictionError, match=r"instances\[1\]: 'inputs' has the shape \[1\]"):
        predictor.predict([[0.5] * 784, [1.0]])


def test_every_backend_predicts_a_table_row_by_row(predictor: Predictor, tiny_export: Path) -> None:
    import polars as pl

    frame = pl.DataFrame({"key": ["a", "b"], "inputs": [[0.5] * 784, [0.25] * 784]})

    assert predictor.predict_frame(frame).equals(serving.load(tiny_export).predict_frame(frame))


def test_every_backend_says_that_it_is_closed(predictor: Predictor) -> None:
    predictor.close()
    predictor.close()
    with pytest.raises(ModelError, match="is closed"):
        predictor.predict([[0.5] * 784])


def test_a_malformed_version_is_refused(store: serving.ModelStore) -> None:
    with pytest.raises(UsageError, match="no version name"):
        serving.connect("MNIST", "../v1", backend="local")
    with pytest.raises(ModelError, match="no MNIST version 'v7'"):
        serving.connect("MNIST", "v7")
