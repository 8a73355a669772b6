"""The application: a request comes in, its route's handler answers, and whatever is refused is refused by name."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as WebRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from mlhelpers.emulator.cloud_storage import PREFIXES
from mlhelpers.emulator.endpoints import ENDPOINT_ROUTES
from mlhelpers.emulator.job_routes import job_routes
from mlhelpers.emulator.log_entries import PATH as LOG_PATH
from mlhelpers.emulator.log_entries import list_entries
from mlhelpers.emulator.messages import RefusedError
from mlhelpers.emulator.models import MODEL_ROUTES
from mlhelpers.emulator.records import Records
from mlhelpers.emulator.routing import Handler, taken_apart
from mlhelpers.errors import MissingExtraError, MLHelpersError, UsageError
from mlhelpers.settings import home_folder

if TYPE_CHECKING:
    from mlhelpers.emulator.cloud_storage import CloudStorage

__all__ = ["application"]

_METHODS = ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS"]
_CHANGED_IN_STEPS = ("models", "endpoints")  # one change at a time; jobs have the local engine's own order
_PIECE = 1 << 20


def application(storage: CloudStorage | None = None) -> Starlette:
    """Return the emulator as an ASGI application, with what it knows in `<home>/emulator`.

    Args:
        storage: Cloud Storage, answered on the same address; None refuses its paths.
    """
    emulator = _Emulator(
        Records(home_folder("emulator")),
        {**job_routes(), **MODEL_ROUTES, **ENDPOINT_ROUTES, "GET operations/*": _operation},
    )

    async def answer(request: WebRequest) -> Response:
        body = await request.body()
        if request.url.path.split("/")[1] in PREFIXES and storage is not None:
            return await run_in_threadpool(_stored, storage, request, body)
        status, found = await run_in_threadpool(
            emulator.answer, request.method, request.url.path, body, dict(request.query_params)
        )
        return JSONResponse(found, status)

    return Starlette(routes=[Route("/{path:path}", answer, methods=_METHODS)])


class _Emulator:
    def __init__(self, records: Records, routes: dict[str, Handler]) -> None:
        self._records = records
        self._routes = routes
        self._changing = threading.Lock()

    def answer(self, method: str, path: str, body: bytes, query: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Return the status and the JSON of an answer."""
        try:
            return 200, self._answer(method, path, body, query)
        except RefusedError as refusal:
            found = refusal
        except MissingExtraError as error:
            found = RefusedError("UNIMPLEMENTED", str(error))
        except UsageError as error:
            found = RefusedError("INVALID_ARGUMENT", str(error))
        except MLHelpersError as error:
            found = RefusedError("FAILED_PRECONDITION", str(error))
        except Exception as error:  # a fault of ours must answer too
            logging.getLogger(__name__).exception("%s %s", method, path)
            found = RefusedError("INTERNAL", f"{type(error).__name__}: {error}")
        return found.http_status, found.body()

    def _answer(self, method: str, path: str, body: bytes, query: dict[str, str]) -> dict[str, Any]:
        try:
            sent = json.loads(body) if body else {}
        except ValueError as error:
            raise RefusedError("INVALID_ARGUMENT", f"Invalid JSON payload received: {error}") from None
        if not isinstance(sent, dict):
            raise RefusedError("INVALID_ARGUMENT", "Invalid JSON payload received: an object is expected.")
        if (method, path) == ("POST", LOG_PATH):
            return list_entries(sent)
        asked = taken_apart(method, path, sent, query, self._records)
        handler = self._routes.get(asked.route)
        if handler is None:
            raise RefusedError("UNIMPLEMENTED", f"The emulator does not know {asked.route}.")
        is_change = method != "GET" and asked.collection in _CHANGED_IN_STEPS and not asked.route.endswith(":predict")
        with self._changing if is_change else contextlib.nullcontext():
            found = handler(asked)
        if "done" in found and "metadata" in found:  # an operation, which may be asked for again
            self._records.put(found["name"], found)
        return found


def _operation(asked: Any) -> dict[str, Any]:
    found: dict[str, Any] = asked.records.get(asked.name)
    return found


def _stored(storage: CloudStorage, request: WebRequest, body: bytes) -> Response:
    path = request.scope["raw_path"].decode("ascii")
    if query := request.scope["query_string"].decode("ascii"):
        path = f"{path}?{query}"
    found = storage.answer(request.method, path, dict(request.headers), body)
    hidden = ("connection", "transfer-encoding", "date", "server")
    headers = {name: value for name, value in found.headers.items() if name.lower() not in hidden}
    pieces = iter(lambda: found.raw.read(_PIECE, decode_content=False), b"")
    return StreamingResponse(pieces, found.status_code, headers)
