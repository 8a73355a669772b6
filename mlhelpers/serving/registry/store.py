"""The local model store: models, each with its versions, one folder per version.

    <home>/models/MNIST/model.json            description, regions, the chosen default
    <home>/models/MNIST/versions/v1/          the version: version.json and model/, a copy of the export

A folder appears and goes in one step, so that a reader, such as a prediction server at work, never meets half of one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlhelpers import settings
from mlhelpers.errors import ModelError, unknown_name
from mlhelpers.serving.registry.copying import check_files, copy_files, is_name_free, place_folder, remove_folder
from mlhelpers.serving.registry.exports import find_export
from mlhelpers.serving.registry.resources import Model, UnknownModelError, Version, check_name, is_name
from mlhelpers.serving.signature import read_signature
from mlhelpers.storage import write_aside

__all__ = ["ModelStore"]


class ModelStore:
    """Models and versions on disk.

    Any number of processes may use one store at the same time.

    Taught in notebook 08.
    """

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        """Open a store.

        Args:
            root: Its folder; `<home>/models` where None. Made with the first model.
        """
        self.root = settings.current().home / "models" if root is None else Path(root).expanduser().absolute()

    def create_model(self, name: str, *, description: str = "", regions: str | tuple[str, ...] = ()) -> Model:
        """Make a model, without versions as yet.

        Args:
            name: 1 to 128 letters, digits and underscores, first a letter.
            description: What it is for.
            regions: Kept for the cloud; the default is the region of the settings.

        Raises:
            UsageError: The name is malformed.
            ModelError: There is such a model already.
            DataError: The store cannot be written.
        """
        check_name("model", name)
        kept = (regions,) if isinstance(regions, str) else tuple(regions)
        document = {
            "name": name,
            "description": description,
            "regions": list(kept or (settings.current().region,)),
            "createTime": _now(),
        }
        taken = ModelError(f"There is a model {name!r} already. Add a version to it, or choose another name.")
        if not is_name_free(self.root / name):
            raise taken
        try:
            place_folder(self.root / name, lambda aside: _write(aside / "model.json", document))
        except FileExistsError:
            raise taken from None
        return self.model(name)

    def list_models(self) -> list[Model]:
        """Return every model, by name."""
        return [self.model(name) for name in self._names()]

    def model(self, name: str) -> Model:
        """Return one model.

        Raises:
            UnknownModelError: There is none of that name.
            ModelError: Its model.json is damaged.
        """
        path = self.root / name / "model.json"
        if not is_name(name) or not path.is_file():
            raise self._unknown("model", name, self._names(), f"Make one with:  mlhelpers models create {_shell(name)}")
        document = _read(path)
        regions = document.get("regions")
        return Model(
            name=name,
            description=str(document.get("description", "")),
            regions=tuple(regions) if isinstance(regions, list) else (),
            created=str(document.get("createTime", "")),
            default_version=self._default(name, document),
            labels=_mapping(document.get("labels")),
            traffic=_mapping(document.get("trafficSplit")),
        )

    def delete_model(self, name: str) -> None:
        """Delete a model that has no versions.

        Raises:
            UnknownModelError: There is none of that name.
            ModelError: It still has versions.
            DataError: It cannot be deleted.
        """
        self.model(name)
        versions = self._version_names(name)
        if versions:
            raise ModelError(
                f"The model {name!r} still has versions: {', '.join(versions[:10])}. "
                f"Delete them first:  mlhelpers versions delete {versions[0]} --model {name}"
            )
        remove_folder(self.root / name)

    def create_version(
        self, model: str, version: str, origin: str | os.PathLike[str], *, description: str = ""
    ) -> Version:
        """Copy an export into the store as a version; the first one becomes the default.

        Args:
            model: The model it belongs to, which has to be there.
            version: 1 to 128 letters, digits and underscores, first a letter.
            origin: The export folder, or `export/<name>/` of which the newest timestamp is taken, or gs://bucket/path.
            description: What is special about it.

        Returns:
            The version; its `origin` is the folder that was taken.

        Raises:
            UsageError: The name is malformed.
            UnknownModelError: There is no such model.
            ModelError: There is such a version already, or the origin is no export that may be copied.
            DataError: The store cannot be written; nothing of the version is left then.
        """
        check_name("version", version)
        self.model(model)
        target = self.root / model / "versions" / version
        taken = ModelError(f"The model {model!r} has a version {version!r} already. Choose another name, or delete it.")
        if not is_name_free(target):
            raise taken
        folder = find_export(origin).resolve()
        signature = read_signature(folder)
        check_files(folder)
        document = {
            "name": version,
            "origin": str(folder),
            "createTime": _now(),
            "description": description,
            "metrics": signature.document.get("metrics") or {},
        }

        def fill(aside: Path) -> None:
            copy_files(folder, aside / "model")
            _write(aside / "version.json", document)

        try:
            place_folder(target, fill)
        except FileExistsError:
            raise taken from None
        return self.version(model, version)

    def list_versions(self, model: str) -> list[Version]:
        """Return every version of a model, by name.

        Raises:
            UnknownModelError: There is no such model.
        """
        self.model(model)
        return [self.version(model, name) for name in self._version_names(model)]

    def version(self, model: str, version: str | None = None) -> Version:
        """Return one version, or the default one.

        Args:
            model: The model's name.
            version: The version's name; None stands for the default.

        Raises:
            UnknownModelError: There is no such model or version, or the model has no version yet.
            ModelError: The version's files are damaged.
        """
        default = self.model(model).default_version
        create = f"Make one with:  mlhelpers versions create v1 --model {model} --origin EXPORT_FOLDER"
        name = default if version is None else version
        if name is None:
            raise UnknownModelError(f"The model {model!r} has no version yet. {create}")
        folder = self.root / model / "versions" / name
        if not is_name(name) or not folder.is_dir():
            raise self._unknown(f"{model} version", name, self._version_names(model), "")
        document = _read(folder / "version.json")
        metrics = document.get("metrics")
        return Version(
            model=model,
            name=name,
            folder=folder / "model",
            created=str(document.get("createTime", "")),
            origin=str(document.get("origin", "")),
            is_default=name == default,
            description=str(document.get("description", "")),
            metrics=metrics if isinstance(metrics, dict) else {},
        )

    def set_default(self, model: str, version: str) -> Version:
        """Let a version answer where none is named.

        Raises:
            UnknownModelError: There is no such model or version.
            DataError: The choice cannot be written.
        """
        self.version(model, version)
        path = self.root / model / "model.json"
        document = _read(path)
        with write_aside(path) as aside:
            _write(aside, {**document, "defaultVersion": version})
        return self.version(model, version)

    def delete_version(self, model: str, version: str) -> None:
        """Delete a version; the default one only when it is the last.

        Raises:
            UnknownModelError: There is no such model or version.
            ModelError: It is the default and there are others.
            DataError: It cannot be deleted.
        """
        asked = self.version(model, version)
        others = [name for name in self._version_names(model) if name != version]
        if asked.is_default and others:
            raise ModelError(
                f"{version!r} is the default version of {model!r} and goes last. Choose another default first:  "
                f"mlhelpers versions set-default {others[0]} --model {model}"
            )
        remove_folder(asked.folder.parent)

    def describe(self, model: str, version: str | None = None) -> dict[str, Any]:
        """Return a model, or one of its versions, as plain data with the cloud's field names.

        Raises:
            UnknownModelError: There is no such model or version.
        """
        return self.model(model).describe() if version is None else self.version(model, version).describe()

    def _names(self) -> list[str]:
        return _entries(self.root, "model.json")

    def _version_names(self, model: str) -> list[str]:
        return _entries(self.root / model / "versions", "version.json")

    def _default(self, model: str, document: Mapping[str, Any]) -> str | None:
        """The chosen default, else the oldest version: so it holds from the moment the first version is there."""
        chosen = document.get("defaultVersion")
        names = self._version_names(model)
        if chosen in names:
            return str(chosen)
        folder = self.root / model / "versions"
        return min(
            names, key=lambda name: (str(_read(folder / name / "version.json").get("createTime")), name), default=None
        )

    def _unknown(self, kind: str, name: str, names: list[str], hint: str) -> UnknownModelError:
        return UnknownModelError(str(unknown_name(kind, name[:200], names, hint)))

    def __repr__(self) -> str:
        return f"ModelStore({str(self.root)!r})"


def _entries(folder: Path, marker: str) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(e.name for e in folder.iterdir() if is_name(e.name) and (e / marker).is_file())


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is damaged: {error}. Delete its folder and make the version again.") from error
    if not isinstance(document, dict):
        raise ModelError(
            f"{path} is damaged: it should be a JSON object. Delete its folder and make the version again."
        )
    return document


def _write(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _shell(name: str) -> str:
    return name if is_name(name) else "NAME"
