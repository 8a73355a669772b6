"""`mlhelpers versions`: exported models behind a model's name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from mlhelpers.cli.completion import PLACE
from mlhelpers.cli.jobs.bill import agree
from mlhelpers.cli.labels import label_changes, label_options, labels_option, parse_labels
from mlhelpers.cli.output import echo_resource, echo_rows, format_option
from mlhelpers.cli.places import backend_option
from mlhelpers.errors import UsageError

__all__ = ["versions"]

_Command = TypeVar("_Command", bound=Callable[..., Any])
_model_option = click.option("--model", required=True, help="The model the version belongs to.")


def _machine_options(command: _Command) -> _Command:
    """Add the options that say what serves a version in the cloud."""
    for flag, text in (("--max-nodes", "At most"), ("--min-nodes", "At least")):
        help_text = f"{text} so many machines serve it in the cloud. Noted on this machine, without effect."
        command = click.option(flag, type=click.IntRange(min=0), help=help_text)(command)
    help_text = "What serves it in the cloud. Noted on this machine, without effect.  [default there: n1-standard-2]"
    return click.option("--machine-type", metavar="TYPE", help=help_text)(command)


def _cloud_options(command: _Command) -> _Command:
    """Add the options that only the cloud heeds."""
    options = (
        click.option("--dry-run", is_flag=True, help="Print the complete request, and make nothing."),
        click.option(
            "--deploy/--no-deploy", default=True, help="In the cloud: let it answer at once, or only keep it."
        ),
        click.option(
            "--container-image-uri",
            metavar="IMAGE",
            help="In the cloud: the image that serves it.  [default: our own server's in your Artifact Registry]",
        ),
        click.option(
            "--staging-bucket", metavar="gs://BUCKET", help="Noted; the files go to the bucket of the settings."
        ),
        click.option("--yes", "-y", is_flag=True, help="Start what costs money without asking."),
    )
    for option in options:
        command = option(command)
    return _machine_options(command)


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
@backend_option
@format_option()
def create(
    version: str,
    model: str,
    origin: str,
    description: str,
    labels: str | None,
    framework: str | None,
    trust_pickle: bool,
    dry_run: bool,
    yes: bool,
    backend: str | None,
    output_format: str,
    **given: Any,
) -> None:
    """Make an export a version of a model; the first one becomes its default.

    On this machine it is copied into the store. On Vertex AI it is copied into the bucket and uploaded as a Model, and
    deployed to the model's endpoint, which costs money for as long as it stands.

    \b
    Examples:
      mlhelpers versions create v1 --model digits --origin data/models/mnist
      mlhelpers versions create v2 --model digits --origin output/export/Servo --labels stage=trial
      mlhelpers versions create v1 --model digits --origin data/models/mnist --backend vertex --dry-run
    """
    from mlhelpers import serving

    place = serving.models(backend)
    plan = place.plan_version(
        model,
        version,
        origin,
        description=description,
        labels=parse_labels(labels or ""),
        trust_pickle=trust_pickle,
        framework=framework,
        cloud=_cloud(given),
        container_image=given["container_image_uri"],
        deploy=given["deploy"],
    )
    if dry_run:
        echo_resource(dict(plan.request), "yaml" if output_format == "table" else output_format)
        return
    agree(place.bill(plan), plan.notes, yes)
    made = place.create(plan)
    for note in plan.notes:
        click.echo(note, err=True)
    if output_format == "table":
        click.echo(f"Created the version {made.name} of {model}{', its default' if made.is_default else ''}.")
    else:
        echo_resource(made.describe(), output_format)


@versions.command()
@click.argument("version")
@_model_option
@_machine_options
@click.option("--dry-run", is_flag=True, help="Print the complete request, and send nothing.")
@click.option("--yes", "-y", is_flag=True, help="Start what costs money without asking.")
@backend_option
@format_option("yaml")
def deploy(
    version: str, model: str, dry_run: bool, yes: bool, backend: str | None, output_format: str, **given: Any
) -> None:
    """Let a version answer in the cloud; it costs money for as long as it is deployed.

    \b
    Example:
      mlhelpers versions deploy v2 --model digits --machine-type n1-standard-4 --backend vertex
    """
    from mlhelpers import serving

    place = serving.models(backend)
    plan = place.plan_deploy(model, version, _cloud(given))
    if dry_run:
        echo_resource(dict(plan.request), output_format)
        return
    agree(place.bill(plan), plan.notes, yes)
    made = place.deploy(plan)
    click.echo(f"Deployed the version {version} of {model}.", err=True)
    echo_resource(made.describe(), output_format)


@versions.command()
@click.argument("version")
@_model_option
@backend_option
@format_option("yaml")
def undeploy(version: str, model: str, backend: str | None, output_format: str) -> None:
    """Let a version answer no more in the cloud, and cost nothing; it stays, and can be deployed again.

    \b
    Example:
      mlhelpers versions undeploy v1 --model digits --backend vertex
    """
    from mlhelpers import serving

    made = serving.models(backend).undeploy(model, version)
    click.echo(f"The version {version} of {model} is deployed no more.", err=True)
    echo_resource(made.describe(), output_format)


@versions.command("list")
@_model_option
@backend_option
@format_option()
def list_versions(model: str, backend: str | None, output_format: str) -> None:
    """List the versions of a model.

    \b
    Example:
      mlhelpers versions list --model digits
    """
    from mlhelpers import serving

    resources = [version.describe() for version in serving.models(backend).list_versions(model)]
    if output_format == "table":
        resources = [{**one, "deployment_uri": one["deploymentUri"]} for one in resources]
    echo_rows(resources, ["name", "deployment_uri", "state"], output_format)


@versions.command("set-default")
@click.argument("version")
@_model_option
@backend_option
@format_option()
def set_default(version: str, model: str, backend: str | None, output_format: str) -> None:
    """Let a version answer where none is named.

    \b
    Example:
      mlhelpers versions set-default v1 --model digits
    """
    from mlhelpers import serving

    serving.models(backend).set_default(model, version)
    if output_format == "table":
        click.echo(f"{version} is now the default version of {model}.")
    else:
        echo_resource(serving.models(backend).describe(model, version), output_format)


@versions.command()
@click.argument("version")
@_model_option
@backend_option
@format_option("yaml")
def describe(version: str, model: str, backend: str | None, output_format: str) -> None:
    """Show one version.

    \b
    Example:
      mlhelpers versions describe v1 --model digits
    """
    from mlhelpers import serving

    echo_resource(serving.models(backend).describe(model, version), output_format)


@versions.command()
@click.argument("version")
@_model_option
@click.option("--description", help="What is special about this version.")
@label_options
@backend_option
@format_option("yaml")
def update(
    version: str,
    model: str,
    description: str | None,
    update_labels: str | None,
    remove_labels: str | None,
    clear_labels: bool,
    backend: str | None,
    output_format: str,
) -> None:
    """Change the description and the labels of a version; its files stay as they are.

    \b
    Example:
      mlhelpers versions update v1 --model digits --description "trained on all pictures" --remove-labels stage
    """
    from mlhelpers import serving

    changes = label_changes(update_labels, remove_labels, clear_labels, description)
    changed = serving.models(backend).update_version(
        model, version, description=description, labels=changes, clear_labels=clear_labels
    )
    click.echo(f"Updated the version {version} of {model}.", err=True)
    echo_resource(changed.describe(), output_format)


@versions.command()
@click.argument("version")
@_model_option
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@backend_option
def delete(version: str, model: str, yes: bool, backend: str | None) -> None:
    """Delete a version; the default one only when it is the last.

    \b
    Example:
      mlhelpers versions delete v1 --model digits
    """
    from mlhelpers import serving

    store = serving.models(backend)
    store.version(model, version)
    if not yes:
        click.confirm(f"Delete the version {version} of {model}?", abort=True)
    store.delete_version(model, version)
    click.echo(f"Deleted the version {version} of {model}.")


def _cloud(given: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a version that only the cloud heeds."""
    for what, example in (("runtime", "2.11"), ("python", "3.7")):
        number = given.get(f"{what}_version")
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
        "runtimeVersion": given.get("runtime_version"),
        "pythonVersion": given.get("python_version"),
        "machineType": given["machine_type"],
        "autoScaling": scaling,
    }
    return {name: value for name, value in fields.items() if value}
