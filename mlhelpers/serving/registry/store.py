"""The local model store: models, each with its versions, one folder per version.

    <home>/models/MNIST/model.json            description, labels, regions, the chosen default, the traffic split
    <home>/models/MNIST/versions/v1/          the version: version.json and model/, a copy of the export
    <home>/models/.lock                       held by whoever changes something, for milliseconds
    <home>/models/.v2.PID.…/                  what is not there yet, or not any more

A folder appears and goes in one step, so that a reader, such as a prediction server at work, never meets half of one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlhelpers import settings
from mlhelpers.errors import ModelError, unknown_name
from mlhelpers.labels import checked_labels, relabelled
from mlhelpers.serving.registry.copying import discard, is_name_free, place_folder, take_away
from mlhelpers.serving.registry.documents import locked, now, read_document, replace_document, write_document
from mlhelpers.serving.registry.intake import copy_export, examine
from mlhelpers.serving.registry.reading import StoreReader, unknown
from mlhelpers.serving.registry.resources import CLOUD_FIELDS, Model, Version, check_name
from mlhelpers.serving.registry.traffic import check_traffic

__all__ = ["ModelStore"]


class ModelStore(StoreReader):
    """Models and versions on disk.

    Any number of processes may use and change one store at the same time: no change is lost.

    Taught in notebook 08.
    """

    def create_model(
        self,
        name: str,
        *,
        description: str = "",
        regions: str | tuple[str, ...] = (),
        labels: Mapping[str, str] | None = None,
    ) -> Model:
        """Make a model, without versions as yet.

        Args:
            name: 1 to 128 letters, digits and underscores, first a letter.
            description: What it is for.
            regions: Kept for the cloud; the default is the region of the settings.
            labels: Your own marks.

        Raises:
            UsageError: The name or a label is malformed.
            ModelError: There is such a model already.
            DataError: The store cannot be written.
        """
        check_name("model", name)
        kept = (regions,) if isinstance(regions, str) else tuple(regions)
        document = {
            "name": name,
            "description": description,
            "labels": checked_labels(labels or {}),
            "regions": list(kept or (settings.current().region,)),
            "createTime": now(),
        }
        taken = ModelError(f"There is a model {name!r} already. Add a version to it, or choose another name.")
        if not is_name_free(self.root / name):
            raise taken
        try:
            place_folder(
                self.root / name,
                lambda aside: write_document(aside / "model.json", document),
                self.root,
                lambda: locked(self.root),
            )
        except FileExistsError:
            raise taken from None
        return self.model(name)

    def update_model(
        self,
        name: str,
        *,
        description: str | None = None,
        labels: Mapping[str, str | None] | None = None,
        clear_labels: bool = False,
    ) -> Model:
        """Change what is said of a model.

        Args:
            name: The model's name.
            description: What it is for; None leaves it as it is.
            labels: Key -> value to set, or None to take the label away; the others stay.
            clear_labels: Take all labels away first.

        Raises:
            UnknownModelError: There is none of that name.
            UsageError: A label is malformed.
            DataError: The change cannot be written.
        """
        with self._changed(name) as document:
            _update(document, description, labels or {}, clear_labels)
            return self._written(name, document)

    def set_traffic(self, model: str, traffic: Mapping[str, int]) -> Model:
        """Share the requests that name no version out over versions.

        Any 100 requests in a row are split exactly. The default version stays what it is, and answers whoever reads
        the model in this process.

        Args:
            model: The model's name.
            traffic: Version -> its share in whole percent; they sum to 100. Empty leaves all to the default version.

        Raises:
            UnknownModelError: There is no such model or version.
            UsageError: A share is no whole percentage, or they do not sum to 100.
            DataError: The split cannot be written.
        """
        if traffic:
            check_traffic(traffic)
        with self._changed(model) as document:
            names = self._version_names(model)
            for version in traffic:
                if version not in names:
                    raise unknown(f"{model} version", str(version), names)
            document["trafficSplit"] = {version: share for version, share in traffic.items() if share}
            return self._written(model, document)

    def delete_model(self, name: str) -> None:
        """Delete a model that has no versions.

        Raises:
            UnknownModelError: There is none of that name.
            ModelError: It still has versions.
            DataError: It cannot be deleted.
        """
        with locked(self.root):
            if name not in self._names():
                self._document(name)  # raises: it is not there
            versions = self._version_names(name)
            if versions:
                raise ModelError(
                    f"The model {name!r} still has versions: {', '.join(versions[:10])}. "
                    f"Delete them first:  mlhelpers versions delete {versions[0]} --model {name}"
                )
            aside = take_away(self.root / name, self.root)
        discard(aside)

    def create_version(
        self,
        model: str,
        version: str,
        origin: str | os.PathLike[str],
        *,
        description: str = "",
        labels: Mapping[str, str] | None = None,
        trust_pickle: bool = False,
        framework: str | None = None,
        cloud: Mapping[str, Any] | None = None,
    ) -> Version:
        """Copy an export into the store as a version; the first one becomes the default.

        Args:
            model: The model it belongs to, which has to be there.
            version: 1 to 128 letters, digits and underscores, first a letter.
            origin: The export folder, or `export/<name>/` of which the newest timestamp is taken, or gs://bucket/path.
            description: What is special about it.
            labels: Your own marks.
            trust_pickle: Whether a pickle in it may be opened, which runs whatever it says: only where you know who
                made it.
            framework: "tensorflow", "scikit-learn" or "xgboost": refused where the files are of another one.
            cloud: Fields that say how the cloud would serve it, such as machineType; here they are only kept.

        Returns:
            The version; its `origin` is the folder that was taken.

        Raises:
            UsageError: The name, a label or a field is malformed, or the framework is another one.
            UnknownModelError: There is no such model.
            ModelError: There is such a version already, or the origin is no export that may be copied.
            DataError: The store cannot be written; nothing of the version is left then.
        """
        check_name("version", version)
        self.model(model)
        target = self._folder(model, version)
        taken = ModelError(f"The model {model!r} has a version {version!r} already. Choose another name, or delete it.")
        if not is_name_free(target):
            raise taken
        for name in cloud or {}:
            if name not in CLOUD_FIELDS:
                raise unknown_name("field of a version", name, CLOUD_FIELDS)
        export = examine(origin, framework, trust_pickle)
        document = {
            "name": version,
            "origin": str(export.folder),
            "createTime": now(),
            "description": description,
            "labels": checked_labels(labels or {}),
            "metrics": export.signature.document.get("metrics") or {},
            "cloud": dict(cloud or {}),
            **({"trustPickle": True} if trust_pickle else {}),
        }

        def fill(aside: Path) -> None:
            copy_export(export, aside / "model")
            write_document(aside / "version.json", document)

        @contextmanager
        def hold() -> Iterator[None]:
            with locked(self.root):
                self.model(model)  # it may have been deleted since
                yield

        try:
            place_folder(target, fill, self.root, hold)
        except FileExistsError:
            raise taken from None
        return self.version(model, version)

    def update_version(
        self,
        model: str,
        version: str,
        *,
        description: str | None = None,
        labels: Mapping[str, str | None] | None = None,
        clear_labels: bool = False,
    ) -> Version:
        """Change what is said of a version; its files stay as they are.

        Args:
            model: The model's name.
            version: The version's name.
            description: What is special about it; None leaves it as it is.
            labels: Key -> value to set, or None to take the label away; the others stay.
            clear_labels: Take all labels away first.

        Raises:
            UnknownModelError: There is no such model or version.
            UsageError: A label is malformed.
            DataError: The change cannot be written.
        """
        with locked(self.root):
            self.version(model, version)
            path = self._folder(model, version) / "version.json"
            document = read_document(path)
            _update(document, description, labels or {}, clear_labels)
            replace_document(path, document)
            return self.version(model, version)

    def set_default(self, model: str, version: str) -> Version:
        """Let a version answer where none is named; a traffic split stays as it is.

        Raises:
            UnknownModelError: There is no such model or version.
            DataError: The choice cannot be written.
        """
        with self._changed(model) as document:
            self.version(model, version)
            self._written(model, document | {"defaultVersion": version})
            return self.version(model, version)

    def delete_version(self, model: str, version: str) -> None:
        """Delete a version; the default one only when it is the last, and none that still has a share of the traffic.

        Raises:
            UnknownModelError: There is no such model or version.
            ModelError: It is the default and there are others, or its share of the traffic is over 0.
            DataError: It cannot be deleted.
        """
        with locked(self.root):
            found = self.model(model)
            names = self._version_names(model)
            if version not in names:
                raise unknown(f"{model} version", version, names)
            others = [name for name in names if name != version]
            if share := found.traffic.get(version):
                rest = f"{others[0]}=100" if len(others) == 1 else "--clear"
                raise ModelError(
                    f"{version!r} has {share} percent of the traffic of {model!r}. Give its share to others first:  "
                    f"mlhelpers models set-traffic {model} {rest}"
                )
            if version == found.default_version and others:
                raise ModelError(
                    f"{version!r} is the default version of {model!r} and goes last. Choose another default first:  "
                    f"mlhelpers versions set-default {others[0]} --model {model}"
                )
            aside = take_away(self._folder(model, version), self.root)
        discard(aside)

    @contextmanager
    def _changed(self, model: str) -> Iterator[dict[str, Any]]:
        """Give a model's document, which nobody else changes for the length of the block."""
        self._document(model)  # a store that is only looked at in vain is not made
        with locked(self.root):
            yield self._document(model)

    def _written(self, model: str, document: Mapping[str, Any]) -> Model:
        replace_document(self.root / model / "model.json", document)
        return self.model(model)


def _update(
    document: dict[str, Any], description: str | None, labels: Mapping[str, str | None], clear_labels: bool
) -> None:
    document["labels"] = relabelled(document.get("labels") or {}, labels, clear_labels)
    if description is not None:
        document["description"] = description
