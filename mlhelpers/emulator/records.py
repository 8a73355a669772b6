"""What the emulator knows, one JSON file a resource under `<home>/emulator`, so that a restart keeps it; and lists."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlhelpers.emulator.messages import RefusedError
from mlhelpers.storage import write_aside

__all__ = ["Records", "page"]

_NAME = re.compile(r"projects/[a-z0-9.:-]+/locations/[a-z0-9-]+(?:/[A-Za-z]+/[A-Za-z0-9_-]+)+")
_TERM = re.compile(r'(display_name|state|labels\.[a-z0-9_-]+)\s*=\s*"?([^"]*?)"?|labels\.([a-z0-9_-]+):\*')
_ORDERS = {"create_time": "createTime", "update_time": "updateTime", "display_name": "displayName"}
_MOST = 1000


class Records:
    """Resources by their full names.

    Args:
        root: The folder that holds them.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def get(self, name: str) -> dict[str, Any]:
        """Return what was put under a name.

        Raises:
            RefusedError: There is nothing.
        """
        try:
            found: dict[str, Any] = json.loads(self._path(name).read_text("utf-8"))
        except FileNotFoundError:
            raise RefusedError("NOT_FOUND", f"The resource {name!r} is not there.") from None
        return found

    def has(self, name: str) -> bool:
        """Tell whether there is something under a name."""
        return self._path(name).exists()

    def put(self, name: str, record: Mapping[str, Any]) -> None:
        """Keep plain data under a name, in place of what was there."""
        with write_aside(self._path(name)) as aside:
            aside.write_text(json.dumps(record, indent=1), "utf-8")

    def delete(self, name: str) -> None:
        """Forget a name; nothing happens where it is not there."""
        self._path(name).unlink(missing_ok=True)

    def all(self, parent: str, collection: str) -> list[dict[str, Any]]:
        """Return the records of a collection below a parent."""
        folder = self._path(f"{parent}/{collection}/0").parent
        return [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("[!.]*.json"))]

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name) or ".." in name:
            raise RefusedError("INVALID_ARGUMENT", f"{name[:200]!r} is no resource name.")
        return self._root.joinpath(*name.replace(":", "_").split("/")).with_suffix(".json")


def page(resources: list[dict[str, Any]], field: str, query: Mapping[str, str]) -> dict[str, Any]:
    """Return one page of a list, as a List…Response.

    Args:
        resources: All of them.
        field: The response's field, for instance "customJobs".
        query: filter, orderBy, pageSize, pageToken.

    Raises:
        RefusedError: A filter or an order that is not known here, or a malformed page.
    """
    for term in filter(None, re.split(r"\s+AND\s+", query.get("filter", "").strip())):
        match = _TERM.fullmatch(term.strip())
        if match is None:
            raise RefusedError("INVALID_ARGUMENT", f'The filter {term!r} is none of display_name="…", state="…", '
                          'labels.KEY="…", labels.KEY:* (several with AND), which the emulator knows.')  # fmt: skip
        resources = [resource for resource in resources if _fits(resource, match)]
    resources = sorted(resources, key=lambda each: str(each.get("createTime", "")), reverse=True)
    for order in reversed(list(filter(None, query.get("orderBy", "").split(",")))):
        name, _, way = order.strip().partition(" ")
        if name not in _ORDERS or way not in ("", "asc", "desc"):
            raise RefusedError(
                "INVALID_ARGUMENT", f"The order {order!r} is none of {', '.join(_ORDERS)}, with or without desc."
            )
        resources.sort(key=lambda each: str(each.get(_ORDERS[name], "")), reverse=way == "desc")
    try:
        size = int(query.get("pageSize", 0)) or 100
        start = int(base64.urlsafe_b64decode(query.get("pageToken", "")) or 0)
    except ValueError:
        raise RefusedError(
            "INVALID_ARGUMENT", "pageSize is no number, or pageToken is none of this service's."
        ) from None
    end = start + max(1, min(size, _MOST))
    found: dict[str, Any] = {field: resources[start:end]}
    if end < len(resources):
        found["nextPageToken"] = base64.urlsafe_b64encode(str(end).encode()).decode()
    return found


def _fits(resource: Mapping[str, Any], match: re.Match[str]) -> bool:
    labels = resource.get("labels", {})
    field, value, key = match.groups()
    if key:
        return key in labels
    if field.startswith("labels."):
        return bool(labels.get(field.removeprefix("labels.")) == value)
    return bool(resource.get({"display_name": "displayName"}.get(field, field)) == value)
