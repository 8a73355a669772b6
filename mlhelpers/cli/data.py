"""`mlhelpers data`: prepare data sets, make prediction requests, list what there is."""

from __future__ import annotations

import json

import click

from mlhelpers import datasets
from mlhelpers.cli.output import echo_rows, format_option
from mlhelpers.datasets.base import SOURCES
from mlhelpers.errors import unknown_name
from mlhelpers.storage import local_path, write_aside

__all__ = ["data"]

_source_option = click.option(
    "--source",
    help="Where the files come from: shipped, mirror (MLHELPERS_MIRROR) or public (downloads). "
    "Default: the mirror where one is set, else what is shipped.",
)


@click.group()
def data() -> None:
    """Prepare data sets and make prediction requests.

    \b
    Example:
      mlhelpers data prepare mnist --output-dir data/runs/mnist
    """


@data.command()
@click.argument("name")
@click.option("--output-dir", required=True, help="Folder or gs:// address for the files; made if it is missing.")
@_source_option
@click.option("--seed", type=int, default=0, show_default=True, help="Which examples go to which part.")
def prepare(name: str, output_dir: str, source: str | None, seed: int) -> None:
    """Write the files that the trainers of data set NAME read.

    \b
    Example:
      mlhelpers data prepare mnist --output-dir data/runs/mnist
    """
    _check(name, source)
    for path in datasets.prepare(name, output_dir, source=source, seed=seed):
        click.echo(f"wrote {path} ({path.stat().st_size:,} bytes)")


@data.command()
@click.argument("name")
@click.option("-o", "--output", default="-", show_default=True, help="File to write, one instance a line; - is stdout.")
@click.option("-n", "--count", type=int, default=10, show_default=True, help="How many test examples.")
@_source_option
def request(name: str, output: str, count: int, source: str | None) -> None:
    """Write the first test examples of data set NAME as instances for `mlhelpers predict`.

    \b
    Example:
      mlhelpers data request mnist -o request.json
    """
    _check(name, source)
    lines = "".join(json.dumps(instance) + "\n" for instance in datasets.request(name, count, source=source))
    if output == "-":
        click.echo(lines, nl=False)
        return
    path = local_path(output)
    with write_aside(path) as aside:
        aside.write_text(lines, encoding="utf-8")
    click.echo(f"wrote {count} instances to {path}")


@data.command(name="list")
@format_option()
def list_(output_format: str) -> None:
    """List the data sets.

    \b
    Example:
      mlhelpers data list
    """
    rows = []
    for name in datasets.names():
        module = datasets.get(name)
        size = sum(file.size_bytes for file in module.FILES.values())
        rows.append({"name": name, "shipped": f"{size / 1e6:.1f} MB", "what": module.SUMMARY})
    echo_rows(rows, ["name", "shipped", "what"], output_format)


def _check(name: str, source: str | None) -> None:
    """Refuse wrong names before anything is read, so that they count as wrong usage (exit code 2)."""
    datasets.get(name)
    if source is not None and source not in SOURCES:
        raise unknown_name("source", source, SOURCES)
