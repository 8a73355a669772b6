"""`mlhelpers emulator`: Vertex AI's REST surface on this machine."""

from __future__ import annotations

import click

__all__ = ["emulator"]


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8600, show_default=True, help="The port; 0: a free one.")
@click.option("--host", default="127.0.0.1", hidden=True)
@click.option(
    "--storage/--no-storage", default=True, show_default=True, help="Whether to answer for Cloud Storage too."
)
@click.option("--until-stdin-closes", is_flag=True, hidden=True, help="Stop when the process that started this ends.")
def emulator(port: int, host: str, storage: bool, until_stdin_closes: bool) -> None:
    """Answer as Vertex AI and Cloud Storage do, on this machine; the local engine does the work.

    Google's own SDK and  mlhelpers … --backend vertex  work against it without an account; the lines to paste are
    printed. Ctrl-C ends it; what it knows stays in the local store, and jobs that run go on.

    \b
    Example:
      mlhelpers emulator --port 8600
    """
    from mlhelpers.emulator.run import ADDRESS_LINE, lines, serve

    def announce(text: str) -> None:
        click.echo(text)
        if not until_stdin_closes:
            click.echo(lines(text.removeprefix(ADDRESS_LINE)))

    serve(host, port, storage=storage, until_stdin_closes=until_stdin_closes, announce=announce)
