"""`mlhelpers versions`: exported models behind a model's name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mlhelpers.cli.completion import PLACE
from mlhelpers.cli.labels import label_changes, label_options, labels_option, parse_labels
from mlhelpers.cli.output import echo_resource, echo_rows, format_option
from mlhelpers.errors import UsageError

__all__ = ["versions"]

_Command = TypeVar("_Command", bound=Callable[..., Any])
_model_option = click.option("--model", required=True, help="The model the version belongs to.")


def _cloud_options(command: _Command) -> _Command:
    """Add the options that only the cloud heeds."""
    for flag, metavar, text in (
        ("--staging-bucket", "gs://BUCKET", "Where the cloud gets the files from; without effect on this machine."),
        ("--machine-type", "TYPE", "What serves it in the cloud. Noted; without effect on this machine."),
    ):
        command = click.option(flag, metavar=metavar, help=text)(command)
    for flag, text in (("--max-nodes", "At most"), ("--min-nodes", "At least")):
        help_text = f"{text} so many machines serve it in the cloud. Noted; without effect on this machine."
        command = click.option(flag, type=click.IntRange(min=0), help=help_text)(command)
    return command


@click.group()
def versions() -> None:
    """Put exported models behind a name, and choose which one answers; list, describe, change and delete them.

    \b
    Example:
      mlhelpers versions create v1 --model MNIST --origin output/export/Servo
      mlhelpers versions set-default v1 --model MNIST
    """


@versions.command()
@click.argument("version")
@_model_option
@click.option("--origin", required=True, type=PLACE, metavar="FOLDER", help="The export folder, or gs://bucket/path.")
@click.option("--description", default="", help="What is special about this version.")
@labels_option
@click.option(
    "--framework",
    type=click.Choice(["tensorflow", "scikit-learn", "xgboost"], case_sensitive=False),
    help="What it was made with; refused where the files say another.",
)
@click.option("--trust-pickle", is_flag=True, help="Open a pickle or joblib file; it runs whatever its maker put in.")
@click.option("--runtime-version", metavar="N.N", help="Noted; what is installed here answers instead.")
@click.option("--python-version", metavar="N.N", help="Noted; this Python answers instead.")
@_cloud_options
@format_option()
def create(
    version: str,
    model: str,
    origin: str,
    description: str,
    labels: str | None,
    framework: str | None,
    trust_pickle: bool,
    output_format: str,
    **given: Any,
) -> None:
    """Copy an export into the store; a model's first version becomes its default.

    \b
    Examples:
      mlhelpers versions create v1 --model digits --origin data/models/mnist
      mlhelpers versions create v2 --model digits --origin output/export/Servo --labels stage=trial
    """
    from mlhelpers.serving import ModelStore
    from mlhelpers.serving.runtimes import signature_of
    from mlhelpers.storage import local_path

    made = ModelStore().create_version(
        model,
        version,
        origin,
        description=description,
        labels=parse_labels(labels or ""),
        trust_pickle=trust_pickle,
        framework=framework,
        cloud=_cloud(given),
    )
    if Path(made.origin) != local_path(origin).absolute().resolve():
        click.echo(f"Took the newest export: {made.origin}", err=True)
    said = signature_of(made.folder)
    if derived_from := said.document.get("derived_from"):
        click.echo(
            f"It came without a signature.json; {derived_from} itself says: {said.choose(None, None)}.", err=True
        )
        for name, reason in said.document.get("left_out", {}).items():
            click.echo(f"Left out, {name}: {reason}.", err=True)
    asked = {"runtime": given["runtime_version"], "Python": given["python_version"]}
    if named := " and ".join(f"{what} {number}" for what, number in asked.items() if number):
        click.echo(f"Asked for {named}; what is installed here answers instead.", err=True)
    if output_format == "table":
        click.echo(f"Created the version {made.name} of {model}{', its default' if made.is_default else ''}.")
    else:
        echo_resource(made.describe(), output_format)


@versions.command("list")
@_model_option
@format_option()
def list_versions(model: str, output_format: str) -> None:
    """List the versions of a model.

    \b
    Example:
      mlhelpers versions list --model digits
    """
    from mlhelpers.serving import ModelStore

    resources = [version.describe() for version in ModelStore().list_versions(model)]
    if output_format == "table":
        resources = [{**one, "deployment_uri": one["deploymentUri"]} for one in resources]
    echo_rows(resources, ["name", "deployment_uri", "state"], output_format)


@versions.command("set-default")
@click.argument("version")
@_model_option
@format_option()
def set_default(version: str, model: str, output_format: str) -> None:
    """Let a version answer where none is named.

    \b
    Example:
      mlhelpers versions set-default v1 --model digits
    """
    from mlhelpers.serving import ModelStore

    ModelStore().set_default(model, version)
    if output_format == "table":
        click.echo(f"{version} is now the default version of {model}.")
    else:
        echo_resource(ModelStore().describe(model, version), output_format)


@versions.command()
@click.argument("version")
@_model_option
@format_option("yaml")
def describe(version: str, model: str, output_format: str) -> None:
    """Show one version.

    \b
    Example:
      mlhelpers versions describe v1 --model digits
    """
    from mlhelpers.serving import ModelStore

    echo_resource(ModelStore().describe(model, version), output_format)


@versions.command()
@click.argument("version")
@_model_option
@click.option("--description", help="What is special about this version.")
@label_options
@format_option("yaml")
def update(
    version: str,
    model: str,
    description: str | None,
    update_labels: str | None,
    remove_labels: str | None,
    clear_labels: bool,
    output_format: str,
) -> None:
    """Change the description and the labels of a version; its files stay as they are.

    \b
    Example:
      mlhelpers versions update v1 --model digits --description "trained on all pictures" --remove-labels stage
    """
    from mlhelpers.serving import ModelStore

    changes = label_changes(update_labels, remove_labels, clear_labels, description)
    changed = ModelStore().update_version(
        model, version, description=description, labels=changes, clear_labels=clear_labels
    )
    click.echo(f"Updated the version {version} of {model}.", err=True)
    echo_resource(changed.describe(), output_format)


@versions.command()
@click.argument("version")
@_model_option
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def delete(version: str, model: str, yes: bool) -> None:
    """Delete a version; the default one only when it is the last.

    \b
    Example:
      mlhelpers versions delete v1 --model digits
    """
    from mlhelpers.serving import ModelStore

    store = ModelStore()
    store.version(model, version)
    if not yes:
        click.confirm(f"Delete the version {version} of {model}?", abort=True)
    store.delete_version(model, version)
    click.echo(f"Deleted the version {version} of {model}.")


def _cloud(given: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a version that only the cloud heeds."""
    for what, example in (("runtime", "2.11"), ("python", "3.7")):
        number = given[f"{what}_version"]
        if number is not None and not re.fullmatch(r"\d+\.\d+", number):
            raise UsageError(
                f"--{what}-version {number!r} is no version. Write two numbers with a dot, for instance {example}; "
                "it is noted, and what is installed here answers."
            )
    scaling = {"minNodes": given["min_nodes"], "maxNodes": given["max_nodes"]}
    scaling = {name: count for name, count in scaling.items() if count is not None}
    if len(scaling) == 2 and scaling["minNodes"] > scaling["maxNodes"]:
        raise UsageError(f"--min-nodes {scaling['minNodes']} is over --max-nodes {scaling['maxNodes']}.")
    fields = {
        "runtimeVersion": given["runtime_version"],
        "pythonVersion": given["python_version"],
        "machineType": given["machine_type"],
        "autoScaling": scaling,
    }
    return {name: value for name, value in fields.items() if value}
