"""What packages ask for, beside what is installed: told in a sentence, and never a reason to refuse a job."""

from __future__ import annotations

import importlib.util
import platform
import shlex
from collections.abc import Iterable, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distributions, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.requirements import Requirement

__all__ = ["compare", "not_installed"]

# one package under several names, for several processors
_FLAVOURS = (
    {"tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tensorflow-macos", "tf-nightly"},
    {"opencv-python", "opencv-python-headless", "opencv-contrib-python"},
    {"scikit-learn", "sklearn"},
)
_UNKNOWN = "an unknown version"


def compare(folders: Sequence[Path]) -> list[str]:
    """Say which requirements of unpacked packages are missing here, and which are there in another version.

    Args:
        folders: Where wheels were unpacked; what one of them holds counts as installed for the others.

    Returns:
        No sentence, or one for each of: what is missing, other versions, another Python.
    """
    packed = list(distributions(path=[str(folder) for folder in folders]))
    here = {_normal(dist.name): dist.version for dist in packed}
    missing: list[str] = []
    others: list[tuple[str, str]] = []
    for requirement in _wanted(packed):
        found = here.get(_normal(requirement.name)) or _installed(requirement.name)
        if found is None:
            missing.append(requirement.name)
        elif found != _UNKNOWN and not requirement.specifier.contains(found, prereleases=True):
            others.append((f"{requirement.name}{requirement.specifier}", f"{requirement.name} {found}"))
    notes = []
    if missing:
        names = list(dict.fromkeys(missing))
        notes.append(
            f"The package asks for {_listed(names)}, not installed here:  pip install "
            + " ".join(shlex.quote(name) for name in names)
        )
    if others:
        asked, runs = (list(dict.fromkeys(column)) for column in zip(*others, strict=True))
        notes.append(f"The package asks for {_listed(asked)}; {_listed(runs)} {_verb(runs)} instead.")
    return notes + _other_python(packed)


def not_installed(requirements: Iterable[str]) -> list[str]:
    """Return those of some requirements of which no version is installed; one that is malformed is passed over.

    Args:
        requirements: As in a pyproject.toml, for instance "setuptools>=61".
    """
    parsed = ((text, _parsed(text)) for text in requirements)
    return [text for text, requirement in parsed if requirement is not None and _installed(requirement.name) is None]


def _wanted(packed: Iterable[Distribution]) -> Iterable[Requirement]:
    """Yield what packages ask for on this machine, without their extras."""
    for dist in packed:
        for text in dist.requires or ():
            requirement = _parsed(text)
            if requirement and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
                yield requirement


def _other_python(packed: Iterable[Distribution]) -> list[str]:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    asked = dict.fromkeys(text for dist in packed if (text := _asked_python(dist)))
    notes = []
    for text in asked:
        try:
            fits = SpecifierSet(text).contains(platform.python_version(), prereleases=True)
        except InvalidSpecifier:
            continue
        if not fits:
            notes.append(f"The package asks for Python {text}; Python {platform.python_version()} runs instead.")
    return notes


def _asked_python(dist: Distribution) -> str:
    told = dist.metadata.get_all("Requires-Python") or [""]
    return str(told[0])


def _parsed(text: str) -> Requirement | None:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def _installed(name: str) -> str | None:
    """Return the installed version of a distribution, `_UNKNOWN` where only its module is seen, None for none."""
    mine = _normal(name)
    names = [mine, *(other for flavour in _FLAVOURS if mine in flavour for other in sorted(flavour - {mine}))]
    for one in names:
        try:
            return version(one)
        except PackageNotFoundError:
            continue
    module = mine.replace("-", "_")
    return _UNKNOWN if module.isidentifier() and importlib.util.find_spec(module) is not None else None


def _normal(name: str) -> str:
    from packaging.utils import canonicalize_name

    return canonicalize_name(name)


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _verb(words: Sequence[str]) -> str:
    return "runs" if len(words) == 1 else "run"
