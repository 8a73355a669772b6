"""`mlhelpers jobs submit training`: the flags of the original command, and the job that they and a config file make."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from mlhelpers.cli.completion import PLACE, complete_files
from mlhelpers.cli.jobs.bill import agree, bill_options, expected_seconds
from mlhelpers.cli.jobs.machine_options import ROLES, cloud_options, machine_options
from mlhelpers.cli.jobs.streaming import print_log
from mlhelpers.cli.jobs.way import way_of
from mlhelpers.cli.labels import labels_option, parse_labels
from mlhelpers.cli.output import echo_resource, format_option
from mlhelpers.cli.trainer_command import TrainerCommand
from mlhelpers.errors import JobError, UsageError, unknown_name

if TYPE_CHECKING:
    from mlhelpers.jobs import Job, JobSpec, Plan

__all__ = ["finish_submission", "submit"]

# flag -> field of a spec, where the flag's value goes in as it is
_SAME = {
    "module_name": "module",
    "package_path": "package_path",
    "job_dir": "job_dir",
    "staging_bucket": "staging_bucket",
    "scale_tier": "scale_tier",
    "region": "region",
    "runtime_version": "runtime_version",
    "python_version": "python_version",
    "use_chief_in_tf_config": "use_chief",
}


@click.group()
def submit() -> None:
    """Submit a job and return at once.

    \b
    Example:
      mlhelpers jobs submit training first --module-name mlhelpers.trainers.mnist -- \\
          --data_dir data/runs/mnist --output_dir data/runs/first
    """


def _complete_tiers(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from mlhelpers.jobs.spec import SCALE_TIERS

    spelled = {
        name if incomplete[:1].isupper() else name.lower().replace("_", "-"): tier.meaning
        for name, tier in SCALE_TIERS.items()
    }
    return [CompletionItem(name, help=meaning) for name, meaning in spelled.items() if name.startswith(incomplete)]


@submit.command(cls=TrainerCommand)
@click.argument("job")
@click.option("--module-name", help="The trainer's module, for instance trainer.task.")
@click.option("--package-path", type=PLACE, metavar="FOLDER", help="Your own package; a copy of it is what runs.")
@click.option(
    "--packages", type=PLACE, metavar="FILE,…", help="Built packages that the trainer needs: .tar.gz, .zip, .whl."
)
@click.option("--job-dir", type=PLACE, metavar="FOLDER|gs://…", help="For results; handed on as the last argument.")
@click.option(
    "--config", type=PLACE, metavar="FILE", help="YAML or JSON with trainingInput; flags count for more than it."
)
@click.option(
    "--scale-tier",
    metavar="TIER",
    shell_complete=_complete_tiers,
    help="Which machines: basic, standard-1, … custom.  [default: BASIC]",
)
@labels_option
@click.option("--runtime-version", metavar="N.N", help="Noted; what is installed here runs instead.")
@click.option("--python-version", metavar="N.N", help="Noted; this Python runs instead.")
@click.option("--max-running-time", metavar="SECONDSs", help="End the job after so long.  [default: 604800s]")
@click.option(
    "--use-chief-in-tf-config",
    type=bool,
    is_flag=False,
    flag_value=True,
    metavar="[true|false]",
    help="Call the first replica chief.  [default: chief, master for runtimes before 2.0]",
)
@machine_options
@cloud_options
@bill_options
@click.option("--backend", help="Where to run: local or vertex.  [default: local]")
@click.option("--async", "is_async", is_flag=True, help="Return at once: so it is anyhow.")
@click.option("--stream-logs", is_flag=True, help="Follow the log; exit with 1 unless the job succeeds.")
@click.option("--dry-run", is_flag=True, help="Print the complete request, and start nothing.")
@format_option(default="yaml")
@click.argument(
    "user_args", nargs=-1, type=click.UNPROCESSED, metavar="[-- USER_ARGS...]", shell_complete=complete_files
)
@click.pass_context
def training(
    ctx: click.Context,
    /,
    job: str,
    config: str | None,
    backend: str | None,
    is_async: bool,
    stream_logs: bool,
    dry_run: bool,
    output_format: str,
    user_args: tuple[str, ...],
    yes: bool,
    expected_time: str | None,
    **given: Any,
) -> None:
    """Submit a training job; what follows -- goes to the trainer, as it is.

    The job goes on when this command, the terminal or the notebook ends. What a flag does not say is taken from the
    config file, the arguments after -- included.

    \b
    Examples:
      mlhelpers jobs submit training first --module-name mlhelpers.trainers.mnist --stream-logs -- \\
          --data_dir data/runs/mnist --output_dir data/runs/first --train_steps 200
      mlhelpers jobs submit training second --module-name trainer.task --package-path trainer \\
          --job-dir gs://my-bucket/second --config config.yaml --scale-tier standard-1
      mlhelpers jobs submit training third --backend vertex --dry-run --module-name mlhelpers.trainers.mnist -- \\
          --data_dir gs://my-bucket/mnist --output_dir gs://my-bucket/third

    In the cloud (--backend vertex) nothing is started before its price is shown and you have agreed; --dry-run prints
    the whole request, and needs neither account nor network.

    With hyperparameters in the config file the job is a study of many trials; see them with
    `mlhelpers jobs describe JOB --summarize`.
    """
    if is_async and stream_logs:
        raise UsageError("--async returns at once and --stream-logs waits for the end: give one of the two.")
    spec = _spec(job, config, user_args, given)
    way = way_of(spec, backend)
    plan = way.plan
    if dry_run:
        echo_resource(dict(plan.request), output_format)
        for note in plan.notes:
            click.echo(note, err=True)
        return
    agree(way.bill(expected_seconds(expected_time)), plan.notes, yes)
    notes = way.submit() or []
    finish_submission(ctx, way.attach(), plan, notes)


def finish_submission(ctx: click.Context, job: Job, plan: Plan, notes: Sequence[str]) -> None:
    """Tell what can be done with a job that was just submitted; follow it where the command says so.

    Args:
        ctx: The command's, with the parameters stream_logs and output_format.
        job: The job.
        plan: What was submitted.
        notes: What else there is to tell.

    Raises:
        JobError: The job was followed and did not succeed.
    """
    from mlhelpers.jobs import JobState

    click.echo(f"Job [{job.name}] submitted successfully. What you can do now:", err=True)
    for what, command in job.hints().items():
        click.echo(f"  {what:<9} {command}", err=True)
    if local := plan.request.get("local"):
        click.echo(_what_runs_instead(plan.spec) + local["note"], err=True)
        notes = [*local["notes"], *notes]
    for note in notes:
        click.echo(note, err=True)
    output_format = ctx.params["output_format"]
    if not ctx.params["stream_logs"]:
        echo_resource({"jobId": job.name, "state": str(JobState.QUEUED)}, output_format)
        return
    # the format of this answer is YAML where none is asked for, that of a log is the columns
    is_asked = ctx.get_parameter_source("output_format") is not ParameterSource.DEFAULT
    print_log(job, output_format=output_format if is_asked else "table")
    if job.wait(progress=False) is not JobState.SUCCEEDED:
        raise JobError(f"The job {job.name!r} was cancelled.")


def _spec(job: str, config: str | None, user_args: tuple[str, ...], given: dict[str, Any]) -> JobSpec:
    """Return the job that flags and config file make; flags count for more."""
    from mlhelpers.jobs.config_file import read_configuration, seconds
    from mlhelpers.jobs.configuration import merged, spec_fields
    from mlhelpers.jobs.spec import JobSpec, Pool

    fields = spec_fields(read_configuration(config)) if config else {}
    if given["package_path"] or given["packages"]:  # the code is what the flags say, and no mixture
        fields = {name: value for name, value in fields.items() if name not in ("package_path", "packages")}
    fields |= {field: given[flag] for flag, field in _SAME.items() if given[flag] is not None}
    if given["packages"]:
        fields["packages"] = [name for name in given["packages"].split(",") if name]
    if given["labels"]:
        fields["labels"] = {**fields.get("labels", {}), **parse_labels(given["labels"])}
    if given["max_running_time"]:
        fields["max_running_s"] = seconds(given["max_running_time"], "--max-running-time")
    if user_args:
        fields["args"] = user_args
    for role, field in ROLES.items():
        if machines := _machines(role, given):
            fields[field] = replace(fields.get(field, Pool()), **machines)
    if cloud := _cloud(given):
        fields["cloud"] = merged(fields.get("cloud", {}), cloud)
    if "module" not in fields:
        raise UsageError(
            "The job has no trainer. Name its module: --module-name trainer.task (pythonModule in a config file)."
        )
    return JobSpec(job, **fields)


def _machines(role: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a pool that a role's flags give."""
    name = role.replace("-", "_")
    found = {field: given.get(f"{name}_{field}") for field in ("machine_type", "count", "image_uri")}
    if accelerator := given[f"{name}_accelerator"]:
        found |= _accelerator(f"--{role}-accelerator", accelerator)
    return {field: value for field, value in found.items() if value is not None}


