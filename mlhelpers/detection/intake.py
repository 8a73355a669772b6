"""From the bytes that somebody sends to the pixels that a detector looks at.

JPEG, PNG and WebP, told by their content and never by a name; upright, on white where they are transparent, without
their metadata. Whatever else comes is refused in one sentence, and nothing is decoded that is too large.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlhelpers.errors import DataError
from mlhelpers.picture_files import MAX_PIXELS, UnreadablePictureError, VastPictureError, open_upright

__all__ = ["MAX_BYTES", "MAX_PIXELS", "ForeignPictureError", "Intake", "LargePictureError", "read_picture", "take_in"]

MAX_BYTES = 20_000_000  # a phone's photograph of 50 million pixels has about 15

_FORMATS = ("JPEG", "PNG", "WEBP")
_HEAD_BYTES = 32
# other things that are sent in earnest -> what to say of them
_FOREIGN = (
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML file"),
    (b"<!doctype", "a web page"),
    (b"<html", "a web page"),
)
_BRANDS = {b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF", b"msf1": "HEIF", b"avif": "AVIF", b"avis": "AVIF"}


class ForeignPictureError(DataError):
    """Bytes that are no JPEG, PNG or WebP."""


class LargePictureError(DataError):
    """A file or a picture that is larger than is taken."""


@dataclass(frozen=True)
class Intake:
    """A picture as a detector takes it.

    Attributes:
        pixels: (height, width, 3), uint8, red, green, blue.
        size: The (width, height) of the picture as it was sent, upright, in pixels; `pixels` may have fewer.
    """

    pixels: NDArray[np.uint8]
    size: tuple[int, int]


def read_picture(data: bytes, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Read a JPEG, PNG or WebP.

    Args:
        data: The file's content.
        max_bytes: A longer file is refused.
        max_pixels: A picture of more pixels is refused before it is decoded.

    Returns:
        (height, width, 3), uint8, red, green, blue, upright; what is transparent is white.

    Raises:
        ForeignPictureError: It is none of the three; a DataError, as the other two are.
        LargePictureError: Too many bytes or pixels.
        UnreadablePictureError: It is damaged or cut short.
    """
    return take_in(data, max_bytes, max_pixels).pixels


def take_in(data: bytes, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS, enough: int | None = None) -> Intake:
    """Read a JPEG, PNG or WebP, no larger than needed.

    Args:
        data: The file's content.
        max_bytes: A longer file is refused.
        max_pixels: A picture of more pixels is refused before it is decoded.
        enough: The shorter side that the caller has use for, in pixels: of a larger picture whole blocks of pixels
            are averaged, by 2, 3, 4 …; None keeps them all.

    Returns:
        The pixels, and the size that the picture had.

    Raises:
        ForeignPictureError: It is none of the three.
        LargePictureError: Too many bytes or pixels.
        UnreadablePictureError: It is damaged or cut short.
    """
    from PIL import Image

    if len(data) > max_bytes:
        raise LargePictureError(
            f"The file has {len(data):,} bytes; up to {max_bytes:,} are taken. Scale the picture down first."
        )
    _check_kind(data)
    try:
        picture, size = open_upright(
            io.BytesIO(data), "The picture", formats=_FORMATS, max_pixels=max_pixels, enough=enough
        )
    except VastPictureError as error:
        raise LargePictureError(str(error)) from error
    if enough is not None and (block := min(picture.size) // enough) > 1:
        picture = picture.reduce(block)
    if picture.mode == "RGBA":
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture).convert("RGB")
    return Intake(np.asarray(picture), size)


def _check_kind(data: bytes) -> None:
    """Refuse what does not begin as a JPEG, PNG or WebP, and say what it is instead where that can be told."""
    head = bytes(data[:_HEAD_BYTES])
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return
    if not head:
        raise UnreadablePictureError("The file is empty. Give a JPEG, PNG or WebP file.")
    lowered = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    found = next((words for start, words in _FOREIGN if lowered.startswith(start.lower())), "")
    if head[4:8] == b"ftyp":
        found = f"{_BRANDS[head[8:12]]} picture" if head[8:12] in _BRANDS else "film"
        found = f"{'an' if found[0] in 'AH' else 'a'} {found}".replace("an H", "a H")
    what = f"This is {found}, which is not read here" if found else "This is no picture that is read here"
    hint = " A phone sends a JPEG when its camera is set to “most compatible”." if "HEI" in found else ""
    raise ForeignPictureError(f"{what}; give a JPEG, PNG or WebP file.{hint}")
