"""A model's files fetched from its bucket, when a serving container starts."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from mlhelpers.cloud.place import Place
from mlhelpers.errors import ModelError
from mlhelpers.settings import current

__all__ = ["container_place", "fetch"]


def container_place() -> Place:
    """Return the place of a serving container: the platform says the project by its number."""
    settings = current()
    project = settings.project or os.environ.get("AIP_PROJECT_NUMBER") or "0"
    region = os.environ.get("AIP_REGION") or settings.region
    return Place(project, region, None, settings.vertex_endpoint)


def fetch(address: str, folder: Path) -> Path:
    """Download all files below an address.

    Args:
        address: gs://bucket/path of a model's folder.
        folder: Where they go; what was there from an earlier start is replaced.

    Returns:
        The folder.

    Raises:
        ModelError: There is nothing.
        CloudError: The bucket cannot be read.
        DataError: The disk cannot be written.
    """
    from mlhelpers.storage.cloud import CloudStore, download

    here, address = container_place(), address.rstrip("/")
    store = CloudStore(here)
    found = list(store.below(address, store.path(f"{address}/")))
    if not found:
        raise ModelError(f"AIP_STORAGE_URI is {address}, and there is nothing. Upload the model again.")
    shutil.rmtree(folder, ignore_errors=True)
    for name, _ in found:
        download(name, _inside(folder, name.removeprefix(f"{address}/")), here)
    return folder


def _inside(folder: Path, relative: str) -> Path:
    """Return the path of a file below a folder; an object's name is not trusted to stay there."""
    parts = relative.split("/")
    if not relative or any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise ModelError(f"The model's bucket holds an object {relative!r}, which is no file name. Delete it.")
    return folder.joinpath(*parts)
