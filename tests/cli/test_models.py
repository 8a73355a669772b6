from __future__ import annotations

import json
from collections.abc import Callable
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
