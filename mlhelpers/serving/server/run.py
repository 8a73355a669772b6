"""Bind and run a server in this process, the prediction server above all; `process` starts one of its own.

Binds 127.0.0.1 unless told otherwise; anything that other machines can reach wants a token. `container` says when that
is another matter.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import ipaddress
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from mlhelpers.errors import MissingExtraError, UsageError
from mlhelpers.serving.server.admission import Limits
from mlhelpers.serving.server.container import HOST, container_from
from mlhelpers.serving.server.slow_heads import HeadWatch

if TYPE_CHECKING:
    import uvicorn

__all__ = [
    "DEFAULT_PORT",
    "TOKEN_VARIABLE",
    "Application",
    "bind",
    "check_token",
    "is_loopback",
    "run_application",
    "serve",
    "stop_with_parent",
]

DEFAULT_PORT = 8501
TOKEN_VARIABLE = "MLHELPERS_SERVE_TOKEN"  # noqa: S105  the variable's name, no secret
_GRACE_S = 5
_KEEP_ALIVE_S = 60  # a connection's rest between two requests
_HEAD_TICKS = 150  # of a tenth of a second: a head has this long to two times as long


def serve(
    host: str | None = None,
    port: int | None = None,
    *,
    token: str | None = None,
    folders: Mapping[str, Path] | None = None,
    trust_pickle: bool = False,
    limits: Limits | None = None,
    form: str | None = None,
    until_stdin_closes: bool = False,
    announce: Callable[[str], None] = print,
) -> None:
    """Serve until interrupted (Ctrl-C, SIGTERM); what is in the house then is finished, for up to five seconds.

    Where AIP_HTTP_PORT is set this is a serving container of Vertex AI, see `container`.

    Args:
        host: The address to bind; loopback where None, every address in a container.
        port: The port; 0 takes a free one; 8501 where None, AIP_HTTP_PORT in a container.
        token: What callers have to send as `Authorization: Bearer`; MLHELPERS_SERVE_TOKEN where None.
        folders: Export folders to serve by name beside the models of the store.
        trust_pickle: Whether pickles in these folders may be opened, which runs whatever their makers put in.
        limits: What a request may cost.
        form: Whom the form for babyweight asks: MODEL or MODEL/VERSION; "babyweight" where None.
        until_stdin_closes: Stop as soon as whoever holds the other end of stdin is gone.
        announce: Called with the address once requests are answered.

    Raises:
        UsageError: The port is taken or not allowed, the host is not this machine's, the token is missing, or
            `form` is no name.
        ModelError: A folder holds no model.
        MissingExtraError: The server's packages are not installed.
    """
    for package in ("uvicorn", "orjson"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(f"{package}, which the prediction server needs,", "serve")
    from mlhelpers.serving.registry.resources import split_name
    from mlhelpers.serving.registry.store import ModelStore
    from mlhelpers.serving.server.app import PredictionApp
    from mlhelpers.serving.server.catalogue import Catalogue
    from mlhelpers.serving.server.forms import FORM_MODEL

    token = token or os.environ.get(TOKEN_VARIABLE) or None
    container = container_from(os.environ)
    check_token("127.0.0.1" if container is not None else host or "127.0.0.1", token)
    asked = split_name(form or FORM_MODEL)
    if asked is None:
        raise UsageError(f"--form {str(form)[:100]!r} should be MODEL or MODEL/VERSION, for instance babyweight/v1.")
    names = dict(folders or {})
    model = ""
    if container is not None:
        model, names = container.model(names)
        host, port = host or HOST, container.port if port is None else port
    app = PredictionApp(
        Catalogue(ModelStore(), names, trust_pickle),
        limits or Limits(),
        token=token,
        container=container,
        container_model=model,
        form=asked,
    )
    listener = bind(host or "127.0.0.1", DEFAULT_PORT if port is None else port)
    run_application(app, listener, announce, until_stdin_closes=until_stdin_closes)


class Application(Protocol):
    """An ASGI application as it is run here."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""

    async def start(self) -> None:
        """Get ready; the event loop runs."""

    def stop(self) -> None:
        """Take nothing new; what is in the house is finished."""

    def close(self) -> None:
        """Give everything back; the event loop is over."""


