"""The three families of paths, read: which model, which version, what to do.

| family | predict |
|---|---|
| TensorFlow Serving | /v1/models/M:predict, /v1/models/M/versions/V:predict |
| AI Platform | /v1/projects/P/models/M:predict, /v1/projects/P/models/M/versions/V:predict |
| Vertex AI | /v1/projects/P/locations/L/endpoints/E:predict, where the endpoint E bears the model's name |

The same path without `:predict` is the state, and with `/metadata` in its place the signature.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from mlhelpers.serving.server.refusals import RefusedError

__all__ = ["Action", "Family", "Route", "allow", "find_route"]

_MODELS = re.compile(
    r"/v1/(?P<parent>projects/[^/]+/)?models"
    r"(?:/(?P<model>[^/:]+)(?:/versions/(?P<version>[^/:]+))?(?P<action>:predict|/metadata)?)?"
)
_ENDPOINTS = re.compile(
    r"/v1/(?P<parent>projects/[^/]+/locations/[^/]+)/endpoints(?:/(?P<model>[^/:]+)(?P<action>:predict|/metadata)?)?"
)
_SHOWN = 200
_REMEMBERED = 300  # characters: a longer path is read each time


class Family(Enum):
    """Whose paths and answers they are."""

    SERVING = "TensorFlow Serving"
    PLATFORM = "AI Platform"
    VERTEX = "Vertex AI"


class Action(Enum):
    """What a path asks for."""

    PREDICT = ":predict"
    METADATA = "/metadata"
    STATE = ""
    LIST = "list"


@dataclass(frozen=True, slots=True)
class Route:
    """A path, read.

    Attributes:
        family: Whose path it is.
        action: What it asks for.
        model: The model's name as it was sent, unchecked; empty for a list.
        version: The version's name as it was sent, unchecked, or None.
        parent: "projects/P/locations/L" of a Vertex path.
    """

    family: Family
    action: Action
    model: str = ""
    version: str | None = None
    parent: str = ""


def find_route(path: str) -> Route:
    """Read a path.

    Args:
        path: The path, percent signs decoded.

    Raises:
        RefusedError: 404, nothing is there.
    """
    return _known_route(path) if len(path) < _REMEMBERED else _read(path)


def _read(path: str) -> Route:
    match = _MODELS.fullmatch(path)
    if match is not None:
        family = Family.SERVING if match["parent"] is None else Family.PLATFORM
        version = match["version"]
        parent = ""
    else:
        match = _ENDPOINTS.fullmatch(path)
        if match is None:
            raise RefusedError(
                404,
                f"There is nothing at {path[:_SHOWN]!r}. Predict: POST /v1/models/MODEL:predict; names: "
                "GET /v1/models; every path: GET /docs.",
            )
        family, version, parent = Family.VERTEX, None, match["parent"]
    model = match["model"]
    if model is None:
        return Route(family, Action.LIST, parent=parent)
    return Route(family, Action(match["action"] or ""), model, version, parent)


_known_route = lru_cache(maxsize=256)(_read)  # the same few paths come again and again


def allow(method: str, allowed: str, path: str) -> None:
    """Refuse another method than the one that a path takes; HEAD is taken where GET is.

    Raises:
        RefusedError: 405, with the right method in the text and in the header Allow.
    """
    if method != allowed and (method, allowed) != ("HEAD", "GET"):
        raise RefusedError(
            405, f"{method} is not taken at {path[:_SHOWN]!r}; use {allowed}.", [(b"allow", allowed.encode())]
        )
