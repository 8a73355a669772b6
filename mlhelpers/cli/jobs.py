"""`mlhelpers jobs …`: submit training jobs, and look after them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlhelpers.cli.output import echo_resource, echo_rows, format_option
from mlhelpers.errors import JobError, UsageError

if TYPE_CHECKING:
    from mlhelpers.jobs import Job

__all__ = ["TrainerCommand", "jobs"]


class TrainerCommand(click.Command):
    """A command whose words after `--` go to a trainer; it reminds of the `--` where that is missing."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words before the `--`, and keep those after it as they are.

        Raises:
            click.UsageError: An option is unknown, or words for the trainer stand before the `--`.
        """
        own, dashes, theirs = (args, [], []) if "--" not in args else _split(args)
        try:
            rest = super().parse_args(ctx, own)
        except click.NoSuchOption as error:
            hint = (
                ""
                if dashes
                else f" What is meant for the trainer goes after a lone --, as in  -- {error.option_name} …"
            )
            raise click.UsageError(error.format_message() + hint, ctx) from error
        early = ctx.params.get("user_args", ())
        if early:
            raise click.UsageError(
                f"{early[0]!r} is not expected here. What is meant for the trainer goes after a lone --.", ctx
            )
        ctx.params["user_args"] = tuple(theirs)
        return rest


def _split(args: list[str]) -> tuple[list[str], list[str], list[str]]:
    at = args.index("--")
    return args[:at], ["--"], args[at + 1 :]


@click.group()
def jobs() -> None:
    """Submit training jobs; list, describe, follow and cancel them.

    \b
    Example:
      mlhelpers jobs list
    """


@jobs.group()
def submit() -> None:
    """Submit a job and return at once.

    \b
    Example:
      mlhelpers jobs submit training first --module-name mlhelpers.trainers.mnist -- \\
          --data_dir data/runs/mnist --output_dir data/runs/first
    """


@submit.command(cls=TrainerCommand)
@click.argument("job")
@click.option("--module-name", required=True, help="The trainer's module, for instance trainer.task.")
@click.option("--package-path", help="Folder of your own package; a copy of it is what runs.")
@click.option("--job-dir", help="Folder or gs:// address for results; handed on as the last argument.")
@click.option("--scale-tier", default="BASIC", show_default=True, help="Which machines: basic, standard-1, …")
@click.option("--labels", default="", metavar="K=V,…", help="Your own marks.")
@click.option("--region", help="Where in the cloud; without effect on this machine.")
@click.option("--backend", help="Where to run.  [default: local]")
@click.option("--stream-logs", is_flag=True, help="Follow the log; exit with 1 unless the job succeeds.")
@click.option("--dry-run", is_flag=True, help="Print the complete request, and start nothing.")
@format_option(default="yaml")
@click.argument("user_args", nargs=-1, type=click.UNPROCESSED, metavar="[-- USER_ARGS...]")
def training(
    job: str,
    module_name: str,
    package_path: str | None,
    job_dir: str | None,
    scale_tier: str,
    labels: str,
    region: str | None,
    backend: str | None,
    stream_logs: bool,
    dry_run: bool,
    output_format: str,
    user_args: tuple[str, ...],
) -> None:
    """Submit a training job; what follows -- goes to the trainer.

    The job goes on when this command, the terminal or the notebook ends.

    \b
    Example:
      mlhelpers jobs submit training first --module-name mlhelpers.trainers.mnist --stream-logs -- \\
          --data_dir data/runs/mnist --output_dir data/runs/first --train_steps 200
    """
    from mlhelpers import jobs as room

    spec = room.JobSpec(
        job,
        module_name,
        user_args,
        package_path=package_path,
        job_dir=job_dir,
        scale_tier=scale_tier,
        labels=_labels(labels),
        region=region,
    )
    if dry_run:
        echo_resource(dict(room.plan(spec, backend).request), output_format)
        return
    submitted = room.submit(spec, backend)
    click.echo(f"Job [{job}] is submitted. What you can do now:", err=True)
    for what, command in submitted.hints().items():
        click.echo(f"  {what:<9} {command}", err=True)
    if stream_logs:
        _stream(submitted)
        state = submitted.wait(progress=False)
        if state is not room.JobState.SUCCEEDED:
            raise JobError(f"The job {job!r} was cancelled.")
    else:
        echo_resource({"jobId": job, "state": str(room.JobState.QUEUED)}, output_format)


@jobs.command("list")
@click.option("--limit", type=click.IntRange(min=1), help="Show so many at most.")
@click.option("--backend", help="Where.  [default: local]")
@format_option()
def list_(limit: int | None, backend: str | None, output_format: str) -> None:
    """List the jobs, newest first.

    \b
    Example:
      mlhelpers jobs list --limit 5
    """
    from mlhelpers import jobs as room

    rows = room.list_jobs(limit, backend)
    if output_format != "table":
        echo_resource(rows, output_format)
        return
    table = [{"job_id": row["jobId"], "status": row["state"], "created": row["createTime"][:19]} for row in rows]
    echo_rows(table, ["job_id", "status", "created"], output_format)


@jobs.command()
@click.argument("job")
@format_option(default="yaml")
def describe(job: str, output_format: str) -> None:
    """Show all that is known of one job.

    \b
    Example:
      mlhelpers jobs describe first
    """
    from mlhelpers import jobs as room

    echo_resource(room.attach(job).describe(), output_format)


@jobs.command()
@click.argument("job")
def cancel(job: str) -> None:
    """End a job and everything it started; one that is over stays as it is.

    \b
    Example:
      mlhelpers jobs cancel first
    """
    from mlhelpers import jobs as room

    room.attach(job).cancel()


@jobs.command("stream-logs")
@click.argument("job")
def stream_logs(job: str) -> None:
    """Print a job's log, and go on until the job is over. Ctrl-C leaves the job running.

    \b
    Example:
      mlhelpers jobs stream-logs first
    """
    from mlhelpers import jobs as room

    attached = room.attach(job)
    _stream(attached)
    click.echo(f"Job [{job}] is over: {attached.state}.", err=True)


def _stream(job: Job) -> None:
    try:
        for entry in job.follow():
            click.echo(f"{entry.severity:<8} {entry.time} {entry.task:<17} {entry.message}")
    except KeyboardInterrupt:
        click.echo(f"\nNo longer following; the job goes on. End it with:  {job.hints()['cancel']}", err=True)
        raise click.exceptions.Exit(1) from None


def _labels(text: str) -> dict[str, str]:
    labels = {}
    for pair in filter(None, text.split(",")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"The label {pair!r} has no value. Write --labels KEY=VALUE,KEY=VALUE.")
        labels[key.strip()] = value.strip()
    return labels
