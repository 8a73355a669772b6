"""Bind and run the web app in this process; `process` starts one of its own."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

from mlhelpers.detection.server.access import find_password
from mlhelpers.detection.server.capacity import Limits
from mlhelpers.detection.server.choice import Choice
from mlhelpers.errors import MissingExtraError
from mlhelpers.serving.server.run import bind, is_loopback, run_application

__all__ = ["DEFAULT_PORT", "serve"]

DEFAULT_PORT = 8502


def serve(
    choice: Choice,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    *,
    password_file: Path | None = None,
    limits: Limits | None = None,
    until_stdin_closes: bool = False,
    announce: Callable[[str], None] = print,
) -> None:
    """Serve until interrupted (Ctrl-C, SIGTERM); what is in the house then is finished, for up to five seconds.

    The default model is loaded first, so that the first picture is answered as quickly as the next.

    Args:
        choice: The models on offer.
        host: The address to bind.
        port: The port; 0 takes a free one.
        password_file: The file whose first line is the password; MLHELPERS_DETECT_PASSWORD where None, and without
            that one is made and announced.
        limits: What a request may cost.
        until_stdin_closes: Stop as soon as whoever holds the other end of stdin is gone.
        announce: Called with each line for whoever starts it: the address, the password if it was made.

    Raises:
        UsageError: The port is taken or not allowed, the host is not this machine's, or the password is too short.
        ModelError: The default model cannot be loaded.
        MissingExtraError: The server's packages are not installed.
    """
    for package in ("uvicorn", "starlette"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(f"{package}, which the web app needs,", "detect")
    from mlhelpers.detection.server.app import DetectionApp

    password, is_made = find_password(password_file)
    listener = bind(host, port)
    try:
        choice.detector(choice.default)
    except BaseException:
        listener.close()
        raise

    def tell(address: str) -> None:
        announce(f"Serving at {address}  (Ctrl-C ends it)")
        if is_made:
            announce(f"Password: {password}  (under any user name; made for this run)")
        if not is_loopback(host):
            announce(
                "Other machines can reach it, and plain HTTP hides neither pictures nor the password from the "
                "network: put a proxy with TLS in front of it."
            )

    run_application(
        DetectionApp(choice, limits or Limits(), password), listener, tell, until_stdin_closes=until_stdin_closes
    )
