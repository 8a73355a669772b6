"""`mlhelpers detect serve`: the web app of the detectors."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import click

__all__ = ["serve"]


@click.command()
@click.option("--port", type=int, default=8502, show_default=True, help="The port; 0 takes a free one and says which.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to bind; 0.0.0.0 lets other machines in, a phone for instance.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    help="The model to begin with: a name of 'mlhelpers detect models', or a folder or file of your own; more of them "
    "are offered beside it.  [default: nanodet]",
)
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    help="A file whose first line is the password.  [default: MLHELPERS_DETECT_PASSWORD; else one is made and printed]",
)
@click.option(
    "--max-megabytes",
    type=click.FloatRange(min=0, min_open=True, max=1000),
    default=20.0,
    show_default=True,
    help="Largest picture file; a larger one is answered 413.",
)
@click.option(
    "--max-megapixels",
    type=click.FloatRange(min=0, min_open=True, max=178),
    default=60.0,
    show_default=True,
    help="Most pixels of a picture, in millions; one that claims more is answered 413 and never decoded.",
)
@click.option(
    "--max-waiting",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Pictures in the house at once; the next is answered 429, to come again after Retry-After.",
)
@click.option("--print-unit", is_flag=True, help="Print a unit file for systemd that starts this, and end.")
@click.option("--until-stdin-closes", is_flag=True, hidden=True, help="Stop when the process that started this ends.")
def serve(
    port: int,
    host: str,
    models: tuple[str, ...],
    password_file: Path | None,
    max_megabytes: float,
    max_megapixels: float,
    max_waiting: int,
    print_unit: bool,
    until_stdin_closes: bool,
) -> None:
    """Show what is in pictures, in the browser and over JSON, until interrupted.

    The page takes a picture from a file, by drag and drop, from the clipboard or the camera, and marks what the model
    finds; every model that is on this machine can be chosen there. Programs post a picture to /api/detect, which the
    page tells more about.

    Each request wants the password, by HTTP Basic under any user name. Pictures are kept in memory while they are
    looked at, and nowhere else. Interrupted, it finishes what has begun, for up to 5 seconds.

    \b
    Example:
      mlhelpers detect serve --port 8502
      curl -u any:PASSWORD --data-binary @photo.jpg 'http://127.0.0.1:8502/api/detect?threshold=0.7'
    """
    from mlhelpers.detection.server import run, unit
    from mlhelpers.detection.server.capacity import Limits
    from mlhelpers.detection.server.shelf import choice_of_models

    if print_unit:
        words = [word for model in models for word in ("--model", _in_full(model))]
        words += ["--max-megabytes", f"{max_megabytes:g}", "--max-megapixels", f"{max_megapixels:g}"]
        click.echo(unit.unit_text(host, port, [*words, "--max-waiting", str(max_waiting)]), nl=False)
        return
    limits = Limits(int(max_megabytes * 1e6), int(max_megapixels * 1e6), max_waiting)
    run.serve(
        choice_of_models(models),
        host,
        port,
        password_file=password_file,
        limits=limits,
        until_stdin_closes=until_stdin_closes,
        announce=click.echo,
    )
    # a model's call that outlives the grace must not keep the process: Python waits for its threads
    leave = threading.Timer(1.0, os._exit, [0])
    leave.daemon = True
    leave.start()


def _in_full(model: str) -> str:
    from mlhelpers.detection.cards import MODELS

    return model if model in MODELS else str(Path(model).expanduser().absolute())
