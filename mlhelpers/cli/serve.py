"""`mlhelpers serve`: the prediction server."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import click

from mlhelpers.errors import UsageError

__all__ = ["serve"]


@click.command()
@click.option("--port", type=int, help="The port; 0 takes a free one and says which.  [default: 8501]")
@click.option("--host", help="The address to bind; others than this machine's own want a token.  [default: 127.0.0.1]")
@click.option(
    "--token",
    envvar="MLHELPERS_SERVE_TOKEN",
    show_envvar=True,
    help="What callers have to send as 'Authorization: Bearer TOKEN'.",
)
@click.option("--model", "models", multiple=True, metavar="NAME=FOLDER", help="Serve an export folder by this name.")
@click.option(
    "--trust-pickle",
    is_flag=True,
    help="Open pickle or joblib files of --model; each runs whatever its maker put in.",
)
@click.option(
    "--max-request-bytes",
    type=click.IntRange(min=1),
    default=1_500_000,
    show_default=True,
    help="Longest request body, also unpacked; a longer one is answered 413.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True, max=86_400),
    default=60.0,
    show_default=True,
    help="Seconds an answer may take, then it is 504; a request asks for less with the header X-Server-Timeout.",
)
@click.option(
    "--max-waiting",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Requests that may wait for one model; the next is answered 429, to come again after Retry-After.",
)
@click.option(
    "--form",
    metavar="MODEL[/VERSION]",
    help="The model of birth weights that the page /forms/babyweight asks.  [default: babyweight]",
)
@click.option("--until-stdin-closes", is_flag=True, hidden=True, help="Stop when the process that started this ends.")
def serve(
    port: int | None,
    host: str | None,
    token: str | None,
    models: tuple[str, ...],
    trust_pickle: bool,
    max_request_bytes: int,
    timeout: float,
    max_waiting: int,
    form: str | None,
    until_stdin_closes: bool,
) -> None:
    """Answer predictions over HTTP until interrupted.

    Serves every model of the local store, also those made while it runs. A model is loaded when it is first asked for,
    and its memory is given back when its version is deleted. Where traffic is split, requests that name no version
    take turns; the header X-Model-Version of an answer tells who gave it.

    \b
    Paths:
      POST /v1/models/M[/versions/V]:predict                      TensorFlow Serving's
      POST /v1/projects/P/models/M[/versions/V]:predict           AI Platform's
      POST /v1/projects/P/locations/L/endpoints/M:predict         Vertex AI's
      GET  the same without :predict, or /metadata instead        state, signature
      GET  /openapi.json  /metrics  /healthz  /v1/models          for programs
      GET  /  /docs  /forms/babyweight                            pages, to open in a browser
      POST /api/predict                                           what that form sends

    A request is {"instances": [...]}, with "signature_name" if need be; each instance may carry a "key" that its
    prediction gets too, and bytes are {"b64": "..."}. Bodies may be packed (Content-Encoding: gzip), and long answers
    are where Accept-Encoding asks for it. Requests that meet while a model is busy share its next call.

    Interrupted, it finishes what has begun, for up to 5 seconds, and answers 503 to what comes new.

    Where AIP_HTTP_PORT is set it is a serving container of Vertex AI: it binds every address at that port, needs no
    token, serves the model of AIP_STORAGE_URI on AIP_PREDICT_ROUTE, and AIP_HEALTH_ROUTE is 503 until that is warm.

    \b
    Example:
      mlhelpers serve --port 8501
      curl -s -X POST http://127.0.0.1:8501/v1/models/MNIST:predict -d @request-body.json
    """
    from mlhelpers.serving.server import run
    from mlhelpers.serving.server.admission import Limits

    folders = dict(_folder(text) for text in models)

    def announce(address: str) -> None:
        click.echo(f"Serving at {address}  (Ctrl-C ends it; {address}/docs shows and tries the models)")

    run.serve(
        host,
        port,
        token=token,
        folders=folders,
        trust_pickle=trust_pickle,
        limits=Limits(max_bytes=max_request_bytes, timeout_s=timeout, max_waiting=max_waiting),
        form=form,
        until_stdin_closes=until_stdin_closes,
        announce=announce,
    )
    # a model's call that outlives the grace must not keep the process: Python waits for its threads
    leave = threading.Timer(1.0, os._exit, [0])
    leave.daemon = True
    leave.start()


def _folder(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not equals or not folder:
        raise UsageError(f"--model {text!r} should be NAME=FOLDER, for instance MNIST=output/export/Servo.")
    return name, Path(folder)
