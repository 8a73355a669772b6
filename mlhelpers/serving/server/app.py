"""The prediction server as an ASGI application: who is asked for what, and what becomes of an error. `run` runs it.

| path | answer |
|---|---|
| POST …:predict, on the three families of paths in `routes` | {"predictions": […]} |
| GET the same path without `:predict`, or with `/metadata` in its place | state of the versions, or the signature |
| GET /v1/models | the names |
| GET /healthz | {"status": "ok"}, or 503: not ready, or about to stop |
| GET /metrics, /openapi.json | counts for Prometheus; every path in OpenAPI's form |
| GET /, /docs, /forms/babyweight | pages: an index, one to try the models, the form for babyweight |
| GET /api/form, POST /api/predict | what the form offers; what it sends, {"result": "7.66 lbs."} |

Errors are 400, 401, 404, 405, 408, 413, 415, 429, 500, 503 and 504, each with what to do; what a caller cannot mend
goes to the log, never to the caller. It is plain ASGI: on one digit a web framework's layers would cost half as much
again as the prediction.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from mlhelpers.errors import MLHelpersError, PredictionError
from mlhelpers.serving.instances import Batch
from mlhelpers.serving.model import LoadedModel
from mlhelpers.serving.registry.resources import UnknownModelError, Version
from mlhelpers.serving.server import answers, forms
from mlhelpers.serving.server.admission import Admission, Deadlines, Limits, time_limit
from mlhelpers.serving.server.bodies import GoneError, declared_length, is_gzip, pack, read_body, unpack, wants_gzip
from mlhelpers.serving.server.catalogue import Catalogue
from mlhelpers.serving.server.container import Container
from mlhelpers.serving.server.drain import Drain, Incoming
from mlhelpers.serving.server.loading import Loader, Served
from mlhelpers.serving.server.metrics import Metrics, exposition
from mlhelpers.serving.server.openapi import document
from mlhelpers.serving.server.pages import PAGES, SECURITY, read_page
from mlhelpers.serving.server.refusals import RefusedError
from mlhelpers.serving.server.routes import Action, Family, Route, allow, find_route
from mlhelpers.serving.server.wire import as_json, error_text, parse_prediction, parse_request, predictions_json

__all__ = ["PredictionApp"]

_INLINE_BYTES = 65_536
_INLINE_ROWS = 256
_JSON = b"application/json"
_CLOSE = (b"connection", b"close")
_NO_HEADERS: list[tuple[bytes, bytes]] = []
# paths beside the three families -> the method that they take
_OWN = {"/metrics": "GET", "/openapi.json": "GET", "/api/form": "GET", "/api/predict": "POST"}
_log = logging.getLogger("mlhelpers.serving")

Headers = list[tuple[bytes, bytes]]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class _Answer(NamedTuple):
    status: int
    body: bytes
    headers: Headers = _NO_HEADERS
    content_type: bytes = _JSON


class _Request:
    """What came, and what has been found out about it."""

    __slots__ = ("began", "headers", "incoming", "method", "path", "receive", "route", "version")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.began = time.perf_counter()
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.incoming = Incoming(receive)
        self.receive: Receive = self.incoming
        self.route: Route | None = None
        self.version: Version | None = None


class PredictionApp:
    """The ASGI application."""

    def __init__(
        self,
        catalogue: Catalogue,
        limits: Limits,
        *,
        token: str | None = None,
        container: Container | None = None,
        container_model: str = "",
        form: tuple[str, str | None] = (forms.FORM_MODEL, None),
    ) -> None:
        """Build the application.

        Args:
            catalogue: What is served.
            limits: What a request may cost.
            token: The word that `Authorization: Bearer` has to bring; None lets everybody in.
            container: What Vertex AI wants of its container; None elsewhere.
            container_model: The model that answers on its predict route, loaded at once.
            form: The model and version that the form for babyweight asks; without a version, as any request.
        """
        self._catalogue = catalogue
        self._limits = limits
        self._admission = Admission(limits, token)
        self._container = container
        self._container_model = container_model
        self._form = form
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="predict")
        self._loader = Loader(self._threads)
        self._deadlines = Deadlines()
        self._drain = Drain()
        self._metrics = Metrics()
        self._stopping = False
        self._ready = container is None
        self._warming: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":  # a websocket: closing it unanswered is a refusal
            await send({"type": "websocket.close"})
            return
        request = _Request(scope, receive)
        try:
            answer = await self._answer(request)
        except GoneError:
            return
        except asyncio.CancelledError:  # the grace of a stopping server is over
            answer = self._refusal(request, _stopping())
        except Exception as error:
            answer = self._refusal(request, error)
        route = request.route
        if route is not None and route.action is Action.PREDICT:
            model, version = (request.version.model, request.version.name) if request.version else ("", "")
            self._metrics.count(model, version, answer.status, time.perf_counter() - request.began)
        if answer.status != 408 and not await self._drain.read_on(request.incoming, request.headers):
            answer = answer._replace(headers=[entry for entry in answer.headers if entry != _CLOSE] + [_CLOSE])
        await self._send(send, request, answer)

    async def start(self) -> None:
        """Load what has to be warm before the server calls itself ready; to be called once the event loop runs."""
        if self._container is not None:
            self._warming = asyncio.create_task(self._warm())

    def stop(self) -> None:
        """Take no new predictions; those in the house are finished."""
        self._stopping = True

    def close(self) -> None:
        """Give the threads back; what they are at is finished first."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _warm(self) -> None:
        try:
            await self._loader.open(self._catalogue.find(self._container_model), float("inf"))
            self._ready = True
        except Exception as error:
            _log.error("The container's model cannot be loaded", exc_info=error)

    async def _answer(self, request: _Request) -> _Answer:
        path, method = request.path, request.method
        container = self._container
        if container is not None and path == container.predict_route and method == "POST":
            route = Route(Family.SERVING, Action.PREDICT, self._container_model)
        elif path == "/healthz" or (container is not None and path == container.health_route):
            allow(method, "GET", path)
            return self._health()
        elif path in PAGES:
            allow(method, "GET", path)
            return _Answer(200, read_page(PAGES[path].file), SECURITY, PAGES[path].content_type)
        else:
            route = None
        self._admission.check_token(request.headers)
        if route is None and path in _OWN:
            allow(method, _OWN[path], path)
            return await self._ask_form(request) if path == "/api/predict" else await self._about(path)
        if route is None:
            if container is not None and path == container.predict_route:
                allow(method, "POST", path)
            route = find_route(path)
        request.route = route
        if route.action is Action.PREDICT:
            allow(method, "POST", path)
            return await self._predict(request, route)
        allow(method, "GET", path)
        if route.action is Action.LIST:
            return _Answer(200, as_json(answers.list_names(route, self._catalogue)))
        write = answers.describe if route.action is Action.METADATA else answers.state
        return _Answer(200, as_json(await self._in_thread(write, self._catalogue, self._loader, route)))

    async def _predict(self, request: _Request, route: Route) -> _Answer:
        if self._stopping:
            raise _stopping()
        limits = self._limits
        version = request.version = self._catalogue.find(route.model, route.version, take_turn=True)
        packed = is_gzip(request.headers)
        size = declared_length(request.headers, limits.max_bytes)
        if packed or b"transfer-encoding" in request.headers:
            size = limits.max_bytes  # it may become that much
        seconds = time_limit(request.headers, limits.timeout_s)
        first = min(seconds, limits.body_s)
        door = self._admission.enter(version.model, size)
        deadline = self._deadlines.start(first)
        body: bytes | None = None
        try:
            body = await read_body(request.receive, limits.max_bytes)
            deadline.extend(seconds)
            served = await self._loader.open(version, limits.load_s)
            batch = await self._checked(served, body, packed)
            columns = await served.queue.answer(batch)
            beside = answers.beside_predictions(route, version)
            if batch.size > _INLINE_ROWS:
                return _Answer(200, await self._in_thread(predictions_json, columns, beside))
            return _Answer(200, predictions_json(columns, beside))
        except asyncio.CancelledError:
            if not deadline.is_over:
                raise
            raise _too_slow(body is None, first, seconds) from None
        finally:
            self._deadlines.end(deadline)
            door.leave(size)

    async def _ask_form(self, request: _Request) -> _Answer:
        """Predict for the form: its items become an instance on their way in, and that is a request as any other."""
        route = request.route = Route(Family.SERVING, Action.PREDICT, *self._form)
        request.receive = forms.receive_instance(request.receive, is_gzip(request.headers))
        request.headers.pop(b"content-encoding", None)
        try:
            answer = await self._predict(request, route)
        except forms.IncompleteError:
            request.route = request.version = None  # no prediction, so it is not counted as one
            return _Answer(200, as_json({"result": forms.MISSING}))
        return _Answer(200, as_json({"result": forms.result_text(parse_prediction(answer.body))}))

    def _offered(self) -> Mapping[str, Any]:
        version = self._catalogue.find(*self._form)
        return forms.offer(version.model, self._form[1], answers.signature_of_version(self._loader, version))

    async def _checked(self, served: Served, body: bytes, packed: bool) -> Batch:
        """Return the body's instances as arrays, checked against the signature; a long body in a thread."""
        if packed or len(body) > _INLINE_BYTES:
            batch: Batch = await self._in_thread(_check, served.model, body, packed, self._limits.max_bytes)
            return batch
        return _check(served.model, body, packed, self._limits.max_bytes)

    async def _in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    def _health(self) -> _Answer:
        if self._stopping:
            raise _stopping()
        if not self._ready:
            raise RefusedError(503, "The model is not loaded yet.", [(b"retry-after", b"1")])
        return _Answer(200, b'{"status":"ok"}')

    async def _about(self, path: str) -> _Answer:
        # in a thread: a model without a signature.json has to be opened to be described
        if path == "/openapi.json":
            found = await self._in_thread(document, self._catalogue, self._loader, self._limits)
            return _Answer(200, as_json(found))
        if path == "/api/form":
            return _Answer(200, as_json(await self._in_thread(self._offered)))
        waiting = {model: door.requests for model, door in self._admission.doors.items()}
        text, content_type = exposition(self._metrics, self._loader.loaded(), waiting)
        return _Answer(200, text, content_type=content_type.encode())

    def _refusal(self, request: _Request, error: BaseException) -> _Answer:
        """Put an error into words: the caller's own go to the caller, ours to the log."""
        headers = _NO_HEADERS
        if isinstance(error, RefusedError):
            status, text, headers = error.status, str(error), error.headers
        elif isinstance(error, PredictionError):
            status, text = 400, error_text(error)
        elif isinstance(error, UnknownModelError):
            status, text = 404, error_text(error)
        else:
            _log.error("%s %s failed", request.method, request.path[:200], exc_info=error)
            who = "The model cannot answer" if isinstance(error, MLHelpersError) else "The server failed"
            status, text = 500, f"{who}; its log says why. The request was not at fault."
        if request.route is not None:
            family = request.route.family
        else:
            family = Family.VERTEX if "/locations/" in request.path else Family.SERVING
        return _Answer(status, answers.error_body(family, status, text), headers)

    async def _send(self, send: Send, request: _Request, answer: _Answer) -> None:
        body = answer.body
        headers = [(b"content-type", answer.content_type), *answer.headers]
        if request.version is not None:
            headers.append((b"x-model-version", request.version.name.encode()))
        if wants_gzip(request.headers, len(body)):
            body = await self._in_thread(pack, body)
            headers += [(b"content-encoding", b"gzip"), (b"vary", b"accept-encoding")]
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})


def _check(model: LoadedModel, body: bytes, packed: bool, max_bytes: int) -> Batch:
    request = parse_request(unpack(body, max_bytes) if packed else body)
    return model.check(request.instances, request.signature_name, request.parameters)


def _stopping() -> RefusedError:
    return RefusedError(503, "The server is about to stop. Try again in a moment.", [(b"retry-after", b"2"), _CLOSE])


def _too_slow(in_body: bool, body_s: float, seconds: float) -> RefusedError:
    if in_body:
        return RefusedError(408, f"The body did not arrive within {body_s:g} s. Send it again.", [_CLOSE])
    return RefusedError(
        504,
        f"The answer was not there within {seconds:g} s. Send fewer instances at a time, or allow more time: the "
        "header X-Server-Timeout (seconds), and --timeout of the server.",
    )
