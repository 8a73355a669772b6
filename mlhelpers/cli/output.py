"""What a command prints: the same rows as a table, as JSON or as YAML."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click
import yaml
from tabulate import tabulate

__all__ = ["echo_resource", "echo_rows", "format_option"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def format_option(default: str = "table") -> Callable[[_Command], _Command]:
    """Return the `--format` option that every listing command takes; the parameter is named `output_format`."""
    return click.option(
        "--format",
        "output_format",
        type=click.Choice(["table", "json", "yaml"]),
        default=default,
        show_default=True,
        help="How to print the answer.",
    )


def echo_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], output_format: str) -> None:
    """Print rows; a table has upper-cased column names as gcloud's, and says so where there are none.

    Args:
        rows: One mapping per row.
        columns: The keys that a table shows, in order; JSON and YAML print every key.
        output_format: "table", "json" or "yaml".
    """
    if output_format == "table":
        if not rows:
            click.echo("Listed 0 items.")
            return
        cells = [[row.get(column, "") for column in columns] for row in rows]
        headers = [column.upper() for column in columns]
        click.echo(tabulate(cells, headers=headers, tablefmt="plain", disable_numparse=True))
    else:
        echo_resource([dict(row) for row in rows], output_format)


def echo_resource(resource: object, output_format: str = "yaml") -> None:
    """Print one resource (plain data) as YAML or JSON."""
    if output_format == "json":
        click.echo(json.dumps(resource, indent=2, ensure_ascii=False))
    else:
        click.echo(yaml.safe_dump(resource, sort_keys=False, allow_unicode=True, width=110), nl=False)
