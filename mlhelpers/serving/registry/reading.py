"""What is in a model store, for those who only look: the prediction server, the command line, a predictor.

No lock is taken. A name that goes, or a default that changes, while it is looked at is looked at once more: what is
returned was true at one moment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mlhelpers import settings
from mlhelpers.errors import ModelError, unknown_name
from mlhelpers.serving.registry.documents import entries, read_document
from mlhelpers.serving.registry.resources import Model, UnknownModelError, Version, is_name

__all__ = ["StoreReader", "unknown"]

_LOOKS = 5  # how often a model that is being changed is looked at before it is taken as it stands


class _State(NamedTuple):
    """A model's document, the names of its versions, and the one that answers by default."""

    document: dict[str, Any]
    versions: list[str]
    default: str | None


class StoreReader:
    """Models and versions on disk, as they are."""

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        """Open a store.

        Args:
            root: Its folder; `<home>/models` where None. It may be missing: then the store is empty.
        """
        self.root = settings.current().home / "models" if root is None else Path(root).expanduser().absolute()

    def list_models(self) -> list[Model]:
        """Return every model, by name; one whose model.json is damaged says so in its `fault`."""
        models = []
        for name in self._names():
            try:
                models.append(self.model(name))
            except UnknownModelError:  # gone since
                continue
            except ModelError as error:
                models.append(Model(name, "", (), "", None, fault=str(error)))
        return models

    def model(self, name: str) -> Model:
        """Return one model.

        Raises:
            UnknownModelError: There is none of that name.
            ModelError: Its model.json is damaged.
        """
        document, versions, default = self._state(name)
        regions = document.get("regions")
        traffic = {version: share for version, share in _mapping(document.get("trafficSplit")).items() if share}
        return Model(
            name=name,
            description=str(document.get("description", "")),
            regions=tuple(regions) if isinstance(regions, list) else (),
            created=str(document.get("createTime", "")),
            default_version=default,
            labels=_mapping(document.get("labels")),
            # a version that was taken away by hand leaves no split of the rest
            traffic=traffic if traffic.keys() <= set(versions) else {},
        )

    def list_versions(self, model: str) -> list[Version]:
        """Return every version of a model, by name; one whose files are damaged says so in its `fault`.

        Raises:
            UnknownModelError: There is no such model.
        """
        _, names, default = self._state(model)
        versions = []
        for name in names:
            try:
                versions.append(self._version(model, name, default))
            except UnknownModelError:  # gone since
                continue
            except ModelError as error:
                folder = self._folder(model, name) / "model"
                versions.append(Version(model, name, folder, "", "", name == default, fault=str(error)))
        return versions

    def version(self, model: str, version: str | None = None) -> Version:
        """Return one version, or the default one.

        Args:
            model: The model's name.
            version: The version's name; None stands for the default.

        Raises:
            UnknownModelError: There is no such model or version, or the model has no version yet.
            ModelError: The version's files are damaged.
        """
        for look in range(1, _LOOKS + 1):
            default = self._state(model).default
            name = default if version is None else version
            if name is None:
                raise UnknownModelError(
                    f"The model {model!r} has no version yet. "
                    f"Make one with:  mlhelpers versions create v1 --model {model} --origin EXPORT_FOLDER"
                )
            try:
                return self._version(model, name, default)
            except UnknownModelError:
                if version is not None or look == _LOOKS:
                    raise
        raise AssertionError  # the last look returns or raises

    def describe(self, model: str, version: str | None = None) -> dict[str, Any]:
        """Return a model, or one of its versions, as plain data with the cloud's field names.

        Raises:
            UnknownModelError: There is no such model or version.
        """
        return self.model(model).describe() if version is None else self.version(model, version).describe()

    def _folder(self, model: str, version: str) -> Path:
        return self.root / model / "versions" / version

    def _names(self) -> list[str]:
        return entries(self.root, "model.json")

    def _version_names(self, model: str) -> list[str]:
        return entries(self.root / model / "versions", "version.json")

    def _document(self, model: str) -> dict[str, Any]:
        try:
            if is_name(model):
                return read_document(self.root / model / "model.json")
        except FileNotFoundError:
            pass
        hint = f"Make one with:  mlhelpers models create {model if is_name(model) else 'NAME'}"
        raise unknown("model", model, self._names(), hint)

    def _state(self, model: str) -> _State:
        """Return what belongs together: the document is read again if it names a version that is not there."""
        document = self._document(model)
        for _ in range(_LOOKS):
            versions = self._version_names(model)
            named = {document.get("defaultVersion"), *_mapping(document.get("trafficSplit"))} - {None}
            before, document = document, document if named <= set(versions) else self._document(model)
            if document == before:
                break
        return _State(document, versions, self._default(model, document, versions))

    def _default(self, model: str, document: Mapping[str, Any], versions: list[str]) -> str | None:
        """The chosen default, else the oldest version: so it holds from the moment the first version is there."""
        chosen = document.get("defaultVersion")
        if chosen in versions:
            return str(chosen)
        return min(versions, key=lambda name: (self._created(model, name), name), default=None)

    def _created(self, model: str, version: str) -> str:
        try:
            return str(read_document(self._folder(model, version) / "version.json").get("createTime", "~"))
        except (FileNotFoundError, ModelError):
            return "~"  # after every time: a damaged one becomes the default last

    def _version(self, model: str, name: str, default: str | None) -> Version:
        folder = self._folder(model, name)
        if not is_name(name) or not folder.is_dir():
            raise unknown(f"{model} version", name, self._version_names(model))
        try:
            document = read_document(folder / "version.json")
        except FileNotFoundError:
            if folder.is_dir():
                raise ModelError(f"{folder} has lost its version.json. Delete the folder.") from None
            raise unknown(f"{model} version", name, self._version_names(model)) from None
        return Version(
            model=model,
            name=name,
            folder=folder / "model",
            created=str(document.get("createTime", "")),
            origin=str(document.get("origin", "")),
            is_default=name == default,
            description=str(document.get("description", "")),
            metrics=_mapping(document.get("metrics")),
            labels=_mapping(document.get("labels")),
            trust_pickle=document.get("trustPickle") is True,
            cloud=_mapping(document.get("cloud")),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.root)!r})"


def unknown(kind: str, name: str, names: list[str], hint: str = "") -> UnknownModelError:
    """Build the error for a model or version that does not exist, with the nearest name that does."""
    return UnknownModelError(str(unknown_name(kind, name[:200], names, hint)))


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
