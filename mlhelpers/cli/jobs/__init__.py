"""`mlhelpers jobs …`: submit training jobs, and look after them; one file for each verb that needs some room."""

from __future__ import annotations

import click

from mlhelpers.cli.jobs.listing import list_jobs
from mlhelpers.cli.jobs.naming import job_argument
from mlhelpers.cli.jobs.show import describe
from mlhelpers.cli.jobs.streaming import stream_logs
from mlhelpers.cli.jobs.submission import submit

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


for _command in (submit, describe, list_jobs, stream_logs):
    jobs.add_command(_command)
