"""The commands about models with `--backend vertex`: the same words, another place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from vertex import Vertex

from mlhelpers import settings, storage
from mlhelpers.cli import main
from mlhelpers.cloud import ledger


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    return int(stopped.value.code or 0)


def test_a_dry_run_needs_no_account_and_sends_nothing(tiny_export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["versions", "create", "v1", "--model", "MNIST", "--origin", str(tiny_export), "--backend", "vertex"]

    assert run(*words, "--dry-run", "--machine-type", "n1-highcpu-4") == 0

    request = yaml.safe_load(capsys.readouterr().out)
    assert list(request) == ["files", "uploadModel", "createEndpoint", "deployModel"]
    assert request["uploadModel"]["parent"] == "projects/PROJECT/locations/us-central1"
    machine = request["deployModel"]["deployedModel"]["dedicatedResources"]["machineSpec"]
    assert machine == {"machineType": "n1-highcpu-4"}
    assert run(*words) == 2
    assert "Vertex AI needs a project, and none is set" in capsys.readouterr().err


def test_a_deployment_that_costs_money_is_not_made_without_a_word(
    tiny_export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with settings.using(project="test-project", bucket="staging"):
        code = run("versions", "create", "v1", "--model", "MNIST", "--origin", str(tiny_export), "--backend", "vertex")

    said = capsys.readouterr().err
    assert code == 2
    assert "n1-standard-2" in said
    assert "unknown" in said
    assert "nothing was started" in said
    assert ledger.entries() == []


def test_the_words_of_this_machine_work_on_vertex_ai(
    vertex: Vertex, tiny_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not storage.exists("gs://staging"):
        storage.make_bucket("gs://staging")
    (tmp_path / "one.json").write_text(json.dumps([0.5] * 784))
    create = ["versions", "create", "--model", "digits", "--origin", str(tiny_export)]

    assert run("models", "create", "digits", "--backend", "vertex") == 0  # the setting says vertex too
    assert run(*create, "v1") == 0
    assert run(*create, "v2", "--description", "second") == 0
    assert run("models", "set-traffic", "digits", "v1=50", "v2=50") == 0
    assert run("versions", "set-default", "v2", "--model", "digits") == 0
    capsys.readouterr()

    assert run("models", "list") == 0
    assert capsys.readouterr().out.split() == ["NAME", "DEFAULT_VERSION_NAME", "digits", "v2"]
    assert run("versions", "list", "--model", "digits") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[1:] == [[name, f"gs://staging/models/digits/{name}", "READY"] for name in ("v1", "v2")]
    assert run("predict", "--model", "digits", "--json-instances", str(tmp_path / "one.json")) == 0
    assert capsys.readouterr().out.startswith("CLASSES")
    assert run("versions", "undeploy", "v1", "--model", "digits") == 0
    assert run("versions", "deploy", "v1", "--model", "digits", "--yes") == 0
    assert run("models", "delete", "digits", "-y") == 1
    for words in (["versions", "delete", "v1", "-y"], ["versions", "delete", "v2", "-y"]):
        assert run(*words, "--model", "digits") == 0
    assert run("models", "delete", "digits", "-y") == 0
    assert ledger.entries() == []


def test_what_only_the_cloud_does_is_refused_here(tiny_export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models", "create", "digits") == 0
    assert run("versions", "create", "v1", "--model", "digits", "--origin", str(tiny_export)) == 0

    assert run("versions", "deploy", "v1", "--model", "digits") == 2
    assert "digits/v1 needs no deployment" in capsys.readouterr().err
    assert run("versions", "create", "v2", "--model", "digits", "--origin", str(tiny_export), "--no-deploy") == 2
    assert "write --backend vertex" in capsys.readouterr().err
