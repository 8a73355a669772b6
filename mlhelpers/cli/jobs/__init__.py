"""`mlhelpers jobs …`: submit and look after jobs; one file for each verb that needs some room."""

from __future__ import annotations

import click

from mlhelpers.cli.jobs.listing import list_jobs
from mlhelpers.cli.jobs.naming import job_argument
from mlhelpers.cli.jobs.prediction import prediction
from mlhelpers.cli.jobs.show import describe
from mlhelpers.cli.jobs.streaming import stream_logs
from mlhelpers.cli.jobs.submission import submit
from mlhelpers.cli.labels import label_changes, label_options
from mlhelpers.cli.output import echo_resource, format_option

__all__ = ["jobs"]


@click.group()
def jobs() -> None:
    """Submit training and prediction jobs; list, describe, follow and cancel them.

    \b
    Example:
      mlhelpers jobs list
    """


@jobs.command()
@job_argument
def cancel(job: str, backend: str | None) -> None:
    """End a job and everything it started; one that is over stays as it is.

    \b
    Example:
      mlhelpers jobs cancel first
      mlhelpers jobs cancel first --backend vertex
    """
    from mlhelpers import jobs as room

    room.attach(job, backend).cancel()


@jobs.command()
@job_argument
@label_options
@format_option("yaml")
def update(
    job: str,
    backend: str | None,
    update_labels: str | None,
    remove_labels: str | None,
    clear_labels: bool,
    output_format: str,
) -> None:
    """Change the labels of a job, also of one that is over.

    \b
    Example:
      mlhelpers jobs update first --update-labels team=blue --remove-labels stage
    """
    from mlhelpers import jobs as room

    changes = label_changes(update_labels, remove_labels, clear_labels)
    attached = room.attach(job, backend)
    attached.relabel(changes, clear_labels)
    click.echo(f"Job [{job}] updated.", err=True)
    echo_resource({"jobId": job, "labels": attached.describe()["labels"]}, output_format)


submit.add_command(prediction)
for _command in (submit, describe, list_jobs, stream_logs):
    jobs.add_command(_command)
