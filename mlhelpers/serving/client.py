"""The predictor over HTTP: the same `predict`, answered by a prediction server."""

from __future__ import annotations

import base64
import json
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import numpy as np
import requests

from mlhelpers.errors import ModelError, PredictionError, UsageError
from mlhelpers.serving.registry.resources import UnknownModelError, check_name

__all__ = ["DEFAULT_ADDRESS", "HttpPredictor", "connect"]

DEFAULT_ADDRESS = "http://127.0.0.1:8501"
_TIMEOUT_S = 60.0


class HttpPredictor:
    """A model behind a prediction server.

    Taught in notebook 08.
    """

    def __init__(
        self, model: str, version: str | None, address: str, *, token: str | None = None, timeout_s: float = _TIMEOUT_S
    ) -> None:
        self.model = model
        self.version = version
        self.address = address
        self._timeout_s = timeout_s
        path = f"/v1/models/{quote(model)}" + (f"/versions/{quote(version)}" if version else "")
        self._url = address + path
        self._session: requests.Session | None = requests.Session()
        # a proxy named in the environment has no way to this machine's own loopback
        self._session.trust_env = urlsplit(address).hostname not in ("127.0.0.1", "localhost", "::1")
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"
        self._signature: dict[str, Any] | None = None

    @property
    def signature(self) -> dict[str, Any]:
        """What the model takes and gives: its signature.json, asked once."""
        if self._signature is None:
            self._signature = dict(self._ask("GET", "/metadata")["signature"])
        return self._signature

    def predict(self, instances: Any, signature_name: str | None = None) -> list[dict[str, Any]]:
        """Return one prediction per instance.

        Args:
            instances: A list of instances: objects with the inputs' names as keys, or bare values (nested lists,
                arrays) where the signature has a single input. An array (n, …) stands for the list of its n parts.
            signature_name: The signature to take; None lets the keys decide, then the default.

        Returns:
            One dict of plain Python values per instance, in their order.

        Raises:
            PredictionError: An instance that the signature does not take, a server that is not there or refuses.
            UnknownModelError: The server has no such model or version.
            ModelError: The predictor is closed.
        """
        request: dict[str, Any] = {"instances": instances}
        if signature_name is not None:
            request["signature_name"] = signature_name
        try:
            body = json.dumps(request, default=_plain, allow_nan=False, separators=(",", ":")).encode()
        except ValueError as error:
            raise PredictionError(
                f"The instances cannot be sent as JSON: {error}. NaN and infinity are no JSON."
            ) from None
        predictions: list[dict[str, Any]] = self._ask("POST", ":predict", body)["predictions"]
        return predictions

    def close(self) -> None:
        """Close the connection; closing twice is fine."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _ask(self, method: str, suffix: str, body: bytes | None = None) -> dict[str, Any]:
        if self._session is None:
            raise ModelError(f"The predictor of {self.model!r} is closed. Connect again.")
        try:
            headers = {"Content-Type": "application/json"} if body else {}
            answer = self._session.request(
                method, self._url + suffix, data=body, headers=headers, timeout=self._timeout_s, allow_redirects=False
            )
        except requests.Timeout as error:
            raise PredictionError(
                f"The server at {self.address} did not answer within {self._timeout_s:g} s."
            ) from error
        except requests.RequestException as error:
            raise PredictionError(f"No prediction server answers at {self.address}. {_start(self.address)}") from error
        try:
            document = answer.json()
        except ValueError:
            document = None
        if not isinstance(document, dict) or not (answer.ok or "error" in document):
            raise PredictionError(
                f"{self.address} answered {answer.status_code}, but not as a prediction server does. Is another "
                f"program listening there? {_start(self.address)}"
            )
        if not answer.ok:
            kind = UnknownModelError if answer.status_code == 404 else PredictionError
            raise kind(f"The server at {self.address} answered {answer.status_code}: {document['error']}")
        return document

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        name = self.model + (f"/{self.version}" if self.version else "")
        return f"<Predictor {name}: {'closed' if self._session is None else f'over HTTP, {self.address}'}>"


def connect(
    model: str,
    version: str | None = None,
    address: str | None = None,
    *,
    token: str | None = None,
    timeout_s: float = _TIMEOUT_S,
) -> HttpPredictor:
    """Connect to a model of a prediction server.

    Args:
        model: The model's name.
        version: A version's name; None leaves it to the server's default.
        address: The server, for instance "http://127.0.0.1:8501", which is the default.
        token: The server's token, where it wants one.
        timeout_s: How long to wait for an answer, in seconds.

    Returns:
        The predictor; the server has been asked once, so the model is known to be there.

    Raises:
        UsageError: The address is no http(s) address, or a name is malformed.
        PredictionError: No server answers there.
        UnknownModelError: The server has no such model or version.
    """
    check_name("model", model)
    if version is not None:
        check_name("version", version)
    address = (address or DEFAULT_ADDRESS).rstrip("/")
    if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname:
        raise UsageError(f"{address!r} is no address of a server; it looks like {DEFAULT_ADDRESS}.")
    predictor = HttpPredictor(model, version, address, token=token, timeout_s=timeout_s)
    try:
        _ = predictor.signature
    except BaseException:
        predictor.close()
        raise
    return predictor


def _start(address: str) -> str:
    port = urlsplit(address).port or 8501
    return f"Start one with:  mlhelpers serve{'' if port == 8501 else f' --port {port}'}"


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode("ascii")}
    raise PredictionError(
        f"An instance holds a {type(value).__name__}, which JSON cannot carry; send numbers, texts, bytes or lists."
    )
