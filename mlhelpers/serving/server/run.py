"""Bind and run the prediction server in this process; `process` starts one of its own.

Binds 127.0.0.1 unless told otherwise; anything that other machines can reach wants a token.
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

from mlhelpers.errors import MissingExtraError, UsageError

__all__ = ["DEFAULT_PORT", "TOKEN_VARIABLE", "bind", "check_token", "serve"]

DEFAULT_PORT = 8501
TOKEN_VARIABLE = "MLHELPERS_SERVE_TOKEN"  # noqa: S105  the variable's name, no secret
_GRACE_S = 5


def serve(
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    *,
    token: str | None = None,
    folders: Mapping[str, Path] | None = None,
    max_bytes: int | None = None,
    until_stdin_closes: bool = False,
    announce: Callable[[str], None] = print,
) -> None:
    """Serve until interrupted (Ctrl-C, SIGTERM).

    Args:
        host: The address to bind.
        port: The port; 0 takes a free one.
        token: What callers have to send as `Authorization: Bearer`; MLHELPERS_SERVE_TOKEN where None.
        folders: Export folders to serve by name beside the models of the store.
        max_bytes: The longest request body; 1.5 MB where None.
        until_stdin_closes: Stop as soon as whoever holds the other end of stdin is gone.
        announce: Called with the address once requests are answered.

    Raises:
        UsageError: The port is taken or not allowed, the host is not this machine's, or the token is missing.
        ModelError: A folder holds no model.
        MissingExtraError: The server's packages are not installed.
    """
    for package in ("uvicorn", "orjson"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(f"{package}, which the prediction server needs,", "serve")
    import uvicorn

    from mlhelpers.serving.registry.store import ModelStore
    from mlhelpers.serving.server.app import DEFAULT_MAX_BYTES, PredictionApp
    from mlhelpers.serving.server.catalogue import Catalogue

    token = token or os.environ.get(TOKEN_VARIABLE) or None
    check_token(host, token)
    app = PredictionApp(Catalogue(ModelStore(), folders), token=token, max_bytes=max_bytes or DEFAULT_MAX_BYTES)
    listener = bind(host, port)
    address = _address(listener)

    class _Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            announce(address)

    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = _Server(config)
    if until_stdin_closes:
        _stop_with_parent(server)
    try:
        server.run(sockets=[listener])
    except (KeyboardInterrupt, asyncio.CancelledError):
        pass
    finally:
        app.close()
        listener.close()


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
    if token is None and not _is_loopback(host):
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


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _stop_with_parent(server: object) -> None:
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
