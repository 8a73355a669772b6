"""The predictor over HTTP: the same `predict`, answered by a prediction server."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from mlhelpers.errors import MLHelpersError, ModelError, PredictionError, UsageError
from mlhelpers.serving.encoding import REQUEST_BYTES, beside_instances, spans, to_json
from mlhelpers.serving.frames import Frame, place_in, predict_frame
from mlhelpers.serving.patience import ask_patiently
from mlhelpers.serving.registry.resources import UnknownModelError, check_name
from mlhelpers.serving.remote import TIMEOUT_S, RemotePredictor, time_limit

__all__ = ["DEFAULT_ADDRESS", "HttpPredictor", "connected"]

DEFAULT_ADDRESS = "http://127.0.0.1:8501"
_COMPRESSED_BYTES = 16_384  # from here on a body is compressed: over a network, not within this machine
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class HttpPredictor(RemotePredictor):
    """A model behind a prediction server.

    Where the server is busy, still loading, or hangs up, it is asked again, within the time limit.

    Taught in notebook 08.
    """

    def __init__(
        self, model: str, version: str | None, address: str, *, token: str | None = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        session = requests.Session()
        super().__init__(model, version, session, f"over HTTP, {address}")
        self.address = address
        self._timeout_s = timeout_s
        path = f"/v1/models/{quote(model)}" + (f"/versions/{quote(version)}" if version else "")
        self._url = address + path
        self._is_near = urlsplit(address).hostname in _LOOPBACK
        if self._is_near:
            session.trust_env = False  # a proxy of the environment has no way to this machine's own loopback
            session.headers["Accept-Encoding"] = "identity"  # packing costs more than the way
        if token:
            session.headers["Authorization"] = f"Bearer {token}"
        self._signature: dict[str, Any] | None = None

    @property
    def signature(self) -> dict[str, Any]:
        """What the model takes and gives: its signature.json, asked once."""
        if self._signature is None:
            self._signature = dict(self._ask("GET", "/metadata")["signature"])
        return self._signature

    def predict(
        self, instances: Any, signature_name: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Return one prediction per instance, from one request.

        Args:
            instances: A list of instances: objects with the inputs' names as keys, or bare values (nested lists,
                arrays) where the signature has a single input. An array (n, …) stands for the list of its n parts.
            signature_name: The signature to take; None lets the keys decide, then the default.
            parameters: How the model shall answer, handed on to the server; no model here takes any.

        Returns:
            One dict of plain Python values per instance, in their order.

        Raises:
            PredictionError: An instance that the signature does not take, a request that is too long, a server that is
                not there or refuses.
            UnknownModelError: The server has no such model or version.
            ModelError: The model failed, or the predictor is closed.
        """
        return self._predict(to_json(instances), beside_instances(signature_name, parameters))

    def predict_frame(
        self,
        frame: Frame,
        *,
        signature_name: str | None = None,
        key: str | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Frame:
        """Predict for each row of a table, in as many requests as it takes; a long one shows how far it is.

        Args:
            frame: A DataFrame of polars or pandas (n rows); its columns are the inputs of the signature.
            signature_name: The signature to take; None lets the columns decide, then the default.
            key: A column that is no input: it is passed through to the result, and not sent. None stands for "key",
                where there is such a column.
            parameters: As for `predict`.

        Returns:
            A DataFrame of the same library, n rows in the same order: the key's column, if any, then one for each
            output; an output of several values is a column of lists. A pandas index is kept.

        Raises:
            UsageError: It is no DataFrame, a column is missing, or one is neither an input nor the key.
            PredictionError: A value that the signature does not take; the message names the row, counted from 0. Or a
                server that is not there or refuses.
            UnknownModelError: The server has no such model or version.
            ModelError: The model failed, or the predictor is closed.
        """

        def ask(instances: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
            encoded = [to_json(instance, f"instances[{index}]") for index, instance in enumerate(instances)]
            beside = beside_instances(name, parameters)
            limit = REQUEST_BYTES - len(beside) - 100
            return [one for span in spans(encoded, limit) for one in self._predict_span(encoded, *span, beside)]

        return predict_frame(frame, self._model_signature(), ask, signature_name, key)

    def _predict(self, instances: bytes, beside: bytes) -> list[dict[str, Any]]:
        predictions: list[dict[str, Any]] = self._ask("POST", ":predict", b'{"instances":' + instances + beside + b"}")[
            "predictions"
        ]
        return predictions

    def _predict_span(self, encoded: Sequence[bytes], start: int, stop: int, beside: bytes) -> list[dict[str, Any]]:
        """Ask for a span of instances that are JSON already, in several requests where it is too long for one."""
        try:
            return self._predict(b"[" + b",".join(encoded[start:stop]) + b"]", beside)
        except _TooLongError:  # the server was started with a lower limit
            if stop - start == 1:
                raise
        except PredictionError as error:
            raise PredictionError(place_in(str(error), start)) from error
        middle = (start + stop) // 2
        first = self._predict_span(encoded, start, middle, beside)
        return first + self._predict_span(encoded, middle, stop, beside)

    def _ask(self, method: str, suffix: str, body: bytes | None = None) -> dict[str, Any]:
        try:
            answer = self._send(method, suffix, body)
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
            kind = _ERRORS.get(answer.status_code, PredictionError)
            raise kind(f"The server at {self.address} answered {answer.status_code}: {document['error']}")
        return document

    def _send(self, method: str, suffix: str, body: bytes | None) -> requests.Response:
        session = self._opened()
        headers = {"Content-Type": "application/json"} if body else {}
        if body and not self._is_near and len(body) >= _COMPRESSED_BYTES:
            body = gzip.compress(body, compresslevel=1, mtime=0)
            headers["Content-Encoding"] = "gzip"

        def send(seconds: float) -> requests.Response:
            return session.request(
                method, self._url + suffix, data=body, headers=headers, timeout=seconds, allow_redirects=False
            )

        return ask_patiently(send, self._timeout_s)


def connected(
    model: str,
    version: str | None,
    *,
    address: str | None = None,
    token: str | None = None,
    timeout_s: float | None = None,
) -> HttpPredictor:
    """Connect to a model of a prediction server: the backend "http" of `serving.connect`.

    Args:
        model: The model's name.
        version: A version's name; None leaves it to the model's default or traffic split.
        address: The server; None stands for `DEFAULT_ADDRESS`.
        token: The server's token, where it wants one.
        timeout_s: How long to wait for an answer in all, in seconds; 60 where None.

    Returns:
        The predictor; the server has been asked once, so the model is known to be there.

    Raises:
        UsageError: The address is no http(s) address, the time limit is no time, or a name is malformed.
        PredictionError: No server answers there.
        UnknownModelError: The server has no such model or version.
    """
    check_name("model", model)
    if version is not None:
        check_name("version", version)
    address = (address or DEFAULT_ADDRESS).rstrip("/")
    if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname:
        raise UsageError(f"{address!r} is no address of a server; it looks like {DEFAULT_ADDRESS}.")
    predictor = HttpPredictor(model, version, address, token=token, timeout_s=time_limit(timeout_s))
    try:
        _ = predictor.signature
    except BaseException:
        predictor.close()
        raise
    return predictor


class _TooLongError(PredictionError):
    """The body is longer than the server takes."""


# the status of a refusal -> the error that says the same in process; any other is a PredictionError
_ERRORS: dict[int, type[MLHelpersError]] = {404: UnknownModelError, 413: _TooLongError, 500: ModelError}


def _start(address: str) -> str:
    port = urlsplit(address).port or 8501
    return f"Start one with:  mlhelpers serve{'' if port == 8501 else f' --port {port}'}"
