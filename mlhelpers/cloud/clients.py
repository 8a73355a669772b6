"""Google's own clients for a place. They speak REST, which passes proxies and which `mlhelpers emulator` speaks too."""

from __future__ import annotations

import functools
from typing import Any

from mlhelpers.cloud.access import credentials
from mlhelpers.cloud.place import Place
from mlhelpers.errors import MissingExtraError

__all__ = ["client"]

# what is asked -> (client class, REST transport class) of google.cloud.aiplatform_v1
_CLIENTS = {
    "jobs": "JobServiceClient",
    "models": "ModelServiceClient",
    "endpoints": "EndpointServiceClient",
    "predictions": "PredictionServiceClient",
}


@functools.lru_cache(maxsize=16)
def client(kind: str, place: Place) -> Any:
    """Return the client of `google.cloud.aiplatform_v1` for one kind of resource; the same one for the same place.

    Args:
        kind: "jobs", "models", "endpoints" or "predictions".
        place: Where.

    Raises:
        MissingExtraError: Google's packages are not installed.
        CloudError: There are no credentials.
    """
    try:
        from google.cloud import aiplatform_v1
    except ImportError as error:
        raise MissingExtraError("Google's client for Vertex AI", "vertex") from error
    made = getattr(aiplatform_v1, _CLIENTS[kind])
    transport = made.get_transport_class("rest")
    return made(transport=transport(host=place.host, url_scheme=place.scheme, credentials=credentials(place)))
