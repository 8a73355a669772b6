"""A command that hands the words after a lone `--` to a trainer, as they are."""

from __future__ import annotations

import difflib

import click

__all__ = ["TrainerCommand"]


class TrainerCommand(click.Command):
    """A command whose words after `--` go to a trainer; it reminds of the `--` where that is missing."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words before the `--`, and keep those after it as they are.

        Raises:
            click.UsageError: An option is unknown, or words for the trainer stand before the `--`.
        """
        own, dashes, theirs = (args, [], []) if "--" not in args else _split(args)
        try:
            rest = super().parse_args(ctx, own)
        except click.NoSuchOption as error:
            told = click.NoSuchOption(error.option_name, possibilities=self._near(error.option_name)).format_message()
            if not (dashes or self._near(error.option_name)):
                told += f" What is meant for the trainer goes after a lone --, as in  -- {error.option_name} …"
            raise click.UsageError(told, ctx) from error
        early = ctx.params.get("user_args", ())
        if early:
            raise click.UsageError(
                f"{early[0]!r} is not expected here. What is meant for the trainer goes after a lone --.", ctx
            )
        ctx.params["user_args"] = tuple(theirs)
        return rest

    def _near(self, name: str) -> list[str]:
        """Return the option nearest to a name, if one is near; the dashes, which all share, do not count."""
        known = [word.lstrip("-") for one in self.params if isinstance(one, click.Option) for word in one.opts]
        return [f"--{word}" for word in difflib.get_close_matches(name.lstrip("-"), known, n=1)]


def _split(args: list[str]) -> tuple[list[str], list[str], list[str]]:
    at = args.index("--")
    return args[:at], ["--"], args[at + 1 :]
