"""The same program as a custom serving container of Vertex AI, by the variables that the platform sets.

| variable | what it says |
|---|---|
| AIP_HTTP_PORT | the port; its being there is what makes `mlhelpers serve` such a container |
| AIP_PREDICT_ROUTE, AIP_HEALTH_ROUTE | the paths of predictions and of the health check, else /predict and /health |
| AIP_STORAGE_URI | the model's folder, or gs://bucket/path; without it the one that `--model` names |
| AIP_PROJECT_NUMBER, AIP_REGION | whose credentials fetch the model from the bucket |

A bucket is Cloud Storage where MLHELPERS_BACKEND is vertex, as an uploaded model's containerSpec says it, and a folder
of the local store otherwise.

There it binds every address and asks for no token: inside the container nobody but the platform can come in, the
platform has asked callers who they are before it hands a request on, and it has no way to bring a token of ours.
Loopback would keep the platform itself out. Who runs the image elsewhere, with a port published, sets
MLHELPERS_SERVE_TOKEN: then everything but the health check wants it.

Source: https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlhelpers.errors import UsageError
from mlhelpers.serving.registry.exports import find_export
from mlhelpers.settings import current, home_folder

__all__ = ["HOST", "MODEL", "VARIABLES", "Container", "container_from"]

VARIABLES = ("AIP_HTTP_PORT", "AIP_PREDICT_ROUTE", "AIP_HEALTH_ROUTE", "AIP_STORAGE_URI")
HOST = "0.0.0.0"  # noqa: S104  see above
MODEL = "model"
_ROUTE = re.compile(r"/[!-~]*")


@dataclass(frozen=True)
class Container:
    """What the platform wants.

    Attributes:
        port: The port to bind.
        predict_route: The path that predictions are sent to.
        health_route: The path that tells whether the model is ready.
        storage: Where the model lies, or empty.
    """

    port: int
    predict_route: str
    health_route: str
    storage: str

    def model(self, folders: Mapping[str, Path]) -> tuple[str, dict[str, Path]]:
        """Return the name under which the container's model is served, and every folder to serve by name.

        Args:
            folders: What `--model` names.

        Raises:
            UsageError: Neither the platform nor the command line says which model.
            ModelError: There is no model at AIP_STORAGE_URI.
            CloudError: The bucket cannot be read.
        """
        if self.storage:
            return MODEL, {**folders, MODEL: find_export(self._fetched())}
        if len(folders) == 1:
            return next(iter(folders)), dict(folders)
        raise UsageError(
            "AIP_HTTP_PORT is set, so this is a serving container, but which model it serves is not said. Upload the "
            "model with an artifact folder (the platform then sets AIP_STORAGE_URI), or name one: --model NAME=FOLDER."
        )

    def _fetched(self) -> str | Path:
        """Return where the model lies on this disk: fetched from Cloud Storage, where it is there."""
        if not self.storage.startswith("gs://") or current().backend != "vertex":
            return self.storage
        from mlhelpers.serving.vertex.artifacts import fetch

        return fetch(self.storage, home_folder("container") / MODEL)


def container_from(environment: Mapping[str, str]) -> Container | None:
    """Read the platform's variables.

    Args:
        environment: The environment's variables.

    Returns:
        What it wants; None where AIP_HTTP_PORT is not set.

    Raises:
        UsageError: A variable says something that cannot be.
    """
    port = environment.get("AIP_HTTP_PORT", "")
    if not port:
        return None
    if not (port.isascii() and port.isdigit() and 0 < int(port[:9]) < 65536):
        raise UsageError(f"AIP_HTTP_PORT is {port[:40]!r}; it should be a port, 1 to 65535.")
    routes = {}
    for name, default in (("AIP_PREDICT_ROUTE", "/predict"), ("AIP_HEALTH_ROUTE", "/health")):
        routes[name] = environment.get(name) or default
        if not _ROUTE.fullmatch(routes[name]):
            raise UsageError(f"{name} is {routes[name][:100]!r}; it should be a path that begins with '/'.")
    return Container(
        int(port), routes["AIP_PREDICT_ROUTE"], routes["AIP_HEALTH_ROUTE"], environment.get("AIP_STORAGE_URI", "")
    )
