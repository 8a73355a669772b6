"""`mlhelpers versions`: exported models behind a model's name."""

from __future__ import annotations

from pathlib import Path

import click

from mlhelpers.cli.completion import PLACE
from mlhelpers.cli.output import echo_resource, echo_rows, format_option

__all__ = ["versions"]

_model_option = click.option("--model", required=True, help="The model the version belongs to.")


@click.group()
def versions() -> None:
    """Put exported models behind a name, and choose which one answers.

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
@click.option("--runtime-version", metavar="N.N", help="Noted; what is installed here answers instead.")
@click.option("--python-version", metavar="N.N", help="Noted; this Python answers instead.")
@click.option("--framework", type=click.Choice(["tensorflow"], case_sensitive=False), help="What it was made with.")
@click.option("--machine-type", metavar="TYPE", help="In the cloud; without effect on this machine.")
@click.option("--staging-bucket", metavar="gs://BUCKET", help="In the cloud; without effect on this machine.")
@format_option()
def create(
    version: str,
    model: str,
    origin: str,
    description: str,
    runtime_version: str | None,
    python_version: str | None,
    output_format: str,
    **cloud: str | None,
) -> None:
    """Copy an export into the store; a model's first version becomes its default.

    \b
    Example:
      mlhelpers versions create v1 --model digits --origin data/models/mnist
    """
    from mlhelpers.serving import ModelStore
    from mlhelpers.storage import local_path

    made = ModelStore().create_version(model, version, origin, description=description)
    if Path(made.origin) != local_path(origin).absolute().resolve():
        click.echo(f"Took the newest export: {made.origin}", err=True)
    asked = {"runtime": runtime_version, "Python": python_version}
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
