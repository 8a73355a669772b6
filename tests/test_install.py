"""A bare environment becomes a working one: by the first cell of notebook 00, and by the wheel that it installs.

Offline: what the package needs is lent from this environment, so that only mlhelpers itself is built and installed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

pytestmark = [pytest.mark.notebooks, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment that has every package but mlhelpers; return its Python."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    site = subprocess.check_output([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True)
    # a .pth file inside a lent folder is not read, so the editable mlhelpers does not come along
    (Path(site.strip()) / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def _run(python: Path, code: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}  # 0: no isolation
    environment = {**os.environ, **offline, **variables}
    return subprocess.run(
        [python, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=200
    )


def _install_cell(repository: Path) -> str:
    book = json.loads((repository / "notebooks" / "00_start_here.ipynb").read_text("utf-8"))
    return "".join(next(cell for cell in book["cells"] if cell["cell_type"] == "code")["source"])


def test_the_first_cell_installs_what_is_missing_and_the_data_come_along(
    bare: Path, repository: Path, tmp_path: Path
) -> None:
    missing = _run(bare, "import mlhelpers", tmp_path)
    assert "No module named 'mlhelpers'" in missing.stderr

    done = _run(bare, _install_cell(repository), repository / "notebooks")
    assert done.returncode == 0, done.stderr

    code = """
from mlhelpers import datasets, serving, settings
print(settings.shipped_data())
print(len(datasets.load("mnist").test["labels"]))
with serving.shipped("mnist") as model:
    print(len(model.predict([[0.0] * 784])[0]["probabilities"]))
"""
    used = _run(bare, code, tmp_path)
    assert used.returncode == 0, used.stderr
    folder, digits, classes = used.stdout.split("\n")[:3]
    assert Path(folder).is_relative_to(bare.parent.parent)
    assert (digits, classes) == ("10000", "10")


def test_the_first_cell_does_nothing_where_mlhelpers_is(repository: Path) -> None:
    done = _run(Path(sys.executable), f"{_install_cell(repository)}\nprint('after')", repository, PATH="/nowhere")

    assert (done.returncode, done.stdout) == (0, "after\n")
