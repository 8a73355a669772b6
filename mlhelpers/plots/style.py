"""The one look that all plots share: colours, axes, and the checks on what they are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from numpy.typing import NDArray

from mlhelpers.errors import UsageError

__all__ = ["BLUE", "DULL", "GREEN", "GREY", "INK", "ORANGE", "PALE", "check_length", "names_of", "styled_axes"]

# Okabe and Ito's colours, chosen so that they differ in lightness too
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
INK, GREY, PALE = "#1F2933", "#7B8794", "#E4E7EB"
DULL = "#B8C4CE"  # bars and lines that stand back behind the one that matters
_DPI = 110


def styled_axes(
    ax: Axes | None, title: str, size: tuple[float, float], x: str = "", y: str = "", grid: str = ""
) -> Axes:
    """Return styled axes: the given ones or new ones of `size` inches; `grid` is "x", "y" or empty."""
    if ax is None:
        ax = plt.subplots(figsize=size, dpi=_DPI, layout="constrained")[1]
    ax.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK, pad=10)
    ax.set_xlabel(x, color=GREY)
    ax.set_ylabel(y, color=GREY)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(PALE)
    ax.tick_params(color=PALE, labelcolor=INK)
    if grid:
        ax.grid(axis=grid, color=PALE, linewidth=0.8)  # type: ignore[arg-type]  # the text is one of its literals
        ax.set_axisbelow(True)
    return ax


def check_length(what: str, values: Sequence[Any] | NDArray[Any], n: int, of: str) -> None:
    """Raise a `UsageError` unless there are `n` values: one for each of what `of` names."""
    if len(values) != n:
        raise UsageError(f"{len(values)} {what} were given for {n} {of}: give one for each.")


def names_of(class_names: Sequence[str] | None, n: int) -> list[str]:
    """Return the `n` class names as text, the numbers from 0 where none are given; refuse another count of them."""
    names = [str(k) for k in range(n)] if class_names is None else [str(name) for name in class_names]
    check_length("class names", names, n, "classes")
    return names
