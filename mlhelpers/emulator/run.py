"""Run the emulator in this process; `process` starts one of its own."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable

from mlhelpers.errors import MissingExtraError, UsageError
from mlhelpers.settings import current, home_folder

__all__ = ["ADDRESS_LINE", "DEFAULT_BUCKET", "DEFAULT_PORT", "DEFAULT_PROJECT", "lines", "serve"]

DEFAULT_PORT = 8600
DEFAULT_PROJECT, DEFAULT_BUCKET = "local-project", "staging"
ADDRESS_LINE = "The emulator answers at "
_LOOPBACK = ("127.0.0.1", "localhost")


def serve(
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    *,
    storage: bool = True,
    until_stdin_closes: bool = False,
    announce: Callable[[str], None] = print,
) -> None:
    """Serve until interrupted (Ctrl-C, SIGTERM); jobs that run go on without it.

    Args:
        host: Loopback; any other is refused, for whoever reaches the emulator can run commands here.
        port: The port; 0 takes a free one.
        storage: Whether Cloud Storage is answered too.
        until_stdin_closes: Stop as soon as whoever holds the other end of stdin is gone.
        announce: Called with the address once requests are answered.

    Raises:
        UsageError: The host is not this machine's, or the port cannot be bound.
        MissingExtraError: The emulator's packages are not installed.
    """
    if host not in _LOOPBACK:
        raise UsageError(
            f"The emulator binds this machine alone, and not {host!r}: whoever reaches it can run commands here. "
            "Leave --host out."
        )
    try:
        import uvicorn
        from google.cloud.aiplatform_v1 import types  # noqa: F401  its first import takes seconds: not in a request

        from mlhelpers.emulator.app import application
        from mlhelpers.emulator.cloud_storage import CloudStorage
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"{error.name}, which the emulator needs,", "emulator") from error
    from mlhelpers.serving.server.run import bind, stop_with_parent

    listener = bind(host, port)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    os.environ["MLHELPERS_BACKEND"] = "local"  # what the emulator itself does stays here, whatever the caller's is
    home_folder("buckets", current().bucket or DEFAULT_BUCKET)
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    with contextlib.ExitStack() as stack:
        stack.callback(listener.close)
        buckets = None
        if storage:
            buckets = CloudStorage(current().home / "buckets", address)
            stack.callback(buckets.stop)
            os.environ["STORAGE_EMULATOR_HOST"] = address  # for the jobs
        server = uvicorn.Server(uvicorn.Config(application(buckets), lifespan="off", log_level="warning", ws="none"))
        if until_stdin_closes:
            stop_with_parent(server)
        announce(f"{ADDRESS_LINE}{address}")
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])


def lines(address: str) -> str:
    """Return what to paste to use an emulator, in Python and in a shell."""
    settings = current()
    project, bucket = settings.project or DEFAULT_PROJECT, settings.bucket or DEFAULT_BUCKET
    return f"""
In Python, with Google's own SDK:

    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform
    aiplatform.init(project="{project}", location="{settings.region}", staging_bucket="gs://{bucket}",
                    api_transport="rest", api_endpoint="{address}", credentials=AnonymousCredentials())

In a shell, before Python or mlhelpers … --backend vertex:

    export STORAGE_EMULATOR_HOST={address}
    export MLHELPERS_VERTEX_ENDPOINT={address}
    export GOOGLE_CLOUD_PROJECT={project} MLHELPERS_BUCKET={bucket}
"""
