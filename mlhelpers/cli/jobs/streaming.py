"""`mlhelpers jobs stream-logs`: a job's log, line by line, until the job is over."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from mlhelpers.cli.jobs.naming import job_argument
from mlhelpers.cli.output import echo_resource, format_option

if TYPE_CHECKING:
    from mlhelpers.jobs import Job

__all__ = ["print_log", "stream_logs"]


@click.command("stream-logs")
@job_argument
@click.option("--task-name", metavar="TASK", help="Only this replica's lines, for instance worker-replica-0.")
@click.option("--polling-interval", type=click.IntRange(min=1), help="Accepted; here a line comes at once.")
@click.option("--allow-multiline-logs", is_flag=True, help="Accepted; here every line is an entry of its own.")
@format_option()
def stream_logs(
    job: str,
    backend: str | None,
    task_name: str | None,
    polling_interval: int | None,
    allow_multiline_logs: bool,
    output_format: str,
) -> None:
    """Print a job's log, and go on until the job is over. Ctrl-C leaves the job running.

    The columns are severity, time (UTC), task, trial and message. The task `service` is the engine itself: what it
    started, and what ended. With --format json every line is a JSON object.

    \b
    Examples:
      mlhelpers jobs stream-logs first
      mlhelpers jobs stream-logs first --task-name master-replica-0 --format json
    """
    from mlhelpers import jobs as room

    attached = room.attach(job, backend)
    print_log(attached, task_name, output_format)
    click.echo(f"Job [{job}] is over: {attached.state}.", err=True)


def print_log(job: Job, task: str | None = None, output_format: str = "table") -> None:
    """Print a job's log as it grows, until the job is over.

    Args:
        job: The job.
        task: Only this replica's lines; of all where None.
        output_format: "table": aligned columns; "json": an object a line; "yaml": a list.

    Raises:
        click.exceptions.Exit: It was interrupted from the keyboard; the job goes on.
    """
    try:
        for entry in job.follow(task):
            if output_format == "table":
                click.echo(f"{entry.severity:<8} {entry.time} {entry.task:<17} {entry.trial:>2} {entry.message}")
            elif output_format == "json":
                click.echo(json.dumps(asdict(entry), ensure_ascii=False))
            else:
                echo_resource([asdict(entry)])
    except KeyboardInterrupt:
        click.echo(f"\nNo longer following; the job goes on. End it with:  {job.hints()['cancel']}", err=True)
        raise click.exceptions.Exit(1) from None
