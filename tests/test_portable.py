"""The programs of notebooks/portable, which run exported models without mlhelpers; notebook 10 runs all of them."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mlhelpers import datasets, serving, settings

_FOLDER = Path(__file__).resolve().parent.parent / "notebooks" / "portable"
_PROGRAMS = sorted(_FOLDER.glob("*.py"))
_WITHOUT_US = "import runpy, sys; sys.modules['mlhelpers'] = None; runpy.run_path(sys.argv[1])"


def test_the_readme_has_a_row_for_every_program() -> None:
    rows = re.findall(r"^\| `(\w+\.py)` \|", (_FOLDER / "README.md").read_text("utf-8"), re.MULTILINE)

    assert sorted(rows) == [path.name for path in _PROGRAMS]


@pytest.mark.parametrize("path", _PROGRAMS, ids=lambda path: path.stem)
def test_a_program_is_a_few_lines_and_knows_nothing_of_us(path: Path) -> None:
    source = path.read_text("utf-8")
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}

    assert len(source.splitlines()) <= 20
    assert not any(name.startswith("mlhelpers") for name in imported)


def test_litert_alone_reads_the_digits_as_the_server_does() -> None:
    pytest.importorskip("ai_edge_litert")
    digits = datasets.request("mnist")
    model = settings.shipped_data() / "models" / "mnist" / "model.tflite"
    command = [sys.executable, "-I", "-c", _WITHOUT_US, str(_FOLDER / "litert_digits.py"), str(model)]

    done = subprocess.run(command, input=json.dumps(digits), capture_output=True, text=True, check=True)

    with serving.shipped("mnist") as predictor:
        assert json.loads(done.stdout) == [answer["classes"] for answer in predictor.predict(digits)]
