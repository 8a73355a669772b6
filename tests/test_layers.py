"""Imports point one way, and heavy packages are named only where they are at home.

Read from the source with `ast`, so that an import inside a function counts too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

_PACKAGE = Path(__file__).resolve().parent.parent / "mlhelpers"
_MODULES = sorted(_PACKAGE.rglob("*.py"))
_FLOOR = {"errors", "settings", "storage"}

# room -> the rooms it may import. A new room gets its line here, after DESIGN's drawing of the road.
_MAY_IMPORT = {
    "errors": set(),
    "settings": {"errors"},
    "cloud": {"errors", "settings"},
    "storage": {"cloud", "errors", "settings"},
    "labels": {"errors"},
    "frameworks": {"errors"},
    "yaml_text": set(),
    "tfrecords": {"errors"},
    "datasets": _FLOOR | {"tfrecords"},
    "trainers": _FLOOR | {"datasets", "frameworks", "tfrecords"},
    "jobs": _FLOOR | {"board", "cloud", "labels", "plots", "yaml_text"},  # for how a job shows itself, inside functions
    "tuning": _FLOOR | {"cloud", "jobs", "plots"},
    "serving": _FLOOR
    | {"cloud", "frameworks", "jobs", "labels", "tfrecords"},  # a batch prediction is a job, and reads records
    "plots": {"errors"},
    "picture_files": {"errors"},
    "pictures": {"errors", "picture_files"},
    "strokes": {"errors", "pictures"},
    "widget": _FLOOR | {"pictures", "serving", "strokes"},
    "board": _FLOOR | {"frameworks"},
    "environment": _FLOOR | {"datasets"},
    "cleanup": _FLOOR | {"cloud", "jobs", "serving"},  # deletes what they have made
    "emulator": _FLOOR | {"cloud", "jobs", "tuning", "serving"},
    # of `datasets` the download alone; its web app is a server like the other
    "detection": _FLOOR | {"datasets", "frameworks", "picture_files", "serving"},
}
_MAY_IMPORT_ALL = {"cli", "__init__"}

# package -> where it may be imported (a file or folder of mlhelpers)
_TENSORFLOW_PLACES = ("frameworks.py", "trainers", "serving/runtimes", "detection")
_CLOUD_PLACES = ("cloud", "storage", "jobs/vertex", "tuning/vertex", "serving/vertex", "emulator")
_AT_HOME = {
    "tensorflow": _TENSORFLOW_PLACES,
    "keras": _TENSORFLOW_PLACES,
    "jax": _TENSORFLOW_PLACES,
    "ai_edge_litert": _TENSORFLOW_PLACES,
    "skops": ("trainers", "serving/runtimes"),
    "xgboost": ("trainers", "serving/runtimes"),
    "tensorboard": ("trainers", "board.py"),
    "hypertune": ("trainers",),
    "optuna": ("tuning",),
    "scipy": ("tuning",),
    "google.cloud.bigquery": ("datasets/babyweight",),
    "google.cloud": _CLOUD_PLACES,
    "google.auth": _CLOUD_PLACES,
    "google.api_core": _CLOUD_PLACES,
    "ipycanvas": ("widget",),
    "ipywidgets": ("widget", "jobs/view"),
    "matplotlib": ("plots", "plots.py"),
    "uvicorn": ("serving", "emulator", "detection"),
}
_ONLY_IN_FUNCTIONS = ("google.cloud", "google.auth", "google.api_core")


def _imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield (dotted name, whether it stands inside a function) of each import that runs."""

    def walk(node: ast.AST, inside: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            if isinstance(child, ast.Import):
                yield from ((alias.name, inside) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path.name}: imports are written in full, without leading dots"
                yield from ((f"{child.module}.{alias.name}", inside) for alias in child.names)
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from walk(child, inside or function)

    yield from walk(ast.parse(path.read_text("utf-8")), inside=False)


def _room(path: Path) -> str:
    return path.relative_to(_PACKAGE).parts[0].removesuffix(".py")


def _rooms() -> set[str]:
    return {_room(path) for path in _MODULES}


def _name(path: Path) -> str:
    return str(path.relative_to(_PACKAGE))


@pytest.mark.parametrize("path", _MODULES, ids=_name)
def test_imports_point_one_way(path: Path) -> None:
    room = _room(path)
    if room in _MAY_IMPORT_ALL:
        return
    assert room in _MAY_IMPORT, f"the room {room!r} has no line in _MAY_IMPORT: say which rooms it may import"

    for name, _ in _imports(path):
        parts = name.split(".")
        if parts[0] == "mlhelpers" and len(parts) > 1 and parts[1] in _rooms() - {"__init__"}:
            allowed = _MAY_IMPORT[room] | {room}
            assert parts[1] in allowed, f"{_name(path)} imports {name}; {room} may import {sorted(allowed)}"


@pytest.mark.parametrize("path", _MODULES, ids=_name)
def test_heavy_packages_are_imported_only_where_they_are_at_home(path: Path) -> None:
    for name, inside in _imports(path):
        for package, places in _AT_HOME.items():
            if name == package or name.startswith(f"{package}."):
                home = any(_name(path) == place or _name(path).startswith(f"{place}/") for place in places)
                assert home, f"{_name(path)} imports {name}; {package} is imported only in {places}"
                lazy = inside or package not in _ONLY_IN_FUNCTIONS
                assert lazy, f"{_name(path)} imports {name} at the top; the cloud is imported inside functions"
                break


def test_the_walk_sees_imports_inside_functions_and_skips_those_for_types(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        "import a.b\nif TYPE_CHECKING:\n    import t\ndef f():\n    from c import d\nclass K:\n    import e\n"
    )

    assert list(_imports(module)) == [("a.b", False), ("c.d", True), ("e", False)]


@pytest.mark.parametrize("path", _MODULES, ids=_name)
def test_no_module_imports_everything_with_a_star(path: Path) -> None:
    assert not [name for name, _ in _imports(path) if name.endswith(".*")]
