"""The web app's paths, and what becomes of an error. `run` runs it.

| path | answer |
|---|---|
| GET / | the page |
| GET /api/models | the models on offer, the default one, the limits |
| POST /api/detect?model=…&threshold=…&limit=… | the objects in the picture that is the body, or a form's file |
| GET /healthz | {"status": "ok"}; the only path that asks for no password |

Errors are 400, 401, 403, 404, 405, 408, 413, 415, 429, 500 and 503, each {"error": "a sentence that says what to do"}.
A picture lives in memory for as long as its request; nothing of it is written anywhere.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from mlhelpers.detection.intake import ForeignPictureError, LargePictureError, take_in
from mlhelpers.detection.server.access import Access
from mlhelpers.detection.server.capacity import Capacity, Limits
from mlhelpers.detection.server.choice import Choice, NotOfferedError
from mlhelpers.detection.server.questions import Question, read_question
from mlhelpers.detection.server.uploads import read_upload
from mlhelpers.errors import DataError, UsageError
from mlhelpers.serving.server.bodies import GoneError, read_body
from mlhelpers.serving.server.refusals import RefusedError

__all__ = ["DetectionApp"]

# path -> file below pages/ and what it is; scripts and styles in files of their own, nothing else may run
_PAGES = {
    "/": ("index.html", "text/html"),
    "/pages/detect.js": ("detect.js", "text/javascript"),
    "/pages/boxes.js": ("boxes.js", "text/javascript"),
    "/pages/camera.js": ("camera.js", "text/javascript"),
    "/pages/detect.css": ("detect.css", "text/css"),
    "/pages/icon.svg": ("icon.svg", "image/svg+xml"),
}
_SECURITY = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_FORM_BYTES = 16_384  # what a form has around its file
_ENOUGH = 1024  # pixels of the shorter side; no detector of ours looks at more
_GONE = 499  # nobody hears it
_STATUS: dict[type[Exception], int] = {
    ForeignPictureError: 415,
    LargePictureError: 413,
    NotOfferedError: 404,
}
_log = logging.getLogger("mlhelpers.detection")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class DetectionApp:
    """The ASGI application.

    Attributes:
        capacity: What is in the house.
    """

    def __init__(self, choice: Choice, limits: Limits, password: str) -> None:
        """Build the application.

        Args:
            choice: The models on offer.
            limits: What a request may cost.
            password: What HTTP Basic has to bring, under any user name.
        """
        self._choice = choice
        self._limits = limits
        self._access = Access(password)
        self.capacity = Capacity(limits)
        self._turns = asyncio.Semaphore(limits.at_once)
        self._threads = ThreadPoolExecutor(limits.at_once, thread_name_prefix="detect")
        self._stopping = False
        self._inner = Starlette(
            routes=[
                *(Route(path, _page(*page), methods=["GET"]) for path, page in _PAGES.items()),
                Route("/api/models", self._models, methods=["GET"]),
                Route("/api/detect", self._detect, methods=["POST"]),
                Route("/healthz", self._health, methods=["GET"]),
            ],
            exception_handlers={HTTPException: _no_such, Exception: _refusal},
        )
        self._inner.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":  # a websocket: closing it unanswered is a refusal
            await send({"type": "websocket.close"})
            return
        try:
            if scope["path"] != "/healthz":
                self._access.check(dict(scope["headers"]).get(b"authorization", b""))
            await self._inner(scope, receive, _with_security(send))
        except RefusedError as error:
            await _refused(error)(scope, receive, _with_security(send))

    async def start(self) -> None:
        """Get ready."""

    def stop(self) -> None:
        """Take no new pictures; those in the house are finished."""
        self._stopping = True

    def close(self) -> None:
        """Give the threads back; what they are at is finished first."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"status": "stopping" if self._stopping else "ok"}, 503 if self._stopping else 200)

    async def _models(self, request: Request) -> Response:
        choice, limits = self._choice, self._limits
        models = [{"name": name, **facts} for name, facts in choice.offered.items()]
        bounds = {"max_bytes": limits.max_bytes, "max_pixels": limits.max_pixels}
        return JSONResponse({"default": choice.default, "models": models, "limits": bounds}, headers=_fresh())

    async def _detect(self, request: Request) -> Response:
        try:
            return await self._answer(request)
        except (RefusedError, DataError, UsageError) as error:
            return _refused(error)
        except GoneError:
            return Response(status_code=_GONE)

    async def _answer(self, request: Request) -> Response:
        if self._stopping:
            raise RefusedError(503, "The server is about to stop. Try again in a moment.", [(b"retry-after", b"2")])
        self._check_head(request.headers)
        words = dict(request.query_params)
        read_question(words)  # a wrong one is told before the picture is read
        max_body = self._limits.max_bytes + _FORM_BYTES
        with self.capacity.room_for(min(int(request.headers.get("content-length", max_body)), max_body)):
            upload = read_upload(request.headers.get("content-type", ""), await self._body(request, max_body))
            question = read_question({**words, **upload.fields})
            name = self._choice.named(question.model)
            async with self._turns:
                if await request.is_disconnected():
                    raise GoneError
                work = asyncio.get_running_loop().run_in_executor(
                    self._threads, self._look, upload.content, name, question
                )
                return Response(await work, media_type="application/json", headers=_fresh())

    def _check_head(self, headers: Mapping[str, str]) -> None:
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise RefusedError(403, "A page of another site asked for this; open this server's own page instead.")
        coding = headers.get("content-encoding", "identity").lower()
        if coding != "identity":
            raise RefusedError(415, f"The body is packed as {coding[:40]!r}; send the picture file as it is.")

    async def _body(self, request: Request, max_body: int) -> bytes:
        seconds = self._limits.body_s
        try:
            async with asyncio.timeout(seconds):
                return await read_body(request.receive, max_body)
        except TimeoutError:
            raise RefusedError(408, f"The picture did not arrive within {seconds:g} s. Send it again.") from None
        except RefusedError as error:
            allowed = self._limits.max_bytes / 1e6
            text = f"The file is longer than the {allowed:g} MB that are taken. Scale the picture down first."
            raise RefusedError(error.status, text, error.headers) from None

    def _look(self, content: bytes, name: str, question: Question) -> bytes:
        """Decode a picture and find what is in it; runs in a thread."""
        limits = self._limits
        picture = take_in(content, limits.max_bytes, limits.max_pixels, _ENOUGH)
        try:
            found = self._choice.detector(name).detect(picture.pixels, question.threshold, question.limit)
        except Exception as error:
            _log.exception("The model %s failed", name)
            raise RefusedError(500, f"The model {name!r} cannot answer; the server's log says why.") from error
        width, height = picture.size
        answer = {**found.to_json(), "model": name, "size": {"width": width, "height": height}}
        return json.dumps(answer).encode()


