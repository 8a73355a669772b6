"""Facts about the plots that show how classes differ, read from the artists."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest

from mlhelpers import plots
from mlhelpers.errors import UsageError

NAMES = ("a", "b")


def test_each_class_has_its_own_dots_colour_and_shape():
    ax = plots.scatter([1, 2, 3], [4, 5, 6], [0, 1, 0], NAMES, x="width (cm)", y="length (cm)", title="Flowers")

    first, second = ax.collections
    assert first.get_offsets().tolist() == [[1, 4], [3, 6]]
    assert second.get_offsets().tolist() == [[2, 5]]
    assert not np.array_equal(first.get_facecolor(), second.get_facecolor())
    assert not np.array_equal(first.get_paths()[0].vertices, second.get_paths()[0].vertices)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title("left")) == ("width (cm)", "length (cm)", "Flowers")


def test_one_example_can_be_marked():
    ax = plots.scatter([1, 2], [4, 5], [0, 1], NAMES, x="", y="", mark=(1.5, 4.5, "the one asked about"))

    assert ax.lines[0].get_xydata().tolist() == [[1.5, 4.5]]
    assert ax.get_legend().get_texts()[-1].get_text() == "the one asked about"


def test_dots_are_drawn_on_the_axes_given():
    given = plots.scatter([1], [1], [0], ["a"], x="", y="")

    assert plots.scatter([2], [2], [0], ["a"], x="", y="", ax=given) is given


@pytest.mark.parametrize(
    ("up", "labels", "names", "message"),
    [
        ([1], [0, 1], NAMES, "1 measurements upwards were given for 2 examples"),
        ([1, 2], [0], NAMES, "1 labels were given for 2 examples"),
        ([1, 2], [0, 2], NAMES, "2 class names were given for 3 classes"),
        ([1, 2], [0, 1], tuple("abcdefg"), "7 classes cannot be told apart in one plot; at most 6 can"),
    ],
)
def test_what_does_not_go_together_is_refused(up, labels, names, message):
    with pytest.raises(UsageError, match=message):
        plots.scatter([1, 2], up, labels, names, x="", y="")


def test_ranges_run_from_least_to_greatest_with_the_middle_half_thick_and_the_median_marked():
    rng = np.random.default_rng(0)
    values = {"long": rng.normal(5, 1, 40), "wide": rng.normal(2, 1, 40)}
    labels = np.arange(40) % 2

    ax = plots.ranges(values, labels, NAMES, x="length (cm)")

    for k in range(2):
        thin, thick = ax.collections[2 * k : 2 * k + 2]
        for row, column in enumerate(values.values()):
            mine = column[labels == k]
            assert thin.get_segments()[row][:, 0].tolist() == [mine.min(), mine.max()]
            np.testing.assert_allclose(thick.get_segments()[row][:, 0], np.percentile(mine, [25, 75]))
            assert ax.lines[k].get_xdata()[row] == np.median(mine)
        assert thin.get_linewidth()[0] < thick.get_linewidth()[0]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["long", "wide"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first measurement stands on top


@pytest.mark.parametrize(
    ("labels", "names", "message"),
    [
        ([0], NAMES, "1 labels were given for 2 examples"),
        ([0, 0], NAMES, "no example of the class 'b': leave its name out"),
        ([0, 2], NAMES, "2 class names were given for 3 classes"),
    ],
)
def test_ranges_without_a_label_an_example_or_a_name_are_refused(labels, names, message):
    with pytest.raises(UsageError, match=message):
        plots.ranges({"long": [1, 2]}, labels, names, x="")
