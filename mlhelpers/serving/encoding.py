"""Instances as the JSON of a request, for every predictor that asks over a network."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mlhelpers.errors import PredictionError

__all__ = ["REQUEST_BYTES", "beside_instances", "spans", "to_json"]

REQUEST_BYTES = 1_500_000  # what the service takes, and a server here where nothing else was said


def spans(encoded: Sequence[bytes], limit: int) -> Iterator[tuple[int, int]]:
    """Cut a row of encoded instances so that no span is longer than the limit; one that is too long goes alone.

    Args:
        encoded: One JSON text per instance.
        limit: In bytes.

    Yields:
        From which to before which.
    """
    start = size = 0
    for index, one in enumerate(encoded):
        size += len(one) + 1
        if size > limit and index > start:
            yield start, index
            start, size = index, len(one) + 1
    if start < len(encoded):
        yield start, len(encoded)


def beside_instances(signature_name: str | None, parameters: Mapping[str, Any] | None) -> bytes:
    """Return what a request says besides its instances, to be put behind them.

    Args:
        signature_name: The signature to take, or None.
        parameters: How the model shall answer, or None.

    Raises:
        PredictionError: The parameters cannot be sent.
    """
    given = {"signature_name": signature_name, "parameters": None if parameters is None else dict(parameters)}
    said = {name: value for name, value in given.items() if value is not None}
    return b"," + to_json(said)[1:-1] if said else b""


def to_json(value: Any, what: str = "An instance") -> bytes:
    """Return a value as JSON; arrays become lists, bytes {"b64": …}.

    Args:
        value: Plain values, arrays, bytes.
        what: What it is, for the error.

    Raises:
        PredictionError: It cannot be sent.
    """
    try:
        return json.dumps(value, default=_plain, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, RecursionError) as error:
        raise PredictionError(f"{what} cannot be sent as JSON: {error}.") from None
    except ValueError as error:
        raise PredictionError(f"{what} cannot be sent as JSON: {error}. NaN and infinity are no JSON.") from None


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode("ascii")}
    raise TypeError(f"it holds a {type(value).__name__}; send numbers, texts, bytes or lists")
