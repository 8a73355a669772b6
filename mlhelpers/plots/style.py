"""The one look that all plots share: colours, axes, and the checks on what they are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from mlhelpers.errors import UsageError

__all__ = ["BLUE", "DULL", "GREEN", "GREY", "INK", "ORANGE", "PALE", "caption", "check_length", "marks_of", "names_of"]
__all__ += ["styled_axes"]

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


def marks_of(labels: Sequence[object] | NDArray[Any] | None, highlight: ArrayLike | None, n: int) -> NDArray[np.bool_]:
    """Return which of n pictures have a marked label, after a look at the number of labels and marks."""
    marked = np.zeros(n, bool) if highlight is None else np.asarray(highlight, bool)
    check_length("highlight marks", marked, n, "images")
    if labels is not None:
        check_length("labels", labels, n, "images")
    return marked


def caption(ax: Axes, x: float, y: float, label: object, is_marked: bool) -> None:
    """Write a label under a picture, its top at (x, y); bold and orange where it is marked."""
    text = ax.text(x, y, str(label), ha="center", va="top", fontsize=9)
    text.set(color=ORANGE if is_marked else INK, fontweight="bold" if is_marked else "normal")


def names_of(class_names: Sequence[str] | None, n: int) -> list[str]:
    """Return the `n` class names as text, the numbers from 0 where none are given; refuse another count of them."""
    names = [str(k) for k in range(n)] if class_names is None else [str(name) for name in class_names]
    check_length("class names", names, n, "classes")
    return names