def run_application(
    app: Application,
    listener: socket.socket,
    announce: Callable[[str], None],
    *,
    until_stdin_closes: bool = False,
) -> None:
    """Answer requests until interrupted (Ctrl-C, SIGTERM).

    Args:
        app: Who answers; it is closed at the end.
        listener: As `bind` makes it; it is closed at the end.
        announce: Called with the address once requests are answered.
        until_stdin_closes: Stop as soon as whoever holds the other end of stdin is gone.
    """
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    server = _server(app, lambda: announce(_address(listener)))
    if until_stdin_closes:
        stop_with_parent(server)
    try:
        server.run(sockets=[listener])
    except (KeyboardInterrupt, asyncio.CancelledError):
        pass
    finally:
        app.close()
        listener.close()


def _server(app: Application, announce: Callable[[], None]) -> uvicorn.Server:
    """Set uvicorn up: bare, since each layer around the application costs every request."""
    import uvicorn

    watch = HeadWatch()

    class _Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await app.start()
            await super().startup(sockets)
            announce()

        async def on_tick(self, counter: int) -> bool:
            if counter % _HEAD_TICKS == 0:
                watch.look(self.server_state.connections)
            if self.should_exit:
                app.stop()
            return await super().on_tick(counter)

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            app.stop()
            super().handle_exit(sig, frame)

    config = uvicorn.Config(
        app,
        interface="asgi3",
        lifespan="off",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
    )
    return _Server(config)


def check_token(host: str, token: str | None) -> None:
    """Refuse to be reachable from other machines without a token.

    Args:
        host: The address to bind.
        token: The token, or None.

    Raises:
        UsageError: The address is not loopback and there is no token, or the token cannot stand in a header.
    """
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
        raise UsageError("The token has characters that an HTTP header cannot carry; use letters, digits and signs.")
    if token is None and not is_loopback(host):
        raise UsageError(
            f"Binding {host!r} lets other machines in, and that wants a token: set {TOKEN_VARIABLE} (or --token), "
            "or leave --host out to serve this machine alone."
        )


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: The address to bind.
        port: 0 to 65535; 0 takes a free one.

    Raises:
        UsageError: The port is taken or not allowed, or the address is not this machine's.
    """
    if not 0 <= port <= 65535:
        raise UsageError(f"{port} is no port: it takes 0 (any free one) to 65535.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UsageError(f"{host!r} is no address of this machine: {error.strerror}. Leave --host out.") from error
    try:
        if os.name == "posix":  # elsewhere the option would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise UsageError(
            f"{host}:{port} cannot be bound: {error.strerror}. Another server may be running there; choose another "
            "--port, or 0 for any free one."
        ) from error
    listener.setblocking(False)
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  only read, to name a way in
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches what is bound to this address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def stop_with_parent(server: object) -> None:
    """End this process when its parent is gone, however that came about: then the kernel closes our stdin.

    A process that the parent forked may hold the other end as well, so the parent's id is watched too.
    """
    parent = os.getppid()
    gone = threading.Event()

    def watch_stdin() -> None:
        with contextlib.suppress(OSError, ValueError):
            while os.read(sys.stdin.fileno(), 4096):
                pass
        gone.set()

    def stop() -> None:
        while not gone.wait(1.0) and os.getppid() == parent:
            pass
        server.should_exit = True  # type: ignore[attr-defined]  # uvicorn.Server, imported only in `serve`
        time.sleep(_GRACE_S + 1)
        os._exit(0)  # a request that never ends must not keep an orphan alive

    threading.Thread(target=watch_stdin, daemon=True).start()
    threading.Thread(target=stop, daemon=True).start()
