"""Facts about the plots of what a run reported, read from the artists."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mlhelpers import plots
from mlhelpers.errors import UsageError


def test_each_metric_has_its_picture_and_each_part_its_line():
    curves = {
        "loss": {"training": ([1, 2, 3], [2.0, 1.0, 0.5]), "validation": ([2], [1.5])},
        "accuracy": {"training": ([1, 2], [0.5, 0.75])},
    }
    loss, accuracy = plots.metric_curves(curves, title="first")

    assert [line.get_label() for line in loss.lines] == ["training", "validation"]
    np.testing.assert_allclose(loss.lines[0].get_xydata(), [[1, 2.0], [2, 1.0], [3, 0.5]])
    np.testing.assert_allclose(loss.lines[1].get_xydata(), [[2, 1.5]])
    assert loss.lines[1].get_marker() == "o"  # a single point would else not be seen
    np.testing.assert_allclose(accuracy.lines[0].get_ydata(), [50, 75])
    assert (loss.get_ylabel(), accuracy.get_ylabel()) == ("loss", "accuracy (%)")
    assert loss.figure.get_suptitle() == "first"
    assert len(loss.figure.axes) == 2


def test_empty_places_of_the_grid_are_taken_away():
    axes = plots.metric_curves({name: {"training": ([1], [1.0])} for name in "abcd"})

    assert len(axes) == len(axes[0].figure.axes) == 4


def test_one_metric_is_drawn_on_the_axes_given():
    ax = plt.subplots()[1]

    assert plots.metric_curves({"loss": {"training": ([1], [1.0])}}, title="first", ax=ax) == [ax]
    assert ax.get_title(loc="left") == "first: loss"


def test_parts_of_any_name_have_colours_of_their_own():
    parts = {name: ([1, 2], [1.0, 2.0]) for name in ("training", "validation", "test", "a", "b", "c")}
    (ax,) = plots.metric_curves({"loss": parts})

    assert len({line.get_color() for line in ax.lines}) == len(parts)


def test_two_metrics_on_one_axes_are_refused():
    curves = {name: {"training": ([1], [1.0])} for name in "ab"}
    with pytest.raises(UsageError, match="2 metrics cannot be drawn on one axes: give one"):
        plots.metric_curves(curves, ax=plt.subplots()[1])


def test_values_without_a_step_are_refused():
    with pytest.raises(UsageError, match=r"loss, training: \(1,\) values for \(2,\) steps"):
        plots.metric_curves({"loss": {"training": ([1, 2], [1.0])}})
