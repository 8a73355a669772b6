"""Three families of paths, one server: the same predictions, each in the form that its own clients read."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
import requests
from app_server import ask

from mlhelpers import serving
from mlhelpers.errors import UsageError
from mlhelpers.serving.registry.traffic import rotation
from mlhelpers.serving.server.process import RunningServer
from mlhelpers.serving.server.refusals import RefusedError
from mlhelpers.serving.server.routes import Action, Family, Route, find_route

HALF = [0.5] * 784
ENDPOINT = "/v1/projects/my-project/locations/us-central1/endpoints/tiny"


@pytest.mark.parametrize(
    ("path", "route"),
    {
        "/v1/models": Route(Family.SERVING, Action.LIST),
        "/v1/models/m": Route(Family.SERVING, Action.STATE, "m"),
        "/v1/models/m/metadata": Route(Family.SERVING, Action.METADATA, "m"),
        "/v1/models/m/versions/v:predict": Route(Family.SERVING, Action.PREDICT, "m", "v"),
        "/v1/projects/p/models/m:predict": Route(Family.PLATFORM, Action.PREDICT, "m"),
        "/v1/projects/p/locations/l/endpoints": Route(Family.VERTEX, Action.LIST, parent="projects/p/locations/l"),
        "/v1/projects/p/locations/l/endpoints/e:predict": Route(
            Family.VERTEX, Action.PREDICT, "e", parent="projects/p/locations/l"
        ),
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_path_is_read(path: str, route: Route) -> None:
    assert find_route(path) == route


@pytest.mark.parametrize("path", ["", "/", "/v1/models/", "/v1/models/m/", "/v1/models/m:predict/", "/v1/models/a/b",
                                  "/v1//models/m:predict", "/v1/models/m:predict\n", "x/v1/models/m"])  # fmt: skip
def test_any_other_path_is_none(path: str) -> None:
    with pytest.raises(RefusedError) as caught:
        find_route(path)
    assert caught.value.status == 404


def test_vertex_names_who_answered(shared_server: RunningServer, images: np.ndarray) -> None:
    body = json.dumps({"instances": [{"pixels": images[0].tolist()}]}).encode()
    vertex = ask(shared_server.address, "POST", f"{ENDPOINT}:predict", body)
    plain = ask(shared_server.address, "POST", "/v1/models/tiny:predict", body)

    answer = json.loads(vertex.body)
    assert answer.pop("predictions") == json.loads(plain.body)["predictions"]
    assert answer == {
        "deployedModelId": "v1",
        "model": "projects/my-project/locations/us-central1/models/tiny",
        "modelDisplayName": "tiny",
        "modelVersionId": "v1",
    }
    assert vertex.headers["x-model-version"] == plain.headers["x-model-version"] == "v1"


def test_vertex_tells_the_state_and_the_signature_of_an_endpoint(
    shared_server: RunningServer, signature_document: dict[str, Any]
) -> None:
    state = json.loads(ask(shared_server.address, "GET", ENDPOINT).body)
    metadata = json.loads(ask(shared_server.address, "GET", f"{ENDPOINT}/metadata").body)
    names = json.loads(ask(shared_server.address, "GET", ENDPOINT.removesuffix("/tiny")).body)

    assert state["trafficSplit"] == {"v1": 100}
    assert [model["id"] for model in state["deployedModels"]] == ["v1"]
    assert metadata["signature"] == signature_document
    assert names == {"endpoints": [{"name": ENDPOINT.removeprefix("/v1/"), "displayName": "tiny"}]}


@pytest.mark.parametrize(
    ("path", "body", "code", "status", "message"),
    [
        (f"{ENDPOINT}:predict", b"{}", 400, "INVALID_ARGUMENT", "has no 'instances'"),
        (f"{ENDPOINT}x:predict", b"{}", 404, "NOT_FOUND", "There is no model 'tinyx'. Known: tiny."),
        (f"{ENDPOINT}:explain", b"{}", 404, "NOT_FOUND", "There is nothing at"),
    ],
)
def test_errors_of_vertex_are_objects_with_a_code(
    shared_server: RunningServer, path: str, body: bytes, code: int, status: str, message: str
) -> None:
    answer = ask(shared_server.address, "POST", path, body)

    error = json.loads(answer.body)["error"]
    assert (answer.status, error["code"], error["status"]) == (code, code, status)
    assert message in error["message"]


def test_googles_own_client_predicts_and_reads_our_errors(shared_server: RunningServer, images: np.ndarray) -> None:
    from google.api_core import exceptions
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.aiplatform_v1 import PredictionServiceClient
    from google.protobuf.json_format import MessageToDict, ParseDict
    from google.protobuf.struct_pb2 import Value

    client = PredictionServiceClient(
        transport="rest",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": shared_server.address},
    )
    endpoint = ENDPOINT.removeprefix("/v1/")
    sent = [{"pixels": image.tolist(), "key": f"picture {number}"} for number, image in enumerate(images)]

    answer = client.predict(endpoint=endpoint, instances=[ParseDict(one, Value()) for one in sent])

    ours = requests.post(f"{shared_server.address}/v1/models/tiny:predict", json={"instances": sent}, timeout=10)
    predictions = MessageToDict(answer._pb)["predictions"]
    assert len(predictions) == 5
    for theirs, own in zip(predictions, ours.json()["predictions"], strict=True):
        assert (theirs["classes"], theirs["key"]) == (own["classes"], own["key"])
        np.testing.assert_allclose(theirs["probabilities"], own["probabilities"], rtol=1e-6)
    assert answer.deployed_model_id == "v1"
    assert answer.model_display_name == "tiny"
    with pytest.raises(exceptions.BadRequest, match=r"'pixels' has the shape \[1\]"):
        client.predict(endpoint=endpoint, instances=[ParseDict({"pixels": [1]}, Value())])
    with pytest.raises(exceptions.NotFound, match=r"There is no model 'tinny'\. Known: tiny\."):
        client.predict(endpoint=endpoint.replace("tiny", "tinny"), instances=[Value(number_value=1)])


def test_keys_come_back_beside_their_predictions(shared_server: RunningServer, images: np.ndarray) -> None:
    keys: list[Any] = [7, "b1", None, {"a": [1]}, [True]]
    instances = [{"pixels": image.tolist(), "key": key} for image, key in zip(images, keys, strict=True)]
    answer = requests.post(f"{shared_server.address}/v1/models/tiny:predict", json={"instances": instances}, timeout=10)

    assert [one["key"] for one in answer.json()["predictions"]] == keys
    with serving.connect("tiny", address=shared_server.address) as predictor:
        assert [one["key"] for one in predictor.predict(instances)] == keys


@pytest.mark.parametrize("parameters", [None, {}])
def test_parameters_that_say_nothing_are_fine(shared_server: RunningServer, parameters: Any) -> None:
    body = json.dumps({"instances": [HALF], "parameters": parameters}).encode()

    assert ask(shared_server.address, "POST", "/v1/models/tiny:predict", body).status == 200


def _split(store: serving.ModelStore, traffic: dict[str, int]) -> None:
    path = store.root / "MNIST" / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "trafficSplit": traffic}))


def test_traffic_is_split_in_exact_turns_and_a_named_version_is_itself(
    store: serving.ModelStore, tiny_export: Any
) -> None:
    store.create_version("MNIST", "v2", tiny_export)
    traffic = {"v1": 70, "v2": 30}
    _split(store, traffic)
    body = json.dumps({"instances": [HALF]}).encode()
    path = "/v1/projects/p/locations/l/endpoints/MNIST"

    with serving.start() as server:

        def version(path: str) -> str:
            return str(ask(server.address, "POST", f"{path}:predict", body).headers["x-model-version"])

        got = [version(path) for _ in range(60)]
        for asked in ("/v1/models/MNIST/metadata", f"{path}/metadata", path):
            assert ask(server.address, "GET", asked).status == 200  # who only looks takes nobody's turn
        got += [version("/v1/models/MNIST") for _ in range(40)]

        turns = rotation(traffic)
        assert got == [next(turns) for _ in range(100)]
        assert Counter(got) == traffic
        assert {version("/v1/models/MNIST/versions/v1") for _ in range(5)} == {"v1"}
        assert json.loads(ask(server.address, "GET", path).body)["trafficSplit"] == traffic
        _split(store, {})
        assert {version(path) for _ in range(5)} == {"v1"}


def test_a_split_that_sums_to_less_is_refused_by_the_rotation() -> None:
    with pytest.raises(UsageError, match="sum to 90"):
        rotation({"v1": 90})
