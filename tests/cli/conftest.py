"""The serving room's tiny export, for the commands that serve."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mlhelpers import serving


@pytest.fixture(scope="session")
def tiny_export(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """Return an export folder; tests only read it."""
    folder = tmp_path_factory.getbasetemp() / "tiny_export"  # the serving room's tests share it
    if not folder.is_dir():
        maker = repository / "tests" / "serving" / "make_tiny_export.py"
        subprocess.run([sys.executable, str(maker), str(folder)], check=True, capture_output=True, timeout=120)
    return folder


@pytest.fixture
def store(home: Path, tiny_export: Path) -> serving.ModelStore:
    """Return the store of this test with the model MNIST and its version v1."""
    made = serving.ModelStore()
    made.create_model("MNIST")
    made.create_version("MNIST", "v1", tiny_export)
    return made
