"""Facts about the plots that show pictures: what is drawn where, read from the artists."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mlhelpers import plots
from mlhelpers.errors import UsageError


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (7, 28, 28)).astype(np.uint8)


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_grid_holds_every_picture_in_order_with_its_label(images):
    ax = plots.image_grid(images, list("abcdefg"), columns=3, title="Seven")

    assert [np.array_equal(artist.get_array(), image) for artist, image in zip(ax.images, images, strict=True)] == [
        True
    ] * 7
    assert texts(ax) == list("abcdefg")
    assert ax.get_title(loc="left") == "Seven"


def test_grid_starts_a_new_row_after_its_columns(images):
    ax = plots.image_grid(images, columns=3)
    lefts = [artist.get_extent()[0] for artist in ax.images]
    tops = [artist.get_extent()[3] for artist in ax.images]

    assert lefts[0] == lefts[3] == lefts[6] < lefts[1] < lefts[2]
    assert tops[0] == tops[2] < tops[3] == tops[5] < tops[6]


@pytest.mark.parametrize(
    ("values", "top"),
    [(np.full((1, 2, 3), 7, np.uint8), 255), (np.full((1, 2, 3), 0.5), 1), (np.full((1, 2, 3), 131.5), 255)],
    ids=["bytes", "floats to 1", "floats to 255"],
)
def test_grid_scales_by_range_not_by_what_happens_to_be_in_the_picture(values, top):
    assert plots.image_grid(values).images[0].get_clim() == (0, top)


def test_grid_keeps_the_shape_of_pictures_that_are_not_square():
    left, right, bottom, top = plots.image_grid(np.zeros((1, 128, 95))).images[0].get_extent()

    assert (bottom - top) / (right - left) == pytest.approx(128 / 95)


def test_grid_takes_one_picture_alone(images):
    assert len(plots.image_grid(images[0]).images) == 1


def test_highlighted_label_is_bold(images):
    ax = plots.image_grid(images[:2], ["no", "yes"], highlight=[False, True])

    assert [text.get_fontweight() for text in ax.texts] == ["normal", "bold"]


def test_flat_rows_are_refused_with_the_cure():
    with pytest.raises(UsageError, match=r"\(784,\).*reshape\(-1, 28, 28\)"):
        plots.image_grid(np.zeros(784))


def test_too_few_labels_are_refused(images):
    with pytest.raises(UsageError, match="2 labels were given for 7 images"):
        plots.image_grid(images, ["a", "b"])


def test_mistakes_show_only_the_wrong_ones_and_count_them(images):
    ax = plots.mistakes(images, [0, 1, 2, 3, 4, 5, 6], [0, 1, 7, 3, 9, 5, 6])

    assert texts(ax) == ["2 read as 7", "4 read as 9"]
    assert ax.get_title(loc="left") == "2 of 7 read wrongly"
    np.testing.assert_array_equal(ax.images[1].get_array(), images[4])


def test_mistakes_put_the_surest_first_and_stop_at_the_limit(images):
    labels, guesses = np.zeros(7, int), np.array([0, 1, 1, 1, 0, 0, 0])
    sure = np.array([0.9, 0.6, 0.99, 0.7, 0.9, 0.9, 0.9])
    ax = plots.mistakes(images, labels, guesses, np.stack([1 - sure, sure], axis=1), limit=2)

    np.testing.assert_array_equal(ax.images[0].get_array(), images[2])
    np.testing.assert_array_equal(ax.images[1].get_array(), images[3])
    assert len(ax.images) == 2


def test_no_mistake_is_said_in_words(images):
    ax = plots.mistakes(images, np.zeros(7), np.zeros(7))

    assert texts(ax) == ["No mistake among these."]


def test_digit_marks_the_centre_of_mass_and_the_box_around_the_ink():
    image = np.zeros((28, 28), np.float32)
    image[10, 4:7] = 1
    ax = plots.digit(image)

    assert (ax.lines[0].get_xdata()[0], ax.lines[0].get_ydata()[0]) == pytest.approx((5, 10))
    assert ax.patches[0].get_bbox().bounds == pytest.approx((3.5, 9.5, 3, 1))


def test_digit_without_ink_has_no_centre():
    assert not plots.digit(np.zeros((28, 28))).lines


def test_digit_of_another_size_is_refused():
    with pytest.raises(UsageError, match=r"\(28, 28\), this picture \(20, 20\)"):
        plots.digit(np.zeros((20, 20)))


def test_strokes_lie_as_on_the_canvas_with_y_downwards():
    drawn = [np.array([[10.0, 20.0], [30.0, 40.0]]), np.array([[5.0, 5.0]])]
    ax = plots.strokes(drawn, size=300)

    assert [line.get_xydata().tolist() for line in ax.lines] == [stroke.tolist() for stroke in drawn]
    assert (ax.get_xlim(), ax.get_ylim()) == ((0, 300), (300, 0))
    assert texts(ax) == ["1", "2"]


def test_no_strokes_are_an_empty_canvas():
    assert not plots.strokes([]).lines


def test_a_stroke_that_is_no_list_of_points_is_refused():
    with pytest.raises(UsageError, match=r"Stroke 0 has the shape \(3,\)"):
        plots.strokes([[1.0, 2.0, 3.0]])


def test_given_axes_are_drawn_on_and_returned(images):
    axes = plt.subplots(1, 4)[1]

    assert plots.image_grid(images, ax=axes[0]) is axes[0]
    assert plots.mistakes(images, np.zeros(7), np.ones(7), ax=axes[1]) is axes[1]
    assert plots.digit(images[0], ax=axes[2]) is axes[2]
    assert plots.strokes([], ax=axes[3]) is axes[3]
    assert len(plt.get_fignums()) == 1
