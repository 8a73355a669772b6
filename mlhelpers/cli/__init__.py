"""The command line: `mlhelpers …`, one file per command group.

To add a command: a file here with a click command or group of the same name, and its line in `_COMMANDS`. The file is
imported only when its command is asked for, so that `mlhelpers --help` answers at once. Exit codes: 0 done, 1 it
failed, 2 it was asked wrongly.
"""

from __future__ import annotations

import importlib
import sys

import click
from click.shell_completion import CompletionItem

from mlhelpers import __version__
from mlhelpers.errors import MLHelpersError, UsageError, unknown_name

__all__ = ["main"]

# command -> (module, what it does); the order is the order of the help page
_COMMANDS = {
    "check": ("mlhelpers.cli.check", "Show what this machine has, and the cure for what it lacks."),
    "data": ("mlhelpers.cli.data", "Prepare data sets and make prediction requests."),
    "storage": ("mlhelpers.cli.storage", "Make buckets; list, copy and delete files."),
    "local": ("mlhelpers.cli.local", "Train or predict in the foreground, on this machine."),
    "jobs": ("mlhelpers.cli.jobs", "Submit training jobs; list, follow and cancel them."),
    "models": ("mlhelpers.cli.models", "Make models, the names under which versions are served."),
    "versions": ("mlhelpers.cli.versions", "Put an exported model behind a name; choose the default."),
    "predict": ("mlhelpers.cli.predict", "Send instances to a model version."),
    "detect": ("mlhelpers.cli.detect", "Find objects in pictures, here or in a web app."),
    "serve": ("mlhelpers.cli.serve", "Start the prediction server."),
    "emulator": ("mlhelpers.cli.emulator", "Answer as Vertex AI does, on this machine."),
    "cleanup": ("mlhelpers.cli.cleanup", "Delete what was made in the cloud; see what is left."),
    "completion": ("mlhelpers.cli.completion", "Print what lets a shell complete commands and names of jobs."),
}


class _LazyGroup(click.Group):
    """A group whose commands are imported when they are named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(_COMMANDS[cmd_name][0])
        command: click.Command = getattr(module, cmd_name)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        found = [
            CompletionItem(name, help=text) for name, (_, text) in _COMMANDS.items() if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in _COMMANDS:
            raise click.UsageError(str(unknown_name("command", args[0], _COMMANDS)), ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="mlhelpers")
def _root() -> None:
    """Train, serve and predict offline; the grammar is that of gcloud ai-platform.

    \b
    Examples:
      mlhelpers data prepare mnist --output-dir data/runs/mnist
      mlhelpers local train --module-name mlhelpers.trainers.mnist -- \\
          --data_dir data/runs/mnist --output_dir data/runs/first --train_steps 200
    """


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit with its code.

    Args:
        argv: The words after `mlhelpers`; the process's own where None.
    """
    try:
        _root.main(args=argv, prog_name="mlhelpers", standalone_mode=True)
    except UsageError as error:
        click.echo(f"mlhelpers: {error}", err=True)
        sys.exit(2)
    except MLHelpersError as error:
        click.echo(f"mlhelpers: {error}", err=True)
        sys.exit(1)
