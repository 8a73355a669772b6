"""Plots that show numbers: balance of classes, histograms, comparisons, probabilities, confusions, learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter
from numpy.typing import ArrayLike

from mlhelpers.errors import UsageError
from mlhelpers.plots.style import BLUE, DULL, GREEN, GREY, INK, ORANGE, check_length, names_of, styled_axes

__all__ = ["class_balance", "compare", "confusion_matrix", "histogram", "learning_curve", "probability_bars"]


def class_balance(labels: ArrayLike, class_names: Sequence[str] | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw how many examples each class has, with a line where all would be equal.

    Args:
        labels: Shape (n,), whole numbers from 0.
        class_names: One name per class; the numbers where None.
        ax: Axes to draw on; a new figure where None.

    Returns:
        The axes; the bars are `ax.containers[0]`.

    Raises:
        UsageError: Not one name per class.
    """
    values = np.asarray(labels)
    counts = np.bincount(values, minlength=0 if class_names is None else len(class_names))
    names = names_of(class_names, len(counts))
    ax = styled_axes(ax, f"Examples per class, of {len(values):,}", (7.5, 3.2), "class", "examples", "y")
    bars = ax.bar(names, counts, color=BLUE, width=0.72)
    shares = [f"{100 * count / max(len(values), 1):.1f} %" for count in counts]
    ax.bar_label(bars, shares, label_type="center", fontsize=9, color="white")
    equal = len(values) / len(counts)
    ax.axhline(equal, color=ORANGE, linestyle="--", linewidth=1.3)
    ax.text(len(counts) - 0.38, equal, " all equal", color=ORANGE, va="center", fontsize=9)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    ax.tick_params(axis="x", length=0)
    return ax


def histogram(
    values: ArrayLike, *, x: str, title: str = "", bins: int = 40, mark: float | None = None, ax: Axes | None = None
) -> Axes:
    """Draw how often values fall where.

    Args:
        values: Any shape, numbers.
        x: What they are, with their unit.
        title: Over the plot.
        bins: Bars.
        mark: Draw a dashed line at this value.
        ax: Axes to draw on; a new figure where None.

    Returns:
        The axes.
    """
    ax = styled_axes(ax, title, (7.5, 3), x, "count", "y")
    ax.hist(np.ravel(np.asarray(values)), bins=bins, color=BLUE, edgecolor="white", linewidth=0.6)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    if mark is not None:
        ax.axvline(mark, color=ORANGE, linestyle="--", linewidth=1.5)
    return ax


