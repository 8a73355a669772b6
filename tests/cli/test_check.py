"""`mlhelpers check`."""

from __future__ import annotations

import json

import pytest
import yaml
from click.testing import CliRunner

from mlhelpers import environment
from mlhelpers.cli.check import check


def test_it_prints_a_table_and_ends_with_zero_where_the_notebooks_can_run() -> None:
    answer = CliRunner().invoke(check)

    assert answer.exit_code == 0, answer.output
    assert answer.output.splitlines()[0].split() == ["CHECK", "FOUND", "CURE"]
    assert "Python" in answer.output


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_json_and_yaml_give_every_key(form: str, read: object) -> None:
    answer = CliRunner().invoke(check, ["--format", form])

    rows = read(answer.output)  # type: ignore[operator]
    assert rows[0].keys() == {"check", "found", "state", "cure"}
    assert rows[0]["check"] == "Python"


def test_it_ends_with_one_where_something_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = environment.Report((environment.Finding("training", "lacks tensorflow", "missing", "pip install it"),))
    monkeypatch.setattr(environment, "check", lambda: broken)

    answer = CliRunner().invoke(check)

    assert answer.exit_code == 1
    assert "pip install it" in answer.output


def test_an_unknown_format_is_wrong_usage() -> None:
    answer = CliRunner().invoke(check, ["--format", "xml"])

    assert answer.exit_code == 2
    assert "'xml' is not one of 'table', 'json', 'yaml'" in answer.output
