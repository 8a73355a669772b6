"""A user's own trainer package: is the module there, and a copy of the package that later edits do not reach.

The trainer is never imported here: its folders are only looked through, as Python would.
"""

from __future__ import annotations

import difflib
import importlib.util
import pkgutil
import shutil
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from mlhelpers.errors import UsageError
from mlhelpers.storage import local_path

__all__ = ["check_module", "copy_package", "package_folder"]

_NOT_COPIED = ("__pycache__", "*.pyc", ".git", ".ipynb_checkpoints", ".venv")


def package_folder(path: str) -> Path:
    """Return a package's folder, absolute.

    Args:
        path: The folder as the user gave it, or a gs:// address.

    Raises:
        UsageError: It is no folder, has no `__init__.py`, or its name cannot be imported.
    """
    folder = local_path(path).absolute().resolve()
    if not folder.is_dir():
        raise UsageError(f"The package path {path!r} is no folder. Give the folder that holds the trainer's modules.")
    if not (folder / "__init__.py").is_file():
        raise UsageError(
            f"The package folder {path!r} has no __init__.py, so it is not a Python package. "
            f"Make an empty one:  touch {folder / '__init__.py'}"
        )
    if not folder.name.isidentifier():
        raise UsageError(f"The package folder {path!r} cannot be imported by the name {folder.name!r}: rename it.")
    return folder


def check_module(module: str, package: Path | None, cwd: Path) -> None:
    """Refuse a module that Python would not find, without importing anything of it.

    Args:
        module: Dotted name.
        package: The user's own package, or None.
        cwd: Where the trainer will run; its modules are found too where there is no package of the user's own.

    Raises:
        UsageError: The module is not there; the message names the nearest one that is.
    """
    top, *rest = module.split(".")
    spec = _top_level(top, package, cwd)
    if spec is None:
        raise UsageError(_not_found(module, top, package, cwd))
    name = top
    for part in rest:
        folders = spec.submodule_search_locations
        name = f"{name}.{part}"
        inner = PathFinder.find_spec(name, folders) if folders is not None else None
        if inner is None:
            raise UsageError(_not_inside(module, name, folders))
        spec = inner
    if spec.submodule_search_locations is not None:
        _check_runs_as_package(module, spec)


def copy_package(package: Path, into: Path) -> None:
    """Copy a package's folder, links followed, without caches and version control.

    Args:
        package: The folder of the package.
        into: The folder that shall hold the copy, under the package's own name.

    Raises:
        UsageError: A file of the package cannot be read.
        OSError: The copy cannot be written.
    """
    try:
        shutil.copytree(package, into / package.name, ignore=shutil.ignore_patterns(*_NOT_COPIED))
    except shutil.Error as error:
        first = error.args[0][0]
        raise UsageError(f"The package {package} cannot be copied: {first[0]}: {first[2]}.") from error


def _top_level(top: str, package: Path | None, cwd: Path) -> ModuleSpec | None:
    if package is not None and package.name == top:
        return PathFinder.find_spec(top, [str(package.parent)])
    if package is None and (found := PathFinder.find_spec(top, [str(cwd)])):
        return found
    try:
        return importlib.util.find_spec(top)
    except ValueError:  # a module made by hand, such as __main__, has no spec
        return None


def _not_found(module: str, top: str, package: Path | None, cwd: Path) -> str:
    if package is not None:
        return (
            f"There is no module {module!r}: the package given is {package.name!r}, so the module's name begins with "
            f"{package.name + '.'!r}, for instance {package.name}.task."
        )
    near = difflib.get_close_matches(top, _modules_in([str(cwd)]), n=1)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    return (
        f"There is no module {module!r}: Python finds no {top!r}, neither in {cwd} nor among what is installed.{guess} "
        "For a package of your own give its folder with --package-path (package_path=…)."
    )


def _not_inside(module: str, name: str, folders: Iterable[str] | None) -> str:
    parent, _, last = name.rpartition(".")
    if folders is None:
        return f"There is no module {module!r}: {parent!r} is a file, not a package."
    inside = sorted(_modules_in(list(folders)))
    near = difflib.get_close_matches(last, inside, n=1)
    guess = f" Did you mean '{parent}.{near[0]}'?" if near else ""
    known = ", ".join(inside[:10]) or "no module"
    return f"There is no module {module!r}: {parent!r} has no {last!r}.{guess} It holds: {known}."


def _check_runs_as_package(module: str, spec: ModuleSpec) -> None:
    folders = list(spec.submodule_search_locations or ())
    if PathFinder.find_spec(f"{module}.__main__", folders) is None:
        inside = ", ".join(f"{module}.{name}" for name in sorted(_modules_in(folders))[:10]) or "nothing"
        raise UsageError(f"{module!r} is a package and has no __main__.py, so it cannot be run. It holds: {inside}.")


def _modules_in(folders: Sequence[str]) -> list[str]:
    return [found.name for found in pkgutil.iter_modules(folders) if not found.name.startswith("_")]
