"""The original tutorials' commands, in their order, with another word for the tool, smaller numbers and other paths.

What made the data there (a script, BigQuery, TCIA) is `mlhelpers data` here; the rest is run as it is written there, by
bash, with `gcloud ml-engine` and `gcloud ai-platform` read as `mlhelpers` and `gsutil` as `mlhelpers storage`. A file
for each tutorial: files are what the processes of a run share out.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

_PACKAGES = Path(__file__).resolve().parent.parent.parent / "notebooks" / "packages"
_TOOL = {"gcloud ml-engine": "mlhelpers", "gcloud ai-platform": "mlhelpers", "gsutil": "mlhelpers storage"}
_START = """
set -euo pipefail
mlhelpers() { "$PYTHON" -m mlhelpers.cli "$@"; }
python() { "$PYTHON" "$@"; }
"""

Run = Callable[[str], str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Give a function that runs commands in a copy of notebooks/packages and returns what they printed."""
    folder = tmp_path / "packages"
    shutil.copytree(_PACKAGES, folder, ignore=shutil.ignore_patterns("__pycache__"))

    def run_commands(commands: str) -> str:
        for theirs, ours in _TOOL.items():
            commands = re.sub(rf"\b{theirs}\b", ours, commands)
        done = subprocess.run(
            ["bash", "-c", _START + commands],
            cwd=folder,
            env=os.environ | {"PYTHON": sys.executable},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout[-5000:]}\n{done.stderr[-5000:]}"
        return done.stdout

    return run_commands
