"""What a prediction server serves: the models of a store and single folders, and whose turn it is.

Follows the store: what is made, changed or deleted there counts from the next request on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from mlhelpers.serving.registry.exports import find_export
from mlhelpers.serving.registry.resources import UnknownModelError, Version, check_name, is_name
from mlhelpers.serving.registry.store import ModelStore
from mlhelpers.serving.registry.traffic import PERCENT, rotation
from mlhelpers.serving.runtimes import check_trust

__all__ = ["Catalogue"]

_Stamp = tuple[int, ...]
_SETTLED_S = 0.1  # a folder changed this recently may change again within one tick of the file system's clock

_KEPT = 1000


class Catalogue:
    """Finds models and versions. To be used from one event loop."""

    def __init__(
        self, store: ModelStore, folders: Mapping[str, Path] | None = None, trust_pickle: bool = False
    ) -> None:
        """Build the catalogue; nothing is loaded yet.

        Args:
            store: Its models are served, also those made later.
            folders: Export folders to serve by name, before the store's models.
            trust_pickle: Whether pickles in these folders may be opened.

        Raises:
            UsageError: A name is malformed.
            ModelError: A folder holds no model, or a pickle that is not trusted.
        """
        self._store = store
        self._folders: dict[str, Version] = {}
        for name, folder in (folders or {}).items():
            check_name("model", name)
            export = find_export(folder)
            check_trust(export, trust_pickle)
            self._folders[name] = Version(
                name, "v1", export, "", str(folder), is_default=True, trust_pickle=trust_pickle
            )
        self._resolved: dict[tuple[str, str | None], tuple[_Stamp, Version]] = {}
        self._turns: dict[str, tuple[_Stamp, Mapping[str, int], Iterator[str] | None]] = {}

    def names(self) -> list[str]:
        """Return the names of the models that are served."""
        root = self._store.root  # not `list_models`, which a single damaged model.json would fail
        made = [entry.name for entry in root.iterdir() if (entry / "model.json").is_file()] if root.is_dir() else []
        return sorted({*self._folders, *filter(is_name, made)})

    def versions(self, model: str) -> list[Version]:
        """Return the versions of a model.

        Raises:
            UnknownModelError: There is no such model.
        """
        if model in self._folders:
            return [self._folders[model]]
        self._stamp(model)
        return self._store.list_versions(model)

    def find(self, model: str, version: str | None = None, *, take_turn: bool = False) -> Version:
        """Return the version named, or the default one.

        Args:
            model: The model's name.
            version: The version's name, or None.
            take_turn: Where none is named and the model's traffic is split, return the version whose turn it is, and
                let the next one have the next.

        Raises:
            UnknownModelError: There is no such model or version.
        """
        if model in self._folders:
            only = self._folders[model]
            if version not in (None, only.name):
                raise UnknownModelError(f"There is no {model} version {version[:200]!r}. Known: {only.name}.")
            return only
        stamp = self._stamp(model)
        if version is None and take_turn:
            version = self._turn(model, stamp)
        known = self._resolved.get((model, version))
        if known is not None and known[0] == stamp:
            return known[1]
        found = self._store.version(model, version)
        if _is_settled(stamp):
            if len(self._resolved) > _KEPT:
                self._resolved.clear()
            self._resolved[model, version] = (stamp, found)
        return found

    def traffic(self, model: str) -> dict[str, int]:
        """Return how requests that name no version are shared out: version -> percent.

        Raises:
            UnknownModelError: There is no such model.
        """
        if model in self._folders:
            return {self._folders[model].name: PERCENT}
        self._stamp(model)
        found = self._store.model(model)
        if found.traffic:
            return dict(found.traffic)
        return {found.default_version: PERCENT} if found.default_version else {}

    def _turn(self, model: str, stamp: _Stamp) -> str | None:
        """Return whose turn it is; None where the default version has all."""
        known = self._turns.get(model)
        if known is None or known[0] != stamp:
            traffic = dict(self._store.model(model).traffic)
            row = rotation(traffic) if traffic else None
            if known is not None and known[1] == traffic:
                row = known[2]  # goes on where it was
            known = self._turns[model] = (stamp if _is_settled(stamp) else (), traffic, row)
        return None if known[2] is None else next(known[2])

    def _unknown(self, model: str) -> UnknownModelError:
        names = self.names()
        there = f"Known: {', '.join(names[:10])}." if names else "No model exists yet."
        return UnknownModelError(f"There is no model {model[:200]!r}. {there}")

    def _stamp(self, model: str) -> _Stamp:
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


def _is_settled(stamp: _Stamp) -> bool:
    return time.time_ns() - max(stamp[:2]) > _SETTLED_S * 1e9