def _accelerator(flag: str, text: str) -> dict[str, Any]:
    values = {}
    for pair in text.split(","):
        key, _, value = pair.partition("=")
        if key not in ("type", "count"):
            raise unknown_name(f"part of {flag}", key, ("type", "count"))
        values[key] = value
    count = values.get("count", "1")
    if not values.get("type") or not count.isdecimal() or int(count) < 1:
        raise UsageError(f"{flag} {text!r} is refused. Write type=nvidia-tesla-t4,count=1.")
    return {"accelerator_type": values["type"].upper().replace("-", "_"), "accelerator_count": int(count)}


def _cloud(given: dict[str, Any]) -> dict[str, Any]:
    values = {
        "serviceAccount": given["service_account"],
        "network": given["network"],
        "enableWebAccess": given["enable_web_access"],
        "encryptionConfig": {"kmsKeyName": given["kms_key"]} if given["kms_key"] else None,
        "scheduling": {"strategy": "SPOT"} if given["spot"] else None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _what_runs_instead(spec: JobSpec) -> str:
    """Return the line that says what runs in place of the versions asked for; empty where none were."""
    asked = [("runtime", spec.runtime_version), ("Python", spec.python_version)]
    named = " and ".join(f"{what} {version}" for what, version in asked if version)
    if not named:
        return ""
    import importlib.metadata
    import platform

    tensorflow = "no TensorFlow"
    for name in ("tensorflow-cpu", "tensorflow"):
        with suppress(importlib.metadata.PackageNotFoundError):
            tensorflow = f"TensorFlow {importlib.metadata.version(name)}"
    return f"Asked for {named}; what runs here is Python {platform.python_version()} with {tensorflow}.\n"
