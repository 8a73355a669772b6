"""The prediction server's HTTP surface: paths, bodies, errors. An ASGI application; `run` binds and runs it.

| path | answer |
|---|---|
| POST /v1/models/M:predict, /v1/models/M/versions/V:predict | {"predictions": […]} |
| GET /v1/models/M, /v1/models/M/versions/V | state of the versions |
| GET /v1/models/M/metadata, /v1/models/M/versions/V/metadata | the signature: names, dtypes, shapes, ranges |
| GET /v1/models | the names |
| GET /healthz | {"status": "ok"} |

`/v1/projects/P/models/…` is the same as `/v1/models/…`. Errors are {"error": "…"}: 400, 401, 404, 405, 408, 413, 500;
what a caller cannot mend goes to the log, never to the caller.

It is plain ASGI: on one digit a web framework's layers would cost half as much again as the prediction.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mlhelpers.errors import MLHelpersError, PredictionError
from mlhelpers.serving.registry.resources import UnknownModelError, Version
from mlhelpers.serving.server.catalogue import Catalogue, Served
from mlhelpers.serving.server.wire import RefusedError, as_json, error_text, parse_request, predictions_json

__all__ = ["DEFAULT_MAX_BYTES", "PredictionApp"]

DEFAULT_MAX_BYTES = 1_500_000  # what the cloud takes
_PATH = re.compile(
    r"/v1/(?:projects/[^/]+/)?models"
    r"(?:/(?P<model>[^/:]+)(?:/versions/(?P<version>[^/:]+))?(?P<action>:predict|/metadata)?)?"
)
_INLINE_BYTES = 65_536
_INLINE_SECONDS = 0.001  # below this a hop to a thread and back costs more than it gives the other requests
_BODY_SECONDS = 30.0
_DRAINED_BYTES = 32_000_000
_log = logging.getLogger("mlhelpers.serving")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class PredictionApp:
    """The ASGI application."""

    def __init__(self, catalogue: Catalogue, *, token: str | None = None, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        """Build the application.

        Args:
            catalogue: What is served.
            token: The word that `Authorization: Bearer` has to bring; None lets everybody in.
            max_bytes: The longest body taken.
        """
        self._catalogue = catalogue
        self._bearer = None if token is None else f"bearer {token}".encode()
        self._max_bytes = max_bytes
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="predict")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":  # a websocket: closing it unanswered is a refusal
            await send({"type": "websocket.close"})
            return
        headers: list[tuple[bytes, bytes]] = []
        try:
            status, body = 200, await self._answer(scope, receive)
        except RefusedError as error:
            status, body, headers = error.status, as_json({"error": str(error)}), error.headers
        except PredictionError as error:
            status, body = 400, as_json({"error": error_text(error)})
        except UnknownModelError as error:
            status, body = 404, as_json({"error": error_text(error)})
        except _GoneError:
            return
        except Exception as error:  # whatever it is, it is ours: the caller learns that, the log learns the rest
            _log.error("%s %s failed", scope["method"], scope["path"], exc_info=error)
            text = "The model cannot answer" if isinstance(error, MLHelpersError) else "The server failed"
            status, body = 500, as_json({"error": f"{text}; its log says why. The request was not at fault."})
        await _send(send, status, body, headers, scope["method"] == "HEAD")

    def close(self) -> None:
        """Give the threads back; what they are at is finished first."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _answer(self, scope: Scope, receive: Receive) -> bytes:
        path, method = scope["path"], scope["method"]
        if path == "/healthz":
            _allow(method, "GET", path)
            return b'{"status":"ok"}'
        self._authorize(scope)
        match = _PATH.fullmatch(path)
        if match is None:
            raise RefusedError(
                404,
                f"There is nothing at {path[:200]!r}. Predict: POST /v1/models/MODEL:predict; names: GET /v1/models.",
            )
        model, version, action = match["model"], match["version"], match["action"]
        if action == ":predict":
            _allow(method, "POST", path)
            return await self._predict(model, version, await self._read(scope, receive))
        _allow(method, "GET", path)
        if model is None:
            return as_json({"models": [{"name": name} for name in self._catalogue.names()]})
        if action == "/metadata":
            return as_json(self._catalogue.describe(self._catalogue.find(model, version)))
        return self._status(model, version)

    def _authorize(self, scope: Scope) -> None:
        if self._bearer is None:
            return
        sent = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        kind, _, word = sent.partition(b" ")
        if not hmac.compare_digest(kind.lower() + b" " + word.strip(), self._bearer):
            raise RefusedError(
                401,
                "This server wants the token it was started with: send the header 'Authorization: Bearer TOKEN'.",
                [(b"www-authenticate", b"Bearer")],
            )

    async def _predict(self, model: str, version: str | None, body: bytes) -> bytes:
        found = self._catalogue.find(model, version)
        served = await self._open(found)
        if len(body) > _INLINE_BYTES:
            return await self._in_thread(_predict_body, served, body)
        instances, signature_name = parse_request(body)
        count = len(instances) if isinstance(instances, list) else 1
        if count * served.seconds_per_instance > _INLINE_SECONDS:
            return await self._in_thread(_predict_parsed, served, instances, signature_name)
        return _predict_parsed(served, instances, signature_name)

    async def _open(self, version: Version) -> Served:
        return await self._catalogue.open(version)

    async def _in_thread(self, function: Callable[..., bytes], *args: Any) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    def _status(self, model: str, version: str | None) -> bytes:
        versions = self._catalogue.versions(model) if version is None else [self._catalogue.find(model, version)]
        fine = {"error_code": "OK", "error_message": ""}
        return as_json(
            {
                "model_version_status": [
                    {"version": one.name, "isDefault": one.is_default, "state": "AVAILABLE", "status": fine}
                    for one in versions
                ]
            }
        )

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        """Read the body, up to the limit and within a deadline."""
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if int(length) > _DRAINED_BYTES + self._max_bytes:
            raise self._too_long()
        message = await receive()
        if not message.get("more_body") and message["type"] == "http.request":
            body: bytes = message.get("body", b"")
            if len(body) > self._max_bytes:
                raise self._too_long()
            return body
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                return await self._read_parts(message, receive)
        except TimeoutError:
            raise RefusedError(408, f"The body did not arrive within {_BODY_SECONDS:.0f} s. Send it again.") from None

    async def _read_parts(self, message: MutableMapping[str, Any], receive: Receive) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            if message["type"] == "http.disconnect":
                raise _GoneError
            size += len(message.get("body", b""))
            if size > _DRAINED_BYTES:
                raise self._too_long()
            if size > self._max_bytes:
                parts.clear()  # read on, so that the sender comes to listen, but keep nothing
            else:
                parts.append(message.get("body", b""))
            if not message.get("more_body"):
                break
            message = await receive()
        if size > self._max_bytes:
            raise self._too_long()
        return b"".join(parts)

    def _too_long(self) -> RefusedError:
        limit = f"{self._max_bytes / 1e6:g} MB"
        return RefusedError(
            413,
            f"The body is longer than the {limit} a request may have. Send fewer instances at a time, "
            "or start the server with a larger --max-request-bytes.",
            [(b"connection", b"close")],
        )


class _GoneError(Exception):
    """The caller has hung up."""


def _predict_body(served: Served, body: bytes) -> bytes:
    return _predict_parsed(served, *parse_request(body))


def _predict_parsed(served: Served, instances: Any, signature_name: Any) -> bytes:
    start = time.perf_counter()
    columns = served.model.predict(instances, signature_name)
    served.note(time.perf_counter() - start, len(instances))
    return predictions_json(columns)


def _allow(method: str, allowed: str, path: str) -> None:
    if method != allowed and (method, allowed) != ("HEAD", "GET"):
        raise RefusedError(
            405, f"{method} is not taken at {path[:200]!r}; use {allowed}.", [(b"allow", allowed.encode())]
        )


async def _send(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]], bare: bool) -> None:
    fixed = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": fixed + headers})
    await send({"type": "http.response.body", "body": b"" if bare else body})
