"""The form for babyweight: its items as an instance, its path on a server, with the models of three frameworks."""

from __future__ import annotations

import asyncio
import gzip
import importlib
import itertools
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from app_server import Answer, ask
from hypothesis import given
from hypothesis import strategies as st

from mlhelpers import datasets, serving
from mlhelpers.errors import PredictionError
from mlhelpers.serving.instances import to_batch
from mlhelpers.serving.registry.store import ModelStore
from mlhelpers.serving.server import forms
from mlhelpers.serving.server.admission import Limits
from mlhelpers.serving.server.app import PredictionApp
from mlhelpers.serving.server.catalogue import Catalogue
from mlhelpers.serving.server.pages import read_page
from mlhelpers.serving.server.process import RunningServer
from mlhelpers.serving.server.refusals import RefusedError
from mlhelpers.serving.signature import ModelSignature, parse_signature
from mlhelpers.trainers import births

BOY = {"baby_gender": "male", "mother_age": 26, "plurality": "1", "gestation_weeks": 39}
SMALL: dict[str, dict[str, Any]] = {
    "babyweight": {"nnsize": (8,), "train_examples": 1, "eval_steps": 1},
    "babyweight_sklearn": {},
    "babyweight_xgboost": {},
}


def signature_of(**changes: dict[str, Any] | None) -> ModelSignature:
    """Our trainers' signature, with other descriptions of some inputs; None takes one away."""
    described = births.signature()
    inputs = {**described["inputs"], **changes}
    described["inputs"] = {name: tensor for name, tensor in inputs.items() if tensor is not None}
    return parse_signature({"format": 1, "signatures": {"serving_default": described}})


def words(*some: str) -> dict[str, Any]:
    return {"dtype": "string", "shape": [None], "values": list(some)}


def span(low: float | None, high: float | None) -> dict[str, Any]:
    return {"dtype": "float32", "shape": [None], "min": low, "max": high}


def combinations(offered: dict[str, Any]) -> list[dict[str, Any]]:
    spans = [
        range(offered[name]["minimum"], offered[name]["maximum"] + 1) for name in ("mother_age", "gestation_weeks")
    ]
    values = [offered["baby_gender"], offered["plurality"], *spans]
    names = ("baby_gender", "plurality", "mother_age", "gestation_weeks")
    return [dict(zip(names, one, strict=True)) for one in itertools.product(*values)]


def test_the_form_offers_what_the_original_does_and_the_larger_births_that_the_model_knows() -> None:
    assert forms.choices("babyweight", signature_of()) == {
        "mother_age": {"minimum": 15, "maximum": 49},
        "gestation_weeks": {"minimum": 30, "maximum": 49},
        "baby_gender": ["male", "female", "unknown"],
        "plurality": ["1", "2", "3", "4", "5"],
    }
    anything = {"dtype": "string", "shape": [None]}
    assert forms.choices("other", signature_of(plurality=anything))["plurality"] == ["1", "2", "3"]


def test_every_combination_of_the_form_is_one_that_the_model_takes() -> None:
    signature = signature_of()
    every = combinations(forms.choices("babyweight", signature))

    batch = to_batch(signature, [forms.to_instance(items) for items in every])

    assert batch.size == 3 * 5 * 35 * 20


NUMBERS = st.none() | st.integers(-10, 70) | st.floats(-10, 70, width=32)


@given(
    is_male=st.sets(st.sampled_from(["True", "False", "Unknown"])),
    plurality=st.sets(st.sampled_from(births.signature()["inputs"]["plurality"]["values"])),
    age=st.tuples(NUMBERS, NUMBERS),
    weeks=st.tuples(NUMBERS, NUMBERS),
    has_key=st.booleans(),
)
def test_whatever_a_model_takes_the_form_offers_no_more(
    is_male: set[str], plurality: set[str], age: tuple[Any, Any], weeks: tuple[Any, Any], has_key: bool
) -> None:
    changes = {"is_male": words(*is_male), "plurality": words(*plurality)}
    changes |= {"mother_age": span(*age), "gestation_weeks": span(*weeks)}
    signature = signature_of(**changes, **({} if has_key else {"key": {"dtype": "string", "shape": [None]}}))
    try:
        offered = forms.choices("babyweight", signature)
    except PredictionError:
        return
    every = combinations(offered)
    assert to_batch(signature, [forms.to_instance(items) for items in every]).size == len(every)


