"""From a mammogram of millions of pixels to one of 95x128, and to its PNG file of 16 bits and back.

The tutorial's pictures are made so: the scan is laid at the top left of a black frame that is as large as the largest
scan, and the whole is made smaller. So all pictures are to one scale, and a small breast stays small.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlhelpers.errors import DataError, UsageError
from mlhelpers.storage import write_aside

__all__ = ["SIZE", "TUTORIAL_FRAME", "parse_size", "read_png", "shrink", "write_png"]

SIZE = (95, 128)
"""Width and height of the pictures that trainers read."""
TUTORIAL_FRAME = (5251, 7111)
"""Width and height of the frame in the tutorial: its largest scan."""

_FRAME_KEY = "frame"  # the PNG text that says how a picture was made


def parse_size(text: str) -> tuple[int, int]:
    """Read a size such as "5251x7111": width and height.

    Raises:
        UsageError: The text is no size.

    Example:
        >>> parse_size("95x128")
        (95, 128)
    """
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if match is None:
        raise UsageError(f"{text!r} is no size; write width and height in pixels like 5251x7111.")
    return int(match[1]), int(match[2])


def shrink(pixels: NDArray[np.uint16], frame: tuple[int, int], size: tuple[int, int] = SIZE) -> NDArray[np.uint16]:
    """Lay a scan at the top left of a black frame and make the whole smaller, without aliasing.

    Each pixel of the result is the mean of the area that it covers, pixels that it covers in part counted in part.
    So nothing that is finer than a pixel turns into a false pattern, nothing is brighter than the brightest, and grey
    levels keep their scale. The frame is never laid out in memory: its black adds nothing to a mean.

    Args:
        pixels: Shape (height, width), uint16.
        frame: Width and height of the frame, at least those of the scan.
        size: Width and height of the result.

    Returns:
        Shape (size[1], size[0]), uint16.

    Raises:
        UsageError: The scan is larger than the frame.
    """
    height, width = pixels.shape
    if width > frame[0] or height > frame[1]:
        raise UsageError(
            f"The picture is {width}x{height} pixels and does not fit into the frame of {frame[0]}x{frame[1]}. "
            "Take a larger frame, or frame='largest'."
        )
    columns = np.zeros((width, size[0]))  # which share of each result column comes from each column of the scan
    for k in range(size[0]):
        start, shares = _cover(k, frame[0] / size[0], width)
        columns[start : start + len(shares), k] = shares
    rows = np.zeros((size[1], width))
    for k in range(size[1]):
        start, shares = _cover(k, frame[1] / size[1], height)
        if len(shares):
            rows[k] = shares @ pixels[start : start + len(shares)]
    return np.round(rows @ columns).astype(np.uint16)


def _cover(k: int, step: float, limit: int) -> tuple[int, NDArray[np.float64]]:
    """Return where result pixel `k` begins in the scan and which share of it each scan pixel from there on makes."""
    first, last = int(k * step), min(int(np.ceil((k + 1) * step)), limit)
    edges = np.arange(first, last)
    overlap = np.minimum(edges + 1, (k + 1) * step) - np.maximum(edges, k * step)
    return first, np.clip(overlap, 0, 1) / step


def write_png(path: Path, image: NDArray[np.uint16], frame: tuple[int, int] | None = None) -> None:
    """Write a grey PNG file of 16 bits, aside first.

    Args:
        path: The file; its folder is made.
        image: Shape (height, width), uint16.
        frame: The frame that it was made with, kept in the file as text.

    Raises:
        DataError: The file cannot be written.
    """
    from PIL import Image, PngImagePlugin

    text = PngImagePlugin.PngInfo()
    if frame is not None:
        text.add_text(_FRAME_KEY, f"{frame[0]}x{frame[1]}")
    with write_aside(path) as aside:
        Image.fromarray(image).save(aside, format="PNG", pnginfo=text, optimize=True)


def read_png(path: Path, frame: tuple[int, int] | None = None) -> NDArray[np.uint16]:
    """Read a grey PNG file of 16 bits.

    Args:
        path: The file.
        frame: Refuse a picture that was not made with this frame.

    Returns:
        Shape (height, width), uint16.

    Raises:
        DataError: The file is missing, truncated, another kind of picture, or made with another frame.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as picture:
            picture.load()
            if not picture.mode.startswith("I;16"):
                raise DataError(f"{path} is no grey picture of 16 bits, but of mode {picture.mode}.")
            made_with = picture.info.get(_FRAME_KEY)
            image = np.asarray(picture, np.uint16)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is missing, truncated or no PNG file: {error}.") from error
    if frame is not None and made_with != f"{frame[0]}x{frame[1]}":
        raise DataError(f"{path} was made with the frame {made_with}, not with {frame[0]}x{frame[1]}.")
    return image
