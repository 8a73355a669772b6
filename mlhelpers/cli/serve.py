"""`mlhelpers serve`: the prediction server."""

from __future__ import annotations

from pathlib import Path

import click

from mlhelpers.errors import UsageError

__all__ = ["serve"]


@click.command()
@click.option("--port", type=int, default=8501, show_default=True, help="The port; 0 takes a free one and says which.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to bind; others want a token.")
@click.option(
    "--token",
    envvar="MLHELPERS_SERVE_TOKEN",
    show_envvar=True,
    help="What callers have to send as 'Authorization: Bearer TOKEN'.",
)
@click.option("--model", "models", multiple=True, metavar="NAME=FOLDER", help="Serve an export folder by this name.")
@click.option("--max-request-bytes", type=click.IntRange(min=1), help="Longest request body.  [default: 1500000]")
@click.option("--until-stdin-closes", is_flag=True, hidden=True, help="Stop when the process that started this ends.")
def serve(
    port: int,
    host: str,
    token: str | None,
    models: tuple[str, ...],
    max_request_bytes: int | None,
    until_stdin_closes: bool,
) -> None:
    """Answer predictions over HTTP until interrupted.

    Serves every model of the local store, also those made while it runs.

    \b
    Example:
      mlhelpers serve --port 8501
      curl -s -X POST http://127.0.0.1:8501/v1/models/MNIST:predict -d @request-body.json
    """
    from mlhelpers.serving.server import run

    folders = dict(_folder(text) for text in models)

    def announce(address: str) -> None:
        click.echo(f"Serving at {address}  (Ctrl-C ends it)")

    run.serve(
        host,
        port,
        token=token,
        folders=folders,
        max_bytes=max_request_bytes,
        until_stdin_closes=until_stdin_closes,
        announce=announce,
    )


def _folder(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not equals or not folder:
        raise UsageError(f"--model {text!r} should be NAME=FOLDER, for instance MNIST=output/export/Servo.")
    return name, Path(folder)
