"""Plots that show how classes differ: one measurement against another, and what range each covers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from mlhelpers.errors import UsageError
from mlhelpers.plots.style import BLUE, GREEN, INK, ORANGE, check_length, names_of, styled_axes

__all__ = ["ranges", "scatter"]

# a shape beside each colour: they stay apart in grey print, too
_LOOKS = ((BLUE, "o"), (ORANGE, "^"), (GREEN, "s"), ("#CC79A7", "D"), ("#E69F00", "v"), ("#56B4E9", "P"))
_QUARTERS = (0, 0.25, 0.5, 0.75, 1)


def _looks(n: int) -> Sequence[tuple[str, str]]:
    if n > len(_LOOKS):
        raise UsageError(f"{n} classes cannot be told apart in one plot; at most {len(_LOOKS)} can. Draw some of them.")
    return _LOOKS[:n]


def scatter(
    across: ArrayLike,
    up: ArrayLike,
    labels: ArrayLike,
    class_names: Sequence[str],
    *,
    x: str,
    y: str,
    title: str = "",
    mark: tuple[float, float, str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw one dot per example, its colour and shape the class.

    Dots that lie on one another show darker.

    Args:
        across: Shape (n,), the measurement to the right.
        up: Shape (n,), the measurement upwards.
        labels: Shape (n,), whole numbers from 0.
        class_names: One name per class.
        x: What `across` is, with its unit.
        y: What `up` is, with its unit.
        title: Over the plot.
        mark: Draw a star at (across, up), with this name in the legend.
        ax: Axes to draw on; a new figure where None.

    Returns:
        The axes; `ax.collections` holds one artist per class, in their order.

    Raises:
        UsageError: Not one label or measurement per example, a label without a name, or too many classes.
    """
    right, high, classes = np.asarray(across, float), np.asarray(up, float), np.asarray(labels)
    check_length("measurements upwards", high, len(right), "examples")
    check_length("labels", classes, len(right), "examples")
    names = names_of(class_names, max(len(class_names), int(classes.max(initial=0)) + 1))
    ax = styled_axes(ax, title, (6.2, 4.2), x, y, "both")
    for k, (colour, shape) in enumerate(_looks(len(names))):
        mine = classes == k
        ax.scatter(
            right[mine], high[mine], s=34, color=colour, marker=shape, alpha=0.6, linewidth=0, label=names[k], zorder=2
        )
    if mark is not None:
        ax.plot(*mark[:2], linestyle="", marker="*", markersize=16, color=INK, markeredgecolor="white", label=mark[2])
    ax.legend(frameon=False, labelcolor=INK)
    return ax


def ranges(
    values: Mapping[str, ArrayLike],
    labels: ArrayLike,
    class_names: Sequence[str],
    *,
    x: str,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw for each measurement what every class covers: all of it thin, the middle half thick, the median as a dot.

    Args:
        values: Name of the measurement and its values, shape (n,), all in one unit.
        labels: Shape (n,), whole numbers from 0; every class has an example.
        class_names: One name per class.
        x: What the measurements are, with their unit.
        title: Over the plot.
        ax: Axes to draw on; a new figure where None.

    Returns:
        The axes; the medians of class k are `ax.lines[k]`, in the order of `values`.

    Raises:
        UsageError: Not one label per value, a label without a name, a class without examples, or too many classes.
    """
    classes = np.asarray(labels)
    names = names_of(class_names, max(len(class_names), int(classes.max(initial=0)) + 1))
    looks = _looks(len(names))
    ax = styled_axes(ax, title, (7.5, 0.9 + 0.75 * len(values)), x, grid="x")
    for column in values.values():
        check_length("labels", classes, len(np.asarray(column)), "examples")
    for k, (colour, shape) in enumerate(looks):
        places = np.arange(len(values)) + 0.22 * (k - (len(names) - 1) / 2)
        mine = [np.asarray(column, float)[classes == k] for column in values.values()]
        if not all(map(len, mine)):
            raise UsageError(f"There is no example of the class {names[k]!r}: leave its name out.")
        least, low, middle, high, most = np.array([np.quantile(part, _QUARTERS) for part in mine]).T
        ax.hlines(places, least, most, color=colour, linewidth=1.2)
        ax.hlines(places, low, high, color=colour, linewidth=6, alpha=0.45)
        ax.plot(middle, places, linestyle="", marker=shape, markersize=6, color=colour, label=names[k])
    ax.set_yticks(range(len(values)), list(values))
    ax.invert_yaxis()
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.legend(frameon=False, labelcolor=INK, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax
