"""Strokes and pictures become what MNIST's makers would have scanned."""

from __future__ import annotations

import gzip
import importlib.util
import io
import math
import statistics
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from skimage.morphology import skeletonize

from mlhelpers import strokes
from mlhelpers.errors import DataError, UsageError

SEVEN = [np.array([(60.0, 50), (200, 52), (150, 130), (110, 230)]), np.array([(100.0, 140), (175, 135)])]
TURN = np.linspace(0, 2 * np.pi, 60)
ZERO = [np.column_stack([140 + 60 * np.sin(TURN), 140 - 90 * np.cos(TURN)])]
FOUR = [np.array([(90.0, 40), (80, 150), (190, 150)]), np.array([(160.0, 60), (155, 245)])]
DRAWINGS = {"seven": SEVEN, "zero": ZERO, "four": FOUR}


def centre(picture: np.ndarray) -> tuple[float, float]:
    """Return the centre of mass as (row, column)."""
    return ndimage.center_of_mass(picture.astype(float))


def extent(picture: np.ndarray) -> tuple[int, int]:
    """Return height and width of everything that is not paper."""
    rows, columns = np.nonzero(picture)
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


@pytest.fixture(scope="module")
def mnist(repository: Path) -> np.ndarray:
    """Give 200 test digits, float 0..1, read without the package."""
    with gzip.open(repository / "data" / "mnist" / "t10k-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(16 + 784 * 200), np.uint8, offset=16)
    return pixels.reshape(-1, 28, 28) / 255


@pytest.fixture(scope="module")
def tracer() -> ModuleType:
    """Load the tool that traces a digit's picture back to strokes."""
    spec = importlib.util.spec_from_file_location("digit_strokes", Path(__file__).parent / "digit_strokes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["digit_strokes"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def redrawn(mnist: np.ndarray, tracer: ModuleType) -> np.ndarray:
    return np.array([strokes.rasterize(tracer.strokes_of(digit)) for digit in mnist])


@pytest.mark.parametrize("drawing", DRAWINGS.values(), ids=DRAWINGS)
def test_a_drawing_becomes_grey_levels_of_28_by_28(drawing: Any) -> None:
    picture = strokes.rasterize(drawing)

    assert picture.shape == (28, 28)
    assert picture.dtype == np.float32
    assert picture.min() == 0
    assert picture.max() == 1
    assert ((picture > 0) & (picture < 1)).sum() > 30


@pytest.mark.parametrize("drawing", DRAWINGS.values(), ids=DRAWINGS)
def test_the_longer_side_fills_20_pixels_and_the_centre_of_mass_is_the_middle(drawing: Any) -> None:
    picture = strokes.rasterize(drawing)

    assert 19 <= max(extent(picture)) <= 20
    assert centre(picture) == pytest.approx((13.75, 13.75), abs=0.1)


@pytest.mark.parametrize("drawing", DRAWINGS.values(), ids=DRAWINGS)
@pytest.mark.parametrize("scale", [0.1, 0.5, 3.0, 40.0])
@pytest.mark.parametrize("shift", [(0, 0), (-500, 30), (1e4, -1e4)])
def test_place_and_size_on_the_canvas_make_no_difference(
    drawing: Any, scale: float, shift: tuple[float, float]
) -> None:
    moved = [stroke * scale + shift for stroke in drawing]

    np.testing.assert_allclose(strokes.rasterize(moved), strokes.rasterize(drawing), atol=2e-3)


def test_the_direction_and_order_of_strokes_make_no_difference() -> None:
    backwards = [stroke[::-1] for stroke in SEVEN[::-1]]

    np.testing.assert_allclose(strokes.rasterize(backwards), strokes.rasterize(SEVEN), atol=1e-4)


def test_proportions_are_kept() -> None:
    wide = [[(0, 0), (200, 0), (200, 100), (0, 100), (0, 0)]]
    height, width = extent(strokes.rasterize(wide))

    pen = strokes.PEN_WIDTH + 1
    assert width == 20
    assert height == pytest.approx((20 - pen) / 2 + pen, abs=1)


@pytest.mark.parametrize("nothing", [[], [[]], [np.zeros((0, 2))], (), iter([])])
def test_nothing_drawn_is_an_empty_picture(nothing: Any) -> None:
    picture = strokes.rasterize(nothing)

    assert picture.shape == (28, 28)
    assert picture.dtype == np.float32
    assert not picture.any()


@pytest.mark.parametrize(
    "dot",
    [
        [[(100, 80)]],
        [[(100, 80)] * 9],
        [[(100, 80)], [(100, 80)]],
        [[(100, 80), (101, 80.5), (100.5, 81)]],
        [[(-9e5, 3)]],
    ],
    ids=["one point", "the same point", "twice", "an unsteady hand", "far outside"],
)
def test_a_dot_is_a_dot_in_the_middle(dot: Any) -> None:
    picture = strokes.rasterize(dot)

    assert max(extent(picture)) <= 4
    assert picture.max() > 0.9
    assert picture.sum() == pytest.approx(math.pi * (strokes.PEN_WIDTH / 2) ** 2, rel=0.15)
    assert centre(picture) == pytest.approx((13.75, 13.75), abs=0.1)


def test_a_dot_beside_a_line_is_drawn_too() -> None:
    line = [[(0, 0), (0, 100)]]

    assert ndimage.label(strokes.rasterize([*line, [(60, 50)]]))[1] == 2


def test_a_straight_line_is_as_long_as_the_box_and_as_thick_as_the_pen() -> None:
    picture = strokes.rasterize([[(70, 10), (70, 250)]])

    assert extent(picture)[0] in (19, 20)
    assert picture[13].sum() == pytest.approx(strokes.PEN_WIDTH, abs=0.05)


@pytest.mark.parametrize("pen_width", [1.0, 2.0, 4.0])
def test_the_pen_can_be_thinner_and_thicker(pen_width: float) -> None:
    picture = strokes.rasterize([[(70, 10), (70, 250)]], pen_width=pen_width)

    assert picture[13].sum() == pytest.approx(pen_width, abs=0.05)
    assert extent(picture)[0] <= 20


def test_a_fast_stroke_has_no_gaps() -> None:
    fast = [np.array([(20.0, 30), (250, 40), (60, 240)])]

    assert ndimage.label(strokes.rasterize(fast) > 0.5, np.ones((3, 3)))[1] == 1


def test_a_digit_drawn_beyond_the_canvas_is_a_digit() -> None:
    outside = [stroke - (400, 100) for stroke in SEVEN]

    np.testing.assert_allclose(strokes.rasterize(outside), strokes.rasterize(SEVEN), atol=2e-3)


def test_a_drawing_lopsided_beyond_measure_stays_inside_the_picture() -> None:
    scribble = [[(0, 0), (0, 100)]] + [[(x, 0), (x, 100)] for x in np.linspace(0, 8, 9)] + [[(0, 50), (100, 50)]]
    picture = strokes.rasterize(scribble)

    assert extent(picture) == (20, 20)


def test_many_points_are_drawn_like_few() -> None:
    dense = [
        np.column_stack(
            [np.interp(np.linspace(0, 1, 5000), np.linspace(0, 1, 60), ZERO[0][:, axis]) for axis in (0, 1)]
        )
    ]

    assert np.abs(strokes.rasterize(dense) - strokes.rasterize(ZERO)).max() < 0.12


def test_thousands_of_wild_points_are_drawn_within_bounds() -> None:
    rng = np.random.default_rng(5)
    picture = strokes.rasterize([rng.uniform(0, 280, (10_000, 2))])

    assert extent(picture) == (20, 20)
    assert picture[8:20, 8:20].min() == 1


def quickest(drawing: Any) -> float:
    """Return the best time of 30 in milliseconds: what the machine does beside is not measured."""
    times = []
    for _ in range(30):
        begin = time.perf_counter()
        strokes.rasterize(drawing)
        times.append(time.perf_counter() - begin)
    return min(times) * 1000


def test_a_digit_takes_under_two_milliseconds_and_ten_thousand_points_under_ten() -> None:
    digit = [np.column_stack([140 + 60 * np.sin(TURN), 140 - 90 * np.cos(TURN)])]
    walk = [np.cumsum(np.random.default_rng(1).normal(size=(10_000, 2)), axis=0)]

    assert quickest(digit) < 2
    assert quickest(walk) < 10


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e12])
def test_a_point_that_is_no_number_of_pixels_is_refused(value: float) -> None:
    with pytest.raises(UsageError, match=r"Point 1 of stroke 1 is \(3\.0, .*\): both should be finite"):
        strokes.rasterize([[(1, 2)], [(1, 2), (3, value)]])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([np.zeros((4, 3))], r"Stroke 0 has the shape \(4, 3\); it should be \(n, 2\)"),
        ([(1, 2), (3, 4)], r"Stroke 0 has the shape \(2,\).*wrap it in a list: \[stroke\]"),
        ([np.zeros((2, 2, 2))], r"Stroke 0 has the shape \(2, 2, 2\)"),
        ([[(1, 2), (3,)]], r"Stroke 0 is no array of numbers"),
        ([[("a", "b")]], r"Stroke 0 is no array of numbers"),
        ([[(1j, 2)]], r"Stroke 0 is no array of numbers"),
        ([None], r"Stroke 0 is no array of numbers: None"),
        ("seven", r"Strokes are a list of \(n, 2\) arrays of canvas pixels; given was 'seven'"),
        (None, r"given was None"),
        (7, r"given was 7"),
    ],
)
def test_what_is_no_list_of_strokes_is_refused(given: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        strokes.rasterize(given)


@pytest.mark.parametrize("width", [0, -1, 40, np.nan])
def test_an_absurd_pen_is_refused(width: float) -> None:
    with pytest.raises(UsageError, match=r"pen_width=.* is no thickness .*0\.5 to 8"):
        strokes.rasterize(SEVEN, pen_width=width)


def test_strokes_are_left_as_they_were() -> None:
    drawing = [stroke.copy() for stroke in SEVEN]
    strokes.rasterize(drawing)

    for stroke, before in zip(drawing, SEVEN, strict=True):
        np.testing.assert_array_equal(stroke, before)


def test_mnist_redrawn_from_its_skeleton_looks_the_same(mnist: np.ndarray, redrawn: np.ndarray) -> None:
    """MNIST lies up to half a pixel beside, so its digits are moved to the same centre of mass first."""
    correlations = []
    for digit, copy in zip(mnist, redrawn, strict=True):
        placed = ndimage.shift(digit, np.subtract(centre(copy), centre(digit)), order=1)
        correlations.append(np.corrcoef(placed.ravel(), copy.ravel())[0, 1])

    assert statistics.median(correlations) > 0.88
    assert np.quantile(correlations, 0.05) > 0.7


def test_ink_and_thickness_are_those_of_mnist(mnist: np.ndarray, redrawn: np.ndarray) -> None:
    def ink(digits: np.ndarray) -> float:
        return float(np.median(digits.mean(axis=(1, 2))))

    def thickness(digits: np.ndarray) -> float:
        return statistics.median(digit.sum() / skeletonize(digit > 0.5).sum() for digit in digits)

    assert ink(redrawn) == pytest.approx(ink(mnist), rel=0.08)
    assert thickness(redrawn) == pytest.approx(thickness(mnist), rel=0.12)
    assert (redrawn == 0).mean() == pytest.approx((mnist == 0).mean(), abs=0.03)
    assert (redrawn > 0.98).mean() == pytest.approx((mnist > 0.98).mean(), abs=0.02)


def png(picture: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind)
    return file.getvalue()


def page_with(digit: np.ndarray, dark: int = 60, light: int = 220) -> np.ndarray:
    """Write a digit large, dark on light, beside the middle of a page."""
    large = np.asarray(Image.fromarray(np.uint8(digit * 255)).resize((200, 200), Image.Resampling.BICUBIC)) / 255
    page = np.full((300, 420), float(light))
    page[60:260, 190:390] -= (light - dark) * np.clip((large - 0.4) * 6, 0, 1)
    return page.astype(np.uint8)


def test_mnist_as_a_picture_stays_itself(mnist: np.ndarray) -> None:
    correlations = []
    for digit in mnist[:60]:
        copy = strokes.from_picture(np.uint8(digit * 255))
        placed = ndimage.shift(digit, np.subtract(centre(copy), centre(digit)), order=1)
        correlations.append(np.corrcoef(placed.ravel(), copy.ravel())[0, 1])

    assert statistics.median(correlations) > 0.96


@pytest.mark.parametrize("number", range(6))
def test_a_page_is_read_in_any_form(mnist: np.ndarray, number: int, tmp_path: Path) -> None:
    digit = mnist[number]
    page = page_with(digit)
    path = tmp_path / "page.png"
    path.write_bytes(png(page))
    expected = strokes.from_picture(page)
    colours = np.stack([page] * 3, axis=-1)
    opaque = np.concatenate([colours, np.full_like(page, 255)[..., None]], axis=-1)
    forms: dict[str, Any] = {
        "grey": page[..., None],
        "floats": page / 255,
        "wide floats": page * 1000.0 - 7,
        "colours": colours,
        "with opacity": opaque,
        "path": path,
        "path as text": str(path),
        "bytes": png(page),
        "light on dark": 255 - page,
        "turned lists": page.tolist(),
    }

    placed = ndimage.shift(digit, np.subtract(centre(expected), centre(digit)), order=1)
    assert np.corrcoef(placed.ravel(), expected.ravel())[0, 1] > 0.88
    for name, form in forms.items():
        np.testing.assert_allclose(strokes.from_picture(form), expected, atol=0.03, err_msg=name)


def test_a_photograph_with_grain_and_shade_is_read(mnist: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    for digit in mnist[:8]:
        page = page_with(digit)
        shaded = page - np.linspace(0, 70, page.shape[1]) + rng.normal(0, 5, page.shape)
        photograph = png(np.uint8(np.clip(shaded, 0, 255)), "JPEG")

        read = strokes.from_picture(photograph)
        assert np.corrcoef(read.ravel(), strokes.from_picture(page).ravel())[0, 1] > 0.95


@pytest.mark.parametrize("colour", [0, 255])
def test_ink_on_a_transparent_ground_is_found(mnist: np.ndarray, colour: int) -> None:
    opacity = np.uint8(mnist[0] * 255)
    drawing = np.stack([np.full_like(opacity, colour)] * 3 + [opacity], axis=-1)

    read = strokes.from_picture(png(drawing))
    assert np.corrcoef(read.ravel(), strokes.from_picture(mnist[0]).ravel())[0, 1] > 0.99


@pytest.mark.parametrize("pen", [2, 6, 14, 40])
def test_pens_of_any_thickness_come_near_to_that_of_mnist(pen: int) -> None:
    page = Image.new("L", (400, 400), 255)
    from PIL import ImageDraw

    ImageDraw.Draw(page).line([(100, 80), (300, 80), (180, 340)], fill=0, width=pen, joint="curve")
    picture = strokes.from_picture(np.asarray(page))
    thickness = picture.sum() / skeletonize(picture > 0.4).sum()

    assert 1.4 < thickness < 5
    assert picture.max() > 0.8
    assert 19 <= max(extent(picture)) <= 21
    assert centre(picture) == pytest.approx((13.75, 13.75), abs=0.2)


def test_a_speck_far_off_does_not_shrink_the_digit(mnist: np.ndarray) -> None:
    page = page_with(mnist[0])
    specked = page.copy()
    specked[5, 5] = 60

    assert np.corrcoef(strokes.from_picture(page).ravel(), strokes.from_picture(specked).ravel())[0, 1] > 0.97


@pytest.mark.parametrize("shade", [0, 128, 255, 0.5])
def test_an_empty_page_is_an_empty_picture(shade: float) -> None:
    assert not strokes.from_picture(np.full((40, 30), shade)).any()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros(784), r"shape \(784,\); it should be \(height, width\)"),
        (np.zeros((5, 28, 28)), r"shape \(5, 28, 28\)"),
        (np.zeros((0, 4)), r"shape \(0, 4\)"),
        (np.array([[0, np.nan]]), r"shape \(1, 2\) holds NaN or infinity"),
        (np.array([["a"]]), r"given was ndarray"),
        (None, r"given was NoneType 'None'"),
        ([[1, 2], [3]], r"given was list"),
    ],
)
def test_what_is_no_picture_is_refused(given: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        strokes.from_picture(given)


def test_a_missing_or_unreadable_file_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "note.png"
    text.write_text("seven")

    with pytest.raises(DataError, match=r"none\.png cannot be read: No such file"):
        strokes.from_picture(tmp_path / "none.png")
    with pytest.raises(DataError, match=r"note\.png cannot be read: it is no readable picture\. Give a PNG, JPEG"):
        strokes.from_picture(text)
    with pytest.raises(DataError, match="The picture cannot be read"):
        strokes.from_picture(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DataError, match="The picture cannot be read"):
        strokes.from_picture(png(np.zeros((90, 90), np.uint8) + 9)[:60])


def test_a_picture_that_claims_to_be_huge_is_refused_unread() -> None:
    huge = bytearray(png(np.zeros((4, 4), np.uint8)))
    huge[16:24] = (9000).to_bytes(4, "big") + (9000).to_bytes(4, "big")
    import zlib

    huge[29:33] = zlib.crc32(huge[12:29]).to_bytes(4, "big")

    with pytest.raises(DataError, match="9000x9000 pixels; up to 60 million"):
        strokes.from_picture(bytes(huge))


def test_the_tracer_makes_few_strokes_of_plausible_length(mnist: np.ndarray, tracer: ModuleType) -> None:
    traced = [tracer.strokes_of(digit) for digit in mnist]

    assert max(map(len, traced)) <= 6
    assert statistics.median(map(len, traced)) == 1
    assert all(stroke.shape[1] == 2 and len(stroke) >= 1 for digit in traced for stroke in digit)
    assert all(stroke.min() >= 0 and stroke.max() <= 280 for digit in traced for stroke in digit)
