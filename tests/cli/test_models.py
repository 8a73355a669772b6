from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlhelpers import serving
from mlhelpers.cli import main


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    return int(stopped.value.code or 0)


def test_a_model_is_made_listed_and_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models", "create", "MNIST", "--regions", "europe-west1", "--description", "digits") == 0
    said = capsys.readouterr()
    assert said.out == "Created the model MNIST.\n"
    assert "mlhelpers versions create v1 --model MNIST --origin EXPORT_FOLDER" in said.err

    assert run("models", "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [["NAME", "DEFAULT_VERSION_NAME"], ["MNIST"]]

    assert run("models", "describe", "MNIST") == 0
    resource = yaml.safe_load(capsys.readouterr().out)
    assert (resource["name"], resource["regions"], resource["description"]) == ("MNIST", ["europe-west1"], "digits")


def test_the_default_version_is_listed(store: serving.ModelStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models", "list") == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["MNIST", "v1"]

    assert run("models", "list", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)[0]["defaultVersion"] == {"name": "v1", "isDefault": True}


def test_an_empty_store_lists_0_items(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models", "list") == 0
    assert capsys.readouterr().out == "Listed 0 items.\n"


def test_delete_asks_first(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    serving.ModelStore().create_model("MNIST")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))

    assert run("models", "delete", "MNIST") == 1
    assert "Delete the model MNIST? [y/N]" in capsys.readouterr().out
    assert run("models", "delete", "MNIST", "--yes") == 0
    assert serving.ModelStore().list_models() == []


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["create", "my-model"], 2, "'my-model' is no model name"),
        (["create", "MNIST"], 1, "There is a model 'MNIST' already"),
        (["describe", "MNITS"], 1, "Did you mean 'MNIST'?"),
        (["delete", "MNITS"], 1, "Did you mean 'MNIST'?"),
        (["delete", "MNIST", "-y"], 1, "still has versions: v1"),
        (["create"], 2, "Missing argument 'NAME'"),
    ],
)
def test_wrong_words_are_refused(
    store: serving.ModelStore, words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("models", *words) == code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_what_was_made_is_printed_as_json_or_yaml(
    form: str, read: Callable[[str], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("models", "create", "MNIST", "--format", form) == 0

    assert read(capsys.readouterr().out)["name"] == "MNIST"


def test_one_model_as_a_table(store: serving.ModelStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models", "describe", "MNIST", "--format", "table") == 0

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["FIELD", "VALUE"]
    assert ["defaultVersion.name", "v1"] in lines


def test_labels_and_description_are_changed_in_the_originals_grammar(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models", "create", "MNIST", "--labels", "team=blue,stage=trial", "--enable-logging") == 0
    capsys.readouterr()

    words = ["--description", "digits", "--update-labels", "n=1,team=red", "--remove-labels", "stage"]
    assert run("models", "update", "MNIST", *words) == 0

    said = capsys.readouterr()
    resource = yaml.safe_load(said.out)
    assert (resource["description"], resource["labels"]) == ("digits", {"n": "1", "team": "red"})
    assert said.err == "Updated the model MNIST.\n"
    assert run("models", "update", "MNIST", "--clear-labels", "--format", "json") == 0
    assert "labels" not in json.loads(capsys.readouterr().out)


def test_traffic_is_shared_out_and_given_back(
    store: serving.ModelStore, tiny_export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.create_version("MNIST", "v2", tiny_export)

    assert run("models", "set-traffic", "MNIST", "v1=90,v2=10") == 0
    said = capsys.readouterr()
    assert yaml.safe_load(said.out)["trafficSplit"] == {"v1": 90, "v2": 10}
    assert said.err == "Requests to MNIST go to v1 90 %, v2 10 %.\n"

    assert run("models", "set-traffic", "MNIST", "v1=50", "v2=50") == 0
    capsys.readouterr()
    assert run("models", "describe", "MNIST") == 0
    assert yaml.safe_load(capsys.readouterr().out)["trafficSplit"] == {"v1": 50, "v2": 50}

    assert run("versions", "delete", "v2", "--model", "MNIST", "-y") == 1
    assert "mlhelpers models set-traffic MNIST v1=100" in capsys.readouterr().err
    assert run("models", "set-traffic", "MNIST", "--clear") == 0
    assert capsys.readouterr().err == "Requests to MNIST go to its default version, v1.\n"
    assert run("versions", "delete", "v2", "--model", "MNIST", "-y") == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["set-traffic", "MNIST"], 2, "Give the shares, VERSION=PERCENT,… as in v1=90,v2=10, or --clear"),
        (["set-traffic", "MNIST", "v1=100", "--clear"], 2, "and not both"),
        (["set-traffic", "MNIST", "v1=99"], 2, "sum to 99; they have to sum to 100"),
        (["set-traffic", "MNIST", "v1=99.5"], 2, "The share 'v1=99.5' is no whole percentage of a version"),
        (["set-traffic", "MNIST", "v1"], 2, "is no whole percentage of a version"),
        (["set-traffic", "MNIST", "v1=50,v1=50"], 2, "names its version a second time"),
        (["set-traffic", "MNIST", "v2=100"], 1, "There is no MNIST version 'v2'. Known: v1."),
        (["set-traffic", "MNITS", "v1=100"], 1, "Did you mean 'MNIST'?"),
        (["update", "MNIST"], 2, "Say what to change: --update-labels"),
        (["update", "MNIST", "--update-labels", "team"], 2, "The label 'team' has no value. Write --update-labels"),
        (["update", "MNIST", "--update-labels", "Team=a"], 2, "The label Team=a is refused"),
        (["update", "MNIST", "--remove-labels", "a", "--clear-labels"], 2, "leave --remove-labels out"),
        (["update", "MNITS", "--clear-labels"], 1, "Did you mean 'MNIST'?"),
        (["create", "other", "--labels", "a"], 2, "The label 'a' has no value. Write --labels"),
    ],
)
def test_wrong_changes_are_refused(
    store: serving.ModelStore, words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = store.describe("MNIST")

    assert run("models", *words) == code
    assert message in capsys.readouterr().err
    assert store.describe("MNIST") == before
