"""Plots that show what a search does: where it looked, and how fast it came down."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from mlhelpers.errors import UsageError
from mlhelpers.plots.style import BLUE, GREEN, GREY, INK, ORANGE, styled_axes

__all__ = ["best_so_far", "search_maps"]

_LINES = ((BLUE, "-"), (ORANGE, "--"), (GREEN, "-."), (GREY, ":"), (INK, "-"))  # told apart without colour too


def search_maps(
    x: ArrayLike,
    y: ArrayLike,
    surface: ArrayLike,
    searches: Mapping[str, ArrayLike],
    *,
    x_label: str,
    y_label: str,
    log_x: bool = False,
) -> list[Axes]:
    """Draw a function of two parameters as contours, once for each search, with the points that the search tried.

    Args:
        x: Shape (m,), values of the first parameter.
        y: Shape (n,), values of the second one.
        surface: Shape (n, m), the function at each pair; darker is smaller.
        searches: Name -> points in the order in which they were tried, shape (k, 2); a point's number grows with its
            size, and the best one has a ring.
        x_label: What the first parameter is.
        y_label: What the second one is.
        log_x: Whether the first one is drawn on a log scale.

    Returns:
        The axes, one for each search; its points are `ax.collections[-2]`, the ring is `ax.collections[-1]`.

    Raises:
        UsageError: The surface has another shape, or a search has no points.
    """
    xs, ys, heights = np.asarray(x, float), np.asarray(y, float), np.asarray(surface, float)
    if heights.shape != (len(ys), len(xs)):
        raise UsageError(f"The surface has the shape {heights.shape} for {len(ys)} values of y and {len(xs)} of x.")
    size = (3.6 * len(searches), 3.3)
    _, axes = plt.subplots(1, len(searches), figsize=size, dpi=110, layout="constrained", squeeze=False)
    for ax, (name, points) in zip(axes[0], searches.items(), strict=True):
        tried = np.asarray(points, float).reshape(-1, 2)
        if not len(tried):
            raise UsageError(f"The search {name!r} has no points: nothing to draw.")
        styled_axes(ax, name, size, x_label, y_label if ax is axes[0][0] else "")
        levels = np.quantile(heights, np.linspace(0, 1, 12))
        ax.contourf(xs, ys, heights, levels=np.unique(levels), cmap="Blues_r", alpha=0.75)
        ax.scatter(
            *tried.T, s=np.linspace(14, 60, len(tried)), color=ORANGE, edgecolor="white", linewidth=0.7, zorder=3
        )
        best = tried[_best(xs, ys, heights, tried)]
        ax.scatter(*best, s=170, facecolor="none", edgecolor=INK, linewidth=1.5, zorder=4)
        if log_x:
            ax.set_xscale("log")
    return list(axes[0])


def best_so_far(
    runs: Mapping[str, ArrayLike], *, y: str, title: str = "", minimizes: bool = True, ax: Axes | None = None
) -> Axes:
    """Draw the best value found after each trial: the median of repeated searches, with their middle half as a band.

    Args:
        runs: Name -> objectives in the order of the trials, shape (repeats, trials).
        y: What the objective is, with its unit.
        title: Over the plot.
        minimizes: Whether smaller is better.
        ax: Axes to draw on; a new figure where None.

    Returns:
        The axes; the medians are `ax.lines`, the bands `ax.collections`, in the order given.

    Raises:
        UsageError: Nothing to draw, or runs of another shape.
    """
    if not runs:
        raise UsageError("No runs were given: nothing to draw.")
    ax = styled_axes(ax, title, (7.5, 3.6), "trials", y, "y")
    for number, (name, values) in enumerate(runs.items()):
        found = np.asarray(values, float)
        if found.ndim != 2 or not found.size:
            raise UsageError(f"The runs of {name!r} have the shape {found.shape}; it is (repeats, trials).")
        best = (np.minimum if minimizes else np.maximum).accumulate(found, axis=1)
        low, middle, high = np.quantile(best, (0.25, 0.5, 0.75), axis=0)
        trials = np.arange(1, found.shape[1] + 1)
        colour, style = _LINES[number % len(_LINES)]
        ax.plot(trials, middle, style, color=colour, linewidth=2, label=name, zorder=3)
        ax.fill_between(trials, low, high, color=colour, alpha=0.12, linewidth=0)
    ax.legend(frameon=False)
    ax.set_xlim(1, None)
    return ax


def _best(
    xs: NDArray[np.float64], ys: NDArray[np.float64], heights: NDArray[np.float64], points: NDArray[np.float64]
) -> int:
    """Return the place of the point whose nearest pair on the surface is the smallest."""
    nearest = [heights[np.abs(ys - y).argmin(), np.abs(xs - x).argmin()] for x, y in points]
    return int(np.argmin(nearest))
