"""`import mlhelpers` is light: quick, without a heavy package, and whole where none is installed."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import mlhelpers

_HEAVY = (
    "ai_edge_litert",
    "google.api_core",
    "google.auth",
    "google.cloud.aiplatform",  # a namespace of which a .pth file makes the bare name known in every process
    "google.cloud.aiplatform_v1",
    "google.cloud.bigquery",
    "google.cloud.storage",
    "ipycanvas",
    "ipywidgets",
    "jax",
    "keras",
    "matplotlib",
    "nbclient",
    "pandas",
    "scipy",
    "sklearn",
    "skops",
    "tensorboard",
    "tensorflow",
    "uvicorn",
    "xgboost",
)
_BUDGET_S = 0.2


def _answer(code: str, *arguments: str) -> str:
    """Run code in a clean process, in the folder of no project; return what it printed."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=Path(sys.prefix))
    assert done.returncode == 0, done.stderr
    return done.stdout


def _heavy_after(code: str) -> set[str]:
    lines = _answer(f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))")
    return set(json.loads(lines.splitlines()[-1])) & set(_HEAVY)


def test_import_takes_under_a_fifth_of_a_second() -> None:
    # time on the processor: what else the machine is doing is not the package's doing
    code = "import time; began = time.process_time(); import mlhelpers; print(time.process_time() - began)"

    seconds = statistics.median(float(_answer(code)) for _ in range(5))

    assert seconds < _BUDGET_S


def test_import_loads_no_heavy_package() -> None:
    assert _heavy_after("import mlhelpers") == set()


@pytest.mark.parametrize(
    "line",
    [
        "from mlhelpers import datasets, jobs, serving, strokes, environment",
        "import mlhelpers.datasets.mnist",
        "import mlhelpers.cli",
        "import mlhelpers.trainers",
    ],
)
def test_the_rooms_load_no_heavy_package_before_they_need_it(line: str) -> None:
    assert _heavy_after(line) == set()


@pytest.mark.parametrize(
    "lines",
    [
        "import mlhelpers",
        "from mlhelpers import datasets, jobs, serving, strokes; assert datasets.names()",
        "from mlhelpers.cli import main\ntry: main(['--help'])\nexcept SystemExit as end: assert end.code == 0",
        "from mlhelpers import datasets; assert len(datasets.load('mnist').test['labels']) == 10_000",
    ],
)
def test_everything_light_works_where_no_extra_is_installed(lines: str) -> None:
    block = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in {_HEAVY!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""
    _answer(block + lines)


def test_every_public_name_can_be_had() -> None:
    for name in mlhelpers.__all__:
        assert getattr(mlhelpers, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'mlhelpers' has no attribute 'dataset'"):
        mlhelpers.__getattr__("dataset")