@pytest.mark.parametrize(
    ("changes", "is_male", "plurality"),
    [
        ({}, "True", "Single(1)"),
        ({"baby_gender": "female", "plurality": 2}, "False", "Twins(2)"),
        ({"baby_gender": "unknown"}, "Unknown", "Single(1)"),
        ({"baby_gender": "unknown", "plurality": "2"}, "Unknown", "Multiple(2+)"),
        ({"baby_gender": "unknown", "plurality": "5"}, "Unknown", "Multiple(2+)"),
        ({"mother_age": "26", "gestation_weeks": "39.0", "plurality": "3"}, "True", "Triplets(3)"),
    ],
)
def test_the_items_become_the_models_words_and_numbers(changes: dict[str, Any], is_male: str, plurality: str) -> None:
    assert forms.to_instance({**BOY, **changes}) == {
        "is_male": is_male,
        "mother_age": 26.0,
        "plurality": plurality,
        "gestation_weeks": 39.0,
        "key": "nokey",
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"baby_gender": "boy"}, "baby_gender is 'boy'; it takes male, female, unknown."),
        ({"baby_gender": ["male"]}, r"baby_gender is \['male'\]; it takes"),
        ({"plurality": 6}, "plurality is 6; it takes 1, 2, 3, 4, 5."),
        ({"plurality": True}, "plurality is True; it takes 1"),
        ({"mother_age": "old"}, "mother_age is 'old'; it takes a number."),
        ({"mother_age": True}, "mother_age is True; it takes a number."),
        ({"gestation_weeks": "nan"}, "gestation_weeks is 'nan'; it takes a number."),
        ({"gestation_weeks": "9" * 400}, "gestation_weeks is '9{58}…; it takes a number."),
    ],
)
def test_items_that_the_form_does_not_have_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(PredictionError, match=message):
        forms.to_instance({**BOY, **change})


@pytest.mark.parametrize(
    ("prediction", "text"),
    [
        ({"predictions": [7.6649], "key": "nokey"}, "7.66 lbs."),
        ({"predictions": 7.0}, "7.00 lbs."),
        ({"babyweight": [[6.3]], "other": 1}, "6.30 lbs."),
        ({"dense_2": [-0.125], "key": 5}, "-0.12 lbs."),
        ({"pounds": 7}, "7.00 lbs."),
    ],
)
def test_the_weight_is_found_under_each_name_that_it_has(prediction: dict[str, Any], text: str) -> None:
    assert forms.result_text(prediction) == text


@pytest.mark.parametrize("prediction", [{}, {"predictions": [None]}, {"a": 1.0, "b": 2.0}, {"predictions": [1.0, 2.0]}])
def test_an_answer_without_a_weight_is_the_models_fault(prediction: dict[str, Any]) -> None:
    with pytest.raises(RefusedError, match="The model's answer holds no weight") as refused:
        forms.result_text(prediction)
    assert refused.value.status == 500


@pytest.mark.parametrize(
    "changes",
    [
        {"mother_age": None},
        {"height": span(0, 1)},
        {"gestation_weeks": span(0, 1)},
        {"is_male": words("yes", "no")},
        {"plurality": words("one")},
    ],
)
def test_a_model_of_something_else_is_told_apart(changes: dict[str, Any]) -> None:
    with pytest.raises(PredictionError, match=r"The form asks for a baby's weight .* mlhelpers serve --form MODEL"):
        forms.choices("flowers", signature_of(**changes))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("births")
    datasets.prepare("babyweight", folder, source="shipped")
    return folder


def trained(name: str, shards: Path, out: Path) -> Path:
    trainer = importlib.import_module(f"mlhelpers.trainers.{name}")
    settings = trainer.Hyperparameters(data_dir=str(shards), output_dir=str(out), **SMALL[name])
    export: Path = trainer.train(settings)
    return export


@pytest.fixture(scope="module")
def babies(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained("babyweight_sklearn", shards, tmp_path_factory.mktemp("babies"))


def send(address: str, items: object, **headers: str) -> Answer:
    body = items if isinstance(items, bytes) else json.dumps(items).encode()
    return ask(address, "POST", "/api/predict", body, **headers)


@pytest.mark.parametrize("name", SMALL)
def test_the_models_of_each_framework_answer_the_form(name: str, shards: Path, babies: Path, tmp_path: Path) -> None:
    export = babies if name == "babyweight_sklearn" else trained(name, shards, tmp_path)
    with serving.start(models={"babyweight": export}) as server:
        offered = json.loads(ask(server.address, "GET", "/api/form").body)
        said = send(server.address, {**BOY, "baby_gender": "unknown", "plurality": "2"})
    with serving.load(export) as predictor:
        [own] = predictor.predict([{**BOY_AS_INSTANCE, "is_male": "Unknown", "plurality": "Multiple(2+)"}])

    assert offered["model"] == "babyweight"
    assert offered["plurality"] == ["1", "2", "3", "4", "5"]
    assert offered["rmse"] > 0
    assert "no medical advice" in offered["description"]
    assert (said.status, json.loads(said.body)) == (200, {"result": f"{own['predictions'][0]:.2f} lbs."})
    assert said.headers["x-model-version"] == "v1"


BOY_AS_INSTANCE = {"is_male": "True", "mother_age": 26, "plurality": "Single(1)", "gestation_weeks": 39}


@pytest.fixture(scope="module")
def server(babies: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from mlhelpers import settings

    with settings.using(home=tmp_path_factory.mktemp("home")):
        running = serving.start(models={"babyweight": babies})
    with running:
        yield running


@pytest.mark.parametrize("item", BOY)
def test_a_missing_item_is_asked_for_as_in_the_original(server: RunningServer, item: str) -> None:
    without = {name: value for name, value in BOY.items() if name != item}
    for items in (without, {**BOY, item: ""}, {**BOY, item: None}):
        answer = send(server.address, items)
        assert (answer.status, json.loads(answer.body)) == (200, {"result": "Set all items."})


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "The body is empty. Send {"),
        (b"{", 400, "The body is not JSON"),
        (b"[1]", 400, "a list and not an object"),
        (b"[" * 9_000, 400, "The body is not JSON"),
        (b" " * 10_001, 413, "longer than the 0.01 MB"),
        ({**BOY, "mother_age": 130}, 400, "'mother_age' holds 130.0"),
        ({**BOY, "gestation_weeks": "39; DROP"}, 400, "it takes a number"),
        ({**BOY, "plurality": "9"}, 400, "it takes 1, 2, 3, 4, 5"),
    ],
)
def test_what_the_model_does_not_take_is_refused_in_words(
    server: RunningServer, body: object, status: int, message: str
) -> None:
    answer = send(server.address, body)

    assert answer.status == status
    assert message in json.loads(answer.body)["error"]


