"""Models in memory: loaded and warmed when they are first asked for, given back when their version goes."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field

from mlhelpers.errors import MLHelpersError
from mlhelpers.serving.model import LoadedModel, load_model
from mlhelpers.serving.registry.resources import Version
from mlhelpers.serving.server.batching import BatchQueue
from mlhelpers.serving.server.refusals import RefusedError

__all__ = ["Loader", "Served", "State"]

_SWEEP_S = 1.0
_FAILED_S = 10.0  # a model that failed to load is not tried again sooner: each try costs a thread for a while
_RETRY_S = b"2"

_Key = tuple[str, str, str]  # model, version, when it was made: a version made anew is another one


class State:
    """Where a version stands, in TensorFlow Serving's words."""

    AVAILABLE = "AVAILABLE"
    LOADING = "LOADING"
    END = "END"


@dataclass
class Served:
    """A model at work.

    Attributes:
        version: What it was loaded from.
        queue: Where its requests go.
        calls: Instances of a call -> how many calls had so many.
    """

    version: Version
    queue: BatchQueue
    calls: dict[int, int] = field(default_factory=dict)

    @property
    def model(self) -> LoadedModel:
        """The model itself."""
        return self.queue.model


class Loader:
    """Loads and keeps models. To be used from one event loop."""

    def __init__(self, threads: Executor) -> None:
        """Build the loader; nothing is loaded yet.

        Args:
            threads: Where models work.
        """
        self._threads = threads
        self._loaded: dict[_Key, Served] = {}
        self._loading: dict[_Key, asyncio.Task[Served]] = {}
        self._failed: dict[_Key, tuple[float, MLHelpersError]] = {}
        self._sweeper: asyncio.Task[None] | None = None

    def find(self, version: Version) -> Served | None:
        """Return a version that is loaded, or None."""
        return self._loaded.get(_key(version))

    def loaded(self) -> list[Served]:
        """Return what is in memory."""
        return list(self._loaded.values())

    def state(self, version: Version) -> str:
        """Return where a version stands; one that nobody has asked for yet is there for the asking."""
        key = _key(version)
        if key in self._loading:
            return State.LOADING
        return State.END if self._failure(key) else State.AVAILABLE

    async def open(self, version: Version, wait_s: float) -> Served:
        """Return a version loaded and warm; the first to ask has it loaded, in a thread.

        Args:
            version: The version.
            wait_s: How long to wait for it, in seconds; the loading goes on after that.

        Raises:
            RefusedError: 503, it is still loading.
            ModelError: It cannot be loaded.
        """
        key = _key(version)
        served = self._loaded.get(key)
        if served is not None:
            return served
        if failure := self._failure(key):
            raise failure
        task = self._loading.get(key)
        if task is None:
            task = self._loading[key] = asyncio.create_task(self._load(key, version))
        await asyncio.wait([task], timeout=wait_s)
        if not task.done():
            raise RefusedError(
                503,
                f"{version.model} version {version.name} is still loading. Try again in a moment.",
                [(b"retry-after", _RETRY_S)],
            )
        return task.result()

    async def _load(self, key: _Key, version: Version) -> Served:
        try:
            model = await asyncio.to_thread(load_model, version.folder, trust_pickle=version.trust_pickle)
        except MLHelpersError as error:
            self._failed[key] = (time.monotonic(), error)
            raise
        finally:
            del self._loading[key]
        calls: dict[int, int] = {}
        served = Served(version, BatchQueue(model, self._threads, _counter(calls)), calls)
        self._loaded[key] = served
        # what stays for good is no work for the garbage collector: its pauses would make the slow answers
        gc.collect()
        gc.freeze()
        if self._sweeper is None or self._sweeper.done():
            self._sweeper = asyncio.create_task(self._sweep())
        return served

    async def _sweep(self) -> None:
        """Give back the memory of versions that are deleted, while any is loaded."""
        while self._loaded:
            await asyncio.sleep(_SWEEP_S)
            gone = [key for key, served in self._loaded.items() if not served.model.folder.is_dir()]
            for key in gone:
                del self._loaded[key]
            if gone:
                _give_back()
        self._failed.clear()

    def _failure(self, key: _Key) -> MLHelpersError | None:
        when, error = self._failed.get(key, (0.0, None))
        if error is not None and time.monotonic() - when > _FAILED_S:
            del self._failed[key]
            return None
        return error


def _key(version: Version) -> _Key:
    return version.model, version.name, version.created


def _counter(calls: dict[int, int]) -> Callable[[int], None]:
    def count(size: int) -> None:
        calls[size] = calls.get(size, 0) + 1

    return count


def _give_back() -> None:
    """Let the system have what is free: the collector looks through what was frozen too, and glibc empties its bins."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
