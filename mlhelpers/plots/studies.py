"""Plots of a hyperparameter study: its trials one after another, and the curve of each."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from mlhelpers.errors import UsageError
from mlhelpers.plots.style import BLUE, DULL, GREEN, GREY, INK, ORANGE, PALE, check_length, styled_axes

__all__ = ["foreign_settings", "restyle", "study_curves", "study_history", "to_png"]

# state -> label, marker, colour, whether the marker is filled: no two differ by colour alone
_MARKS = {
    "SUCCEEDED": ("succeeded", "o", BLUE, True),
    "STOPPED_EARLY": ("stopped early", "v", GREEN, True),
    "RUNNING": ("running, latest value", "o", ORANGE, False),
    "INFEASIBLE": ("failed", "x", ORANGE, True),
}
_FOOT = 0.04  # where trials without a value are marked, as a share of the height


def study_history(
    numbers: ArrayLike,
    values: ArrayLike,
    states: Sequence[str],
    *,
    metric: str = "objective",
    minimizes: bool = True,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw the objective of each trial over the trials' numbers, and the best so far as a step line.

    Args:
        numbers: Shape (n,), the trials' numbers, from 1.
        values: Shape (n,), the objectives; NaN where there is none. Of a trial that runs, what it reported last.
        states: n of SUCCEEDED, STOPPED_EARLY, RUNNING and INFEASIBLE; trials of another state are left out.
        metric: What the objective is, for the axis.
        minimizes: Whether smaller is better.
        title: Over the plot.
        ax: Axes to draw on; a new figure where None.

    Returns:
        The axes. Each artist carries its state's words as label: filled circles for trials that succeeded, triangles
        for those stopped early, hollow circles for those that run, crosses at the foot for those that failed; the
        line is "best so far".

    Raises:
        UsageError: Not one value and one state for each trial.
    """
    places, heights = np.asarray(numbers, float), np.asarray(values, float)
    check_length("values", heights, len(places), "trials")
    check_length("states", states, len(places), "trials")
    kinds = np.asarray(states, str)
    known = np.isfinite(heights)
    ax = styled_axes(ax, title, (7.5, 3.2), "trial", metric, "y")
    over = known & np.isin(kinds, ("SUCCEEDED", "STOPPED_EARLY"))
    order = np.argsort(places[over])
    if over.any():
        best = (np.minimum if minimizes else np.maximum).accumulate(heights[over][order])
        steps = np.append(places[over][order], max(places.max(), places[over].max() + 0.5))
        ax.plot(steps, [*best, best[-1]], drawstyle="steps-post", color=INK, linewidth=1.4, label="best so far")
    for state, (label, marker, colour, is_filled) in _MARKS.items():
        here = kinds == state
        if state == "INFEASIBLE":
            x, y, where = places[here], np.full(here.sum(), _FOOT), ax.get_xaxis_transform()
        else:
            x, y, where = places[here & known], heights[here & known], ax.transData
        if len(x):
            look: dict[str, Any] = {"s": 30, "marker": marker, "linewidths": 1.4, "label": label, "zorder": 3}
            dots = ax.scatter(x, y, color=colour, transform=where, **look)
            if not is_filled:
                dots.set_facecolor("none")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if (kinds == "INFEASIBLE").any():
        low, high = ax.get_ylim()
        ax.set_ylim(low - 0.1 * (high - low), high)  # so that no cross lies on a value
    if len(places):
        ax.set_xlim(min(places.min(), 1) - 0.6, places.max() + 0.6)
        ax.legend(frameon=False, labelcolor=INK, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=5)
        ax.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK, pad=26 if title else 10)
    return ax


def study_curves(
    curves: Mapping[int, tuple[ArrayLike, ArrayLike]],
    *,
    best: int | None = None,
    metric: str = "objective",
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw what each trial reported over the training steps, the best one in front.

    Args:
        curves: Trial -> steps and values, each of shape (n,).
        best: The trial to bring forward.
        metric: What the values are, for the axis.
        title: Over the plot.
        ax: Axes to draw on; a new figure where None.

    Returns:
        The axes; each line carries "trial N" as label, the best one is drawn last.

    Raises:
        UsageError: No curve, not one value for each step, or the best one is not among them.
    """
    if not curves:
        raise UsageError("There is no curve to draw: no trial has reported anything.")
    if best is not None and best not in curves:
        raise UsageError(f"There is no curve of trial {best}, the best one. Curves: {', '.join(map(str, curves))}.")
    ax = styled_axes(ax, title, (7.5, 3.6), "training step", metric, "y")
    for number in sorted(curves, key=lambda number: (number == best, number)):
        steps, values = (np.asarray(part, float) for part in curves[number])
        if steps.shape != values.shape or steps.ndim != 1:
            raise UsageError(f"trial {number}: {values.shape} values for {steps.shape} steps: give one for each.")
        look: dict[str, Any] = {"color": DULL, "linewidth": 1.0}
        if number == best:
            look = {"color": BLUE, "linewidth": 2.4}
        ax.plot(steps, values, marker="o" if len(steps) == 1 else "", markersize=4, label=f"trial {number}", **look)
    if best is not None:
        ax.legend(handles=[ax.lines[-1]], labels=[f"trial {best}, the best"], frameon=False, labelcolor=INK, fontsize=9)
    return ax


def to_png(draw: Callable[[Axes], object], size: tuple[float, float], dpi: int = 110) -> bytes:
    """Return what a function draws, as PNG, without pyplot: in any thread, and no figure of a caller's is touched.

    Args:
        draw: Draws on the axes that it is given.
        size: Width and height in inches.
        dpi: Dots per inch.
    """
    figure = Figure(figsize=size, dpi=dpi)
    FigureCanvasAgg(figure)  # which it then has
    width, height = size
    # room for the axes' words in inches; matplotlib's own layouts cost more than the drawing
    ax = figure.add_axes((0.75 / width, 0.5 / height, 1 - 0.9 / width, 1 - 0.85 / height))
    draw(ax)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def foreign_settings() -> AbstractContextManager[None]:
    """Return a block in which another library draws: matplotlib's settings are afterwards as they were before."""
    return matplotlib.rc_context(
        {"figure.dpi": 110, "figure.figsize": (7.5, 3.6), "figure.constrained_layout.use": True}
    )


def restyle(drawn: Axes | Sequence[Axes], title: str) -> None:
    """Give a figure that another library drew the look of ours.

    Args:
        drawn: Its axes; those that lie on the same figure besides, as a colour bar's, are restyled with them.
        title: Over the whole, in place of the titles there are.
    """
    axes = [drawn] if isinstance(drawn, Axes) else list(drawn)
    figure = axes[0].get_figure(root=True)
    assert figure is not None
    figure.set_facecolor("white")
    for ax in figure.axes:
        if ax in axes:
            ax.set_facecolor("white")
            for place in ("left", "center", "right"):
                ax.set_title("", loc=place)
            ax.grid(visible=False)
            ax.grid(axis="y", color=PALE, linewidth=0.8)
            ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_color(PALE)
        ax.spines[["left", "bottom"]].set_color(PALE)
        ax.tick_params(which="both", color=PALE, labelcolor=INK, labelsize=9)
        ax.xaxis.label.set(color=GREY, fontsize=10)
        ax.yaxis.label.set(color=GREY, fontsize=10)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold", color=INK)
