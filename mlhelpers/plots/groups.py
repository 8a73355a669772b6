"""Plots that compare groups of examples: what a number depends on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from mlhelpers.errors import UsageError
from mlhelpers.plots.style import BLUE, PALE, check_length, styled_axes

__all__ = ["mean_and_spread"]


def mean_and_spread(
    values: ArrayLike,
    groups: ArrayLike,
    *,
    x: str,
    y: str,
    title: str = "",
    order: Sequence[str] | None = None,
    smallest: int = 1,
    ax: Axes | None = None,
) -> Axes:
    """Draw each group's mean, its spread, and by the area of the dot how many examples it has.

    Args:
        values: Shape (n,), numbers.
        groups: Shape (n,), the group of each: numbers, drawn to scale, or text, side by side.
        x: What the groups are, with their unit.
        y: What the values are, with their unit.
        title: Over the plot.
        order: The groups to draw and their order, where they are text; all of them in alphabetical order where None.
        smallest: Leave out groups with fewer examples.
        ax: Axes to draw on; a new figure where None.

    Returns:
        The axes; the means are `ax.lines[0]`, the bars from one standard deviation below to one above are
        `ax.collections[0]` and the dots `ax.collections[1]`.

    Raises:
        UsageError: Not one group per value, or none with `smallest` examples.
    """
    numbers, names = np.asarray(values, float), np.asarray(groups)
    check_length("groups", names, len(numbers), "values")
    by_text = names.dtype.kind not in "iuf"
    found = np.unique(names).tolist() if order is None else list(order)
    parts = [numbers[names == name] for name in found]
    kept = [(name, part) for name, part in zip(found, parts, strict=True) if len(part) >= max(smallest, 1)]
    if not kept:
        raise UsageError(f"None of the {len(found)} groups has {smallest} examples: nothing to draw.")
    places = np.arange(len(kept)) if by_text else np.array([name for name, _ in kept], float)
    means = np.array([part.mean() for _, part in kept])
    spreads = np.array([part.std() for _, part in kept])
    counts = np.array([len(part) for _, part in kept])
    ax = styled_axes(ax, title, (7.5, 3.4), x, y, "y")
    ax.plot(places, means, color=BLUE, linewidth=0 if by_text else 1.2, zorder=2)
    ax.vlines(places, means - spreads, means + spreads, color=PALE, linewidth=5, zorder=1)
    ax.scatter(
        places, means, s=12 + 260 * counts / counts.max(), color=BLUE, zorder=3, edgecolor="white", linewidth=0.6
    )
    if by_text:
        ax.set_xticks(places, [f"{name}\n{count:,}" for (name, _), count in zip(kept, counts, strict=True)])
        ax.set_xlim(-0.6, len(kept) - 0.4)
        ax.tick_params(axis="x", length=0)
    elif (places == places.round()).all():
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return ax
