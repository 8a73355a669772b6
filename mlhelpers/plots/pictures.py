"""Plots that show pictures and drawings: grids of images, mistakes, one large digit, pen strokes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from mlhelpers.errors import UsageError
from mlhelpers.plots.style import BLUE, GREY, INK, ORANGE, PALE, caption, check_length, marks_of, styled_axes

__all__ = ["digit", "image_grid", "mistakes", "strokes"]


def _pictures(images: ArrayLike) -> NDArray[Any]:
    """Return the images as (n, height, width), or refuse them."""
    pictures = np.asarray(images)
    if pictures.ndim == 2:
        pictures = pictures[None]
    if pictures.ndim != 3 or not pictures.size:
        raise UsageError(
            f"Pictures of shape {pictures.shape} cannot be drawn: give (n, height, width), or (height, width) for one. "
            "A flat row of 784 numbers becomes a picture with .reshape(-1, 28, 28)."
        )
    return pictures


def image_grid(
    images: ArrayLike,
    labels: Sequence[object] | NDArray[Any] | None = None,
    *,
    columns: int = 10,
    title: str = "",
    highlight: ArrayLike | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw pictures side by side, dark where their numbers are high.

    Args:
        images: Shape (n, height, width): whole numbers 0..255, or floats 0..1 (or 0..255); 0 is paper.
        labels: One text or number under each picture.
        columns: Pictures in a row.
        title: Over the whole.
        highlight: Shape (n,), bool: where true the label is bold and orange.
        ax: Axes to draw on; a new figure where None.

    Returns:
        The axes; `ax.images` holds one artist per picture, in order.

    Raises:
        UsageError: Images of another shape, or not one label or mark per image.

    Example:
        >>> ax = image_grid(np.zeros((3, 28, 28), np.uint8), ["a", "b", "c"])
        >>> len(ax.images), [text.get_text() for text in ax.texts]
        (3, ['a', 'b', 'c'])
    """
    pictures = _pictures(images)
    n, height, width = pictures.shape
    marked = marks_of(labels, highlight, n)
    columns = min(columns, n)
    rows = -(-n // columns)
    scale = min(1.6, 9.5 / columns)  # inches: few pictures are drawn larger
    step = height / width + (0.34 / scale if labels is not None else 0.12)  # one picture is one unit wide
    size = (max(columns * 1.12 * scale, 2.2), (rows * step - 0.1) * scale + (0.45 if title else 0.1))
    ax = styled_axes(ax, title, size)
    top = 255 if np.issubdtype(pictures.dtype, np.integer) or pictures.max() > 1 else 1
    for k, picture in enumerate(pictures):
        x, y = (k % columns) * 1.12, (k // columns) * step
        ax.imshow(picture, cmap="gray_r", vmin=0, vmax=top, extent=(x, x + 1, y + height / width, y))
        ax.add_patch(Rectangle((x, y), 1, height / width, fill=False, edgecolor=PALE, linewidth=0.8))
        if labels is not None:
            caption(ax, x + 0.5, y + height / width + 0.06, labels[k], marked[k])
    ax.set(xlim=(-0.05, columns * 1.12 - 0.07), ylim=(rows * step - 0.1, -0.05), aspect="equal")
    ax.set_axis_off()
    return ax


def mistakes(
    images: ArrayLike,
    labels: ArrayLike,
    predictions: ArrayLike,
    probabilities: ArrayLike | None = None,
    *,
    limit: int = 24,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the pictures that were read wrongly, each with what it is and what it was read as.

    Args:
        images: Shape (n, height, width), as in `image_grid`: right ones and wrong ones together.
        labels: Shape (n,): the true classes.
        predictions: Shape (n,): the classes that the model gave.
        probabilities: Shape (n, classes), 0..1: puts the mistakes of which the model was surest first.
        limit: Draw at most so many.
        title: Over the whole; how many are wrong, of how many, where None.
        ax: Axes to draw on; a new figure where None.

    Returns:
        The axes; without a mistake they hold one sentence that says so.

    Raises:
        UsageError: Not one label and one prediction per image.
    """
    pictures, truth, guess = _pictures(images), np.asarray(labels), np.asarray(predictions)
    check_length("labels", truth, len(pictures), "images")
    check_length("predictions", guess, len(pictures), "images")
    wrong = np.flatnonzero(truth != guess)
    if probabilities is not None:
        wrong = wrong[np.argsort(-np.asarray(probabilities)[wrong].max(axis=1), kind="stable")]
    title = f"{len(wrong):,} of {len(truth):,} read wrongly" if title is None else title
    if not len(wrong):
        ax = styled_axes(ax, title, (5, 1))
        ax.text(0.5, 0.5, "No mistake among these.", ha="center", va="center", color=INK, transform=ax.transAxes)
        ax.set_axis_off()
        return ax
    shown = wrong[:limit]
    texts = [f"{truth[k]} read as {guess[k]}" for k in shown]
    return image_grid(pictures[shown], texts, columns=8, title=title, ax=ax)


def digit(image: ArrayLike, *, title: str = "", ax: Axes | None = None) -> Axes:
    """Draw one 28x28 digit large, with a box around its ink and a cross at the ink's centre of mass.

    Args:
        image: Shape (28, 28): 0..255 or 0..1, 0 is paper.
        title: Over the picture.
        ax: Axes to draw on; a new figure where None.

    Returns:
        The axes; the cross is `ax.lines[0]`, the box `ax.patches[0]`; both are missing where there is no ink.

    Raises:
        UsageError: A picture of another shape.
    """
    picture = np.asarray(image, float)
    if picture.shape != (28, 28):
        raise UsageError(f"A digit has the shape (28, 28), this picture {picture.shape}. image_grid draws any shape.")
    ax = styled_axes(ax, title, (3, 3.3))
    ax.imshow(picture, cmap="gray_r", vmin=0, vmax=255 if picture.max() > 1 else 1)
    if picture.sum() > 0:
        rows, columns = (np.flatnonzero(picture.any(axis=axis)) for axis in (1, 0))
        height, width = float(np.ptp(rows) + 1), float(np.ptp(columns) + 1)
        corner = (columns[0] - 0.5, rows[0] - 0.5)
        ax.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=BLUE, linewidth=1.2, linestyle="--"))
        y, x = (np.indices((28, 28)) * picture).sum(axis=(1, 2)) / picture.sum()
        ax.plot(x, y, marker="+", markersize=14, markeredgewidth=2, color=ORANGE)
    ax.set(xticks=[0, 27], yticks=[0, 27])
    ax.set_xlabel("column (pixels)", color=GREY, labelpad=-6)
    ax.set_ylabel("row (pixels)", color=GREY, labelpad=-6)
    return ax


def strokes(
    strokes: Sequence[ArrayLike],
    *,
    size: float = 280,
    title: str = "",
    numbered: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw pen strokes as they lie on the canvas, each with a dot where the pen came down.

    Args:
        strokes: One array of shape (n, 2) per stroke: x and y in canvas pixels, y downwards.
        size: Width and height of the canvas in pixels.
        title: Over the drawing.
        numbered: Write each stroke's number beside its first point.
        ax: Axes to draw on; a new figure where None.

    Returns:
        The axes; `ax.lines` holds the strokes in order.

    Raises:
        UsageError: A stroke of another shape.
    """
    ax = styled_axes(ax, title, (3, 3.3), "x (canvas pixels)", "y (canvas pixels)")
    for k, stroke in enumerate(strokes):
        points = np.asarray(stroke, float)
        if points.ndim != 2 or points.shape[1] != 2:
            raise UsageError(f"Stroke {k} has the shape {points.shape}: a stroke is (n, 2), one x and y per point.")
        ax.plot(*points.T, color=INK, linewidth=4, solid_capstyle="round", solid_joinstyle="round")
        ax.scatter(points[:1, 0], points[:1, 1], s=70, color=ORANGE, zorder=3)
        if numbered and len(points):
            ax.annotate(str(k + 1), points[0], (7, 5), textcoords="offset points", color=ORANGE, fontweight="bold")
    ax.set(xlim=(0, size), ylim=(size, 0), aspect="equal", xticks=[0, size], yticks=[0, size])
    ax.spines[["top", "right"]].set(visible=True, color=PALE)
    return ax
