"""`mlhelpers storage …`: buckets and the files in them, in the local store or in Cloud Storage."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import click

from mlhelpers.cli.completion import PLACE
from mlhelpers.cli.output import echo_resource, format_option
from mlhelpers.errors import DataError, MLHelpersError
from mlhelpers.storage import Entry

__all__ = ["storage"]

_TOLD = 20  # files that are named one by one before a deletion
_WITH_BAR = 10  # files from which on a copy shows its progress
_LARGE = 64 << 20  # bytes from which on it does
_BACKEND = click.option("--backend", help="What keeps gs://…: local or vertex.  [default: local]")


@click.group()
@click.option("-m", "is_parallel", is_flag=True, hidden=True, help="Taken because gsutil took it: copies at once.")
def storage(is_parallel: bool) -> None:
    """Make buckets; list, copy and delete files.

    gs://BUCKET/… is a folder of the local store, and with --backend vertex a bucket of Cloud Storage.

    \b
    Example:
      mlhelpers storage mb gs://my-bucket
      mlhelpers storage cp -r data/runs/mnist gs://my-bucket/data
      mlhelpers storage ls "gs://my-bucket/**"
    """


@storage.command()
@click.argument("buckets", nargs=-1, required=True, metavar="gs://BUCKET...")
@click.option("--location", "-l", help="A region of the cloud, the jobs' own by default; without effect here.")
@click.option("--default-storage-class", "-c", help="standard, nearline, coldline or archive; without effect here.")
@click.option("--project", "-p", help="Whose in the cloud; without effect here.")
@_BACKEND
def mb(
    buckets: tuple[str, ...],
    location: str | None,
    default_storage_class: str | None,
    project: str | None,
    backend: str | None,
) -> None:
    """Make buckets. In the cloud: in one region, with uniform access, and closed to the public.

    \b
    Examples:
      mlhelpers storage mb gs://my-bucket --location us-central1
      mlhelpers storage mb gs://my-project-mnist --backend vertex --project my-project
    """
    from mlhelpers import storage as room
    from mlhelpers.settings import current

    for bucket in buckets:
        made = room.make_bucket(bucket, location, project, default_storage_class, backend)
        if not isinstance(made, room.CloudPath):
            click.echo(f"Made {bucket.rstrip('/')}, here the folder {made}", err=True)
            continue
        jobs = current().region
        region = (location or jobs).lower()
        click.echo(f"Made {bucket.rstrip('/')} in {region}. What is in it costs money until it is deleted.", err=True)
        if region != jobs:
            hint = f"jobs there need  export MLHELPERS_REGION={region}"
            click.echo(f"Your jobs run in {jobs}, and this bucket is in {region}: {hint}", err=True)


@storage.command()
@click.argument("addresses", nargs=-1, type=PLACE, metavar="[ADDRESS...]")
@click.option("--long", "-l", "is_long", is_flag=True, help="Show size and time too.")
@click.option("--recursive", "-r", "-R", is_flag=True, help="Go down into folders, and list files alone.")
@_BACKEND
@format_option()
def ls(addresses: tuple[str, ...], is_long: bool, recursive: bool, backend: str | None, output_format: str) -> None:
    """List what is in a bucket or folder, what fits wildcards, or all buckets.

    * stands for any part of one name, ** for any folders.

    \b
    Examples:
      mlhelpers storage ls
      mlhelpers storage ls -l gs://my-bucket/data
      mlhelpers storage ls "gs://my-bucket/**/*.csv"
    """
    from mlhelpers import storage as room

    entries = [entry for address in addresses or (None,) for entry in room.list_entries(address, recursive, backend)]
    if output_format == "table" and not is_long:
        for entry in entries:
            click.echo(entry.address)
        return
    rows: list[dict[str, Any]] = [
        {
            "size": None if entry.is_folder else entry.size,
            "modified": _time(entry.modified),
            "address": entry.address,
        }
        for entry in entries
    ]
    if output_format != "table":
        echo_resource(rows, output_format)
        return
    for row in rows:
        size = "" if row["size"] is None else str(row["size"])
        click.echo(f"{size:>12}  {row['modified'] or '':20}  {row['address']}")
    files = [entry.size for entry in entries if not entry.is_folder]
    click.echo(f"TOTAL: {len(files)} objects, {sum(files)} bytes")


@storage.command()
@click.argument("paths", nargs=-1, required=True, type=PLACE, metavar="SOURCE... DESTINATION")
@click.option("--recursive", "-r", "-R", is_flag=True, help="Copy folders with all that is in them.")
@_BACKEND
def cp(paths: tuple[str, ...], recursive: bool, backend: str | None) -> None:
    """Copy files and folders, between buckets and folders of this machine.

    A file that is there is replaced only when the new one is whole. To and from Cloud Storage several go at once, each
    checked by its checksum; after an interruption the same command passes over what is there already, and a file that
    was under way begins anew.

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
    transfers = room.plan_copy(paths[:-1], paths[-1], recursive, backend)
    size = sum(transfer.size for transfer in transfers)
    is_short = len(transfers) < _WITH_BAR and size < _LARGE
    done: list[room.Transfer] = []
    # disable=None: no bar where nobody watches a terminal
    with tqdm(total=size, unit="B", unit_scale=True, disable=True if is_short else None) as bar:

        def tell(transfer: room.Transfer) -> None:
            done.append(transfer)
            bar.set_postfix_str(f"{len(done)}/{len(transfers)} files")

        try:
            passed_over = room.copy(transfers, tell, bar.update)
        except (MLHelpersError, KeyboardInterrupt):
            bar.close()
            if any(isinstance(end, room.CloudPath) for one in transfers for end in (one.source, one.target)):
                left = f"Stopped: {len(done)} of {_files(len(transfers))} went. The same command again passes over them"
                click.echo(f"{left}; what was under way begins anew.", err=True)
            raise
    already = f" ({len(passed_over)} there already with the same content)" if passed_over else ""
    click.echo(f"Copied {_files(len(transfers))} to {paths[-1]}{already}", err=True)


@storage.command()
@click.argument("addresses", nargs=-1, required=True, metavar="gs://BUCKET/PATH...")
@click.option("--recursive", "-r", "-R", is_flag=True, help="Delete folders and buckets with all that is in them.")
@click.option("--force", "-f", is_flag=True, help="Pass over an address where there is nothing.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask; nobody is asked either where stdin is no terminal.")
@_BACKEND
def rm(addresses: tuple[str, ...], recursive: bool, force: bool, yes: bool, backend: str | None) -> None:
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
            entries += [entry for entry in room.plan_delete([address], recursive, backend) if entry not in entries]
        except DataError:
            if not force:
                raise
    for entry in entries[:_TOLD]:
        click.echo(f"Removing {entry.address}{_inside(entry, backend)}", err=True)
    if len(entries) > _TOLD:
        click.echo(f"and {len(entries) - _TOLD} more", err=True)
    if not yes and sys.stdin.isatty():
        click.confirm("Delete them?", abort=True, err=True)
    room.delete(entries, backend)


def _inside(entry: Entry, backend: str | None) -> str:
    """Say how many files go with a folder or bucket."""
    from mlhelpers import storage as room

    if not entry.is_folder:
        return ""
    count = len(room.list_entries(entry.address, recursive=True, backend=backend))
    return f" with {_files(count)}"


def _files(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"


def _time(modified: float) -> str | None:
    return datetime.fromtimestamp(modified, UTC).isoformat(timespec="seconds")[:19] + "Z" if modified else None
