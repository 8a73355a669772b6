"""Models in memory: loaded once, given back when their version goes, and a broken one is nobody else's trouble."""

from __future__ import annotations

import asyncio
import gc
import json
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from app_server import ask

from mlhelpers import serving
from mlhelpers.errors import ModelError
from mlhelpers.serving.server import loading
from mlhelpers.serving.server.catalogue import Catalogue
from mlhelpers.serving.server.loading import Loader

BODY = json.dumps({"instances": [[0.5] * 784]}).encode()


def _in_loop(job: Any) -> Any:
    async def main() -> Any:
        with ThreadPoolExecutor(2) as threads:
            return await job(Loader(threads))

    try:
        return asyncio.run(main())
    finally:
        gc.unfreeze()


def test_those_who_ask_at_once_have_it_loaded_once(store: serving.ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    version, real, calls = Catalogue(store).find("MNIST"), loading.load_model, []

    def load(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return real(*args, **kwargs)

    monkeypatch.setattr(loading, "load_model", load)

    async def job(loader: Loader) -> Any:
        return await asyncio.gather(*(loader.open(version, 10) for _ in range(5)))

    first, *others = _in_loop(job)
    assert len(calls) == 1
    assert all(one is first for one in others)


def test_a_broken_model_is_not_tried_at_every_request(
    store: serving.ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, calls = Catalogue(store).find("MNIST"), []

    def load(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        raise ModelError("broken")

    monkeypatch.setattr(loading, "load_model", load)

    async def job(loader: Loader) -> str:
        for _ in range(5):
            with pytest.raises(ModelError, match="broken"):
                await loader.open(version, 10)
        state = loader.state(version)
        monkeypatch.setattr(loading, "_FAILED_S", -1)  # as if the time had gone by
        with pytest.raises(ModelError, match="broken"):
            await loader.open(version, 10)
        return state

    assert _in_loop(job) == "END"
    assert len(calls) == 2


def test_a_deleted_version_is_forgotten(store: serving.ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_SWEEP_S", 0.05)
    version = Catalogue(store).find("MNIST")

    async def job(loader: Loader) -> bool:
        reference = weakref.ref((await loader.open(version, 10)).queue)
        assert len(loader.loaded()) == 1
        store.delete_version("MNIST", "v1")
        deadline = time.monotonic() + 5
        while loader.loaded() and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        return not loader.loaded() and reference() is None

    assert _in_loop(job)


def test_the_memory_of_a_deleted_version_is_given_back(
    store: serving.ModelStore, own_export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (own_export / "model.tflite").open("ab") as file:
        file.write(bytes(80_000_000))  # read into memory with the model, and of no meaning to it
    store.create_version("MNIST", "v2", own_export)
    with serving.start() as server:
        process = psutil.Process(server.pid)
        assert ask(server.address, "POST", "/v1/models/MNIST:predict", BODY).status == 200
        before = process.memory_info().rss
        assert ask(server.address, "POST", "/v1/models/MNIST/versions/v2:predict", BODY).status == 200
        with_both = process.memory_info().rss
        store.delete_version("MNIST", "v2")
        deadline = time.monotonic() + 10
        while process.memory_info().rss > before + 20_000_000 and time.monotonic() < deadline:
            time.sleep(0.1)

        assert with_both > before + 60_000_000
        assert process.memory_info().rss < before + 20_000_000
        assert "mlhelpers_loaded_models 1.0" in ask(server.address, "GET", "/metrics").body.decode()


def test_a_damaged_model_leaves_the_names_and_the_others(store: serving.ModelStore) -> None:
    store.create_model("other")
    (store.root / "other" / "model.json").write_text("{")
    with serving.start() as server:
        assert ask(server.address, "POST", "/v1/models/MNIST:predict", BODY).status == 200
        assert ask(server.address, "POST", "/v1/models/other:predict", BODY).status == 500
        assert json.loads(ask(server.address, "GET", "/v1/models").body) == {
            "models": [{"name": "MNIST"}, {"name": "other"}]
        }
        unknown = ask(server.address, "POST", "/v1/models/x:predict", BODY)
        assert (unknown.status, json.loads(unknown.body)["error"]) == (
            404,
            "There is no model 'x'. Known: MNIST, other.",
        )
