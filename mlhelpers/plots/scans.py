"""Plots for scans, which are light on dark, and for the order in which a file holds its classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray

from mlhelpers.errors import UsageError
from mlhelpers.plots.style import INK, caption, check_length, marks_of, names_of, styled_axes

__all__ = ["label_strips", "scans"]

_GAP = 0.05  # between pictures, as a share of their width


def scans(
    images: ArrayLike | Sequence[ArrayLike],
    labels: Sequence[object] | NDArray[Any] | None = None,
    *,
    window: tuple[float, float] | Sequence[tuple[float, float]] | None = None,
    columns: int = 4,
    title: str = "",
    highlight: ArrayLike | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw scans side by side, light where their numbers are high.

    Args:
        images: Shape (n, height, width), or n pictures of sizes of their own.
        labels: One text or number under each picture.
        window: Centre and width of the grey levels that are spread from black to white, as radiologists set them
            (DICOM PS3.3, section C.11.2): one for all pictures, or one for each; each picture's own range if None.
        columns: Pictures in a row.
        title: Over the whole.
        highlight: Shape (n,), bool: where true the label is bold and orange.
        ax: Axes to draw on; a new figure where None.

    Returns:
        The axes; `ax.images` holds one artist per picture, in order.

    Raises:
        UsageError: Images of another shape, a window without width, or not one label, mark or window per image.

    Example:
        >>> ax = scans(np.zeros((2, 128, 95), np.uint16), ["left", "right"], window=(30000, 60000))
        >>> [image.get_clim() for image in ax.images]
        [(0.0, 60000.0), (0.0, 60000.0)]
    """
    pictures = _pictures(images)
    limits = _limits(pictures, window)
    marked = marks_of(labels, highlight, len(pictures))
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    tallest = max(picture.shape[0] / picture.shape[1] for picture in pictures)
    scale = min(3.2, 9.5 / columns)
    step = tallest + (0.3 / scale if labels is not None else _GAP)  # one picture is one unit wide
    size = (max(columns * (1 + _GAP) * scale, 2.4), rows * step * scale + (0.45 if title else 0.1))
    ax = styled_axes(ax, title, size)
    for k, (picture, (low, high)) in enumerate(zip(pictures, limits, strict=True)):
        x, y, height = (k % columns) * (1 + _GAP), (k // columns) * step, picture.shape[0] / picture.shape[1]
        ax.imshow(picture, cmap="gray", vmin=low, vmax=high, extent=(x, x + 1, y + height, y))
        if labels is not None:
            caption(ax, x + 0.5, y + height + 0.03, labels[k], marked[k])
    ax.set(xlim=(-0.02, columns * (1 + _GAP)), ylim=(rows * step, -0.02), aspect="equal")
    ax.set_axis_off()
    return ax


def label_strips(
    orders: Mapping[str, ArrayLike],
    class_names: Sequence[str] | None = None,
    *,
    batch_size: int,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw which class each record of a file has, one strip for each file, with a mark where a batch ends.

    Args:
        orders: What the file is called -> the class of each record in order, shape (n,), whole numbers from 0.
        class_names: Name of class 0, 1, and so on; their numbers if None.
        batch_size: Records in a batch.
        title: Over the plot.
        ax: Axes to draw on; a new figure where None.

    Returns:
        The axes; `ax.images` holds one strip per file, in order.

    Raises:
        UsageError: No order, a batch below 1, no whole numbers from 0, or another number of names than classes.
    """
    strips = {name: np.asarray(labels) for name, labels in orders.items()}
    if not strips or batch_size < 1:
        raise UsageError(f"{len(strips)} orders in batches of {batch_size!r} were given; give 1 or more of each.")
    for name, labels in strips.items():
        if labels.ndim != 1 or not len(labels) or labels.dtype.kind not in "iu" or labels.min() < 0:
            raise UsageError(f"The order {name!r} has to hold whole numbers from 0, one for each record.")
    classes = 1 + max(int(labels.max()) for labels in strips.values())
    names = names_of(class_names, classes if class_names is None else max(classes, len(class_names)))
    longest = max(map(len, strips.values()))
    colours = colormaps["cividis"](np.linspace(0, 1, len(names)))
    ax = styled_axes(ax, title, (8, 0.9 + 0.62 * len(strips)), "record in the file")
    for k, labels in enumerate(strips.values()):
        ax.imshow(
            labels[None], cmap=ListedColormap(colours), vmin=-0.5, vmax=len(names) - 0.5, aspect="auto",
            interpolation="nearest", extent=(0, len(labels), k + 0.36, k - 0.36),
        )  # fmt: skip
        ax.vlines(np.arange(batch_size, len(labels), batch_size), k + 0.36, k + 0.46, color=INK, linewidth=0.8)
    ax.set(xlim=(0, longest), ylim=(len(strips) - 0.5, -0.5))
    ax.set_yticks(range(len(strips)), list(strips))
    ax.spines["left"].set_visible(False)
    patches = [Patch(color=colour, label=name) for colour, name in zip(colours, names, strict=True)]
    ax.legend(handles=patches, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=9)
    return ax


def _pictures(images: ArrayLike | Sequence[ArrayLike]) -> list[NDArray[Any]]:
    """Return the images one by one, or refuse them."""
    given = images if isinstance(images, Sequence) else np.asarray(images)
    pictures = [np.asarray(image) for image in given] if np.ndim(given[0]) > 1 else [np.asarray(given)]
    for picture in pictures:
        if picture.ndim != 2 or not picture.size:
            raise UsageError(f"A scan of shape {picture.shape} cannot be drawn: give (height, width) for each.")
    return pictures


def _limits(
    pictures: Sequence[NDArray[Any]], window: tuple[float, float] | Sequence[tuple[float, float]] | None
) -> list[tuple[float, float]]:
    """Return the grey levels that are black and white in each picture."""
    if window is None:
        return [(float(picture.min()), float(max(picture.max(), picture.min() + 1))) for picture in pictures]
    pairs = np.asarray(window, float)
    if pairs.ndim == 1:
        pairs = np.tile(pairs, (len(pictures), 1))
    check_length("windows", pairs, len(pictures), "images")
    if pairs.ndim != 2 or pairs.shape[1] != 2 or (pairs[:, 1] <= 0).any():
        raise UsageError(f"window is {window!r}; give centre and width of the grey levels, the width above 0.")
    return [(centre - width / 2, centre + width / 2) for centre, width in pairs.tolist()]
