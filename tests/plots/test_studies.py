"""Facts about the plots of a study, read from the artists."""

from __future__ import annotations

import io
import threading

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from mlhelpers import plots
from mlhelpers.errors import UsageError

_NAN = float("nan")


def _history(**more):
    states = ["SUCCEEDED", "STOPPED_EARLY", "INFEASIBLE", "SUCCEEDED", "RUNNING", "QUEUED"]
    return plots.study_history([1, 2, 3, 4, 5, 6], [3.0, 2.0, _NAN, 2.5, 1.0, _NAN], states, metric="rmse", **more)


def test_each_state_has_a_mark_of_its_own_shape():
    ax = _history()

    dots = {dots.get_label(): dots for dots in ax.collections}
    assert set(dots) == {"succeeded", "stopped early", "running, latest value", "failed"}
    np.testing.assert_allclose(dots["succeeded"].get_offsets(), [[1, 3.0], [4, 2.5]])
    np.testing.assert_allclose(dots["stopped early"].get_offsets(), [[2, 2.0]])
    assert len(dots["succeeded"].get_facecolors()) == 1
    assert len(dots["running, latest value"].get_facecolors()) == 0
    shapes = {dots[name].get_paths()[0].vertices.tobytes() for name in ("succeeded", "stopped early", "failed")}
    assert len(shapes) == 3
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("trial", "rmse")


def test_the_best_so_far_is_a_step_line_to_which_running_trials_do_not_count():
    (line,) = _history().lines

    assert line.get_drawstyle() == "steps-post"
    np.testing.assert_allclose(line.get_xydata(), [[1, 3], [2, 2], [4, 2], [6, 2]])


def test_the_best_is_the_greatest_where_the_goal_is_to_maximize():
    (line,) = _history(minimizes=False).lines

    assert line.get_ydata().tolist() == [3, 3, 3, 3]


def test_failed_trials_stand_at_the_foot_below_every_value():
    ax = plots.study_history([1, 2, 3], [0.5, 1.5, _NAN], ["SUCCEEDED", "SUCCEEDED", "INFEASIBLE"])
    dots = {dots.get_label(): dots for dots in ax.collections}
    ax.figure.canvas.draw()

    height = {name: found.get_offset_transform().transform(found.get_offsets())[0, 1] for name, found in dots.items()}
    assert height["failed"] < height["succeeded"] - 5  # pixels


def test_a_study_without_a_result_is_drawn_without_a_line():
    ax = plots.study_history([1], [_NAN], ["INFEASIBLE"])

    assert len(ax.lines) == 0
    assert not plots.study_history([], [], []).collections


def test_another_number_of_values_or_states_is_refused():
    with pytest.raises(UsageError, match="1 values were given for 2 trials"):
        plots.study_history([1, 2], [1.0], ["RUNNING"] * 2)
    with pytest.raises(UsageError, match="1 states were given for 2 trials"):
        plots.study_history([1, 2], [1.0, 2.0], ["RUNNING"])


def test_the_best_curve_is_drawn_last_and_thickest():
    ax = plots.study_curves({1: ([1, 2], [3.0, 1.0]), 2: ([1], [2.0]), 3: ([1, 2], [4.0, 2.0])}, best=1, metric="rmse")

    assert [line.get_label() for line in ax.lines] == ["trial 2", "trial 3", "trial 1"]
    assert ax.lines[-1].get_linewidth() > ax.lines[0].get_linewidth()
    assert ax.lines[0].get_marker() == "o"  # a single point would else not be seen
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["trial 1, the best"]
    np.testing.assert_allclose(ax.lines[-1].get_xydata(), [[1, 3.0], [2, 1.0]])


def test_curves_that_do_not_fit_are_refused():
    with pytest.raises(UsageError, match="no trial has reported anything"):
        plots.study_curves({})
    with pytest.raises(UsageError, match=r"no curve of trial 7, the best one\. Curves: 1"):
        plots.study_curves({1: ([1], [1.0])}, best=7)
    with pytest.raises(UsageError, match=r"trial 1: \(1,\) values for \(2,\) steps"):
        plots.study_curves({1: ([1, 2], [1.0])})


def test_a_picture_is_drawn_in_a_thread_without_a_figure_of_pyplot():
    made = []
    thread = threading.Thread(target=lambda: made.append(plots.to_png(lambda ax: _history(ax=ax), (4, 2), dpi=50)))
    thread.start()
    thread.join()

    picture = Image.open(io.BytesIO(made[0]))
    assert picture.size == (200, 100)
    assert len(picture.convert("RGB").getcolors(100_000)) > 10
    assert plt.get_fignums() == []


def test_a_foreign_plot_leaves_no_setting_behind_and_gets_our_look():
    before = dict(matplotlib.rcParams)
    with plots.foreign_settings():
        plt.style.use("ggplot")
        ax = plt.subplots()[1]
        ax.set_title("theirs")
        plots.restyle(ax, "ours")

    assert dict(matplotlib.rcParams) == before
    assert ax.get_title() == ""
    assert ax.figure.get_suptitle() == "ours"
    assert ax.get_facecolor() == ax.figure.get_facecolor() == (1, 1, 1, 1)
