"""What a command prints: the same rows as a table, as JSON or as YAML."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import click

from mlhelpers.yaml_text import yaml_text

__all__ = ["echo_box", "echo_resource", "echo_rows", "echo_table", "format_option"]

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


def echo_rows(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], output_format: str, is_error: bool = False
) -> None:
    """Print rows; a table has upper-cased column names as gcloud's, and says so where there are none.

    Args:
        rows: One mapping per row.
        columns: The keys that a table shows, in order; JSON and YAML print every key.
        output_format: "table", "json" or "yaml".
        is_error: Whether a table goes to stderr, because it is not the command's answer.
    """
    if output_format == "table":
        if not rows:
            click.echo("Listed 0 items.")
            return
        cells = [[str(row.get(column, "")) for column in columns] for row in rows]
        click.echo(_aligned([[column.upper() for column in columns], *cells]), err=is_error)
    else:
        echo_resource([dict(row) for row in rows], output_format)


def echo_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print any plain data as a table with upper-cased titles; whatever keys and values hold, a row is one line.

    A text stands as it is, anything else as JSON; a key that a row lacks is an empty cell. A text that would tear the
    table, for instance one with a line break, is written with escapes.

    Args:
        rows: One mapping per row.
        columns: The keys to show, in order; any texts.
    """
    cells = [[_cell(row[column]) if column in row else "" for column in columns] for row in rows]
    click.echo(_aligned([[_printable(column.upper()) for column in columns], *cells]))


def echo_resource(resource: object, output_format: str = "yaml") -> None:
    """Print one resource (plain data) as YAML, as JSON, or as a table with a row for each field.

    Args:
        resource: Plain data.
        output_format: "table", "json" or "yaml"; a list is printed as YAML where a table is asked for.
    """
    if output_format == "json":
        click.echo(json.dumps(resource, indent=2, ensure_ascii=False))
    elif output_format == "table" and isinstance(resource, Mapping):
        rows = [{"field": name, "value": value} for name, value in _fields(resource)]
        echo_rows(rows, ["field", "value"], output_format)
    else:
        click.echo(yaml_text(resource), nl=False)


def echo_box(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as a framed table below a title, with upper-cased column names."""
    from tabulate import tabulate

    headers = [str(name).upper() for name in rows[0]] if rows else []
    click.echo(title)
    click.echo(tabulate([list(row.values()) for row in rows], headers, tablefmt="outline", disable_numparse=True))


def _cell(value: object) -> str:
    return _printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))


def _printable(text: str) -> str:
    return text if text.isprintable() else ascii(text)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned columns."""
    text = "".join(cell for row in rows for cell in row)
    if not (text.isascii() and text.isprintable()):
        from tabulate import tabulate  # it knows how wide a character is; its import alone takes a fifth of a second

        return tabulate(rows, tablefmt="plain", disable_numparse=True)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    pattern = "  ".join(f"{{:<{width}}}" for width in widths)
    return "\n".join(pattern.format(*row).rstrip() for row in rows)


def _fields(resource: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield each field with its dotted name and its value in one line."""
    for name, value in resource.items():
        if isinstance(value, Mapping) and value:
            yield from _fields(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
