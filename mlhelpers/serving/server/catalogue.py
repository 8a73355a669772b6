"""What a prediction server serves: the models of a store and single folders, loaded when they are first asked for."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlhelpers.serving.model import LoadedModel, load_model
from mlhelpers.serving.registry.exports import find_export
from mlhelpers.serving.registry.resources import UnknownModelError, Version, check_name, is_name
from mlhelpers.serving.registry.store import ModelStore
from mlhelpers.serving.signature import read_signature

__all__ = ["Catalogue", "Served"]

_Key = tuple[str, str, str]  # model, version, when it was made: a version made anew is another one
_SETTLED_S = 0.1  # a folder changed this recently may change again within one tick of the file system's clock


@dataclass
class Served:
    """A model at work, with the time it takes."""

    model: LoadedModel
    seconds_per_instance: float = 0.0

    def note(self, seconds: float, instances: int) -> None:
        """Take a measured call into the running mean."""
        self.seconds_per_instance += 0.1 * (seconds / max(instances, 1) - self.seconds_per_instance)


class Catalogue:
    """Finds, loads and keeps models. To be used from one event loop."""

    def __init__(self, store: ModelStore, folders: Mapping[str, Path] | None = None) -> None:
        """Build the catalogue; nothing is loaded yet.

        Args:
            store: Its models are served, also those made later.
            folders: Export folders to serve by name, before the store's models.

        Raises:
            UsageError: A name is malformed.
            ModelError: A folder holds no model.
        """
        self._store = store
        self._folders: dict[str, Version] = {}
        for name, folder in (folders or {}).items():
            check_name("model", name)
            self._folders[name] = Version(name, "v1", find_export(folder), "", str(folder), is_default=True)
        self._resolved: dict[tuple[str, str | None], tuple[tuple[int, ...], Version]] = {}
        self._loaded: dict[_Key, Served] = {}
        self._loading: dict[_Key, asyncio.Lock] = {}

    def names(self) -> list[str]:
        """Return the names of the models that are served."""
        return sorted({*self._folders, *(model.name for model in self._store.list_models())})

    def versions(self, model: str) -> list[Version]:
        """Return the versions of a model.

        Raises:
            UnknownModelError: There is no such model.
        """
        if model in self._folders:
            return [self._folders[model]]
        self._stamp(model)
        return self._store.list_versions(model)

    def find(self, model: str, version: str | None = None) -> Version:
        """Return a version, or the default one.

        Raises:
            UnknownModelError: There is no such model or version.
        """
        if model in self._folders:
            only = self._folders[model]
            if version not in (None, only.name):
                raise UnknownModelError(f"There is no {model} version {version[:200]!r}. Known: {only.name}.")
            return only
        stamp = self._stamp(model)
        known = self._resolved.get((model, version))
        if known is not None and known[0] == stamp:
            return known[1]
        found = self._store.version(model, version)
        if time.time_ns() - max(stamp[:2]) > _SETTLED_S * 1e9:
            self._resolved[model, version] = (stamp, found)
        return found

    def describe(self, version: Version) -> dict[str, Any]:
        """Return what a version takes and gives, without loading it.

        Raises:
            ModelError: Its signature cannot be read.
        """
        served = self._loaded.get(_key(version))
        signature = read_signature(version.folder) if served is None else served.model.signature
        return {
            "model": version.model,
            "version": version.name,
            "isDefault": version.is_default,
            "signature": dict(signature.document),
        }

    async def open(self, version: Version) -> Served:
        """Return the version loaded and warm; the first to ask loads it, in a thread.

        Raises:
            ModelError: It cannot be loaded.
        """
        key = _key(version)
        served = self._loaded.get(key)
        if served is not None:
            return served
        async with self._loading.setdefault(key, asyncio.Lock()):
            if key not in self._loaded:
                self._forget_gone()
                model = await asyncio.to_thread(load_model, version.folder)
                self._loaded[key] = Served(model)
                # what stays for good is no work for the garbage collector: its pauses would make the slow answers
                gc.collect()
                gc.freeze()
        return self._loaded[key]

    def _unknown(self, model: str) -> UnknownModelError:
        names = self.names()
        there = f"Known: {', '.join(names[:10])}." if names else "No model exists yet."
        return UnknownModelError(f"There is no model {model[:200]!r}. {there}")

    def _stamp(self, model: str) -> tuple[int, ...]:
        """Return what changes with every change of a model; a name that no model can have never reaches the disk."""
        folder = self._store.root / model
        try:
            if not is_name(model):
                raise self._unknown(model)
            document = (folder / "model.json").stat()
        except OSError:
            raise self._unknown(model) from None
        try:
            versions = (folder / "versions").stat().st_mtime_ns
        except OSError:
            versions = 0
        return document.st_mtime_ns, versions, document.st_ino

    def _forget_gone(self) -> None:
        """Give back the memory of versions that were deleted."""
        for key, served in list(self._loaded.items()):
            if not served.model.folder.is_dir():
                del self._loaded[key]
                self._loading.pop(key, None)
        self._resolved.clear()


def _key(version: Version) -> _Key:
    return version.model, version.name, version.created
