"""Facts about the plots that show numbers: what is drawn where, read from the artists."""

from __future__ import annotations

import subprocess
import sys

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn import metrics

from mlhelpers import plots
from mlhelpers.errors import UsageError


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def heights(ax):
    return [bar.get_height() for bar in ax.containers[0]]


def test_class_balance_counts_every_class():
    ax = plots.class_balance([0, 1, 1, 3], ["a", "b", "c", "d"])

    assert heights(ax) == [1, 2, 0, 1]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["a", "b", "c", "d"]
    assert [text.get_text() for text in ax.texts[:4]] == ["25.0 %", "50.0 %", "0.0 %", "25.0 %"]
    assert ax.lines[0].get_ydata()[0] == 1


def test_class_balance_shows_a_last_class_without_examples():
    assert heights(plots.class_balance([0, 0], ["a", "b"])) == [2, 0]


def test_class_balance_refuses_a_missing_name():
    with pytest.raises(UsageError, match="2 class names were given for 4 classes"):
        plots.class_balance([0, 1, 1, 3], ["a", "b"])


def test_histogram_counts_every_value_and_marks_one():
    ax = plots.histogram(np.arange(100).reshape(10, 10), x="ink (share)", bins=5, mark=50)

    assert [bar.get_height() for bar in ax.patches] == [20] * 5
    assert ax.get_xlabel() == "ink (share)"
    assert ax.lines[0].get_xdata()[0] == 50


def test_comparison_keeps_the_order_and_writes_the_numbers():
    ax = plots.compare({"guess": 11.35, "nearest mean": 82.03}, quantity="accuracy", unit="%", highlight="nearest mean")

    assert [bar.get_width() for bar in ax.containers[0]] == [11.35, 82.03]
    assert [text.get_text().strip() for text in ax.texts] == ["11.35 %", "82.03 %"]
    assert ax.yaxis.get_inverted()
    assert ax.containers[0][0].get_facecolor() != ax.containers[0][1].get_facecolor()


def test_comparison_refuses_to_highlight_what_is_not_there():
    with pytest.raises(UsageError, match=r"no bar 'b'.*Bars: a"):
        plots.compare({"a": 1}, quantity="time", unit="s", highlight="b")


def test_probability_bars_name_the_answer():
    ax = plots.probability_bars([0.1, 0.7, 0.2], ["cat", "dog", "cow"])

    assert heights(ax) == [0.1, 0.7, 0.2]
    assert ax.get_title(loc="left") == "dog, with probability 70%"
    assert ax.get_ylim()[1] > 1


def test_probability_bars_turn_to_another_colour_where_the_answer_is_wrong():
    right = plots.probability_bars([0.1, 0.9], truth=1).containers[0][1].get_facecolor()
    wrong = plots.probability_bars([0.1, 0.9], truth=0).containers[0][1].get_facecolor()

    assert right != wrong


def test_probability_bars_refuse_a_table():
    with pytest.raises(UsageError, match=r"\(1, 10\).*\[0\]"):
        plots.probability_bars(np.zeros((1, 10)))


def test_confusion_matrix_agrees_with_scikit_learn():
    labels, guesses = np.random.default_rng(0).integers(0, 4, (2, 200))
    ax = plots.confusion_matrix(labels, guesses, list("abcd"))
    expected = metrics.confusion_matrix(labels, guesses)

    shown = ax.images[0].get_array()
    np.testing.assert_array_equal(shown.data, expected)
    np.testing.assert_array_equal(shown.mask, np.eye(4, dtype=bool))
    assert {text.get_text() for text in ax.texts} == {str(count) for count in expected.ravel()}
    assert f"{200 - expected.trace()} mistakes among 200" in ax.get_title(loc="left")


def test_confusion_matrix_without_a_mistake_is_drawn_too():
    assert "0 mistakes among 3 (100.00% right)" in plots.confusion_matrix([0, 1, 2], [0, 1, 2]).get_title(loc="left")


def test_confusion_matrix_wants_one_prediction_per_label():
    with pytest.raises(UsageError, match="1 predictions were given for 2 labels"):
        plots.confusion_matrix([0, 1], [0])


def test_learning_curve_draws_percent_and_leaves_out_what_was_not_measured():
    history = {"step": [1, 2, 3], "accuracy": [0.5, 0.6, 0.7], "validation_accuracy": [np.nan, 0.8, 0.95]}
    ax = plots.learning_curve(history, baseline=0.1, bottom=0.05)
    training, validation, baseline = ax.lines

    assert training.get_ydata() == pytest.approx([50, 60, 70])
    assert validation.get_xydata().ravel() == pytest.approx([2, 80, 3, 95])
    assert baseline.get_ydata()[0] == pytest.approx(10)
    assert ax.get_ylim()[0] == pytest.approx(5)
    assert "95.00% at the end" in ax.get_title(loc="left")


def test_learning_curve_reads_a_table_as_numpy_reads_it_from_a_file(tmp_path):
    (tmp_path / "history.csv").write_text("step,seconds,loss\n1,0.5,2.3\n2,1.0,1.1\n")
    table = np.genfromtxt(tmp_path / "history.csv", delimiter=",", names=True)
    ax = plots.learning_curve(table, "loss", x="seconds")

    assert ax.lines[0].get_xydata().tolist() == [[0.5, 2.3], [1.0, 1.1]]
    assert ax.get_xlabel() == "training time (seconds)"


def test_learning_curve_names_the_columns_that_are_there():
    with pytest.raises(UsageError, match=r"holds step, loss.*'accuracy' or 'validation_accuracy' over 'step'"):
        plots.learning_curve({"step": [1], "loss": [2]})


def test_given_axes_are_drawn_on_and_returned():
    axes = plt.subplots(2, 3)[1].ravel()

    assert plots.class_balance([0, 1], ax=axes[0]) is axes[0]
    assert plots.histogram([1, 2], x="x", ax=axes[1]) is axes[1]
    assert plots.compare({"a": 1}, quantity="time", unit="s", ax=axes[2]) is axes[2]
    assert plots.probability_bars([0.5, 0.5], ax=axes[3]) is axes[3]
    assert plots.confusion_matrix([0], [0], ax=axes[4]) is axes[4]
    assert plots.learning_curve({"step": [1], "accuracy": [1]}, ax=axes[5]) is axes[5]
    assert len(plt.get_fignums()) == 1


def test_importing_plots_changes_no_setting_of_matplotlib():
    code = (
        "import matplotlib; before = dict(matplotlib.rcParams)\n"
        "import matplotlib.pyplot; import mlhelpers.plots\n"
        "changed = {k for k, v in before.items() if matplotlib.rcParams[k] != v} - {'backend', 'backend_fallback'}\n"
        "assert not changed, changed"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
