"""A model that goes gives its memory back, in every runtime."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_MAKE = """
import sys
from pathlib import Path
from mlhelpers.frameworks import import_tensorflow
tf = import_tensorflow()
import keras
folder = Path(sys.argv[1])
model = keras.Sequential([keras.Input((2000,), name="x"), keras.layers.Dense(8000), keras.layers.Dense(1, name="y")])
for name in ("litert", "keras"):
    (folder / name).mkdir(parents=True)
model.save(folder / "keras" / "model.keras")
model.export(str(folder / "savedmodel"), verbose=False)
converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "savedmodel"))
(folder / "litert" / "model.tflite").write_bytes(converter.convert())
"""
_WEIGHTS_MB = 2000 * 8000 * 4 // 10**6

# the first round brings in the libraries; afterwards each round has to end where it began
_ROUNDS = """
import gc, json, sys, psutil
from mlhelpers.serving.model import load_model
def resident():
    return psutil.Process().memory_info().rss / 10**6
seen = []
for _ in range(4):
    model = load_model(sys.argv[1])
    model.predict([[0.0] * 2000])
    held = resident()
    del model
    gc.collect()
    seen.append((held, resident()))
print(json.dumps(seen))
"""

# a server keeps what it loaded out of the garbage collector's sight; in the same process, which has TensorFlow already
_SERVED = """
import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from mlhelpers import serving
from mlhelpers.serving.server.catalogue import Catalogue
from mlhelpers.serving.server.loading import Loader
store = serving.ModelStore(Path(sys.argv[2]))
store.create_model("Large")
catalogue = Catalogue(store)
served = []
async def rounds():
    loader = Loader(ThreadPoolExecutor(1))
    for number in range(4):
        store.create_version("Large", f"v{number}", sys.argv[1])
        (await loader.open(catalogue.find("Large", f"v{number}"), 120)).model.predict([[0.0] * 2000])
        served.append(resident())
        store.delete_version("Large", f"v{number}")
        while loader.loaded():
            await asyncio.sleep(0.1)
asyncio.run(rounds())
print(json.dumps(served))
"""


@pytest.fixture(scope="module")
def large_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    subprocess.run([sys.executable, "-c", _MAKE, str(folder)], check=True, capture_output=True, timeout=240)
    return folder


@pytest.fixture(scope="module", params=["litert", "savedmodel", "keras"])
def seen(request: pytest.FixtureRequest, large_models: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Return what a process of its own saw of its memory: loading by itself, and then through a server's loader."""
    store = tmp_path_factory.mktemp("large_store")
    command = [sys.executable, "-c", _ROUNDS + _SERVED, str(large_models / request.param), str(store)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=240)
    return [json.loads(line) for line in done.stdout.splitlines()[-2:]]


def test_a_large_model_leaves_nothing_behind(seen: list[Any]) -> None:
    rounds = seen[0]

    settled = rounds[0][1]
    for held, after in rounds[1:]:
        assert held - settled > 0.8 * _WEIGHTS_MB  # it was really there
        assert after - settled < 0.15 * _WEIGHTS_MB, rounds


def test_a_server_gives_back_the_versions_that_were_deleted(seen: list[Any]) -> None:
    held = seen[1]

    assert held[-1] - held[0] < 0.5 * _WEIGHTS_MB, held
