"""`mlhelpers completion`: the script with which a shell completes commands, options and the names of jobs."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, get_completion_class

__all__ = ["PLACE", "complete_files", "completion"]

# a path or a gs:// address: the shell completes file names, and whoever reads or writes it says what is wrong with it
PLACE = click.Path(readable=False)

_INSTALL = {
    "bash": 'into ~/.bashrc:  eval "$(mlhelpers completion bash)"',
    "zsh": 'into ~/.zshrc:  eval "$(mlhelpers completion zsh)"',
    "fish": "into ~/.config/fish/config.fish:  mlhelpers completion fish | source",
}


def complete_files(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Leave the completion to the shell, which knows the files."""
    return [CompletionItem(incomplete, type="file")]


@click.command()
@click.argument("shell", type=click.Choice(list(_INSTALL)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that lets a shell complete commands, options and the names of jobs.

    \b
    Example:
      eval "$(mlhelpers completion bash)"
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"Nothing is known of the shell {shell}.")  # pragma: no cover  # click knows all three
    script = kind(ctx.find_root().command, {}, "mlhelpers", "_MLHELPERS_COMPLETE")
    click.echo(f"# This line goes {_INSTALL[shell]}")
    click.echo(script.source())
