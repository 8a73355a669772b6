"""Plots of what a detector found in a picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from colorsys import hls_to_rgb
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import offset_copy
from numpy.typing import ArrayLike, NDArray

from mlhelpers.errors import UsageError
from mlhelpers.plots.style import styled_axes

__all__ = ["Found", "detections", "thickness", "write_detections"]

# each class is a golden angle from the one before it, so that no two of a few classes look alike; as on the web page
_ANGLE, _LIGHTNESS, _SATURATION = 137.508, 0.45, 0.89
_INCHES = 12  # of the longer side of a written picture
_LINE = 15  # points from one label to the next below it
_NEAR = (0.04, 0.15)  # corners so close, in shares of height and width, have labels that lie on one another
_LIGHT = 0.179  # a label's ground above this luminance takes dark letters


class Found(Protocol):
    """What `detections` draws: any object with these, for instance what a detector answers."""

    @property
    def boxes(self) -> NDArray[Any]:
        """Shape (n, 4): ymin, xmin, ymax, xmax as shares of height and width."""

    @property
    def scores(self) -> NDArray[Any]:
        """Shape (n,), 0 to 1."""

    @property
    def class_ids(self) -> NDArray[Any]:
        """Shape (n,): decides the colour."""

    @property
    def names(self) -> Sequence[str]:
        """The n names of the classes."""


def thickness(score: float) -> int:
    """Return how thick the box of a score is drawn, in points: int(10 score) - 4, and 1 at least.

    Args:
        score: From 0 to 1.

    Example:
        >>> [thickness(score) for score in (0.3, 0.7, 0.95, 1.0)]
        [1, 3, 5, 6]
    """
    return max(1, int(score * 10 + 1e-6) - 4)  # 0.7 in 32 bits is a little less than 0.7


def detections(
    image: ArrayLike,
    found: Found,
    *,
    threshold: float = 0.0,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw boxes on a picture, a colour for each class, the thicker the surer, with name and score.

    Where two classes have their boxes at one place, the labels stand below one another, the surer above.

    Args:
        image: Shape (height, width, 3), uint8, red, green, blue.
        found: The boxes with scores, ids and names of their classes.
        threshold: Boxes with a lower score are left out.
        title: Over the picture.
        ax: Axes to draw on; a new figure where None.

    Returns:
        The axes; `ax.patches` holds one rectangle per box and `ax.texts` its label, the surest last, so on top.

    Raises:
        UsageError: A picture of another shape.

    Example:
        >>> from types import SimpleNamespace
        >>> dog = SimpleNamespace(boxes=np.array([[0, 0, 0.5, 0.5]]), scores=[0.8], class_ids=[18], names=["dog"])
        >>> ax = detections(np.zeros((10, 20, 3), np.uint8), dog)
        >>> ax.texts[0].get_text(), ax.patches[0].get_linewidth()
        ('dog 0.80', 4.0)
    """
    picture = np.asarray(image)
    if picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise UsageError(f"A picture of shape {picture.shape} cannot be drawn; give (height, width, 3).")
    height, width = picture.shape[:2]
    ax = styled_axes(ax, title, (8, 8 * height / width + (0.4 if title else 0)))
    ax.imshow(picture, extent=(0, width, height, 0))
    shown = [k for k in np.argsort(found.scores, kind="stable") if found.scores[k] >= threshold]
    lines = _lines(found, shown)
    for k, line in zip(shown, lines, strict=True):
        ymin, xmin, ymax, xmax = np.asarray(found.boxes[k], float) * (height, width, height, width)
        colour = _colour(int(found.class_ids[k]))
        thick = thickness(float(found.scores[k]))
        ax.add_patch(Rectangle((xmin, ymin), xmax - xmin, ymax - ymin, fill=False, edgecolor=colour, linewidth=thick))
        is_at_top = ymin < 0.04 * height
        lower = -_LINE * line - 2 * is_at_top
        label = ax.text(
            xmin,
            max(ymin, 0),
            f"{found.names[k]} {found.scores[k]:.2f}",
            fontsize=9,
            clip_on=True,
            color=_letters(colour),
            va="top" if is_at_top else "bottom",
            transform=offset_copy(ax.transData, ax.get_figure(root=True), y=lower, units="points"),
        )
        label.set_bbox({"facecolor": colour, "edgecolor": "none", "pad": 1.5})
    ax.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    ax.set_axis_off()
    return ax


def write_detections(image: ArrayLike, found: Found, path: str | os.PathLike[str], *, threshold: float = 0.0) -> None:
    """Write a picture with its boxes drawn, about 1200 pixels along its longer side; the file appears when it is whole.

    Args:
        image: Shape (height, width, 3), uint8, red, green, blue.
        found: The boxes with scores, ids and names of their classes.
        path: The file; its ending says the format, for instance .png.
        threshold: Boxes with a lower score are left out.

    Raises:
        UsageError: A picture of another shape.
        OSError: The file cannot be written.
    """
    height, width = np.shape(image)[:2]
    figure = Figure(figsize=(_INCHES * width / max(height, width), _INCHES * height / max(height, width)), dpi=100)
    detections(image, found, threshold=threshold, ax=figure.add_axes((0, 0, 1, 1)))
    target = Path(path)
    aside = target.with_name(f".{target.stem}.part{target.suffix}")
    try:
        figure.savefig(aside)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def _lines(found: Found, shown: Sequence[int]) -> list[int]:
    """Return how many lines each label moves down, so that surer ones of other classes at its corner leave it seen."""
    corners = np.asarray(found.boxes, float).reshape(-1, 4)[:, :2]
    lines = []
    for place, k in enumerate(shown):
        surer = [j for j in shown[place + 1 :] if (np.abs(corners[j] - corners[k]) < _NEAR).all()]
        lines.append(len({int(found.class_ids[j]) for j in surer} - {int(found.class_ids[k])}))
    return lines


def _colour(class_id: int) -> str:
    """Return a class's colour, the same in every picture."""
    return to_hex(hls_to_rgb((class_id * _ANGLE % 360) / 360, _LIGHTNESS, _SATURATION))


def _letters(ground: str) -> str:
    """Return the letters' colour that has more contrast with a ground, by the luminance of WCAG 2, section 1.4.3."""
    channels = np.array(to_rgb(ground))
    linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return "black" if float(linear @ (0.2126, 0.7152, 0.0722)) > _LIGHT else "white"
