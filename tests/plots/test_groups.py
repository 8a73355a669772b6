"""Facts about the plots that compare groups, read from the artists."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest

from mlhelpers import plots
from mlhelpers.errors import UsageError


def test_each_group_has_its_mean_and_one_deviation_to_both_sides():
    ax = plots.mean_and_spread([1, 3, 10, 10, 13], [30, 30, 40, 40, 40], x="weeks", y="weight (lb)", title="By week")

    assert ax.lines[0].get_xdata().tolist() == [30, 40]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [2, 11])
    bars = [segment[:, 1].tolist() for segment in ax.collections[0].get_segments()]
    np.testing.assert_allclose(bars, [[1, 3], [11 - 2**0.5, 11 + 2**0.5]])
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title("left")) == ("weeks", "weight (lb)", "By week")


def test_a_dots_area_grows_with_the_number_of_its_examples():
    ax = plots.mean_and_spread([1.0] * 40, [1] * 30 + [2] * 10, x="", y="")

    large, small = ax.collections[1].get_sizes()
    assert (large - 12) / (small - 12) == pytest.approx(3)


def test_groups_in_words_stand_in_the_order_given_with_their_counts():
    ax = plots.mean_and_spread([1, 2, 4, 6], ["boy", "girl", "girl", "?"], x="", y="", order=["girl", "boy"])

    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["girl\n2", "boy\n1"]
    assert ax.lines[0].get_ydata().tolist() == [3, 1]


def test_small_groups_are_left_out_and_nothing_left_is_refused():
    ax = plots.mean_and_spread([1, 2, 4], [1, 1, 2], x="", y="", smallest=2)

    assert ax.lines[0].get_xdata().tolist() == [1]
    with pytest.raises(UsageError, match="None of the 2 groups has 9 examples"):
        plots.mean_and_spread([1, 2, 4], [1, 1, 2], x="", y="", smallest=9)


def test_another_number_of_groups_is_refused():
    with pytest.raises(UsageError, match="2 groups were given for 3 values"):
        plots.mean_and_spread([1, 2, 4], [1, 1], x="", y="")


def test_whole_numbers_are_marked_by_whole_numbers():
    ax = plots.mean_and_spread([1.0] * 20, list(range(26, 46)), x="weeks", y="")

    assert all(float(tick).is_integer() for tick in ax.get_xticks())
