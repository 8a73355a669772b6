"""Bytes from anywhere become upright pixels, or one sentence that says why not."""

from __future__ import annotations

import contextlib
import io
import random
import struct
import time
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mlhelpers.detection import intake
from mlhelpers.errors import DataError
from mlhelpers.picture_files import UnreadablePictureError

_RED, _BLUE = (220, 20, 20), (20, 20, 220)


def _halves(size: tuple[int, int] = (64, 32)) -> Image.Image:
    """A picture whose left half is red and whose right half is blue."""
    picture = Image.new("RGB", size, _RED)
    picture.paste(_BLUE, (size[0] // 2, 0, size[0], size[1]))
    return picture


def _file(picture: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def _near(pixel: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(pixel.astype(int) - colour).max() < 40)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_each_kind_is_read_by_its_content(kind: str) -> None:
    pixels = intake.read_picture(_file(_halves(), kind))

    assert (pixels.shape, pixels.dtype) == ((32, 64, 3), np.uint8)
    assert _near(pixels[16, 8], _RED)
    assert _near(pixels[16, 56], _BLUE)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "LA"])
def test_other_kinds_of_pixels_become_red_green_blue(mode: str) -> None:
    pixels = intake.read_picture(_file(_halves().convert(mode), "JPEG" if mode == "CMYK" else "PNG"))

    assert pixels.shape == (32, 64, 3)


def test_a_palette_with_a_transparent_colour_is_laid_on_white() -> None:
    palette = _halves().quantize(2)

    pixels = intake.read_picture(_file(palette, "PNG", transparency=palette.getpixel((0, 0))))

    assert pixels[16, 8].tolist() == [255, 255, 255]
    assert _near(pixels[16, 56], _BLUE)


@pytest.mark.parametrize(
    ("orientation", "corner"),
    [(1, "left"), (2, "right"), (3, "right"), (4, "left"), (5, "top"), (6, "top"), (7, "bottom"), (8, "bottom")],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_is_turned_as_its_camera_was_held(kind: str, orientation: int, corner: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    taken = intake.take_in(_file(_halves(), kind, exif=exif))

    height, width = taken.pixels.shape[:2]
    assert taken.size == (width, height) == ((64, 32) if orientation < 5 else (32, 64))
    places = {"left": (16, 8), "right": (16, 56), "top": (8, 16), "bottom": (56, 16)}
    assert _near(taken.pixels[places[corner]], _RED)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_exif_does_not_cost_the_picture() -> None:
    data = _file(_halves(), exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\xff" * 30)

    assert _near(intake.read_picture(data)[16, 8], _RED)


def test_what_is_transparent_is_white() -> None:
    picture = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    picture.paste((0, 0, 255, 255), (0, 0, 4, 8))

    pixels = intake.read_picture(_file(picture, "PNG"))

    assert pixels[0, 0].tolist() == [0, 0, 255]
    assert pixels[0, 7].tolist() == [255, 255, 255]


def test_sixteen_bits_of_grey_keep_their_shades() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(4, 0)

    pixels = intake.read_picture(_file(Image.fromarray(ramp), "PNG"))

    np.testing.assert_allclose(pixels[0, :, 1], np.arange(256), atol=1)


def test_a_large_photograph_is_taken_in_no_larger_than_needed() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    taken = intake.take_in(_file(_halves((1600, 1200)), exif=exif), enough=300)

    assert taken.size == (1200, 1600)
    assert taken.pixels.shape == (400, 300, 3)
    assert _near(taken.pixels[50, 150], _RED)
    assert intake.take_in(_file(_halves((1600, 1200)), "PNG"), enough=300).pixels.shape == (300, 400, 3)


def _vast_png(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes that says it has this size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8_000, 12_000, 60_000])  # above our limit, above Pillow's warning, above its own
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_refused_before_it_is_decoded(side: int) -> None:
    data = _vast_png(side, side)
    tracemalloc.start()
    began = time.perf_counter()

    with pytest.raises(intake.LargePictureError, match="pixels; up to 60 million are read"):
        intake.read_picture(data)

    assert time.perf_counter() - began < 1
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_a_file_of_too_many_bytes_is_refused() -> None:
    with pytest.raises(intake.LargePictureError, match=r"has 1,000 bytes; up to 999 are taken"):
        intake.read_picture(b"\xff\xd8\xff" + bytes(997), max_bytes=999)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (_file(_halves(), "GIF"), "This is a GIF"),
        (_file(_halves(), "BMP"), "This is a BMP"),
        (_file(_halves(), "TIFF"), "This is a TIFF"),
        (b"%PDF-1.7 and so on", "This is a PDF"),
        (b"\xef\xbb\xbf <!DOCTYPE html><title>x", "This is a web page"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "This is an SVG drawing"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "This is a HEIC picture.*most compatible"),
        (b"\0\0\0\x18ftypavif\0\0\0\0mif1miaf", "This is an AVIF picture"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isomavc1", "This is a film"),
        (b"just words", "This is no picture that is read here; give a JPEG, PNG or WebP file."),
        (b"RIFF\0\0\0\0WAVEfmt ", "This is no picture"),
    ],
)
def test_other_files_are_told_by_what_they_are(data: bytes, words: str) -> None:
    with pytest.raises(intake.ForeignPictureError, match=words):
        intake.read_picture(data)


def test_an_empty_file_is_told_so() -> None:
    with pytest.raises(UnreadablePictureError, match="The file is empty"):
        intake.read_picture(b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_a_file_cut_short_is_refused_in_one_sentence(kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    data = _file(Image.fromarray(noise), kind)

    with pytest.raises(UnreadablePictureError, match="The picture cannot be read: it is no readable picture"):
        intake.read_picture(data[: max(12, int(len(data) * share))])


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damage_anywhere_ends_in_our_own_error_or_in_pixels(kind: str) -> None:
    chance = random.Random(7)
    exif = Image.Exif()
    exif[0x0112] = 6
    data = _file(_halves((40, 20)), kind, exif=exif)
    read = 0
    for _ in range(600):
        damaged = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        with contextlib.suppress(DataError):
            assert intake.read_picture(bytes(damaged)).ndim == 3
            read += 1
    assert 0 < read < 580
