"""What packages ask for, compared with what is installed."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import pytest

from mlhelpers.jobs.packaging.requirements import compare, not_installed


def packed(folder: Path, name: str, requires: Sequence[str] = (), python: str = "") -> Path:
    """Write what a wheel leaves of its metadata in the folder that it was unpacked into."""
    info = folder / f"{name}-1.dist-info"
    info.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0"]
    lines += [f"Requires-Python: {python}"] * bool(python) + [f"Requires-Dist: {text}" for text in requires]
    (info / "METADATA").write_text("\n".join(lines) + "\n")
    return folder


def test_nothing_is_said_where_everything_fits(tmp_path: Path) -> None:
    assert compare([packed(tmp_path, "a", ["numpy>=1.0", "Pillow"], ">=3.6")]) == []


def test_other_versions_than_asked_for_are_told_in_one_line(tmp_path: Path) -> None:
    assert compare([packed(tmp_path, "a", ["numpy==1.14.3", "Pillow (==5.1.0)"])]) == [
        "The package asks for numpy==1.14.3 and Pillow==5.1.0; "
        f"numpy {version('numpy')} and Pillow {version('Pillow')} run instead."
    ]


def test_what_is_missing_is_told_with_the_pip_command(tmp_path: Path) -> None:
    assert compare([packed(tmp_path, "a", ["nowhere-one>=2", "nowhere-two"])]) == [
        "The package asks for nowhere-one and nowhere-two, not installed here:  pip install nowhere-one nowhere-two"
    ]


def test_another_python_is_told(tmp_path: Path) -> None:
    assert compare([packed(tmp_path, "a", python=">=2.7, <3")]) == [
        f"The package asks for Python >=2.7, <3; Python {platform.python_version()} runs instead."
    ]


def test_one_package_given_counts_as_installed_for_another(tmp_path: Path) -> None:
    folders = [packed(tmp_path / "a", "a", ["nowhere_b>=1"]), packed(tmp_path / "b", "nowhere.b")]

    assert compare(folders) == []


def test_requirements_for_other_machines_and_of_extras_are_passed_over(tmp_path: Path) -> None:
    requires = ["nowhere-a; sys_platform == 'win32'", "nowhere-b; extra == 'gpu'", "nowhere-c; python_version < '3'"]

    assert compare([packed(tmp_path, "a", requires)]) == []


@pytest.mark.parametrize("name", ["tensorflow", "tensorflow-gpu"])
def test_tensorflow_is_found_under_whichever_name_it_is_installed(tmp_path: Path, name: str) -> None:
    assert compare([packed(tmp_path, "a", [f"{name}>=1.4"])]) == []


def test_what_a_build_lacks_is_named_as_the_project_names_it() -> None:
    assert not_installed(["setuptools>=61", "nowhere-core>=1,<2", "!!"]) == ["nowhere-core>=1,<2"]
