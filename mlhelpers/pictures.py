"""From any picture of something written to how much ink lies where: the first half of `strokes.from_picture`.

A photograph of dark ink on paper, a screenshot of chalk on a board, a drawing with a transparent ground and an MNIST
picture all become ink from 0 to 1. May import `errors` and `picture_files`.
"""

from __future__ import annotations

import io
import os
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mlhelpers.errors import UsageError
from mlhelpers.picture_files import open_upright

__all__ = ["Picture", "ink_of"]

Picture: TypeAlias = "npt.ArrayLike | str | os.PathLike[str] | bytes"

_Array = npt.NDArray[np.float64]

_LARGEST_SIDE = 420  # the digit ends on 20 pixels, so no more than this is looked at
_FAINTEST = 0.25  # less than this share of the darkest ink is grain or shade, whatever the split says
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")


def ink_of(picture: Picture) -> _Array:
    """Find the ink in a picture.

    Args:
        picture: An array of shape (h, w), (h, w, 1), (h, w, 3) or (h, w, 4), any real dtype and range; the path of a
            picture file; or the bytes of one (PNG, JPEG, WebP, GIF, BMP).

    Returns:
        Ink of shape (h, w), float64, 0 is paper and 1 is ink, soft where the picture is; at most 420 pixels large.
        All zeros where there is nothing but paper.

    Raises:
        UsageError: An array of another shape or with NaN, or no picture at all.
        DataError: A file that is missing or is no picture, or one of more than 60 million pixels.
    """
    if isinstance(picture, (str, os.PathLike)):
        grey = _read(picture)
    elif isinstance(picture, (bytes, bytearray, memoryview)):
        grey = _read(io.BytesIO(picture))
    else:
        grey = _checked(picture)
    return _ink(_smaller(grey))


def _read(source: str | os.PathLike[str] | io.BytesIO) -> _Array:
    """Read a picture file upright, as grey levels or as red, green, blue and opacity."""
    name = "The picture" if isinstance(source, io.BytesIO) else os.fspath(source)
    picture, _ = open_upright(source, name, formats=_FORMATS, enough=2 * _LARGEST_SIDE)
    return _checked(np.asarray(picture))


def _checked(picture: npt.ArrayLike) -> _Array:
    """Check an array and return its grey levels, (h, w), in whatever range it came."""
    try:
        raw = np.asarray(picture)
        array = raw.astype(np.float64) if raw.dtype.kind in "fiub" else None
    except (TypeError, ValueError):
        array = None
    if array is None:
        raise UsageError(
            "A picture is an array of grey levels, a file's path or a file's bytes; "
            f"given was {type(picture).__name__} {str(picture)[:60]!r}."
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))) or not array.size:
        raise UsageError(
            f"The picture has the shape {array.shape}; it should be (height, width), "
            "or (height, width, 3 or 4) for colours."
        )
    if not np.isfinite(array).all():
        raise UsageError(
            f"The picture of shape {array.shape} holds NaN or infinity; every grey level should be finite."
        )
    return array if array.ndim == 2 else _grey(array)


def _grey(colours: _Array) -> _Array:
    """Weigh red, green and blue as the eye does; what shows through is paper of the shade furthest from the ink."""
    grey: _Array = colours[:, :, :3] @ np.array([0.299, 0.587, 0.114])
    if colours.shape[2] == 3:
        return grey
    full = 255.0 if colours.max() > 1 else 1.0
    opacity = np.clip(colours[:, :, 3] / full, 0, 1)
    if opacity.min() == 1 or not opacity.any():
        return grey * opacity
    ink = float((grey * opacity).sum() / opacity.sum())
    paper = full if ink < full / 2 else 0.0
    return grey * opacity + paper * (1 - opacity)


def _smaller(grey: _Array) -> _Array:
    """Average whole blocks of pixels until the larger side fits."""
    block = -(-max(grey.shape) // _LARGEST_SIDE)
    if block == 1:
        return grey
    edges = [np.arange(0, side, block) for side in grey.shape]
    sums = np.add.reduceat(np.add.reduceat(grey, edges[0], axis=0), edges[1], axis=1)
    counts = np.multiply.outer(*(np.diff(np.append(edge, side)) for edge, side in zip(edges, grey.shape, strict=True)))
    smaller: _Array = sums / counts
    return smaller


def _ink(grey: _Array) -> _Array:
    """Tell ink from paper: paper is what lies along the border, ink what differs most from it."""
    paper = _paper(grey)
    darker = (paper - grey).max() >= (grey - paper).max()
    ink = np.clip(paper - grey if darker else grey - paper, 0, None)
    if ink.max() <= 1e-6 * max(1.0, np.abs(grey).max()):
        return np.zeros_like(ink)
    ink /= ink.max()
    threshold = max(_otsu(ink), _FAINTEST)
    low, high = float(ink[ink <= threshold].mean()), float(ink[ink > threshold].mean())
    quarter = (high - low) / 4
    softened: _Array = np.clip((ink - low - quarter) / (2 * quarter), 0, 1)
    return softened


def _paper(grey: _Array) -> _Array:
    """Return the paper's shade at each pixel, told by the border: a lamp lights one side more than the other."""
    rim = max(1, min(grey.shape) // 16)
    on_border = np.ones(grey.shape, bool)
    on_border[rim:-rim, rim:-rim] = False
    down, across = (np.linspace(-1, 1, side) for side in grey.shape)
    terms = np.stack(np.broadcast_arrays(1.0, down[:, None], across, down[:, None] * across), axis=-1)
    levels, places = grey[on_border], terms[on_border]
    paper = np.full(len(levels), np.median(levels))
    slopes = np.array([paper[0], 0, 0, 0])
    for _ in range(4):  # ink that touches the border is left out, more exactly each time
        off = np.abs(levels - paper)
        near = off <= 3 * np.median(off)
        slopes = np.linalg.lstsq(places[near], levels[near], rcond=None)[0]
        paper = places @ slopes
    surface: _Array = terms @ slopes
    return np.clip(surface, grey.min(), grey.max())


def _otsu(ink: _Array) -> float:
    """Return the level that best splits ink from paper: the one with the largest variance between the two."""
    counts, edges = np.histogram(ink, bins=128, range=(0, 1))
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = ink.size - below
    sums = np.cumsum(counts * middles)
    with np.errstate(invalid="ignore", divide="ignore"):
        between = below * above * (sums[:-1] / below - (sums[-1] - sums[:-1]) / above) ** 2
    return float(edges[1:-1][np.argmax(np.nan_to_num(between))])
