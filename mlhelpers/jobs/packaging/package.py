"""A user's own trainer package: is its folder a package, and is the module there?

The trainer is never imported here: its folders are only looked through, as Python would.
"""

from __future__ import annotations

import difflib
import importlib.util
import keyword
import pkgutil
import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from mlhelpers.errors import UsageError
from mlhelpers.storage import local_path

__all__ = ["check_module", "find_packed", "hides_python", "package_folder"]


def package_folder(path: str) -> Path:
    """Return a package's folder, absolute.

    Args:
        path: The folder as the user gave it, or a gs:// address.

    Raises:
        UsageError: It is no folder, has no `__init__.py`, or its name cannot be imported or is one of Python's own.
    """
    folder = local_path(path).absolute().resolve()
    if not folder.is_dir():
        raise UsageError(f"The package path {path!r} is no folder. Give the folder that holds the trainer's modules.")
    if not (folder / "__init__.py").is_file():
        raise UsageError(
            f"The package folder {path!r} has no __init__.py, so it is not a Python package. "
            f"{_package_inside(folder) or 'Make an empty one:  touch ' + str(folder / '__init__.py')}"
        )
    if not folder.name.isidentifier() or keyword.iskeyword(folder.name):
        raise UsageError(f"The package folder {path!r} cannot be imported by the name {folder.name!r}: rename it.")
    if folder.name in sys.stdlib_module_names:
        raise UsageError(
            f"The package folder {path!r} has the name of Python's own module {folder.name!r}, and would hide it from "
            "everything that runs: rename it, for instance trainer."
        )
    return folder


def hides_python(folder: Path) -> list[str]:
    """Return the modules of a folder that have a name of Python's own, and would hide those.

    Args:
        folder: One that is to be searched before Python's own.
    """
    return sorted(found.name for found in pkgutil.iter_modules([str(folder)]) if found.name in sys.stdlib_module_names)


def check_module(module: str, package: Path | None, cwd: Path) -> None:
    """Refuse a module that Python would not find, without importing anything of it.

    Args:
        module: Dotted name.
        package: The user's own package, or None.
        cwd: Where the trainer will run; its modules are found too where there is no package of the user's own.

    Raises:
        UsageError: The module is not there; the message names the nearest one that is.
    """
    top = module.split(".")[0]
    spec = _top_level(top, package, cwd)
    if spec is None:
        raise UsageError(_not_found(module, top, package, cwd))
    _check_rest(module, spec)


def find_packed(module: str, folders: Sequence[Path]) -> bool:
    """Tell whether a module lies in unpacked packages, without importing anything of it.

    Args:
        module: Dotted name.
        folders: Where they were unpacked.

    Returns:
        Whether the first part of its name is there; the rest is then there as well.

    Raises:
        UsageError: The first part is there and the rest is not; the message names the nearest one that is.
    """
    spec = PathFinder.find_spec(module.split(".")[0], [str(folder) for folder in folders])
    if spec is None:
        return False
    _check_rest(module, spec)
    return True


def _check_rest(module: str, spec: ModuleSpec) -> None:
    """Go down from a top-level package to the module, and refuse what is not there or cannot be run."""
    name, *rest = module.split(".")
    for part in rest:
        folders = spec.submodule_search_locations
        name = f"{name}.{part}"
        inner = PathFinder.find_spec(name, folders) if folders is not None else None
        if inner is None:
            raise UsageError(_not_inside(module, name, folders))
        spec = inner
    if spec.submodule_search_locations is not None:
        _check_runs_as_package(module, spec)


def _package_inside(folder: Path) -> str:
    """Return a hint where somebody gave the project's folder in place of the package's."""
    inside = sorted(found.parent for pattern in ("*", "src/*") for found in folder.glob(f"{pattern}/__init__.py"))
    return f"Did you mean the package inside it, {inside[0]}?" if inside else ""


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
