"""What the model store is about: models and versions as plain values, and what they may be called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlhelpers.errors import ModelError, UsageError

__all__ = ["Model", "UnknownModelError", "Version", "check_name", "is_name", "split_name"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,127}")
_FRAMEWORKS = {"model.tflite": "LITERT", "saved_model.pb": "TENSORFLOW"}


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
        traffic: Version -> its share in percent of the requests that name no version; empty where the default one
            has them all.
    """

    name: str
    description: str
    regions: tuple[str, ...]
    created: str
    default_version: str | None
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    traffic: Mapping[str, int] = field(default_factory=dict, hash=False)

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
    """

    model: str
    name: str
    folder: Path
    created: str
    origin: str
    is_default: bool
    description: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def describe(self) -> dict[str, Any]:
        """Return the version as plain data, with the cloud's field names."""
        framework = next((name for file, name in _FRAMEWORKS.items() if (self.folder / file).is_file()), "UNKNOWN")
        resource: dict[str, Any] = {
            "name": self.name,
            "isDefault": self.is_default,
            "deploymentUri": self.origin,
            "createTime": self.created,
            "framework": framework,
            "state": "READY",
            "localFolder": str(self.folder),
        }
        if self.description:
            resource["description"] = self.description
        if self.metrics:
            resource["metrics"] = dict(self.metrics)
        return resource


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
