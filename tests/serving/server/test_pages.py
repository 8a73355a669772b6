"""/docs, /openapi.json and /metrics: what the server says of itself."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from app_server import ask

from mlhelpers import serving
from mlhelpers.serving.server.openapi import example_instance
from mlhelpers.serving.server.pages import PAGES, read_page
from mlhelpers.serving.server.process import RunningServer
from mlhelpers.serving.signature import parse_signature

BODY = json.dumps({"instances": [[0.5] * 784]}).encode()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_comes_with_a_policy_that_lets_nothing_foreign_run(shared_server: RunningServer, path: str) -> None:
    answer = ask(shared_server.address, "GET", path)

    assert answer.status == 200
    assert answer.body == read_page(PAGES[path].file)
    assert answer.headers["content-type"] == PAGES[path].content_type.decode()
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'")
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert ask(shared_server.address, "POST", path).status == 405


def test_the_pages_load_nothing_from_elsewhere_and_put_in_no_html() -> None:
    for page in PAGES.values():
        text = read_page(page.file).decode()
        assert not re.search(r"https?://|//cdn|innerHTML|outerHTML|insertAdjacent|eval\(|<script>| on\w+=", text)
        for linked in re.findall(r'(?:src|href|from)[= ]"(/[^"]*)"', text):
            assert linked in {*PAGES, "/metrics", "/openapi.json"}


def test_no_other_file_can_be_had(shared_server: RunningServer) -> None:
    for path in (
        "/docs/",
        "/docs/../app.py",
        "/docs/%2e%2e/app.py",
        "/docs/..%2fapp.py",
        "/pages/docs.html",
        "/forms",
        "/forms/",
        "/forms/babyweight/",
        "/docs/x",
    ):
        assert ask(shared_server.address, "GET", path).status == 404


@pytest.fixture(scope="module")
def api(shared_server: RunningServer) -> Any:
    return json.loads(ask(shared_server.address, "GET", "/openapi.json").body)


def test_the_document_holds_every_path_of_the_three_families(api: Any) -> None:
    predicting = {path for path, entry in api["paths"].items() if "post" in entry}

    assert predicting == {
        "/api/predict",
        "/v1/models/tiny:predict",
        "/v1/models/{model}:predict",
        "/v1/models/{model}/versions/{version}:predict",
        "/v1/projects/{project}/models/{model}:predict",
        "/v1/projects/{project}/models/{model}/versions/{version}:predict",
        "/v1/projects/{project}/locations/{location}/endpoints/{model}:predict",
    }
    for path, entry in api["paths"].items():
        for operation in entry.values():
            named = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))


def test_each_example_is_of_its_schema_and_is_answered_in_the_schema(api: Any, shared_server: RunningServer) -> None:
    post = api["paths"]["/v1/models/tiny:predict"]["post"]
    content = post["requestBody"]["content"]["application/json"]
    resolve = {"$defs": {}, "components": api["components"]}

    assert set(content["examples"]) == {"serving_default", "pixels"}
    for example in content["examples"].values():
        jsonschema.validate(example["value"], {**content["schema"], **resolve})
        answer = ask(shared_server.address, "POST", "/v1/models/tiny:predict", json.dumps(example["value"]).encode())
        assert answer.status == 200
        schema = post["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.validate(json.loads(answer.body), {**schema, **resolve})
    for bad in ({"instances": []}, {"instances": [{"pixels": [256] * 784}]}, {"instances": [{"x": 1}]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, {**content["schema"], **resolve})


def test_an_example_is_made_of_what_the_signature_says() -> None:
    inputs = {
        "text": {"dtype": "string", "shape": [None], "values": ["Unknown", "True"]},
        "left_out": {"dtype": "int32", "shape": [None], "default": 7},
        "shown": {"dtype": "float32", "shape": [None], "example": 26.0, "min": 15},
        "least": {"dtype": "float32", "shape": [None, 2], "min": 1},
        "below": {"dtype": "int8", "shape": [None, None], "max": -3},
    }
    entry = {"inputs": inputs, "outputs": {"y": {"dtype": "float32", "shape": [None]}}}
    signature = parse_signature({"format": 1, "signatures": {"a": entry}}).signatures["a"]

    assert example_instance(signature) == {
        "text": "Unknown",
        "left_out": 7,
        "shown": 26.0,
        "least": [1.0, 1.0],
        "below": [-3],
    }


def test_the_document_names_models_that_do_not_answer_without_their_paths(store: serving.ModelStore) -> None:
    store.create_model("empty")
    store.create_model("damaged")
    (store.root / "damaged" / "model.json").write_text("{")
    with serving.start() as server:
        text = ask(server.address, "GET", "/openapi.json").body.decode()

    paths = json.loads(text)["paths"]
    assert "has no version yet" in paths["/v1/models/empty:predict"]["post"]["description"]
    assert "the server's log says why" in paths["/v1/models/damaged:predict"]["post"]["description"]
    assert "x-model" in paths["/v1/models/MNIST:predict"]["post"]
    assert str(store.root) not in text


def test_the_counts_are_in_prometheus_form_and_true(tiny_export: Path) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    with serving.start(models={"tiny": tiny_export}) as server:
        for body, path in ((BODY, "tiny"), (BODY, "tiny"), (b"{}", "tiny"), (BODY, "none")):
            ask(server.address, "POST", f"/v1/models/{path}:predict", body)
        answer = ask(server.address, "GET", "/metrics")

    assert answer.headers["content-type"].startswith("text/plain; version=")
    families = {family.name: family for family in text_string_to_metric_families(answer.body.decode())}
    requests = {tuple(one.labels[k] for k in ("model", "version", "status")): one.value
                for one in families["mlhelpers_requests"].samples}  # fmt: skip
    assert requests == {("tiny", "v1", "200"): 2, ("tiny", "v1", "400"): 1, ("", "", "404"): 1}
    seconds = families["mlhelpers_request_seconds"].samples
    tiny = [one for one in seconds if one.labels["model"] == "tiny"]
    assert [one.value for one in tiny if one.name.endswith("_count")] == [3]
    assert [one.value for one in tiny if one.labels.get("le") == "+Inf"] == [3]
    assert 0 < next(one.value for one in tiny if one.name.endswith("_sum")) < 5
    sizes = {one.name: one.value for one in families["mlhelpers_batch_size"].samples if "le" not in one.labels}
    assert sizes == {"mlhelpers_batch_size_count": 2, "mlhelpers_batch_size_sum": 2}
    assert families["mlhelpers_loaded_models"].samples[0].value == 1
    assert families["mlhelpers_queue_length"].samples[0].value == 0


def test_with_a_token_pages_are_shown_and_data_are_not(tiny_export: Path) -> None:
    with serving.start(models={"tiny": tiny_export}, token="a-secret") as server:
        assert ask(server.address, "GET", "/docs").status == 200
        for path in ("/openapi.json", "/metrics", "/v1/models"):
            assert ask(server.address, "GET", path).status == 401
            assert ask(server.address, "GET", path, Authorization="Bearer a-secret").status == 200
