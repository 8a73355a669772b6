"""`mlhelpers cleanup`: what was made in the cloud, deleted on confirmation, and what is left."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import click

from mlhelpers.cli.labels import parse_labels
from mlhelpers.cli.output import echo_rows, format_option
from mlhelpers.errors import CloudError, UsageError

if TYPE_CHECKING:
    from mlhelpers.cleanup import Outcome
    from mlhelpers.cloud.ledger import Entry

__all__ = ["cleanup"]

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_COLUMNS = ("kind", "title", "region", "made", "billed", "name")


@click.command()
@click.option(
    "--all", "everything", is_flag=True, help="Also what carries our mark in the project, made from elsewhere."
)
@click.option("--older-than", metavar="AGE", help="Only what was made so long ago, or earlier: 7d, 12h, 30m.")
@click.option("--label", "labels", metavar="K=V", multiple=True, help="Only what has this label; may be given again.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="List it, and delete nothing.")
@format_option()
def cleanup(
    everything: bool, older_than: str | None, labels: tuple[str, ...], yes: bool, dry_run: bool, output_format: str
) -> None:
    """Delete what was made in the cloud from here, what costs money first; list it and ask before.

    Endpoints are undeployed and running jobs cancelled before they are deleted; a bucket is deleted only where it was
    made from here and is empty. Ends with 1 where something is left, and says why. Ended half-way, it can be run again.

    \b
    Examples:
      mlhelpers cleanup --dry-run
      mlhelpers cleanup --older-than 7d --label team=blue
      mlhelpers cleanup --all --yes
    """
    from mlhelpers import cleanup as room

    found = room.find(everything, _age_s(older_than), parse_labels(",".join(labels), "--label"))
    if not found:
        _tell_nothing(is_chosen=bool(older_than or labels), everything=everything, output_format=output_format)
        return
    if dry_run:
        echo_rows([_row(entry) for entry in found], _COLUMNS, output_format)
        return
    if not yes and not sys.stdin.isatty():
        raise UsageError("Nobody can be asked here: look with --dry-run first, then say --yes.")
    is_table = output_format == "table"
    if is_table:
        echo_rows([_row(entry) for entry in found], _COLUMNS, output_format)
    if not yes:
        if not is_table:  # the answer on stdout is for a program
            click.echo("\n".join(f"{entry.kind} {entry.title} {entry.name}" for entry in found), err=True)
        click.confirm(f"Delete {'this' if len(found) == 1 else f'these {len(found)}'}?", abort=True, err=True)
    outcomes = []
    for entry in found:
        outcomes.append(room.delete(entry))
        if is_table:
            _tell(outcomes[-1])
    if not is_table:
        rows = [{**_row(one.entry), "outcome": one.state, "reason": one.reason} for one in outcomes]
        echo_rows(rows, (*_COLUMNS, "outcome", "reason"), output_format)
    if left := sum(one.state == "left" for one in outcomes):
        raise CloudError(
            f"{left} of {len(found)} {'is' if left == 1 else 'are'} left. Run this again, or see to it by hand."
        )


def _tell_nothing(is_chosen: bool, everything: bool, output_format: str) -> None:
    """Say that there is nothing to delete, on stderr where a program reads the answer."""
    if output_format != "table":
        echo_rows([], _COLUMNS, output_format)
    where = " in the project" if everything else " from here"
    what = "that was asked for was made in the cloud" if is_chosen else "was made in the cloud"
    click.echo(f"Nothing {what}{where}.", err=output_format != "table")


def _tell(outcome: Outcome) -> None:
    entry = outcome.entry
    what = f"{entry.kind.replace('_', ' ')} {entry.title}"
    click.echo(f"{outcome.state:<8} {what}" + (f": {outcome.reason}" if outcome.reason else ""))


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "kind": entry.kind,
        "title": entry.title,
        "name": entry.name,
        "project": entry.project,
        "region": entry.region,
        "made": entry.time[:19],  # UTC, to the second
        "billed": "yes" if entry.is_billable else "no",
        "labels": dict(entry.labels),
    }


def _age_s(text: str | None) -> float | None:
    if text is None:
        return None
    read = re.fullmatch(r"([0-9]{1,9})([smhdw])", text.strip())
    if read is None:
        raise UsageError(f"--older-than {text!r} is no age. Write a whole number and a unit: 7d, 12h, 30m.")
    return float(read[1]) * _SECONDS[read[2]]
