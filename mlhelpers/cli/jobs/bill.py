"""What a job will cost, shown before it is started, and the one question whether it shall be."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mlhelpers.cli.output import echo_rows
from mlhelpers.errors import UsageError

if TYPE_CHECKING:
    from mlhelpers.jobs import Bill

__all__ = ["agree", "bill_options", "expected_seconds"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def bill_options(command: _Command) -> _Command:
    """Add the options `--yes` and `--expected-time`."""
    text = "How long it will take, for the bill: 3600s."
    command = click.option("--expected-time", metavar="SECONDSs", help=text)(command)
    return click.option("--yes", "-y", is_flag=True, help="Start what costs money without asking.")(command)


def expected_seconds(text: str | None) -> float | None:
    """Return the value of `--expected-time` in seconds.

    Raises:
        UsageError: It is written otherwise than 3600s.
    """
    from mlhelpers.jobs.config_file import seconds

    return None if text is None else seconds(text, "--expected-time")


def agree(bill: Bill | None, notes: Sequence[str], yes: bool) -> None:
    """Show a bill and ask once; return where it is agreed to, or where there is nothing to agree to.

    Args:
        bill: What will run and cost; None where nothing does.
        notes: What else should be known before.
        yes: Whether it is agreed to already.

    Raises:
        UsageError: There is nobody to ask.
        click.Abort: It was not agreed to; nothing was started.
    """
    if bill is None:
        return
    echo_rows(bill.rows, list(bill.rows[0]), "table", is_error=True)
    for line in [*bill.lines, *notes]:
        click.echo(line, err=True)
    if yes or bill.is_free:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            "This would cost money, and there is no terminal to ask on: nothing was started. Say --yes if it shall be."
        )
    click.confirm("Start it?", abort=True, err=True)