def _page(file: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        path = Path(__file__).parent / "pages" / file
        return FileResponse(path, media_type=media_type, headers={"cache-control": "no-cache"})

    return answer


def _fresh() -> dict[str, str]:
    return {"cache-control": "no-store"}  # what is in somebody's picture is nobody else's affair


def _refused(error: Exception) -> Response:
    """Put an error that the caller can mend into an answer."""
    if isinstance(error, RefusedError):
        status, headers = error.status, {key.decode(): value.decode() for key, value in error.headers}
    else:
        status, headers = _STATUS.get(type(error), 400), {}
    return JSONResponse({"error": str(error)}, status, headers={**_fresh(), **headers})


async def _no_such(request: Request, error: Exception) -> Response:
    """Answer what no path answers: 404, or 405 for another method."""
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "")
        text = f"{request.url.path[:100]} takes {allowed or 'another method'}, not {request.method[:20]}."
    else:
        text = f"There is nothing at {request.url.path[:100]!r}. The page is at /, for programs there is /api/detect."
    return JSONResponse({"error": text}, error.status_code, headers=dict(error.headers or {}))


async def _refusal(request: Request, error: Exception) -> Response:
    """Answer what nobody foresaw; Starlette raises the error again, and it goes to the log."""
    return JSONResponse({"error": "The server failed; its log says why. The request was not at fault."}, 500)


def _with_security(send: Send) -> Send:
    """Put the headers that guard the page on every answer."""
    extra = [(name.encode(), text.encode()) for name, text in _SECURITY.items()]

    async def guarded(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *extra]
        await send(message)

    return guarded
