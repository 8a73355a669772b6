"""One word chooses where a model answers; the answers are the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlhelpers import serving, settings
from mlhelpers.errors import ModelError, PredictionError, UsageError
from mlhelpers.serving.backends import BACKENDS
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
    with settings.using(backend="vertx"), pytest.raises(UsageError, match=r"no backend 'vertx'\..*Known: http, local"):
        serving.connect("MNIST")
    with settings.using(backend="vertx"):
        assert serving.connect("MNIST", backend="local").predict([[0.5] * 784])


@pytest.mark.parametrize("given", [{"address": "http://127.0.0.1:1"}, {"token": "x"}, {"timeout_s": 3.0}])
def test_what_belongs_to_a_server_is_refused_in_process(store: serving.ModelStore, given: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="belong to a server, and backend='local' answers in this process"):
        serving.connect("MNIST", backend="local", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_parameters_that_no_model_takes_are_refused_everywhere(
    backend: str, shared_server: RunningServer, tiny_export: Path
) -> None:
    where = {"local": (str(tiny_export), None), "http": ("tiny", shared_server.address)}
    model, address = where[backend]

    with serving.connect(model, address=address, backend=backend) as predictor:
        assert predictor.predict([[0.5] * 784], parameters=None)
        with pytest.raises(PredictionError, match="parameters"):
            predictor.predict([[0.5] * 784], parameters={"top": 3})


def test_a_malformed_version_is_refused(store: serving.ModelStore) -> None:
    with pytest.raises(UsageError, match="no version name"):
        serving.connect("MNIST", "../v1", backend="local")
    with pytest.raises(ModelError, match="no MNIST version 'v7'"):
        serving.connect("MNIST", "v7")
