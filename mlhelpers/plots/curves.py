"""Plots of what a run reported: each metric over the steps, training and validation in one picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from mlhelpers.errors import UsageError
from mlhelpers.plots.style import BLUE, GREEN, GREY, INK, ORANGE, styled_axes

__all__ = ["metric_curves"]

_STYLES = {"training": (GREY, 1.2), "validation": (BLUE, 2.2), "test": (ORANGE, 2.2)}
_OTHER_COLOURS = (GREEN, "#CC79A7", "#56B4E9", "#E69F00")  # also Okabe and Ito's
_COLUMNS = 3
_FEW = 30  # so many points are marked, one by one


def metric_curves(
    curves: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]], *, title: str = "", ax: Axes | None = None
) -> list[Axes]:
    """Draw metrics over training steps, one picture for each metric and in it one line for each part of the data.

    Args:
        curves: Metric -> part of the data ("training", "validation", "test" or any other name) -> steps and values,
            each of shape (n,). Metrics whose name ends in "accuracy" are taken as 0..1 and drawn in percent.
        title: Over the pictures.
        ax: Axes to draw one metric on; a new figure where None.

    Returns:
        The axes, one for each metric in the order given; each line carries its part's name as label.

    Raises:
        UsageError: No metric, several metrics for one `ax`, or not one value for each step.
    """
    if not curves or (ax is not None and len(curves) > 1):
        raise UsageError(f"{len(curves)} metrics cannot be drawn on {'one axes' if ax else 'nothing'}: give one.")
    if ax is not None:
        axes = [ax]
    else:
        columns = min(len(curves), _COLUMNS)
        rows = math.ceil(len(curves) / columns)
        size = (7.5 if columns == 1 else 4.4 * columns, 3.2 * rows)
        figure, grid = plt.subplots(rows, columns, figsize=size, dpi=110, layout="constrained", squeeze=False)
        axes = list(grid.flat)
        for spare in axes[len(curves) :]:
            spare.remove()
        if title and len(curves) > 1:
            figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold", color=INK)
    drawn = axes[: len(curves)]
    for place, (metric, parts) in zip(drawn, curves.items(), strict=True):
        heading = f"{title}: {metric}" if title and len(curves) == 1 else metric
        _draw(place, metric, parts, heading)
    return drawn


def _draw(ax: Axes, metric: str, parts: Mapping[str, tuple[ArrayLike, ArrayLike]], heading: str) -> None:
    factor, unit = (100, " (%)") if metric.endswith("accuracy") else (1, "")
    styled_axes(ax, heading, (0, 0), "training step", metric + unit, "y")
    others = [part for part in parts if part not in _STYLES]
    for part, (given_steps, given_values) in parts.items():
        steps, values = np.asarray(given_steps, float), np.asarray(given_values, float)
        if steps.shape != values.shape or steps.ndim != 1:
            raise UsageError(f"{metric}, {part}: {values.shape} values for {steps.shape} steps: give one for each.")
        colour, width = _STYLES.get(part) or (_colour(others, part), 1.6)
        marker = "o" if len(steps) <= _FEW else ""
        ax.plot(steps, factor * values, color=colour, linewidth=width, marker=marker, markersize=3.5, label=part)
    ax.legend(frameon=False, labelcolor=INK, fontsize=9)


def _colour(others: Sequence[str], part: str) -> str:
    return _OTHER_COLOURS[others.index(part) % len(_OTHER_COLOURS)]
