"""`mlhelpers predict`: instances from a file to a model version, answers as a table."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from mlhelpers.cli.completion import PLACE
from mlhelpers.cli.output import echo_resource, echo_table, format_option
from mlhelpers.cli.places import backend_option
from mlhelpers.errors import DataError, PredictionError, UsageError, unknown_name

if TYPE_CHECKING:
    from mlhelpers.serving import Predictor

__all__ = ["Given", "instance_options", "predict", "predict_with", "print_predictions", "read_given"]
__all__ += ["read_instances", "read_request", "read_texts"]

_Command = TypeVar("_Command", bound=Callable[..., Any])

_MAX_INSTANCES = 100  # the most that the tool sends at once, as gcloud; the server itself counts bytes


class Given(NamedTuple):
    """What is asked of a model.

    Attributes:
        instances: The instances.
        signature_name: The signature to call, or None.
        parameters: How the model shall answer, or None.
    """

    instances: Any
    signature_name: str | None = None
    parameters: Any = None


def instance_options(command: _Command) -> _Command:
    """Add the options that give the instances, as `read_given` takes them."""
    for option in reversed(
        (
            click.option(
                "--json-instances", type=PLACE, metavar="FILE", help="One JSON instance per line; '-' is stdin."
            ),
            click.option(
                "--json-request", type=PLACE, metavar="FILE", help="A request, {\"instances\": [...]}; '-' is stdin."
            ),
            click.option(
                "--text-instances", type=PLACE, metavar="FILE", help="One text per line, as it is; '-' is stdin."
            ),
            click.option("--signature-name", help="The signature to call; without it the instances' keys decide."),
        )
    ):
        command = option(command)
    return command


@click.command()
@click.option("--model", required=True, help="The model to ask.")
@click.option("--version", help="One of its versions; without it the default answers.")
@instance_options
@click.option("--region", help="Where in the cloud; without effect on this machine.")
@click.option("--address", help="Ask a prediction server, for instance http://127.0.0.1:8501.")
@click.option("--token", envvar="MLHELPERS_SERVE_TOKEN", show_envvar=True, help="The server's token.")
@backend_option
@format_option()
def predict(
    model: str,
    version: str | None,
    region: str | None,
    address: str | None,
    token: str | None,
    backend: str | None,
    output_format: str,
    **given: Any,
) -> None:
    """Predict in this process from the local store; or ask a server with --address, an endpoint with --backend vertex.

    \b
    Examples:
      mlhelpers data request mnist -o request.json
      mlhelpers predict --model MNIST --json-instances request.json
      mlhelpers predict --model MNIST --json-instances request.json --backend vertex
    """
    from mlhelpers import serving

    asked = read_given(**given)
    predictor: serving.Predictor
    if address is not None:
        predictor = serving.connect(model, version, address, token=token)
    else:
        predictor = serving.models(backend).connect(model, version)
    predict_with(predictor, asked, output_format)


def read_given(
    json_instances: str | None, json_request: str | None, text_instances: str | None, signature_name: str | None
) -> Given:
    """Read the instances from where the options say.

    Args:
        json_instances: A file with one JSON value per line.
        json_request: A file with a whole request.
        text_instances: A file with one text per line.
        signature_name: The signature to call; it counts for more than that of a request.

    Returns:
        What is asked.

    Raises:
        UsageError: Not exactly one file is named, or it holds too many instances.
        DataError: The file cannot be read.
        PredictionError: The file is malformed.
    """
    if sum(file is not None for file in (json_instances, json_request, text_instances)) != 1:
        raise UsageError(
            "Give the instances with exactly one of --json-instances FILE, --json-request FILE and "
            "--text-instances FILE."
        )
    if json_request is not None:
        given = read_request(json_request)
    elif json_instances is not None:
        given = Given(read_instances(json_instances))
    else:
        given = Given(read_texts(text_instances or "-"))
    count = len(given.instances) if isinstance(given.instances, list) else 0
    if count > _MAX_INSTANCES:
        raise UsageError(
            f"{count:,} instances are more than the {_MAX_INSTANCES} of one call. Split the file, or send all with  "
            "mlhelpers jobs submit prediction,  or from Python with  serving.connect(MODEL).predict_frame(frame)"
        )
    return given._replace(signature_name=signature_name or given.signature_name)


def predict_with(predictor: Predictor, given: Given, output_format: str) -> None:
    """Print what a predictor says to the instances, and close it."""
    with predictor:
        print_predictions(predictor.predict(*given), output_format)


def read_instances(file: str) -> list[Any]:
    """Read one JSON value per line.

    Args:
        file: A path, or "-" for stdin; UTF-8, with or without a byte order mark.

    Raises:
        DataError: The file cannot be read.
        PredictionError: A line is empty or no JSON; the message gives its number.
    """
    found = _lines(file, "JSON instance")
    return [_parse(line, f"Line {number} of {_shown(file)}") for number, line in enumerate(found, start=1)]


def read_texts(file: str) -> list[str]:
    """Read one text per line.

    Args:
        file: A path, or "-" for stdin; UTF-8, with or without a byte order mark.

    Raises:
        DataError: The file cannot be read.
        PredictionError: A line is empty; the message gives its number.
    """
    return [line.removesuffix("\r") for line in _lines(file, "text")]


def _lines(file: str, what: str) -> list[str]:
    lines = _read(file).split("\n")
    if lines[-1] == "":
        lines.pop()
    if not lines:
        raise PredictionError(f"{_shown(file)} is empty; write one {what} per line.")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            raise PredictionError(f"Line {number} of {_shown(file)} is empty; write one {what} per line.")
    return lines


def read_request(file: str) -> Given:
    """Read a whole request.

    Args:
        file: A path, or "-" for stdin; UTF-8, with or without a byte order mark.

    Returns:
        What is asked.

    Raises:
        DataError: The file cannot be read.
        PredictionError: It is no JSON object with `instances`.
        UsageError: It has a key that a request does not have.
    """
    request = _parse(_read(file), _shown(file))
    if not isinstance(request, dict) or "instances" not in request:
        raise PredictionError(
            f'{_shown(file)} should hold {{"instances": [...]}}. For one instance per line use --json-instances.'
        )
    for key in request:
        if key not in Given._fields:
            raise unknown_name("key of a prediction request", key, Given._fields)
    return Given(**request)


def print_predictions(predictions: Sequence[Any], output_format: str) -> None:
    """Print predictions as gcloud does: objects as a table with sorted, upper-case columns, anything else as JSON.

    The columns are the keys of the first prediction; a key that only later ones have comes after them.

    Args:
        predictions: One per instance.
        output_format: "table", "json" or "yaml".
    """
    if output_format != "table":
        echo_resource({"predictions": list(predictions)}, output_format)
    elif predictions and all(isinstance(one, Mapping) and one for one in predictions):
        first = sorted(predictions[0])
        later = sorted({key for one in predictions for key in one} - set(first))
        echo_table(predictions, [*first, *later])
    else:
        echo_resource(list(predictions), "json")


def _read(file: str) -> str:
    try:
        if file == "-":
            content: bytes = sys.stdin.buffer.read()
        else:
            with open(file, "rb") as stream:
                content = stream.read()
    except OSError as error:
        raise DataError(
            f"{file!r} cannot be read: {error.strerror}. Make one with:  mlhelpers data request mnist -o request.json"
        ) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PredictionError(
            f"{_shown(file)} is not UTF-8 text: byte {error.start} is {content[error.start]:#04x}."
        ) from None


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"column {error.colno}" if error.lineno == 1 else f"line {error.lineno} column {error.colno}"
        raise PredictionError(f"{where} is not JSON: {error.msg} at {place}: {text[:60]!r}.") from None
    except RecursionError:
        raise PredictionError(f"{where} is nested too deep.") from None


def _shown(file: str) -> str:
    return "stdin" if file == "-" else repr(file)
