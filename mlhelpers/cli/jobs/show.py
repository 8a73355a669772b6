"""`mlhelpers jobs describe`: all that is known of one job, or three tables of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from mlhelpers.cli.jobs.naming import job_argument
from mlhelpers.cli.output import echo_box, echo_resource, format_option

__all__ = ["describe"]


@click.command()
@job_argument
@click.option("--summarize", is_flag=True, help="Print tables in place of every field; as --format table.")
@format_option(default="yaml")
@click.pass_context
def describe(ctx: click.Context, job: str, summarize: bool, output_format: str) -> None:
    """Show all that is known of one job.

    \b
    Examples:
      mlhelpers jobs describe first
      mlhelpers jobs describe first --summarize
    """
    from mlhelpers import jobs as room

    attached = room.attach(job)
    resource = attached.describe()
    is_chosen = ctx.get_parameter_source("output_format") is click.core.ParameterSource.COMMANDLINE
    if summarize and is_chosen and output_format != "table":
        click.echo(f"--summarize prints tables, so --format {output_format} is left aside.", err=True)
    if summarize or output_format == "table":
        _summarize(resource)
    else:
        echo_resource(resource, output_format)
    click.echo(f"\nSee its log with:  {attached.hints()['follow']}", err=True)
    if folder := resource.get("localOutput", {}).get("folder"):
        click.echo(f"Its files are in:  {folder}", err=True)


def _summarize(resource: Mapping[str, Any]) -> None:
    echo_box("Job Overview", [_overview(resource)])
    if resource.get("errorMessage"):
        click.echo(f"Error: {resource['errorMessage']}")
    given = resource.get("trainingInput", {})
    rows = [{"field": name, "value": _shown(value)} for name, value in given.items()]
    echo_box("Training Input Summary", rows)
    output = resource.get("trainingOutput", {})
    summary = {"trials": output.get("completedTrialCount", "-"), "ml_units": output.get("consumedMLUnits", "-")}
    local = resource.get("localOutput")
    if local is not None:
        summary["retries"] = local["retries"]
    echo_box("Training Output Summary", [summary])
    if local is not None and local["replicas"]:
        echo_box("Replicas", [_replica(one) for one in local["replicas"]])


def _overview(resource: Mapping[str, Any]) -> dict[str, str]:
    columns = {"job_id": "jobId", "state": "state", "created": "createTime", "started": "startTime", "ended": "endTime"}
    row = {column: str(resource.get(name, "")) for column, name in columns.items()}
    return row | {column: row[column][:19] for column in ("created", "started", "ended")}


def _replica(replica: Mapping[str, Any]) -> dict[str, Any]:
    progress = replica.get("progress", {})
    steps = f"{progress['step']}/{progress.get('total_steps', '?')}" if "step" in progress else ""
    return {
        "task": replica["task"],
        "exit_code": replica.get("exitCode", ""),
        "restarts": replica.get("restarts", 0),
        "steps": steps,
    }


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_shown(one)}" for name, one in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(map(_shown, value))
    return str(value)
