"""pyproject.toml, requirements.lock and environment.yml name the same packages; the lock is safe to install from."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

_REPOSITORY = Path(__file__).resolve().parent.parent
_PYPROJECT = tomllib.loads((_REPOSITORY / "pyproject.toml").read_text("utf-8"))
_LOCK = (_REPOSITORY / "requirements.lock").read_text("utf-8")
_CONDA = (_REPOSITORY / "environment.yml").read_text("utf-8")

_LINUX = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
_MAC = {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"}
_WINDOWS = {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"}
_PLATFORMS = {
    "linux-x86_64": _LINUX | {"platform_machine": "x86_64"},
    "linux-aarch64": _LINUX | {"platform_machine": "aarch64"},
    "mac-arm64": _MAC | {"platform_machine": "arm64"},
    "windows-amd64": _WINDOWS | {"platform_machine": "AMD64"},
}
_PYTHONS = ("3.11", "3.12", "3.13")


def _direct() -> list[Requirement]:
    """What pyproject.toml asks for, for those who use the package: core and every extra."""
    project = _PYPROJECT["project"]
    extras = [line for name, lines in project["optional-dependencies"].items() if name != "all" for line in lines]
    return [Requirement(line) for line in project["dependencies"] + extras]


def _developers() -> list[Requirement]:
    groups = _PYPROJECT["dependency-groups"]
    return [Requirement(line) for line in groups["dev"] + groups["lock"]]


@cache
def _locked() -> tuple[Requirement, ...]:
    lines = [line.rstrip(" \\") for line in _LOCK.splitlines() if re.match(r"[A-Za-z0-9]", line)]
    return tuple(Requirement(line) for line in lines)


def _place(platform: str, python: str) -> dict[str, str]:
    return _PLATFORMS[platform] | {"python_version": python, "python_full_version": f"{python}.9", "extra": ""}


@pytest.mark.parametrize("python", _PYTHONS)
@pytest.mark.parametrize("platform", _PLATFORMS)
def test_the_lock_holds_one_fitting_version_of_what_pyproject_asks_for(platform: str, python: str) -> None:
    place = _place(platform, python)
    overridden = {
        Requirement(line).name: Requirement(line) for line in _PYPROJECT["tool"]["uv"]["override-dependencies"]
    }
    pinned = [line for line in _locked() if line.marker is None or line.marker.evaluate(place)]
    versions: dict[str, list[str]] = {}
    for line in pinned:
        versions.setdefault(canonicalize_name(line.name), []).append(next(iter(line.specifier)).version)

    assert {name: found for name, found in versions.items() if len(found) > 1} == {}
    for asked in _direct() + _developers():
        asked = overridden.get(asked.name, asked)
        if asked.marker is not None and not asked.marker.evaluate(place):
            continue
        found = versions.get(canonicalize_name(asked.name))
        assert found, f"{asked.name} is not locked for {platform}, Python {python}: make lock"
        assert asked.specifier.contains(found[0], prereleases=True), f"{asked} is locked as {found[0]}: make lock"


@pytest.mark.parametrize("platform", _PLATFORMS)
def test_every_platform_gets_exactly_one_tensorflow(platform: str) -> None:
    names = [
        line.name
        for line in _locked()
        if line.name in ("tensorflow", "tensorflow-cpu")
        and (line.marker is None or line.marker.evaluate(_place(platform, "3.12")))
    ]

    assert names == (["tensorflow-cpu"] if platform == "linux-x86_64" else ["tensorflow"])


@pytest.mark.parametrize("python", _PYTHONS)
def test_no_locked_package_refuses_a_python_of_ours(python: str) -> None:
    # uv passes over upper bounds, pip does not; read from what is installed here
    place = _place("linux-x86_64", python)
    for line in _locked():
        if line.marker is None or line.marker.evaluate(place):
            try:
                bounds = importlib.metadata.metadata(line.name).get("Requires-Python")
            except importlib.metadata.PackageNotFoundError:
                continue
            if bounds and importlib.metadata.version(line.name) == next(iter(line.specifier)).version:
                assert SpecifierSet(bounds).contains(f"{python}.9"), f"{line.name} is for Python {bounds}"


def test_every_locked_package_is_pinned_and_hashed() -> None:
    entries = re.split(r"\n(?=[A-Za-z0-9])", _LOCK.strip())

    for entry in entries:
        first = entry.splitlines()[0]
        assert re.match(r"[A-Za-z0-9._-]+==[^=]", first), first
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), f"{first} has no hash"


def test_the_hashes_of_a_package_stand_in_a_fixed_order() -> None:
    for entry in re.split(r"\n(?=[A-Za-z0-9])", _LOCK.strip()):
        hashes = re.findall(r"--hash=sha256:([0-9a-f]+)", entry)
        assert hashes == sorted(set(hashes)), entry.splitlines()[0]


@pytest.mark.parametrize("file", ["requirements.lock", "pyproject.toml", "environment.yml", "Makefile", ".ci/run"])
def test_no_file_names_the_address_of_a_package_index(file: str) -> None:
    text = (_REPOSITORY / file).read_text("utf-8")

    assert not re.search(
        r"--(extra-)?index-url|--find-links|pypi\.|pythonhosted|registry\.", text.replace("--no-emit-index-url", "")
    )
    if file == "requirements.lock":
        assert "://" not in text


def test_no_gpu_library_is_locked() -> None:
    on_linux = {"sys_platform": "linux"}  # on a Mac the same names are CPU builds
    names = [line.name for line in _locked() if line.marker is None or line.marker.evaluate(on_linux)]

    assert not [name for name in names if re.search(r"nvidia|nccl|cuda|cudnn|triton|\bcu1\d", name)]
    assert not {"torch", "jax-cuda12-plugin", "jax-cuda13-plugin", "xgboost", "tensorflow-gpu"} & set(names)


def _conda_lines() -> list[tuple[str, str]]:
    """Return (requirement, comment) of each dependency line."""
    lines = _CONDA.split("dependencies:", 1)[1].splitlines()
    return [(text.strip(), why.strip()) for text, _, why in (line.partition("  # ") for line in lines if line.strip())]


def test_conda_names_what_pyproject_names_with_the_same_bounds() -> None:
    dependencies = yaml.safe_load(_CONDA)["dependencies"]
    pip = next(entry["pip"] for entry in dependencies if isinstance(entry, dict))
    named = {str(Requirement(line)) for line in pip if not line.startswith("--")}
    # what `all` leaves out, conda leaves out
    extras = _PYPROJECT["project"]["optional-dependencies"]
    extra = {Requirement(line).name for name in ("jax", "onnx") for line in extras[name]}

    assert {str(line) for line in _direct() if line.name not in extra} == named


def test_conda_takes_the_same_pythons() -> None:
    python = next(line for line, _ in _conda_lines() if line.startswith("- python"))

    assert set(python.removeprefix("- python").split(",")) == set(_PYPROJECT["project"]["requires-python"].split(","))


def test_each_conda_line_says_which_notebooks_need_it() -> None:
    for line, why in _conda_lines():
        if line != "- pip:":
            assert re.match(r"all\b|none\b|\d\d(, \d\d)*(:|$)", why), f"{line}: {why!r} names no notebook"


def test_conda_installs_the_package_itself_last() -> None:
    assert _conda_lines()[-1][0] == "- --editable ."


def test_pyproject_supports_the_pythons_that_the_lock_is_made_for() -> None:
    classifiers = _PYPROJECT["project"]["classifiers"]

    for python in _PYTHONS:
        assert f"Programming Language :: Python :: {python}" in classifiers
    assert _PYPROJECT["project"]["requires-python"] == ">=3.11,<3.14"


def test_the_licences_are_there() -> None:
    assert "Apache License" in (_REPOSITORY / "LICENSE").read_text("utf-8")
    notice = (_REPOSITORY / "NOTICE").read_text("utf-8")
    for word in ("MNIST", "Yann LeCun", "Corinna Cortes", "CC BY-SA 3.0", "NIST", "What it allows"):
        assert word in notice
    assert _PYPROJECT["project"]["license-files"] == ["LICENSE", "NOTICE"]
