"""`mlhelpers jobs describe`: all that is known of one job, or three tables of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import click

from mlhelpers.cli.jobs.naming import job_argument
from mlhelpers.cli.output import echo_box, echo_resource, format_option

__all__ = ["describe"]

_VALUES = 8  # of a list of values, as many are shown


@click.command()
@job_argument
@click.option("--summarize", is_flag=True, help="Print tables in place of every field; as --format table.")
@format_option(default="yaml")
@click.pass_context
def describe(ctx: click.Context, job: str, backend: str | None, summarize: bool, output_format: str) -> None:
    """Show all that is known of one job.

    \b
    Examples:
      mlhelpers jobs describe first
      mlhelpers jobs describe first --summarize
    """
    from mlhelpers import jobs as room

    attached = room.attach(job, backend)
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
    if page := resource.get("vertexOutput", {}).get("console"):
        click.echo(f"Its page:  {page}", err=True)


def _summarize(resource: Mapping[str, Any]) -> None:
    echo_box("Job Overview", [_overview(resource)])
    if resource.get("errorMessage"):
        click.echo(f"Error: {resource['errorMessage']}")
    if "predictionInput" in resource:
        _summarize_prediction(resource)
        return
    given = dict(resource.get("trainingInput", {}))
    study = dict(given.pop("hyperparameters", {}))
    params = study.pop("params", [])
    rows = [{"field": name, "value": _shown(value)} for name, value in {**given, **study}.items()]
    echo_box("Training Input Summary", rows)
    if params:
        echo_box("Tuned Parameters", [_parameter(one) for one in params])
    output = resource.get("trainingOutput", {})
    summary = {"trials": output.get("completedTrialCount", "-"), "ml_units": output.get("consumedMLUnits", "-")}
    local = resource.get("localOutput")
    if local is not None:
        summary["retries"] = local["retries"]
    echo_box("Training Output Summary", [summary])
    if output.get("trials"):
        echo_box("Training Output Trials", [_trial(one) for one in output["trials"]])
    if local is not None and local["replicas"]:
        echo_box("Replicas", [_replica(one) for one in local["replicas"]])


def _summarize_prediction(resource: Mapping[str, Any]) -> None:
    rows = [{"field": name, "value": _shown(value)} for name, value in resource["predictionInput"].items()]
    echo_box("Prediction Input Summary", rows)
    output = resource.get("predictionOutput", {})
    columns = ("errorCount", "nodeHours", "outputPath", "predictionCount")
    summary = {re.sub("([A-Z])", r"_\1", column): str(output.get(column, "-")) for column in columns}
    echo_box("Prediction Output Summary", [summary])
    if output.get("firstError"):
        click.echo(f"First error: {output['firstError']}")
    if replicas := resource.get("localOutput", {}).get("replicas"):
        echo_box("Replicas", [_replica(one) for one in replicas])


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


def _trial(trial: Mapping[str, Any]) -> dict[str, Any]:
    """Return a trial's row as the service's own tool printed it, with its state, and the error of one that failed."""
    metric = trial.get("finalMetric", {})
    state = "STOPPED_EARLY" if trial.get("isTrialStoppedEarly") else trial["state"]
    if trial.get("errorMessage"):
        state += f": {trial['errorMessage'].splitlines()[0]}"
    objective = metric.get("objectiveValue")
    return {
        "trial": trial["trialId"],
        "objective_value": "" if objective is None else f"{objective:.6g}",
        "step": metric.get("trainingStep", ""),
        "hyperparameters": ", ".join(f"{name}={value}" for name, value in trial["hyperparameters"].items()),
        "state": state,
    }


def _parameter(param: Mapping[str, Any]) -> dict[str, str]:
    """Return what a study may change of one parameter, in the words of the config file."""
    values = param.get("categoricalValues") or param.get("discreteValues")
    if values is None:
        known = f"{param['minValue']:g} to {param['maxValue']:g}"
    elif len(values) <= _VALUES:
        known = ", ".join(map(str, values))
    else:
        known = f"{', '.join(map(str, values[: _VALUES - 2]))}, … {values[-1]} ({len(values):,} values)"
    conditions = (f"{name} is {' or '.join(map(str, allowed))}" for name, allowed in param.get("when", {}).items())
    return {
        "parameter": param["parameterName"],
        "type": param["type"],
        "values": known,
        "scale": param.get("scaleType", ""),
        "condition": ", ".join(conditions),
    }


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_shown(one)}" for name, one in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(map(_shown, value))
    return str(value)
