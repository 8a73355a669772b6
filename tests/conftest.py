"""What every test starts from: a fresh local store, no mirror, no cloud, no window, the same seeds.

The network beyond loopback is closed by pytest-socket in pytest's own process (see `addopts` in pyproject.toml), and by
tests/no_network in every Python process that a test starts.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from gcs import cloud_bucket, gcs_server, gcs_wire
from shared_files import made_once
from vertex import vertex, vertex_emulator

from mlhelpers import serving, settings

__all__ = ["cloud_bucket", "gcs_server", "gcs_wire", "vertex", "vertex_emulator"]

# read by matplotlib, TensorFlow and Jupyter when they are imported, here and in every process that a test starts
os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")

_REPOSITORY = Path(__file__).resolve().parent.parent
# the folder of real files that `mirror` tests read, where whoever started pytest has one
_MIRROR = os.environ.get("MLHELPERS_MIRROR", "")

# whatever a person or a CI has set in the shell says nothing to a test
_FOREIGN = (
    "AIP_CHECKPOINT_DIR",
    "AIP_HEALTH_ROUTE",
    "AIP_HTTP_PORT",
    "AIP_MODEL_DIR",
    "AIP_PREDICT_ROUTE",
    "AIP_STORAGE_URI",
    "AIP_TENSORBOARD_LOG_DIR",
    "CLOUD_ML_HP_METRIC_FILE",
    "CLOUD_ML_JOB_ID",
    "CLOUD_ML_TRIAL_ID",
    "CLUSTER_SPEC",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_CLOUD_PROJECT",
    "MLHELPERS_BACKEND",
    "MLHELPERS_BUCKET",
    "MLHELPERS_MAX_JOBS",
    "MLHELPERS_MIRROR",
    "MLHELPERS_PROGRESS_FILE",
    "MLHELPERS_REGION",
    "MLHELPERS_SERVING_IMAGE",
    "MLHELPERS_VERTEX_ENDPOINT",
    "STORAGE_EMULATOR_HOST",
    "TF_CONFIG",
)


def pytest_configure(config: pytest.Config) -> None:
    """Close the network for the processes that tests start; those of pytest-xdist are pytest's own."""
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    if is_worker or not getattr(config.option, "numprocesses", None):
        paths = [str(_REPOSITORY / "tests" / "no_network"), os.environ.get("PYTHONPATH", "")]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring the files with a slow test first: begun last, one of them keeps the run waiting for a single process."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give each test a local store of its own, and take every setting back afterwards."""
    folder = tmp_path / "home"
    for variable in _FOREIGN:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("MLHELPERS_HOME", str(folder))
    before = dict(settings._in_process)
    settings._in_process.clear()
    yield folder
    settings._in_process.clear()
    settings._in_process.update(before)


@pytest.fixture(autouse=True)
def _closed_figures() -> Iterator[None]:
    """Close the figures a test made; costs nothing where matplotlib was never imported."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the repository's root."""
    return _REPOSITORY


@pytest.fixture(scope="session")
def mirror() -> Path:
    """Return the folder of real files, laid out as <data set>/<file>; without one the test is skipped."""
    if not Path(_MIRROR, "babyweight").is_dir():
        pytest.skip("NO REAL FILES: set MLHELPERS_MIRROR to a folder that holds babyweight/ and cbis_ddsm/")
    return Path(_MIRROR)


@pytest.fixture(scope="session")
def tiny_export(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """Return the export folder of a tiny model, made once; tests only read it."""
    maker = repository / "tests" / "serving" / "make_tiny_export.py"

    def make(folder: Path) -> None:
        command = [sys.executable, str(maker), str(folder / "tiny_export")]
        subprocess.run(command, check=True, capture_output=True, timeout=120)

    return made_once(tmp_path_factory, "tiny", make) / "tiny_export"


@pytest.fixture
def store(home: Path, tiny_export: Path) -> serving.ModelStore:
    """Return the store of this test with the model MNIST and its version v1."""
    made = serving.ModelStore()
    made.create_model("MNIST")
    made.create_version("MNIST", "v1", tiny_export)
    return made
