"""What the model store is about: models and versions as plain values, and what they may be called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlhelpers.errors import ModelError, UsageError, unknown_name
from mlhelpers.serving.runtimes import model_files

__all__ = ["CLOUD_FIELDS", "Model", "UnknownModelError", "Version", "check_framework", "check_name"]
__all__ += ["framework_of", "is_name", "split_name"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,127}")
# runtime -> the service's name of the framework that makes such models
_FRAMEWORKS = {
    "litert": "TENSORFLOW",
    "savedmodel": "TENSORFLOW",
    "keras": "TENSORFLOW",
    "sklearn": "SCIKIT_LEARN",
    "xgboost": "XGBOOST",
}
# fields of a version that say how the cloud would serve it; here they are only kept
CLOUD_FIELDS = ("runtimeVersion", "pythonVersion", "machineType", "autoScaling")


class UnknownModelError(ModelError):
    """A model or version that does not exist; the prediction server answers it with 404."""


@dataclass(frozen=True)
class Model:
    """A model: the name under which versions are served.

    Attributes:
        name: Its name.
        description: What it is for, in words.
        regions: Region it would be served from in the cloud; the local store only keeps it.
        created: When it was made, RFC 3339 in UTC.
        default_version: The version that answers where none is named, or None while there is no version.
        labels: Your own marks.
        traffic: Version -> its share in percent, 1 to 100, of the requests that name no version; they sum to 100.
            Empty where the default one has them all.
        fault: What is wrong with its files, in words; empty where nothing is.
    """

    name: str
    description: str
    regions: tuple[str, ...]
    created: str
    default_version: str | None
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    traffic: Mapping[str, int] = field(default_factory=dict, hash=False)
    fault: str = ""

    def describe(self) -> dict[str, Any]:
        """Return the model as plain data, with the cloud's field names."""
        resource: dict[str, Any] = {"name": self.name, "createTime": self.created, "regions": list(self.regions)}
        if self.description:
            resource["description"] = self.description
        if self.default_version:
            resource["defaultVersion"] = {"name": self.default_version, "isDefault": True}
        if self.labels:
            resource["labels"] = dict(self.labels)
        if self.traffic:
            resource["trafficSplit"] = dict(self.traffic)
        if self.fault:
            resource["errorMessage"] = self.fault
        return resource


@dataclass(frozen=True)
class Version:
    """A version of a model: a copy of an export.

    Attributes:
        model: The model's name.
        name: The version's name.
        folder: The folder with the model's files.
        created: When it was made, RFC 3339 in UTC.
        origin: The export it was copied from.
        is_default: Whether it answers where no version is named.
        description: What is special about it, in words.
        metrics: What the trainer measured, by name.
        labels: Your own marks.
        trust_pickle: Whether its owner has said that a pickle in it may be opened, which runs what it says.
        cloud: Fields that say how the cloud would serve it, `CLOUD_FIELDS`, kept as they were given.
        fault: What is wrong with its files, in words; empty where nothing is.
    """

    model: str
    name: str
    folder: Path
    created: str
    origin: str
    is_default: bool
    description: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict, hash=False)
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    trust_pickle: bool = False
    cloud: Mapping[str, Any] = field(default_factory=dict, hash=False)
    fault: str = ""

    def describe(self) -> dict[str, Any]:
        """Return the version as plain data, with the cloud's field names.

        The state is READY, or FAILED where its files are damaged; `errorMessage` says how.
        """
        framework = framework_of(self.folder)
        fault = self.fault
        if not (fault or framework):
            fault = f"The model's file is gone from {self.folder}. Delete the version and make it again."
        resource: dict[str, Any] = {
            "name": self.name,
            "isDefault": self.is_default,
            "deploymentUri": self.origin,
            "createTime": self.created,
            "framework": framework or "FRAMEWORK_UNSPECIFIED",
            "state": "FAILED" if fault else "READY",
            "localFolder": str(self.folder),
        }
        optional = {
            "errorMessage": fault,
            "description": self.description,
            "labels": dict(self.labels),
            "metrics": dict(self.metrics),
            "trustPickle": self.trust_pickle,
            **{name: self.cloud[name] for name in CLOUD_FIELDS if name in self.cloud},
        }
        return resource | {name: value for name, value in optional.items() if value}


def framework_of(folder: Path) -> str:
    """Return the service's name of the framework of the model in a folder, empty where there is no model.

    Args:
        folder: The folder with the model's files.
    """
    return next((framework for file, framework in _known_files().items() if (folder / file).is_file()), "")


def check_framework(framework: str, folder: Path) -> None:
    """Refuse a framework that the model in a folder is not of.

    Args:
        framework: "tensorflow", "scikit-learn" or "xgboost", in any spelling of the service.
        folder: The folder with the model's files.

    Raises:
        UsageError: There is no such framework, or the files are of another one.
    """
    asked, known = framework.upper().replace("-", "_"), _known_files()
    if asked not in _FRAMEWORKS.values():
        names = {name.lower().replace("_", "-") for name in _FRAMEWORKS.values()}
        raise unknown_name("framework", framework, names)
    if asked != framework_of(folder):
        found = [file for file in known if (folder / file).is_file()]
        raise UsageError(
            f"The framework {framework} was named, and {folder} holds {' and '.join(found) or 'no model'}. "
            "Leave the framework out: the files tell it."
        )


def check_name(kind: str, name: str) -> None:
    """Refuse a malformed name of a model or version.

    Args:
        kind: "model" or "version".
        name: The name.

    Raises:
        UsageError: The name is malformed.
    """
    if not is_name(name):
        raise UsageError(
            f"{str(name)[:200]!r} is no {kind} name: it takes 1 to 128 letters, digits and underscores, "
            f"and begins with a letter, for instance {'MNIST' if kind == 'model' else 'v1'}."
        )


def is_name(name: str) -> bool:
    """Tell whether a model or a version may be called so."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def split_name(text: str) -> tuple[str, str | None] | None:
    """Return ("MODEL", "VERSION" or None) for "MODEL" or "MODEL/VERSION", None for any other text."""
    parts = text.split("/")
    if len(parts) > 2 or not all(_NAME.fullmatch(part) for part in parts):
        return None
    return parts[0], parts[1] if len(parts) == 2 else None


def _known_files() -> dict[str, str]:
    """Return every file by which a model is known, with its framework, in order of preference."""
    return {file: _FRAMEWORKS.get(runtime, runtime.upper()) for file, runtime in model_files().items()}
