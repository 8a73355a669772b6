"""`mlhelpers detect`: objects in pictures, by command or in a web app."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlhelpers.cli.completion import PLACE
from mlhelpers.cli.detect_serve import serve
from mlhelpers.cli.output import echo_resource, echo_rows, format_option
from mlhelpers.errors import DataError, UsageError

if TYPE_CHECKING:
    from mlhelpers.detection import Detections

__all__ = ["detect"]

_COLUMNS = ["file", "name", "score", "ymin", "xmin", "ymax", "xmax"]
_SIDES = ("ymin", "xmin", "ymax", "xmax")
_FORMATS = (".png", ".jpg", ".jpeg", ".webp")


@click.group()
def detect() -> None:
    """Find objects in pictures.

    \b
    Examples:
      mlhelpers detect image photo.jpg
      mlhelpers detect serve --port 8502
    """


@detect.command()
@click.argument("files", nargs=-1, required=True, type=PLACE, metavar="FILE...")
@click.option(
    "--model",
    default="nanodet",
    show_default=True,
    help="A name of 'mlhelpers detect models', or the path of a folder or file of your own.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Objects with a lower score are left out.",
)
@click.option("--output", type=PLACE, metavar="DRAWN.png", help="Also write the picture with its boxes drawn.")
@format_option()
def image(files: tuple[str, ...], model: str, threshold: float, output: str | None, output_format: str) -> None:
    """List what is in JPEG, PNG or WebP files.

    A box is ymin, xmin, ymax, xmax, as shares of the picture's height and width.

    \b
    Examples:
      mlhelpers detect image photo.jpg --threshold 0.4
      mlhelpers detect image *.jpg --model ssdlite --format json
      mlhelpers detect image photo.jpg --output drawn.png
    """
    from mlhelpers.detection import load
    from mlhelpers.detection.intake import read_picture

    if output is not None and (len(files) != 1 or Path(output).suffix.lower() not in _FORMATS):
        raise UsageError(
            f"--output {output!r} for {len(files)} files: one picture is drawn, into a file that ends in "
            f"{', '.join(_FORMATS)}."
        )
    pictures = [read_picture(_content(Path(name))) for name in files]
    detector = load(model)
    found = [detector.detect(picture, threshold) for picture in pictures]
    if output is not None:
        _draw(pictures[0], found[0], Path(output))
    if output_format == "table":
        echo_rows([row for name, one in zip(files, found, strict=True) for row in _rows(name, one)], _COLUMNS, "table")
        return
    echo_resource([{"file": name, **one.to_json()} for name, one in zip(files, found, strict=True)], output_format)


@detect.command()
@format_option()
def models(output_format: str) -> None:
    """List the detectors that have a name: size, licence, accuracy and where they are.

    COCO_MAP is the mean average precision on COCO in percent, as the makers give it; the JSON names its source. A model
    that is "made by command" or has an address is no part of the project; naming it says or does what is needed.

    \b
    Example:
      mlhelpers detect models --format json
    """
    from mlhelpers.detection import MODELS

    rows = [{"name": name, **vars(card)} for name, card in MODELS.items()]
    if output_format == "table":
        unknown = {"megabytes": "", "pictures_per_second": ""}
        rows = [
            {**row, **{name: row[name] or gap for name, gap in unknown.items()}, "place": _short(row["place"])}
            for row in rows
        ]
    columns = ["name", "input_size", "megabytes", "pictures_per_second", "coco_map", "licence", "place"]
    echo_rows(rows, columns, output_format)


detect.add_command(serve)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def _rows(name: str, found: Detections) -> list[dict[str, Any]]:
    return [
        {
            "file": name,
            "name": row["name"],
            "score": f"{row['score']:.2f}",
            **{side: f"{value:.3f}" for side, value in zip(_SIDES, row["box"], strict=True)},
        }
        for row in found.rows()
    ]


def _draw(picture: Any, found: Detections, output: Path) -> None:
    """Write the picture with its boxes; `output` appears when it is whole."""
    from mlhelpers import plots

    try:
        plots.write_detections(picture, found, output)
    except OSError as error:
        raise DataError(f"{output} cannot be written: {error.strerror}.") from error


def _short(place: str) -> str:
    return "downloaded when named" if place.startswith("http") else place
