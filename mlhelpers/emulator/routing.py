"""A request to the emulator, taken apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlhelpers.emulator.messages import RefusedError
from mlhelpers.emulator.records import Records

__all__ = ["Handler", "Request", "taken_apart"]

_PATH = re.compile(
    r"/v1/(?P<parent>projects/[^/]+/locations/[^/]+)(?:/(?P<collection>[A-Za-z]+)"
    r"(?:/(?P<id>[^/:]+))?(?P<rest>/operations/[^/:]+)?(?::(?P<verb>[A-Za-z]+))?)?"
)
_STANDARD = ("alt", "$alt", "prettyPrint", "key")
_LISTS = ("filter", "orderBy", "pageSize", "pageToken")
# further parameters of a route
_TAKES = {
    "POST endpoints": ("endpointId",),
    "PATCH endpoints/*": ("updateMask",),
    "PATCH models/*": ("updateMask",),
    "GET models/*:listVersions": _LISTS,
}


@dataclass(frozen=True)
class Request:
    """What was asked.

    Attributes:
        route: For instance "POST customJobs/*:cancel".
        parent: "projects/PROJECT/locations/REGION".
        collection: For instance "customJobs".
        id: The resource's own, where one is named; of a model perhaps with @VERSION.
        body: The JSON that was sent.
        query: The parameters.
        records: Where the emulator keeps what it knows.
    """

    route: str
    parent: str
    collection: str
    id: str
    body: Mapping[str, Any]
    query: Mapping[str, str]
    records: Records

    @property
    def name(self) -> str:
        """The full name of the resource, without a version."""
        return f"{self.parent}/{self.collection}/{self.id.partition('@')[0]}"


Handler = Callable[[Request], dict[str, Any]]


def taken_apart(method: str, path: str, body: Mapping[str, Any], query: Mapping[str, str], records: Records) -> Request:
    """Return a request by its parts.

    Raises:
        RefusedError: It is none of Vertex AI's, or has a parameter that is not honoured.
    """
    match = _PATH.fullmatch(path)
    if match is None or not match["collection"]:
        raise RefusedError("UNIMPLEMENTED", f"The emulator does not know {method} {path[:300]}.")
    if match["rest"] or match["collection"] == "operations":
        route, number = f"{method} operations/*", path.rpartition("/")[2]
        if match["verb"]:
            raise RefusedError("UNIMPLEMENTED", f"The emulator does not know {method} operations:{match['verb']}.")
        parent = path.removeprefix("/v1/").rpartition("/operations/")[0]
        return Request(route, parent, "operations", number, body, query, records)
    route = f"{method} {match['collection']}{'/*' if match['id'] else ''}{':' + match['verb'] if match['verb'] else ''}"
    allowed = _STANDARD + _TAKES.get(route, _LISTS if method == "GET" and not match["id"] else ())
    for name in query:
        if name not in allowed:
            raise RefusedError("UNIMPLEMENTED", f"The emulator does not honour the parameter {name!r} of {route}.")
    return Request(route, match["parent"], match["collection"], match["id"] or "", body, query, records)
