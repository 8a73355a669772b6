from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage.transform import resize

from mlhelpers.datasets.cbis_ddsm.dicom import read_mammogram
from mlhelpers.datasets.cbis_ddsm.pictures import SIZE, TUTORIAL_FRAME, parse_size, read_png, shrink, write_png
from mlhelpers.errors import DataError, UsageError

Scan = Callable[..., NDArray[np.uint16]]


def test_a_whole_factor_gives_the_mean_of_each_block(scan: Scan) -> None:
    pixels = scan(384, 285)

    expected = pixels.reshape(128, 3, 95, 3).mean(axis=(1, 3)).round()

    np.testing.assert_array_equal(expected, shrink(pixels, (285, 384)))


def test_a_broken_factor_gives_the_mean_of_the_area_with_parts_of_pixels(scan: Scan) -> None:
    """The oracle is the integral of the framed picture, read between its points."""
    pixels, frame = scan(301, 207), (250, 333)
    framed = np.zeros((frame[1], frame[0]))
    framed[:301, :207] = pixels
    integral = np.pad(framed.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    ys, xs = np.linspace(0, frame[1], 129), np.linspace(0, frame[0], 96)
    rows = np.stack([np.interp(ys, np.arange(frame[1] + 1), column) for column in integral.T], axis=1)
    corners = np.stack([np.interp(xs, np.arange(frame[0] + 1), row) for row in rows])
    area = frame[0] / 95 * frame[1] / 128

    expected = np.diff(np.diff(corners, axis=0), axis=1) / area

    assert np.abs(expected - shrink(pixels, frame)).max() <= 0.501


def test_a_real_mammogram_comes_out_as_scikit_image_makes_it(real_dicom: Path) -> None:
    """Another way against aliasing (a Gaussian blur, then samples), so alike within a few percent of the range."""
    pixels = read_mammogram(real_dicom / "sfm-benign-0" / "1-130.dcm")
    framed = np.zeros((4736, 2920), np.float32)
    framed[: pixels.shape[0], : pixels.shape[1]] = pixels

    expected = resize(framed, (128, 95), order=1, anti_aliasing=True, preserve_range=True)
    ours = shrink(pixels, (2920, 4736)).astype(float)

    inner = np.abs(expected - ours)[:-2, :-2]
    assert inner.mean() < 0.004 * 65535
    assert np.corrcoef(expected.ravel(), ours.ravel())[0, 1] > 0.998


def test_a_fine_pattern_becomes_its_mean_and_no_false_stripes() -> None:
    stripes = np.zeros((1280, 950), np.uint16)
    stripes[::2] = 60000

    assert set(np.unique(shrink(stripes, (950, 1280)))) == {30000}


def test_the_frame_is_black_to_the_right_and_below_and_the_scan_lies_at_the_top_left() -> None:
    small = shrink(np.full((640, 475), 40000, np.uint16), (950, 1280))

    assert (small[:64, :47] == 40000).all()
    assert (small[:64, 47] == 20000).all()  # half of it is scan
    assert not small[:, 48:].any()
    assert not small[64:].any()


def test_grey_levels_keep_their_scale_up_to_white() -> None:
    assert set(np.unique(shrink(np.full((300, 200), 65535, np.uint16), (200, 300)))) == {65535}


def test_a_scan_smaller_than_the_result_is_made_larger() -> None:
    assert shrink(np.full((4, 3), 9, np.uint16), (3, 4)).shape == (128, 95)
    assert (shrink(np.full((4, 3), 9, np.uint16), (3, 4)) == 9).all()


@pytest.mark.parametrize("frame", [(39, 70), (40, 69)])
def test_a_scan_larger_than_the_frame_is_refused(frame: tuple[int, int], scan: Scan) -> None:
    with pytest.raises(UsageError, match=f"40x70 pixels and does not fit into the frame of {frame[0]}x{frame[1]}"):
        shrink(scan(), frame)


def test_the_largest_frame_of_the_tutorial_costs_no_memory_of_its_size(scan: Scan) -> None:
    import tracemalloc

    pixels = scan(4000, 2000)
    tracemalloc.start()
    shrink(pixels, TUTORIAL_FRAME)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 20_000_000  # the frame alone has 37 million pixels


def test_png_files_keep_16_bits_and_are_read_by_pillow(tmp_path: Path, scan: Scan) -> None:
    path = tmp_path / "a" / "picture.png"
    write_png(path, scan(128, 95), (95, 128))

    with Image.open(path) as picture:
        assert (picture.mode, picture.size) == ("I;16", SIZE)
    np.testing.assert_array_equal(scan(128, 95), read_png(path))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda content: content[: len(content) // 2], "truncated or no PNG"),
        (lambda content: b"", "truncated or no PNG"),
        (lambda content: b"GIF89a" + content, "truncated or no PNG"),
    ],
)
def test_a_spoiled_png_is_refused(spoil: Callable[[bytes], bytes], message: str, tmp_path: Path, scan: Scan) -> None:
    path = tmp_path / "picture.png"
    write_png(path, scan())
    path.write_bytes(spoil(path.read_bytes()))

    with pytest.raises(DataError, match=message):
        read_png(path)


def test_a_png_of_8_bits_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(tmp_path / "picture.png")

    with pytest.raises(DataError, match="no grey picture of 16 bits, but of mode L"):
        read_png(tmp_path / "picture.png")


def test_a_png_knows_the_frame_that_it_was_made_with(tmp_path: Path, scan: Scan) -> None:
    path = tmp_path / "picture.png"
    write_png(path, scan(), (100, 200))

    assert read_png(path, (100, 200)).shape == (70, 40)
    with pytest.raises(DataError, match="made with the frame 100x200, not with 100x201"):
        read_png(path, (100, 201))


def test_a_size_is_width_then_height() -> None:
    assert parse_size("5251x7111") == TUTORIAL_FRAME


@pytest.mark.parametrize("text", ["", "5251", "5251x", "0x10", "-1x10", "5251 x 7111", "999999x1"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=f"'{text}' is no size; write width and height in pixels like 5251x7111"):
        parse_size(text)