def test_it_is_a_request_as_any_other(server: RunningServer) -> None:
    plain = send(server.address, BOY)
    packed = send(server.address, gzip.compress(json.dumps(BOY).encode()), Content_Encoding="gzip")
    bomb = send(server.address, gzip.compress(bytes(100_000)), Content_Encoding="gzip")

    assert re.fullmatch(rb'\{"result":"\d\.\d\d lbs\."\}', plain.body)
    assert packed.body == plain.body
    assert bomb.status == 413
    assert ask(server.address, "GET", "/api/predict").status == 405
    assert ask(server.address, "POST", "/api/form").status == 405
    counts = ask(server.address, "GET", "/metrics").body.decode()
    assert re.search(r'^mlhelpers_requests_total\{.*model="babyweight".*\} [1-9]', counts, re.M)


def test_the_document_tells_what_the_form_sends_and_gets(server: RunningServer) -> None:
    api = json.loads(ask(server.address, "GET", "/openapi.json").body)
    post = api["paths"]["/api/predict"]["post"]
    content = post["requestBody"]["content"]["application/json"]
    example = content["examples"]["form"]["value"]

    jsonschema.validate(example, content["schema"])
    answer = send(server.address, example)
    jsonschema.validate(json.loads(answer.body), post["responses"]["200"]["content"]["application/json"]["schema"])


def test_with_a_token_the_page_is_shown_and_the_model_is_not_asked(babies: Path) -> None:
    with serving.start(models={"babyweight": babies}, token="a-secret") as server:
        for path in ("/", "/form", "/forms/babyweight"):
            assert ask(server.address, "GET", path).status == 200
        assert ask(server.address, "GET", "/api/form").status == 401
        assert send(server.address, BOY).status == 401
        assert send(server.address, BOY, Authorization="Bearer a-secret").status == 200


def call(app: PredictionApp, method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
    """Ask the application without a socket."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app({"type": "http", "method": method, "path": path, "headers": []}, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"])


def test_another_model_and_one_of_its_versions_can_be_asked(home: Path, babies: Path, tiny_export: Path) -> None:
    store = ModelStore()
    store.create_model("births")
    store.create_version("births", "v1", babies)
    store.create_version("births", "v2", babies)
    catalogue = Catalogue(store, {"tiny": tiny_export})

    def asking(*form: str | None) -> tuple[Any, Any]:
        app = PredictionApp(catalogue, Limits(), form=form)  # type: ignore[arg-type]
        try:
            return call(app, "GET", "/api/form"), call(app, "POST", "/api/predict", json.dumps(BOY).encode())
        finally:
            app.close()

    for version in (None, "v2"):
        offered, said = asking("births", version)
        assert offered[0] == 200
        assert (offered[1]["model"], offered[1]["version"]) == ("births", version)
        assert said[1]["result"].endswith(" lbs.")
    for version, words in (("v3", "no births version 'v3'"),):
        assert all(status == 404 and words in said["error"] for status, said in asking("births", version))
    assert all(status == 404 and "Known: births, tiny" in said["error"] for status, said in asking("babyweight", None))
    offered, said = asking("tiny", None)
    assert offered[0] == said[0] == 400
    assert "mlhelpers serve --form MODEL" in offered[1]["error"]


def test_the_commands_on_the_page_make_the_model(home: Path, tmp_path: Path) -> None:
    text = read_page("babyweight.html").decode()
    commands = re.search(r'<pre id="commands"[^>]*>(.*?)</pre>', text, re.S)
    assert commands is not None
    with serving.start() as server:
        assert "There is no model 'babyweight'" in json.loads(ask(server.address, "GET", "/api/form").body)["error"]
        for line in commands[1].splitlines():
            program, *arguments = shlex.split(line)
            how = ["-m", "mlhelpers.cli"] if program == "mlhelpers" else []
            subprocess.run([sys.executable, *how, *arguments], cwd=tmp_path, check=True, capture_output=True)
        assert send(server.address, BOY).status == 200
    shutil.rmtree(tmp_path / "data")
