"""Models of many kinds without a signature.json, made once per session by their own frameworks."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_model import Foreign
from shared_files import made_once

from mlhelpers.datasets import iris

_HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def foreign_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with one folder per kind; tests only read it."""

    def make(folder: Path) -> None:
        command = [sys.executable, str(_HERE / "make_foreign_models.py"), str(folder)]
        subprocess.run(command, check=True, capture_output=True, timeout=240)

    return made_once(tmp_path_factory, "foreign_models", make)


@pytest.fixture
def foreign(foreign_models: Path, tmp_path: Path) -> Callable[[str], Foreign]:
    """Return a function from a kind to a copy of that model."""

    def copy(kind: str) -> Foreign:
        folder = Path(shutil.copytree(foreign_models / kind, tmp_path / kind))
        answers = foreign_models / f"{kind}.json"
        noted = json.loads(answers.read_text()) if answers.is_file() else {"instances": [], "expected": {}}
        return Foreign(folder, noted["instances"], noted["expected"])

    return copy


@pytest.fixture(scope="session")
def flowers() -> tuple[np.ndarray, np.ndarray]:
    """Return 96 irises: lengths (96, 4) float32 and species (96,)."""
    part = iris.load().train
    return np.stack([part[name] for name in iris.FEATURES], axis=1), part["Species"]


@pytest.fixture
def write_signature() -> Callable[..., None]:
    """Return a function that writes a signature.json of bare rows into a folder."""

    def write(folder: Path, outputs: dict[str, Any], size: int = 4, class_names: tuple[str, ...] = ()) -> None:
        document = {
            "format": 1,
            "signatures": {
                "serving_default": {"inputs": {"x": {"dtype": "float32", "shape": [None, size]}}, "outputs": outputs}
            },
            "class_names": list(class_names),
        }
        (folder / "signature.json").write_text(json.dumps(document))

    return write
