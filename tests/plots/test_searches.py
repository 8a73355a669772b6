"""Facts about the plots of searches, read from the artists."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest

from mlhelpers import plots
from mlhelpers.errors import UsageError


def test_each_search_has_its_points_and_a_ring_around_the_best():
    x, y = np.linspace(0, 1, 11), np.linspace(0, 2, 21)
    surface = (x[None] - 0.5) ** 2 + (y[:, None] - 1) ** 2
    points = [(0.1, 0.2), (0.5, 1.1), (0.9, 1.9)]

    axes = plots.search_maps(x, y, surface, {"one": points, "two": points[:1]}, x_label="rate", y_label="units")

    assert [ax.get_title("left") for ax in axes] == ["one", "two"]
    np.testing.assert_allclose(axes[0].collections[-2].get_offsets(), points)
    np.testing.assert_allclose(axes[0].collections[-1].get_offsets(), [(0.5, 1.1)])
    assert (axes[0].get_xlabel(), axes[0].get_ylabel(), axes[1].get_ylabel()) == ("rate", "units", "")
    sizes = axes[0].collections[-2].get_sizes()
    assert sizes[0] < sizes[1] < sizes[2]


def test_a_surface_of_another_shape_and_a_search_without_points_are_refused():
    with pytest.raises(UsageError, match=r"shape \(2, 3\) for 3 values of y and 2 of x"):
        plots.search_maps([0, 1], [0, 1, 2], np.zeros((2, 3)), {"a": [(0, 0)]}, x_label="", y_label="")
    with pytest.raises(UsageError, match="'a' has no points"):
        plots.search_maps([0, 1], [0, 1, 2], np.arange(6).reshape(3, 2), {"a": []}, x_label="", y_label="")


def test_the_line_is_the_median_of_the_best_so_far():
    runs = {"a": [[3, 5, 1], [4, 2, 2], [9, 8, 0]], "b": [[1, 2, 3]]}

    ax = plots.best_so_far(runs, y="loss", title="T")

    np.testing.assert_allclose(ax.lines[0].get_ydata(), [4, 3, 1])
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [1, 1, 1])
    assert ax.lines[0].get_xdata().tolist() == [1, 2, 3]
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == 2
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]


def test_the_greatest_is_the_best_where_that_is_asked_for():
    ax = plots.best_so_far({"a": [[3, 5, 1]]}, y="", minimizes=False)

    assert ax.lines[0].get_ydata().tolist() == [3, 5, 5]


def test_runs_of_another_shape_are_refused():
    with pytest.raises(UsageError, match=r"it is \(repeats, trials\)"):
        plots.best_so_far({"a": [1, 2, 3]}, y="")
    with pytest.raises(UsageError, match="nothing to draw"):
        plots.best_so_far({}, y="")
