"""README.md is one screen, and what it says is there is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlhelpers import cli, datasets

_REPOSITORY = Path(__file__).resolve().parent.parent
_README = (_REPOSITORY / "README.md").read_text("utf-8")
_MAKEFILE = (_REPOSITORY / "Makefile").read_text("utf-8")
_DOCUMENTS = ("README.md", "CHANGELOG.md", "data/README.md")


def test_it_fits_one_screen() -> None:
    assert len(_README.splitlines()) <= 90


def test_its_map_lists_every_notebook_and_no_other() -> None:
    notebooks = [path.stem for path in sorted((_REPOSITORY / "notebooks").glob("*.ipynb"))]

    assert re.findall(r"^\| \[(\w+)\]\(notebooks/\1\.ipynb\) \|", _README, flags=re.MULTILINE) == notebooks


def test_it_calls_no_notebook_planned_that_is_there() -> None:
    planned = re.findall(r"\b\d\d\b", " ".join(re.findall(r"^Planned: .*(?:\n.+)*", _README, flags=re.MULTILINE)))
    there = [path.name[:2] for path in (_REPOSITORY / "notebooks").glob("*.ipynb")]

    assert [number for number in planned if number in there] == []


def test_its_table_lists_every_command_and_no_other() -> None:
    listed = re.findall(r"^\| `mlhelpers (\w+)` \|", _README, flags=re.MULTILINE)

    assert listed == list(cli._COMMANDS)


def test_it_names_every_data_set() -> None:
    line = re.search(r"^Data sets: (.*)", _README, flags=re.MULTILINE)

    assert line
    assert re.findall(r"`(\w+)`", line[1]) == datasets.names()


def test_every_make_target_it_names_exists_and_has_help() -> None:
    targets = re.findall(r"^([a-z]+):.*## ", _MAKEFILE, flags=re.MULTILINE)

    assert {"run", "test", "lab", "lint", "clean"} <= set(targets)
    assert set(re.findall(r"(?:^|`)make ([a-z]+)\b", _README, flags=re.MULTILINE)) <= set(targets)


@pytest.mark.parametrize("document", _DOCUMENTS)
def test_every_relative_link_leads_somewhere(document: str) -> None:
    path = _REPOSITORY / document

    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text("utf-8")):
        assert "://" in target or (path.parent / target).exists(), f"{document}: {target}"


def test_every_path_of_the_package_it_names_exists() -> None:
    for path in re.findall(r"`((?:mlhelpers|notebooks|data|tests)/[^`]*)`", _README):
        folder = re.split(r"NAME|NN_", path)[0]
        assert (_REPOSITORY / folder).exists(), path


def test_the_changelog_keeps_its_form() -> None:
    changelog = (_REPOSITORY / "CHANGELOG.md").read_text("utf-8")

    assert changelog.startswith("# Changelog\n")
    assert re.findall(r"^## \[([^\]]+)\]", changelog, flags=re.MULTILINE)[0] == "Unreleased"
    assert set(re.findall(r"^### (.*)", changelog, flags=re.MULTILINE)) <= {
        "Added",
        "Changed",
        "Deprecated",
        "Removed",
        "Fixed",
        "Security",
    }
