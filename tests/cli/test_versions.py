from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from mlhelpers import serving
from mlhelpers.cli import main


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    return int(stopped.value.code or 0)


def test_versions_are_made_listed_described_and_deleted(tiny_export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    serving.ModelStore().create_model("MNIST")

    assert run("versions", "create", "v1", "--model", "MNIST", "--origin", str(tiny_export)) == 0
    assert capsys.readouterr() == ("Created the version v1 of MNIST, its default.\n", "")
    assert run("versions", "create", "v2", "--model", "MNIST", "--origin", str(tiny_export)) == 0
    assert capsys.readouterr().out == "Created the version v2 of MNIST.\n"

    assert run("versions", "list", "--model", "MNIST") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [["NAME", "DEPLOYMENT_URI", "STATE"], *[[name, str(tiny_export), "READY"] for name in ("v1", "v2")]]

    assert run("versions", "set-default", "v2", "--model", "MNIST") == 0
    assert capsys.readouterr().out == "v2 is now the default version of MNIST.\n"
    assert run("versions", "describe", "v2", "--model", "MNIST") == 0
    assert yaml.safe_load(capsys.readouterr().out)["isDefault"] is True

    assert run("versions", "delete", "v1", "--model", "MNIST", "-y") == 0
    assert run("versions", "list", "--model", "MNIST", "--format", "json") == 0
    listed = json.loads(capsys.readouterr().out.partition("\n")[2])
    assert [one["name"] for one in listed] == ["v2"]


def test_the_newest_export_is_taken_and_said(
    store: serving.ModelStore, tiny_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tiny_export, tmp_path / "Servo" / "17")

    assert run("versions", "create", "v2", "--model", "MNIST", "--origin", str(tmp_path / "Servo")) == 0

    assert capsys.readouterr().err == f"Took the newest export: {tmp_path / 'Servo' / '17'}\n"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["create", "v-2", "--model", "MNIST", "--origin", "."], 2, "'v-2' is no version name"),
        (["create", "v1", "--model", "MNIST", "--origin", "."], 1, "has a version 'v1' already"),
        (["create", "v2", "--model", "MNIST", "--origin", "/nowhere"], 1, "'/nowhere' does not exist"),
        (["create", "v2", "--model", "MNIST", "--origin", "gs://my-bucket/x"], 1, "'gs://my-bucket/x' does not exist"),
        (["create", "v2", "--model", "MNITS", "--origin", "."], 1, "Did you mean 'MNIST'?"),
        (["create", "v2", "--origin", "."], 2, "Missing option '--model'"),
        (["set-default", "v2", "--model", "MNIST"], 1, "There is no MNIST version 'v2'. Known: v1."),
        (["describe", "v2", "--model", "MNIST"], 1, "There is no MNIST version 'v2'. Known: v1."),
        (["list", "--model", "other"], 1, "There is no model 'other'"),
    ],
)
def test_wrong_words_are_refused(
    store: serving.ModelStore, words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("versions", *words) == code
    assert message in capsys.readouterr().err


def test_what_was_made_or_changed_is_printed_as_json(
    store: serving.ModelStore, tiny_export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("versions", "create", "v2", "--model", "MNIST", "--origin", str(tiny_export), "--format", "json") == 0
    made = json.loads(capsys.readouterr().out)
    assert run("versions", "set-default", "v2", "--model", "MNIST", "--format", "json") == 0
    changed = json.loads(capsys.readouterr().out)

    assert (made["name"], made.get("isDefault", False)) == ("v2", False)
    assert (changed["name"], changed["isDefault"]) == ("v2", True)


def test_the_originals_flags_are_taken_and_what_runs_instead_is_said(
    store: serving.ModelStore, tiny_export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--runtime-version", "1.2", "--python-version", "2.7", "--framework", "TENSORFLOW"]

    assert run("versions", "create", "v2", "--model", "MNIST", "--origin", str(tiny_export), *words) == 0

    assert capsys.readouterr().err == "Asked for runtime 1.2 and Python 2.7; what is installed here answers instead.\n"


def test_what_the_cloud_heeds_is_noted_and_described(
    store: serving.ModelStore, tiny_export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--machine-type", "n1-standard-2", "--min-nodes", "0", "--max-nodes", "3", "--runtime-version", "2.11"]
    words += ["--staging-bucket", "gs://my-bucket", "--labels", "stage=trial", "--framework", "tensorflow"]

    assert run("versions", "create", "v2", "--model", "MNIST", "--origin", str(tiny_export), *words) == 0
    capsys.readouterr()
    assert run("versions", "describe", "v2", "--model", "MNIST") == 0

    resource = yaml.safe_load(capsys.readouterr().out)
    wanted = {
        "state": "READY",
        "framework": "TENSORFLOW",
        "machineType": "n1-standard-2",
        "runtimeVersion": "2.11",
        "autoScaling": {"minNodes": 0, "maxNodes": 3},
        "labels": {"stage": "trial"},
    }
    assert wanted.items() <= resource.items()
    assert "trustPickle" not in resource


def test_labels_and_description_of_a_version_are_changed(
    store: serving.ModelStore, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--description", "the first", "--update-labels", "a=1,b=2"]
    assert run("versions", "update", "v1", "--model", "MNIST", *words) == 0
    assert run("versions", "update", "v1", "--model", "MNIST", "--remove-labels", "a", "--format", "json") == 0

    said = capsys.readouterr()
    assert said.err == "Updated the version v1 of MNIST.\n" * 2
    changed = store.version("MNIST", "v1")
    assert (changed.description, dict(changed.labels)) == ("the first", {"b": "2"})
    assert run("versions", "update", "v1", "--model", "MNIST", "--clear-labels") == 0
    assert dict(store.version("MNIST", "v1").labels) == {}


def test_trust_in_a_pickle_is_kept_with_the_version(store: serving.ModelStore, tiny_export: Path) -> None:
    words = ["versions", "create", "v2", "--model", "MNIST", "--origin", str(tiny_export)]

    assert run(*words, "--trust-pickle") == 0

    assert store.version("MNIST", "v2").trust_pickle
    assert not store.version("MNIST", "v1").trust_pickle


def test_a_damaged_version_is_listed_as_failed(store: serving.ModelStore, capsys: pytest.CaptureFixture[str]) -> None:
    (store.root / "MNIST" / "versions" / "v1" / "version.json").write_text("{")

    assert run("versions", "list", "--model", "MNIST") == 0

    assert capsys.readouterr().out.splitlines()[1].split() == ["v1", "FAILED"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--runtime-version", "two"], "--runtime-version 'two' is no version. Write two numbers with a dot"),
        (["--python-version", "3"], "--python-version '3' is no version"),
        (["--framework", "xgboost"], "The framework xgboost was named, and "),
        (["--framework", "torch"], "'torch' is not one of"),
        (["--labels", "A=1"], "The label A=1 is refused"),
        (["--min-nodes", "3", "--max-nodes", "1"], "--min-nodes 3 is over --max-nodes 1"),
    ],
)
def test_a_wrong_value_makes_no_version(
    store: serving.ModelStore, tiny_export: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("versions", "create", "v2", "--model", "MNIST", "--origin", str(tiny_export), *words) == 2

    assert message in capsys.readouterr().err
    assert [one.name for one in store.list_versions("MNIST")] == ["v1"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["v1", "--model", "MNIST"], 2, "Say what to change"),
        (["v2", "--model", "MNIST", "--clear-labels"], 1, "There is no MNIST version 'v2'. Known: v1."),
        (["v1", "--clear-labels"], 2, "Missing option '--model'"),
    ],
)
def test_a_wrong_update_is_refused(
    store: serving.ModelStore, words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("versions", "update", *words) == code
    assert message in capsys.readouterr().err


def test_a_model_without_a_signature_file_is_taken_and_what_it_says_is_told(
    tiny_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = Path(shutil.copytree(tiny_export, tmp_path / "theirs"))
    (foreign / "signature.json").unlink()
    (foreign / "model.tflite").unlink()
    serving.ModelStore().create_model("Theirs")

    assert run("versions", "create", "v1", "--model", "Theirs", "--origin", str(foreign)) == 0

    assert capsys.readouterr().err == (
        "It came without a signature.json; saved_model.pb itself says: "
        "'serving_default' takes 'inputs': float32 [784].\n"
    )
    assert (serving.ModelStore().version("Theirs").folder / "signature.json").is_file()
    assert not (foreign / "signature.json").exists()
