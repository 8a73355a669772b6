"""`mlhelpers models`: the names under which versions are served."""

from __future__ import annotations

import click

from mlhelpers.cli.labels import label_changes, label_options, labels_option, parse_labels
from mlhelpers.cli.output import echo_resource, echo_rows, format_option
from mlhelpers.cli.places import backend_option
from mlhelpers.errors import UsageError

__all__ = ["models"]


@click.group()
def models() -> None:
    """Make, list, describe, change and delete models; share requests out over their versions.

    \b
    Example:
      mlhelpers models create MNIST
      mlhelpers versions create v1 --model MNIST --origin output/export/Servo
    """


@models.command()
@click.argument("name")
@click.option("--regions", "--region", "regions", metavar="REGION", help="Region it is served from in the cloud.")
@click.option("--description", default="", help="What the model is for.")
@labels_option
@click.option("--enable-logging", is_flag=True, help="In the cloud; without effect on this machine.")
@click.option("--enable-console-logging", is_flag=True, help="In the cloud; without effect on this machine.")
@backend_option
@format_option()
def create(
    name: str,
    regions: str | None,
    description: str,
    labels: str | None,
    backend: str | None,
    output_format: str,
    **cloud: bool,
) -> None:
    """Make a model, as yet without versions.

    \b
    Examples:
      mlhelpers models create digits
      mlhelpers models create digits --backend vertex --region us-central1
    """
    from mlhelpers import serving

    marks = parse_labels(labels or "")
    model = serving.models(backend).create_model(name, description=description, regions=regions or (), labels=marks)
    if output_format == "table":
        click.echo(f"Created the model {model.name}.")
    else:
        echo_resource(model.describe(), output_format)
    click.echo(f"Add a version:  mlhelpers versions create v1 --model {model.name} --origin EXPORT_FOLDER", err=True)


@models.command("list")
@backend_option
@format_option()
def list_models(backend: str | None, output_format: str) -> None:
    """List the models with their default versions.

    \b
    Example:
      mlhelpers models list
    """
    from mlhelpers import serving

    rows = [
        {**model.describe(), "default_version_name": model.default_version or ""}
        if output_format == "table"
        else model.describe()
        for model in serving.models(backend).list_models()
    ]
    echo_rows(rows, ["name", "default_version_name"], output_format)


@models.command()
@click.argument("name")
@backend_option
@format_option("yaml")
def describe(name: str, backend: str | None, output_format: str) -> None:
    """Show one model.

    \b
    Example:
      mlhelpers models describe digits
    """
    from mlhelpers import serving

    echo_resource(serving.models(backend).describe(name), output_format)


@models.command()
@click.argument("name")
@click.option("--description", help="What the model is for.")
@label_options
@backend_option
@format_option("yaml")
def update(
    name: str,
    description: str | None,
    update_labels: str | None,
    remove_labels: str | None,
    clear_labels: bool,
    backend: str | None,
    output_format: str,
) -> None:
    """Change the description and the labels of a model.

    \b
    Example:
      mlhelpers models update digits --description "handwritten digits" --update-labels team=blue
    """
    from mlhelpers import serving

    changes = label_changes(update_labels, remove_labels, clear_labels, description)
    model = serving.models(backend).update_model(
        name, description=description, labels=changes, clear_labels=clear_labels
    )
    click.echo(f"Updated the model {name}.", err=True)
    echo_resource(model.describe(), output_format)


@models.command("set-traffic")
@click.argument("name")
@click.argument("shares", nargs=-1, metavar="[VERSION=PERCENT...]")
@click.option("--clear", is_flag=True, help="Leave all requests to the default version.")
@backend_option
@format_option("yaml")
def set_traffic(name: str, shares: tuple[str, ...], clear: bool, backend: str | None, output_format: str) -> None:
    """Share the requests that name no version out over versions, in whole percent that sum to 100.

    Of any 100 requests in a row each version gets exactly its share.

    \b
    Examples:
      mlhelpers models set-traffic digits v1=90 v2=10
      mlhelpers models set-traffic digits --clear
    """
    from mlhelpers import serving

    if clear == bool(shares):
        raise UsageError("Give the shares, VERSION=PERCENT,… as in v1=90,v2=10, or --clear, and not both.")
    model = serving.models(backend).set_traffic(name, _shares(",".join(shares)))
    told = ", ".join(f"{version} {share} %" for version, share in model.traffic.items())
    click.echo(f"Requests to {name} go to {told or f'its default version, {model.default_version}'}.", err=True)
    echo_resource(model.describe(), output_format)


@models.command()
@click.argument("name")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@backend_option
def delete(name: str, yes: bool, backend: str | None) -> None:
    """Delete a model that has no versions any more.

    \b
    Example:
      mlhelpers models delete digits
    """
    from mlhelpers import serving

    store = serving.models(backend)
    store.model(name)
    if not yes:
        click.confirm(f"Delete the model {name}?", abort=True)
    store.delete_model(name)
    click.echo(f"Deleted the model {name}.")


def _shares(text: str) -> dict[str, int]:
    shares: dict[str, int] = {}
    for pair in filter(None, text.split(",")):
        version, _, percent = (part.strip() for part in pair.partition("="))
        if not (percent.isascii() and percent.isdigit()) or len(percent) > 3 or version in shares:
            fault = "names its version a second time" if version in shares else "is no whole percentage of a version"
            raise UsageError(f"The share {pair[:60]!r} {fault}. Write VERSION=PERCENT,… as in v1=90,v2=10.")
        shares[version] = int(percent)
    return shares
