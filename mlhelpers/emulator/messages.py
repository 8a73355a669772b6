"""Vertex AI's messages as JSON: parsed strictly, refused by name where the emulator cannot honour them, and packed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

__all__ = ["RefusedError", "honoured", "new_id", "now", "operation", "parsed"]

# status (google.rpc.Code) -> its number, and the HTTP status that goes with it
CODES = {
    "INVALID_ARGUMENT": (3, 400),
    "NOT_FOUND": (5, 404),
    "ALREADY_EXISTS": (6, 409),
    "FAILED_PRECONDITION": (9, 400),
    "UNIMPLEMENTED": (12, 501),
    "INTERNAL": (13, 500),
    "UNAVAILABLE": (14, 503),
}


class RefusedError(Exception):
    """A request that is refused, as Google's services say it.

    Args:
        status: A key of `CODES`.
        message: Why.
    """

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def http_status(self) -> int:
        """The HTTP status of the answer."""
        return CODES[self.status][1]

    def body(self) -> dict[str, Any]:
        """Return the answer's body."""
        return {"error": {"code": self.http_status, "message": str(self), "status": self.status, "details": []}}


def parsed(kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message as its canonical JSON: camelCase, enums by name, defaults left out.

    Args:
        kind: A class of `google.cloud.aiplatform_v1.types`, for instance "CustomJob".
        body: What was sent.

    Raises:
        RefusedError: A field that the message does not have, or a value of another type.
    """
    from google.protobuf import json_format

    message = _class(kind)()
    try:
        json_format.ParseDict(dict(body), message, ignore_unknown_fields=False)
    except json_format.ParseError as error:
        raise RefusedError("INVALID_ARGUMENT", f"Invalid JSON payload received for {kind}: {error}") from error
    found: dict[str, Any] = json_format.MessageToDict(message)
    return found


def honoured(kind: str, found: Mapping[str, Any], allowed: Sequence[str]) -> None:
    """Refuse a message with a field that has no meaning here; nothing that was sent is ignored in silence.

    Args:
        kind: What it is, for the message.
        found: The message, as `parsed` returned it.
        allowed: Dotted paths of the fields that are honoured or kept, with all that lies below them.

    Raises:
        RefusedError: With the first field's path.
    """
    for path in _paths(found):
        is_empty = path.endswith(".")  # a message without any field: fine where some of its fields would be
        if not any(path.startswith(f"{one}.") or path == one or (is_empty and one.startswith(path)) for one in allowed):
            path = path.rstrip(".")
            raise RefusedError(
                "UNIMPLEMENTED", f"The emulator does not honour the field {path} of {kind}. Leave it out."
            )


def operation(resource: str, verb: str, kind: str = "", response: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a long-running operation that is over, as `google.longrunning.Operation`.

    Args:
        resource: The full name of what it is about.
        verb: Of the metadata's class, for instance "UploadModel".
        kind: The response's class; empty where the API answers `google.protobuf.Empty`.
        response: The response.
    """
    from google.longrunning import operations_pb2
    from google.protobuf import empty_pb2, json_format

    made = operations_pb2.Operation(name=f"{resource}/operations/{new_id()}", done=True)
    times = {"genericMetadata": {"createTime": now(), "updateTime": now()}}
    made.metadata.Pack(json_format.ParseDict(times, _class(f"{verb}OperationMetadata")()))
    made.response.Pack(json_format.ParseDict(dict(response or {}), _class(kind)()) if kind else empty_pb2.Empty())
    found: dict[str, Any] = json_format.MessageToDict(made)
    return found


def new_id() -> str:
    """Return a number that nothing has yet, as the service gives them."""
    return str(10**18 + secrets.randbelow(9 * 10**18))


def now() -> str:
    """Return this moment, RFC 3339 in UTC."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _class(kind: str) -> Any:
    from google.cloud.aiplatform_v1 import types

    return type(getattr(types, kind).pb(getattr(types, kind)()))


def _paths(found: object, path: str = "") -> Iterator[str]:
    if isinstance(found, Mapping) and found:
        for name, value in found.items():
            yield from _paths(value, f"{path}.{name}" if path else name)
    elif isinstance(found, list) and found:
        for value in found:
            yield from _paths(value, path)
    elif path:
        yield f"{path}." if isinstance(found, Mapping) else path
