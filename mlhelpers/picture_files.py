"""Picture files of unknown origin, decoded with care: the one place that hands a stranger's bytes to Pillow.

The size is read before anything is decoded, so a small file that claims a huge picture costs nothing. May import
`errors` alone.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from mlhelpers.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["MAX_PIXELS", "UnreadablePictureError", "VastPictureError", "open_upright"]

MAX_PIXELS = 60_000_000  # a phone's photograph has 50 million
# what Pillow's readers raise on damaged files, found by damaging files
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError)
_RARE_DAMAGE = (struct.error, zlib.error, AttributeError, AssertionError)


class UnreadablePictureError(DataError):
    """A picture file that is damaged, cut short, missing or none at all."""


class VastPictureError(DataError):
    """A picture of more pixels than are read."""


def open_upright(
    source: str | os.PathLike[str] | io.BytesIO,
    name: str,
    *,
    formats: tuple[str, ...],
    max_pixels: int = MAX_PIXELS,
    enough: int | None = None,
) -> tuple[Image.Image, tuple[int, int]]:
    """Decode a picture file, turned the way its camera was held; all its metadata is left behind.

    Args:
        source: The file's path or its bytes.
        name: What the messages call it, at the start of a sentence.
        formats: The formats to try, by Pillow's names; nothing else is opened, whatever the file's name says.
        max_pixels: A picture that says it has more is refused before it is decoded.
        enough: Neither side needs more pixels than this: a JPEG may then be decoded at a half, a quarter or an eighth
            of its size, which takes that much less time. None decodes it whole.

    Returns:
        The picture, of mode RGB, or RGBA where something of it may be transparent; and the (width, height) of the
        whole picture upright, in pixels.

    Raises:
        UnreadablePictureError: The file is missing, damaged, cut short or of another format.
        VastPictureError: It has more than `max_pixels`.
    """
    from PIL import Image

    try:
        with Image.open(source, formats=formats) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise VastPictureError(_vast(name, f"{width}x{height}", max_pixels))
            if enough is not None:
                image.draft(None, (enough, enough))
            image.load()
            lying = image.size
            upright = _eight_bits(image)
            _turn(upright)
            if upright.size != lying:
                width, height = height, width
            mode = "RGBA" if "A" in upright.getbands() or "transparency" in upright.info else "RGB"
            return upright if upright.mode == mode else upright.convert(mode), (width, height)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:  # far beyond our own limit
        raise VastPictureError(_vast(name, "far too many", max_pixels)) from error
    except (*_DAMAGE, *_RARE_DAMAGE) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is no readable picture"
        raise UnreadablePictureError(f"{name} cannot be read: {reason}. Give a {_listed(formats)} file.") from error


def _vast(name: str, size: str, max_pixels: int) -> str:
    allowed = f"{max_pixels / 1e6:g} million" if max_pixels >= 100_000 else str(max_pixels)
    return f"{name} has {size} pixels; up to {allowed} are read. Scale it down first."


def _listed(formats: tuple[str, ...]) -> str:
    names = [{"WEBP": "WebP"}.get(one, one) for one in formats]
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16 bits of grey down to 8: Pillow's own conversion would make all but the darkest white."""
    from PIL import Image

    if not image.mode.startswith("I"):
        return image
    wide = np.asarray(image)
    scaled = Image.fromarray((np.clip(wide, 0, 65535) >> 8).astype(np.uint8))
    scaled.info = {key: value for key, value in image.info.items() if key != "transparency"}  # how it is turned
    return scaled


def _turn(image: Image.Image) -> None:
    """Turn a picture as its EXIF data say; where these are damaged it stays as it lies."""
    from PIL import ImageOps

    with contextlib.suppress(*_DAMAGE, *_RARE_DAMAGE):
        ImageOps.exif_transpose(image, in_place=True)  # a copy of each phone's photograph would be 150 MB
