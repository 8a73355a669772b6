"""Each module has one job, a size one can read, and words that say what it is for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).resolve().parent.parent
_PACKAGE = _REPOSITORY / "mlhelpers"
_MODULES = sorted(_PACKAGE.rglob("*.py"))

_MODULE_LINES = 320
_FUNCTION_LINES = 55  # without its docstring
_ABOVE_BUDGET: dict[str, str] = {}  # module -> why it is longer; none is
_VAGUE = {"utils", "util", "helpers", "common", "misc", "manager", "handler", "handlers", "tools"}


def _name(path: Path) -> str:
    return str(path.relative_to(_PACKAGE))


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("path", _MODULES, ids=_name)
def test_a_module_can_be_read_in_one_sitting(path: Path) -> None:
    lines = len(path.read_text("utf-8").splitlines())

    assert lines <= _MODULE_LINES or _name(path) in _ABOVE_BUDGET, f"{_name(path)} has {lines} lines: split it"


@pytest.mark.parametrize("path", _MODULES, ids=_name)
def test_a_function_fits_on_a_screen(path: Path) -> None:
    for function in _functions(ast.parse(path.read_text("utf-8"))):
        body = function.body[1:] if ast.get_docstring(function) else function.body
        lines = (function.end_lineno or 0) - body[0].lineno + 1 if body else 0
        assert lines <= _FUNCTION_LINES, f"{_name(path)}: {function.name} has {lines} lines"


@pytest.mark.parametrize("path", _MODULES, ids=_name)
def test_a_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text("utf-8"))), _name(path)


@pytest.mark.parametrize("path", [path for path in _MODULES if path.name != "__main__.py"], ids=_name)
def test_a_module_names_its_public_part(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    assigned = [ast.unparse(target) for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    assigned += [ast.unparse(node.target) for node in tree.body if isinstance(node, ast.AnnAssign)]

    assert "__all__" in assigned, f"{_name(path)} has no __all__"


@pytest.mark.parametrize("path", _MODULES, ids=_name)
def test_no_name_is_a_dumping_room(path: Path) -> None:
    words = {word for part in path.relative_to(_PACKAGE).parts for word in re.split(r"[_.]", part)}

    assert not words & _VAGUE


# a command's docstring is its help page; argparse decides what its `error` is called with
@pytest.mark.parametrize("path", [path for path in _MODULES if not _name(path).startswith("cli/")], ids=_name)
def test_raises_is_told_where_a_function_raises_for_its_caller(path: Path) -> None:
    for function in _functions(ast.parse(path.read_text("utf-8"))):
        if function.name.startswith("_") or function.name == "error":
            continue
        raised = {
            ast.unparse(node.exc.func)
            for node in ast.walk(function)
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
        }
        raised = {name.split(".")[-1] for name in raised} & {"UsageError", "DataError", "JobError", "ModelError"}
        told = ast.get_docstring(function) or ""
        for name in raised:
            assert name in told, f"{_name(path)}: {function.name} raises {name} and its docstring does not say so"


@pytest.mark.parametrize("path", _MODULES, ids=_name)
def test_the_notebook_that_teaches_it_exists(path: Path) -> None:
    for number in re.findall(r"[Tt]aught in notebook (\d\d)", path.read_text("utf-8")):
        assert list((_REPOSITORY / "notebooks").glob(f"{number}_*.ipynb")), f"{_name(path)}: notebook {number}?"
