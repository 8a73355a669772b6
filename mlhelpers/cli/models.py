"""`mlhelpers models`: the names under which versions are served."""

from __future__ import annotations

import click

from mlhelpers.cli.output import echo_resource, echo_rows, format_option

__all__ = ["models"]


@click.group()
def models() -> None:
    """Make, list, describe and delete models.

    \b
    Example:
      mlhelpers models create MNIST
      mlhelpers versions create v1 --model MNIST --origin output/export/Servo
    """


@models.command()
@click.argument("name")
@click.option("--regions", "--region", "regions", metavar="REGION", help="Region it would be served from in the cloud.")
@click.option("--description", default="", help="What the model is for.")
@format_option()
def create(name: str, regions: str | None, description: str, output_format: str) -> None:
    """Make a model, as yet without versions.

    \b
    Example:
      mlhelpers models create digits
    """
    from mlhelpers.serving import ModelStore

    model = ModelStore().create_model(name, description=description, regions=regions or ())
    if output_format == "table":
        click.echo(f"Created the model {model.name}.")
    else:
        echo_resource(model.describe(), output_format)
    click.echo(f"Add a version:  mlhelpers versions create v1 --model {model.name} --origin EXPORT_FOLDER", err=True)


@models.command("list")
@format_option()
def list_models(output_format: str) -> None:
    """List the models with their default versions.

    \b
    Example:
      mlhelpers models list
    """
    from mlhelpers.serving import ModelStore

    rows = [
        {**model.describe(), "default_version_name": model.default_version or ""}
        if output_format == "table"
        else model.describe()
        for model in ModelStore().list_models()
    ]
    echo_rows(rows, ["name", "default_version_name"], output_format)


@models.command()
@click.argument("name")
@format_option("yaml")
def describe(name: str, output_format: str) -> None:
    """Show one model.

    \b
    Example:
      mlhelpers models describe digits
    """
    from mlhelpers.serving import ModelStore

    echo_resource(ModelStore().describe(name), output_format)


@models.command()
@click.argument("name")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def delete(name: str, yes: bool) -> None:
    """Delete a model that has no versions any more.

    \b
    Example:
      mlhelpers models delete digits
    """
    from mlhelpers.serving import ModelStore

    store = ModelStore()
    store.model(name)
    if not yes:
        click.confirm(f"Delete the model {name}?", abort=True)
    store.delete_model(name)
    click.echo(f"Deleted the model {name}.")
