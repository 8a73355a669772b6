"""The JSON of the prediction protocol, to and from bytes: {"instances": […]} -> {"predictions": […]}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson
from numpy.typing import NDArray

from mlhelpers.errors import MLHelpersError, unknown_name
from mlhelpers.serving.server.refusals import RefusedError

__all__ = [
    "PredictRequest",
    "as_json",
    "error_text",
    "parse_object",
    "parse_prediction",
    "parse_request",
    "predictions_json",
]

_KEYS = ("instances", "parameters", "signature_name")
_EXAMPLE = 'Send {"instances": [...]}'
_SHOWN = 2000


class PredictRequest(NamedTuple):
    """The body of a request; what its parts hold is not looked at yet."""

    instances: Any
    signature_name: Any
    parameters: Any


def parse_object(body: bytes, example: str) -> dict[str, Any]:
    """Read a body that is to be a JSON object.

    Args:
        body: JSON in UTF-8, with or without a byte order mark.
        example: What to send instead, for an error: "Send …".

    Raises:
        RefusedError: 400, it is no JSON object.
    """
    try:
        found = orjson.loads(body.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        what = f"The body is not JSON: {error}." if body else "The body is empty."
        if b"NaN" in body or b"Infinity" in body:
            what += " (JSON has no NaN or Infinity.)"
        raise RefusedError(400, f"{what} {example}.") from None
    if not isinstance(found, dict):
        raise RefusedError(400, f"The body is JSON, but a {type(found).__name__} and not an object. {example}.")
    return found


def parse_request(body: bytes) -> PredictRequest:
    """Read the body of a request.

    Args:
        body: The body, JSON in UTF-8, with or without a byte order mark.

    Raises:
        RefusedError: 400, the body is no JSON object with `instances`.
    """
    request = parse_object(body, _EXAMPLE)
    for key in request:
        if key not in _KEYS:
            raise RefusedError(400, str(unknown_name("key of a prediction request", key[:200], _KEYS)))
    if "instances" not in request:
        raise RefusedError(400, f"The body has no 'instances'. {_EXAMPLE}.")
    return PredictRequest(request["instances"], request.get("signature_name"), request.get("parameters"))


def predictions_json(columns: Mapping[str, NDArray[Any]], beside: Mapping[str, Any] | None = None) -> bytes:
    """Write an answer.

    Args:
        columns: By output name: array (n, …).
        beside: What the answer holds besides the predictions.

    Returns:
        {"predictions": [n objects], …}; a float32 is the shortest number that means it.
    """
    names = tuple(columns)
    values = [array.tolist() if array.dtype.kind == "O" else array for array in columns.values()]
    rows = [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
    return orjson.dumps({"predictions": rows, **(beside or {})}, option=orjson.OPT_SERIALIZE_NUMPY)


def parse_prediction(body: bytes) -> dict[str, Any]:
    """Return the first prediction of an answer that `predictions_json` wrote."""
    prediction: dict[str, Any] = orjson.loads(body)["predictions"][0]
    return prediction


def as_json(document: object) -> bytes:
    """Write plain data as JSON."""
    return orjson.dumps(document)


def error_text(error: MLHelpersError) -> str:
    """Return the error's text for an answer, cut where it is very long, in characters that UTF-8 can carry."""
    text = str(error)
    text = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
    return text.encode("utf-8", "replace").decode("utf-8")
