"""What a trainer needs in the cloud and no more: found by reading its imports, and those of what it imports.

Nothing is imported for it. The requirements are those of mlhelpers itself, with the versions that it asks for; what the
image has (TensorFlow, Keras) and what a trainer there has no use for is left out.
"""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import mlhelpers

__all__ = ["imports_mlhelpers", "requirements_of", "sources_of"]

_ROOT = Path(mlhelpers.__file__).resolve().parent
# module -> distribution, where the two have other names
_DISTRIBUTIONS = {
    "PIL": "pillow",
    "farmhash": "pyfarmhash",
    "google": "protobuf",  # google.protobuf: records; Google's clients are for the place that submits
    "google_crc32c": "google-crc32c",
    "hypertune": "cloudml-hypertune",
    "sklearn": "scikit-learn",
    "xgboost": "xgboost-cpu",
    "yaml": "pyyaml",
}
_IN_THE_IMAGE = {"tensorflow", "keras"}
_ASKED_FOR_BY_OTHERS = {"urllib3"}  # comes with requests
_ON_GPU = {"xgboost-cpu": "xgboost"}  # the build that knows GPUs
# importing these is a trainer's own choice by a flag, and JAX comes with TPU machines
_BY_CHOICE = {"jax"}


def requirements_of(module: str, files: Iterable[Path] = (), has_gpu: bool = False) -> list[str]:
    """Return what pip has to provide beside the image, for instance ["cloudml-hypertune>=0.1", "numpy>=2.1"].

    Args:
        module: One of mlhelpers, for instance "mlhelpers.trainers.mnist"; or any other, which adds nothing itself.
        files: Sources of a package of the user's own; what of mlhelpers they import is followed.
        has_gpu: Whether the machines have GPUs.
    """
    asked = [module, *(name for path in files for name in _imports(path))]
    found: set[str] = set()
    for name in _outside(name for name in asked if name.partition(".")[0] == "mlhelpers"):
        if name not in _IN_THE_IMAGE | _ASKED_FOR_BY_OTHERS | _BY_CHOICE:
            distribution = _DISTRIBUTIONS.get(name, name)
            found.add(_ON_GPU.get(distribution, distribution) if has_gpu else distribution)
    versions = _versions()
    return sorted(versions.get(name, name) for name in found)


def imports_mlhelpers(files: Iterable[Path]) -> bool:
    """Tell whether any of some source files imports mlhelpers."""
    return any(name.partition(".")[0] == "mlhelpers" for path in files for name in _imports(path))


def sources_of(folder: Path) -> Sequence[Path]:
    """Return the Python files of a package."""
    return sorted(folder.rglob("*.py"))


def _outside(start: Iterable[str]) -> set[str]:
    """Return the packages outside of mlhelpers that some of its modules import, and those that they import."""
    found: set[str] = set()
    seen: set[Path] = set()
    waiting = list(start)
    while waiting:
        for path in _files(waiting.pop()):
            if path in seen:
                continue
            seen.add(path)
            if "cloud" in path.relative_to(_ROOT).parts:  # trainers read buckets as folders
                continue
            for name in _imports(path):
                top = name.partition(".")[0]
                if top == "mlhelpers":
                    waiting.append(name)
                elif top not in sys.stdlib_module_names and not name.startswith("google.") | (top == "__future__"):
                    found.add(top)
                elif name.startswith("google.protobuf"):
                    found.add("google")
    return found


def _files(module: str) -> Iterator[Path]:
    """Yield the files that importing a module of mlhelpers runs: its packages' and its own."""
    place = _ROOT
    yield place / "__init__.py"
    for part in module.split(".")[1:]:
        place = place / part
        for path in (place.with_suffix(".py"), place / "__init__.py"):
            if path.is_file():
                yield path


@lru_cache(maxsize=512)
def _imports(path: Path) -> tuple[str, ...]:
    """Return the dotted names that a file imports, also inside functions; those for type checkers left out."""
    try:
        tree = ast.parse(path.read_text("utf-8"))
    except (OSError, ValueError, SyntaxError):  # the packaging tells of it
        return ()
    return tuple(_names(tree))


def _names(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        yield from _names(child)


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    """Return each requirement of mlhelpers by its bare name, with the version that it asks for."""
    try:
        told = importlib.metadata.requires("mlhelpers") or []
    except importlib.metadata.PackageNotFoundError:  # used from its source folder: any version will have to do
        return {}
    found: dict[str, str] = {}
    for line in told:
        asked = line.partition(";")[0].strip()
        if name := re.match(r"[A-Za-z0-9_.-]+", asked):
            found.setdefault(name[0].lower(), asked)
    return found
