"""`mlhelpers jobs …`: submit training jobs, and look after them; one file for each verb that needs some room."""

from __future__ import annotations

import click

from mlhelpers.cli.jobs.listing import list_jobs
from mlhelpers.cli.jobs.naming import job_argument, parse_labels
from mlhelpers.cli.jobs.show import describe
from mlhelpers.cli.jobs.streaming import stream_logs
from mlhelpers.cli.jobs.submission import submit
from mlhelpers.cli.output import echo_resource, format_option
from mlhelpers.errors import UsageError

__all__ = ["jobs"]


@click.group()
def jobs() -> None:
    """Submit training jobs; list, describe, follow and cancel them.

    \b
    Example:
      mlhelpers jobs list
    """


@jobs.command()
@job_argument
def cancel(job: str) -> None:
    """End a job and everything it started; one that is over stays as it is.

    \b
    Example:
      mlhelpers jobs cancel first
    """
    from mlhelpers import jobs as room

    room.attach(job).cancel()


@jobs.command()
@job_argument
@click.option("--update-labels", metavar="K=V,…", help="Set these labels, and keep the others.")
@click.option("--remove-labels", metavar="K,…", help="Take these labels away.")
@click.option("--clear-labels", is_flag=True, help="Take all labels away, before --update-labels sets some.")
@format_option("yaml")
def update(
    job: str, update_labels: str | None, remove_labels: str | None, clear_labels: bool, output_format: str
) -> None:
    """Change the labels of a job, also of one that is over.

    \b
    Example:
      mlhelpers jobs update first --update-labels team=blue --remove-labels stage
    """
    from mlhelpers import jobs as room

    if remove_labels and clear_labels:
        raise UsageError("--clear-labels takes all labels away: leave --remove-labels out.")
    if not (update_labels or remove_labels or clear_labels):
        raise UsageError("Say what to change: --update-labels K=V,…, --remove-labels K,… or --clear-labels.")
    attached = room.attach(job)
    taken = {key.strip(): None for key in filter(None, (remove_labels or "").split(","))}
    attached.relabel({**taken, **parse_labels(update_labels or "", "--update-labels")}, clear_labels)
    click.echo(f"Job [{job}] updated.", err=True)
    echo_resource({"jobId": job, "labels": attached.describe()["labels"]}, output_format)


for _command in (submit, describe, list_jobs, stream_logs):
    jobs.add_command(_command)
