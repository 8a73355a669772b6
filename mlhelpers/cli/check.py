"""`mlhelpers check`: what this machine has, and the cure for what it lacks."""

from __future__ import annotations

import click

from mlhelpers import environment
from mlhelpers.cli.output import echo_rows, format_option

__all__ = ["check"]


@click.command()
@format_option()
@click.pass_context
def check(ctx: click.Context, output_format: str) -> None:
    """Show what this machine has, and the cure for what it lacks.

    Exits with 0 when the offline notebooks can run here, else with 1.

    \b
    Example:
      mlhelpers check
    """
    report = environment.check()
    echo_rows(report.rows(), ("check", "found", "cure"), output_format)
    ctx.exit(0 if report.is_ready else 1)
