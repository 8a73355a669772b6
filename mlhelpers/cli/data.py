"""`mlhelpers data`: prepare data sets, make prediction requests, list what there is."""

from __future__ import annotations

import inspect
import itertools
import json
import re
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mlhelpers import datasets
from mlhelpers.cli.completion import PLACE
from mlhelpers.cli.output import echo_resource, echo_rows, format_option
from mlhelpers.errors import unknown_name
from mlhelpers.storage import local_path, write_aside

__all__ = ["data"]

_LISTED = 20  # files of one folder that are named one by one
_PLAIN = {str: str, int: int, float: float, Path: click.Path(path_type=Path)}


class _PerDataSet(click.Group):
    """A group with one command per data set, made from a function of its module when it is named."""

    def __init__(self, *words: Any, make: Callable[[str], click.Command], **options: Any) -> None:
        super().__init__(*words, **options)
        self._make = make

    def list_commands(self, ctx: click.Context) -> list[str]:
        return datasets.names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self._make(cmd_name) if cmd_name in datasets.names() else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-"):
            datasets.get(args[0])  # refuses an unknown name with the nearest one
        return super().resolve_command(ctx, args)


def _make_prepare(name: str) -> click.Command:
    function = datasets.get(name).prepare

    def prepare(output_dir: str, source: str | None, output_format: str, **options: Any) -> None:
        written = datasets.prepare(name, output_dir, source=source, **options)
        if output_format != "table":
            echo_resource([{"path": str(path), "bytes": path.stat().st_size} for path in written], output_format)
            return
        for folder, paths in itertools.groupby(written, key=lambda path: path.parent):
            _echo_written(folder, list(paths))

    example = f"\b\nExample:\n  mlhelpers data prepare {name} --output-dir data/runs/{name}"
    target = click.Option(
        ["--output-dir"], required=True, type=PLACE, help="Folder or gs:// address; made if it is missing."
    )
    command = click.Command(
        name,
        callback=prepare,
        params=[target, _source(name), *_options(function)],
        help=f"{_first_line(function)}\n\n{example}",
        short_help=datasets.get(name).SUMMARY,
    )
    return format_option()(command)


def _echo_written(folder: Path, paths: list[Path]) -> None:
    if len(paths) > _LISTED:
        click.echo(f"wrote {len(paths):,} files to {folder} ({sum(path.stat().st_size for path in paths):,} bytes)")
        return
    for path in paths:
        click.echo(f"wrote {path} ({path.stat().st_size:,} bytes)")


def _make_request(name: str) -> click.Command:
    function = datasets.get(name).request
    default = inspect.signature(function).parameters["n"].default

    def request(output: str, count: int, source: str | None, **options: Any) -> None:
        lines = "".join(json.dumps(instance) + "\n" for instance in function(count, source=source, **options))
        if output == "-":
            click.echo(lines, nl=False)
            return
        path = local_path(output)
        with write_aside(path) as aside:
            aside.write_text(lines, encoding="utf-8")
        click.echo(f"wrote {count} instances to {path}")

    output = click.Option(
        ["-o", "--output"], default="-", show_default=True, help="File to write, one instance a line; - is stdout."
    )
    count = click.Option(["-n", "--count"], type=int, default=default, show_default=True, help="How many instances.")
    example = f"\b\nExample:\n  mlhelpers data request {name} -o request.json"
    return click.Command(
        name,
        callback=request,
        params=[output, count, _source(name), *_options(function)],
        help=f"{_first_line(function)}\n\n{example}",
        short_help=datasets.get(name).SUMMARY,
    )


def _source(name: str) -> click.Option:
    """Return the option that chooses where a data set comes from."""
    sources = datasets.get(name).SOURCES

    def check(ctx: click.Context, option: click.Parameter, value: str | None) -> str | None:
        if value is not None and value not in sources:
            raise unknown_name("source", value, sources)
        return value

    text = f"Where the data come from: {', '.join(sources)}. Default: {sources[0]}"
    text += ", or the mirror where MLHELPERS_MIRROR is set." if "mirror" in sources else "."
    return click.Option(["--source"], callback=check, metavar="SOURCE", help=text)


def _options(function: Callable[..., Any]) -> list[click.Parameter]:
    """Make options of a function's own keywords, their help from its docstring's Args."""
    hints = typing.get_type_hints(function)
    texts = dict(re.findall(r"^    (\w+): (.+(?:\n {8}.+)*)", inspect.getdoc(function) or "", re.MULTILINE))
    options: list[click.Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        kind, dashed = _plain_type(hints[parameter.name]), parameter.name.replace("_", "-")
        if parameter.name in ("n", "output_dir", "source") or kind is None:
            continue
        text = " ".join(texts[parameter.name].split())
        is_told = parameter.default is not None
        spelling = f"--{dashed}/--no-{dashed}" if kind is bool else f"--{dashed}"
        declared: Any = None if kind is bool else _PLAIN[kind]
        options.append(
            click.Option([spelling], type=declared, default=parameter.default, show_default=is_told, help=text)
        )
    return options


def _plain_type(hint: Any) -> Any:
    """Return T for `T` and for `T | None` where a command line can give a T, else None."""
    kinds = [kind for kind in typing.get_args(hint) if kind is not types.NoneType] or [hint]
    return next((kind for kind in (bool, *_PLAIN) if kind in kinds), None)


def _first_line(function: Callable[..., Any]) -> str:
    return (inspect.getdoc(function) or "").splitlines()[0]


@click.group()
def data() -> None:
    """Prepare data sets and make prediction requests.

    \b
    Example:
      mlhelpers data prepare mnist --output-dir data/runs/mnist
    """


_PREPARE_HELP = """Write the files that a data set's trainer reads.

\b
Example:
  mlhelpers data prepare mnist --output-dir data/runs/mnist
"""
_REQUEST_HELP = """Write instances of a data set for `mlhelpers predict`.

\b
Example:
  mlhelpers data request mnist -o request.json
"""
data.add_command(_PerDataSet("prepare", make=_make_prepare, help=_PREPARE_HELP))
data.add_command(_PerDataSet("request", make=_make_request, help=_REQUEST_HELP))


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
        size = sum(file.size_bytes for file in module.FILES.values() if file.is_shipped)
        sources = ", ".join(module.SOURCES)
        rows.append({"name": name, "shipped": f"{size / 1e6:.1f} MB", "sources": sources, "what": module.SUMMARY})
    echo_rows(rows, ["name", "shipped", "sources", "what"], output_format)
