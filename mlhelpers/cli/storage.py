"""`mlhelpers storage …`: buckets and the files in them; a bucket is a folder of the local store."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import click

from mlhelpers.cli.completion import PLACE
from mlhelpers.cli.output import echo_resource, format_option
from mlhelpers.errors import DataError

__all__ = ["storage"]

_TOLD = 20  # files that are named one by one before a deletion
_WITH_BAR = 10  # files from which on a copy shows its progress


@click.group()
@click.option("-m", "is_parallel", is_flag=True, hidden=True, help="Taken because gsutil took it: copies at once.")
def storage(is_parallel: bool) -> None:
    """Make buckets; list, copy and delete files. gs://BUCKET/… is a folder of the local store.

    \b
    Example:
      mlhelpers storage mb gs://my-bucket
      mlhelpers storage cp -r data/runs/mnist gs://my-bucket/data
      mlhelpers storage ls gs://my-bucket/**
    """


@storage.command()
@click.argument("buckets", nargs=-1, required=True, metavar="gs://BUCKET...")
@click.option("--location", "-l", help="Where in the cloud; without effect on this machine.")
@click.option("--default-storage-class", "-c", help="In the cloud; without effect on this machine.")
@click.option("--project", "-p", help="Whose in the cloud; without effect on this machine.")
def mb(buckets: tuple[str, ...], location: str | None, default_storage_class: str | None, project: str | None) -> None:
    """Make buckets.

    \b
    Example:
      mlhelpers storage mb gs://my-bucket --location us-central1
    """
    from mlhelpers import storage as room

    for bucket in buckets:
        folder = room.make_bucket(bucket)
        click.echo(f"Made {bucket.rstrip('/')}, here the folder {folder}", err=True)


@storage.command()
@click.argument("addresses", nargs=-1, type=PLACE, metavar="[ADDRESS...]")
@click.option("--long", "-l", "is_long", is_flag=True, help="Show size and time too.")
@click.option("--recursive", "-r", "-R", is_flag=True, help="Go down into folders, and list files alone.")
@format_option()
def ls(addresses: tuple[str, ...], is_long: bool, recursive: bool, output_format: str) -> None:
    """List what is in a bucket or folder, what fits wildcards, or all buckets.

    * stands for any part of one name, ** for any folders.

    \b
    Examples:
      mlhelpers storage ls
      mlhelpers storage ls -l gs://my-bucket/data
      mlhelpers storage ls "gs://my-bucket/**/*.csv"
    """
    from mlhelpers import storage as room

    entries = [entry for address in addresses or (None,) for entry in room.list_entries(address, recursive)]
    if output_format == "table" and not is_long:
        for entry in entries:
            click.echo(entry.address)
        return
    rows: list[dict[str, Any]] = [
        {
            "size": None if entry.is_folder else entry.size,
            "modified": datetime.fromtimestamp(entry.modified, UTC).isoformat(timespec="seconds")[:19] + "Z",
            "address": entry.address,
        }
        for entry in entries
    ]
    if output_format != "table":
        echo_resource(rows, output_format)
        return
    for row in rows:
        size = "" if row["size"] is None else str(row["size"])
        click.echo(f"{size:>12}  {row['modified']}  {row['address']}")
    files = [entry.size for entry in entries if not entry.is_folder]
    click.echo(f"TOTAL: {len(files)} objects, {sum(files)} bytes")


@storage.command()
@click.argument("paths", nargs=-1, required=True, type=PLACE, metavar="SOURCE... DESTINATION")
@click.option("--recursive", "-r", "-R", is_flag=True, help="Copy folders with all that is in them.")
def cp(paths: tuple[str, ...], recursive: bool) -> None:
    """Copy files and folders, between buckets and folders of this machine.

    A file that is there is replaced only when the new one is whole.

    \b
    Examples:
      mlhelpers storage cp request.json gs://my-bucket/
      mlhelpers storage cp -r gs://my-bucket/model output
      mlhelpers storage cp "gs://my-bucket/data/*.csv" data
    """
    from tqdm.std import tqdm

    from mlhelpers import storage as room

    if len(paths) < 2:
        raise click.UsageError("Name what to copy, and where to: mlhelpers storage cp SOURCE... DESTINATION")
    transfers = room.plan_copy(paths[:-1], paths[-1], recursive)
    # disable=None: no bar where nobody watches a terminal
    quiet = True if len(transfers) < _WITH_BAR else None
    with tqdm(total=len(transfers), unit=" files", disable=quiet) as bar:
        room.copy(transfers, lambda _: bar.update())
    click.echo(f"Copied {len(transfers)} file{'' if len(transfers) == 1 else 's'} to {paths[-1]}", err=True)


@storage.command()
@click.argument("addresses", nargs=-1, required=True, metavar="gs://BUCKET/PATH...")
@click.option("--recursive", "-r", "-R", is_flag=True, help="Delete folders and buckets with all that is in them.")
@click.option("--force", "-f", is_flag=True, help="Pass over an address where there is nothing.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask; nobody is asked either where stdin is no terminal.")
def rm(addresses: tuple[str, ...], recursive: bool, force: bool, yes: bool) -> None:
    """Delete files, folders and buckets; it says first what.

    \b
    Examples:
      mlhelpers storage rm gs://my-bucket/data/old.csv
      mlhelpers storage rm -r gs://my-bucket
    """
    from mlhelpers import storage as room

    entries: list[room.Entry] = []
    for address in addresses:
        try:
            entries += [entry for entry in room.plan_delete([address], recursive) if entry not in entries]
        except DataError:
            if not force:
                raise
    for entry in entries[:_TOLD]:
        inside = f" with {len(room.list_entries(entry.address, recursive=True))} files" if entry.is_folder else ""
        click.echo(f"Removing {entry.address}{inside}", err=True)
    if len(entries) > _TOLD:
        click.echo(f"and {len(entries) - _TOLD} more", err=True)
    if not yes and sys.stdin.isatty():
        click.confirm("Delete them?", abort=True, err=True)
    room.delete(entries)
