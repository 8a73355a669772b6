"""The JSON of the prediction protocol, to and from bytes: {"instances": […]} -> {"predictions": […]}."""

from __future__ import annotations

from typing import Any

import orjson
from numpy.typing import NDArray

from mlhelpers.errors import MLHelpersError, unknown_name

__all__ = ["RefusedError", "as_json", "error_text", "parse_request", "predictions_json"]

_KEYS = ("instances", "signature_name")
_EXAMPLE = 'Send {"instances": [...]}'
_SHOWN = 2000


class RefusedError(Exception):
    """A request that is answered with an error of its own status."""

    def __init__(self, status: int, text: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers or []


def parse_request(body: bytes) -> tuple[Any, Any]:
    """Return the instances and the signature name of a request's body; what they are is not looked at yet.

    Args:
        body: The body, JSON in UTF-8, with or without a byte order mark.

    Raises:
        RefusedError: 400, the body is no JSON object with `instances`.
    """
    try:
        request = orjson.loads(body.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        what = f"The body is not JSON: {error}." if body else "The body is empty."
        if b"NaN" in body or b"Infinity" in body:
            what += " (JSON has no NaN or Infinity.)"
        raise RefusedError(400, f"{what} {_EXAMPLE}.") from None
    if not isinstance(request, dict):
        raise RefusedError(400, f"The body is JSON, but a {type(request).__name__} and not an object. {_EXAMPLE}.")
    for key in request:
        if key not in _KEYS:
            raise RefusedError(400, str(unknown_name("key of a prediction request", key[:200], _KEYS)))
    if "instances" not in request:
        raise RefusedError(400, f"The body has no 'instances'. {_EXAMPLE}.")
    return request["instances"], request.get("signature_name")


def predictions_json(columns: dict[str, NDArray[Any]]) -> bytes:
    """Write named arrays (n, …) as {"predictions": [n objects]}; a float32 as the shortest number that means it."""
    names = tuple(columns)
    values = [array.tolist() if array.dtype.kind == "O" else array for array in columns.values()]
    rows = [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
    return orjson.dumps({"predictions": rows}, option=orjson.OPT_SERIALIZE_NUMPY)


def as_json(document: object) -> bytes:
    """Write plain data as JSON."""
    return orjson.dumps(document)


def error_text(error: MLHelpersError) -> str:
    """Return the error's text for an answer, cut where it is very long, in characters that UTF-8 can carry."""
    text = str(error)
    text = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
    return text.encode("utf-8", "replace").decode("utf-8")