def compare(
    values: Mapping[str, float],
    *,
    quantity: str,
    unit: str,
    title: str = "",
    highlight: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw a few named numbers as bars with their values, in the order given.

    Args:
        values: Name and number.
        quantity: What the numbers are: the name of the axis.
        unit: Their unit, on the axis and behind each number.
        title: Over the plot.
        highlight: The name whose bar is coloured; all are where empty.
        ax: Axes to draw on; a new figure where None.

    Returns:
        The axes; the bars are `ax.containers[0]`.

    Raises:
        UsageError: `highlight` is none of the names.
    """
    if highlight and highlight not in values:
        raise UsageError(f"There is no bar {highlight!r} to highlight. Bars: {', '.join(values)}.")
    ax = styled_axes(ax, title, (7.5, 0.9 + 0.42 * len(values)), f"{quantity} ({unit})", grid="x")
    colours = [BLUE if not highlight or name == highlight else DULL for name in values]
    bars = ax.barh(list(values), list(values.values()), color=colours, height=0.66)
    digits = 0 if max(values.values()) >= 1000 else 2
    ax.bar_label(bars, [f" {value:,.{digits}f} {unit}" for value in values.values()], fontsize=9, color=INK)
    ax.invert_yaxis()
    ax.set_xlim(0, max(values.values()) * 1.16)
    ax.tick_params(axis="y", length=0)
    return ax


def probability_bars(
    probabilities: ArrayLike,
    class_names: Sequence[str] | None = None,
    *,
    truth: int | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw what a classifier believes: one bar per class, the likeliest coloured.

    Args:
        probabilities: Shape (classes,), 0..1.
        class_names: One name per class; the numbers where None.
        truth: The true class, marked under its bar; green where the model agrees, orange where it does not.
        title: Over the plot; the answer and its probability where None.
        ax: Axes to draw on; a new figure where None.

    Returns:
        The axes; the bars are `ax.containers[0]`.

    Raises:
        UsageError: Not one row of probabilities, or not one name per class.
    """
    values = np.asarray(probabilities, float)
    if values.ndim != 1:
        raise UsageError(
            f"Probabilities of shape {values.shape} are not one prediction: give one row, for instance [0]."
        )
    names = names_of(class_names, len(values))
    best = int(values.argmax())
    title = f"{names[best]}, with probability {values[best]:.0%}" if title is None else title
    ax = styled_axes(ax, title, (5, 2.6), "class", "probability", "y")
    right = truth is None or truth == best
    colours = [(BLUE if right else ORANGE) if k == best else DULL for k in range(len(values))]
    ax.bar(names, values, color=colours, width=0.72)
    ax.set_ylim(0, 1.02)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
    ax.tick_params(axis="x", length=0)
    if truth is not None:
        ax.get_xticklabels()[truth].set(fontweight="bold", color=GREEN if right else ORANGE)
        ax.set_xlabel(f"class (it is a {names[truth]})", color=GREY)
    return ax


def confusion_matrix(
    labels: ArrayLike, predictions: ArrayLike, class_names: Sequence[str] | None = None, *, ax: Axes | None = None
) -> Axes:
    """Draw which class is taken for which: mistakes coloured by their number, the right ones in grey on the diagonal.

    Args:
        labels: Shape (n,), whole numbers from 0: the true classes.
        predictions: Shape (n,): the classes that the model gave.
        class_names: One name per class; the numbers where None.
        ax: Axes to draw on; a new figure where None.

    Returns:
        The axes; `ax.images[0]` holds the mistakes, row = truth, column = answer, its diagonal masked.

    Raises:
        UsageError: Not one prediction per label, or not one name per class.
    """
    truth, guess = np.asarray(labels), np.asarray(predictions)
    check_length("predictions", guess, len(truth), "labels")
    n = len(class_names) if class_names is not None else int(max(truth.max(), guess.max())) + 1
    counts = np.zeros((n, n), int)
    np.add.at(counts, (truth, guess), 1)
    names = names_of(class_names, n)
    right = counts.trace()
    title = f"{len(truth) - right:,} mistakes among {len(truth):,} ({right / len(truth):.2%} right)"
    ax = styled_axes(ax, title, (5.6, 5.4), "the model's answer", "what it is")
    wrong = np.ma.masked_array(counts, np.eye(n, dtype=bool))
    ax.imshow(wrong, cmap="Oranges", vmin=0, vmax=1.25 * max(wrong.filled(0).max(), 1))
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = GREY if row == column else INK
            ax.text(column, row, f"{count:,}", ha="center", va="center", fontsize=8, color=colour)
    ax.set_xticks(range(n), names)
    ax.set_yticks(range(n), names)
    ax.tick_params(length=0)
    return ax


def learning_curve(
    history: Mapping[str, ArrayLike],
    metric: str = "accuracy",
    *,
    x: str = "step",
    baseline: float | None = None,
    bottom: float | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how a metric moves during training, on the training batches and on the validation part.

    Args:
        history: Columns by name, each of shape (n,), NaN where nothing was measured: `x`, the metric, and where there
            is one `validation_<metric>`. A numpy structured array is taken too.
        metric: "accuracy" (0..1, drawn in percent), "loss", or any column.
        x: The column to the right: "step" or "seconds".
        baseline: What must be beaten, in the metric's unit; a dashed line.
        bottom: Where the vertical axis begins, in the metric's unit.
        title: Over the plot; the last validation value where None.
        ax: Axes to draw on; a new figure where None.

    Returns:
        The axes; each line carries its column's name as label.

    Raises:
        UsageError: The history has no such column.
    """
    columns = getattr(getattr(history, "dtype", None), "names", None) or list(history)
    table = {name: np.asarray(history[name], float) for name in columns}
    measured = f"validation_{metric}"
    if x not in table or not {metric, measured} & set(table):
        raise UsageError(
            f"This history holds {', '.join(table)}: nothing to draw {metric!r} or {measured!r} over {x!r} with."
        )
    percent = metric.endswith("accuracy")
    factor, unit = (100, " (%)") if percent else (1, "")
    last = [value for value in table.get(measured, table.get(metric, np.empty(0))) if np.isfinite(value)][-1:]
    ending = f": {last[0]:.2%} at the end" if percent and last else ""
    title = f"{metric.capitalize()} while it learns{ending}" if title is None else title
    names = {"step": "training step (batches learned from)", "seconds": "training time (seconds)"}
    ax = styled_axes(ax, title, (7.5, 3.6), names.get(x, x), metric + unit, "y")
    for name, label in ((metric, "training batches"), (measured, "validation part")):
        if name in table:
            known = np.isfinite(table[name])
            (line,) = ax.plot(table[x][known], factor * table[name][known], color=GREY, linewidth=1, label=label)
            if name == measured:
                line.set(color=BLUE, linewidth=2.2, marker="o", markersize=4)
    if baseline is not None:
        ax.axhline(factor * baseline, color=ORANGE, linestyle="--", linewidth=1.3, label="baseline")
    low, high = ax.get_ylim()
    ax.set_ylim(low if bottom is None else factor * bottom, 100.4 if percent else high)
    ax.legend(frameon=False, labelcolor=INK, loc="center right")
    return ax
