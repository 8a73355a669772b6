"""From pen strokes, or from a picture, to the 28x28 grey levels that a network trained on MNIST knows.

MNIST's makers scaled each digit into a box of 20x20 pixels keeping its proportions, let the scaling soften the edges,
and moved the centre of mass to the middle of 28x28. `rasterize` does the same with a pen of MNIST's thickness, whatever
the size a person draws at. Pure: arrays in, an array out; numpy alone. May import `errors` and `pictures`; `widget`
draws with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from mlhelpers.errors import UsageError
from mlhelpers.pictures import Picture, ink_of

__all__ = ["BOX", "CENTRE", "PEN_WIDTH", "SIDE", "check_strokes", "from_picture", "rasterize"]

_Array = npt.NDArray[np.float64]
_Picture = npt.NDArray[np.float32]
_Distance = Callable[[_Picture, _Picture], _Picture]

SIDE = 28
"""Side of the picture, in pixels."""

BOX = 20.0
"""Side of the box that the digit fills, soft edges and all, in pixels."""

CENTRE = 13.75
"""Where the centre of mass comes to lie, counting the first pixel's middle as 0.

MNIST moved its digits by whole pixels, so its own centres lie anywhere from 13.5, the middle of the picture, to 14.5.
"""

PEN_WIDTH = 2.5
"""Thickness of the pen at half its darkness, in pixels of the 28x28 picture.

Measured on 400 training images against their own skeletons redrawn (medians, MNIST first): mean ink 0.125 and 0.124,
ink by length of the skeleton 2.81 and 2.86 pixels (MNIST's middle half: 2.35 to 3.28), pixels of full ink 7.2 and
7.4 in a hundred, paper 81 and 83.
"""

_SOFT_EDGE = 1.0  # the grey rim of a stroke, from full ink to paper: one pixel, as if the ink had covered part of it
_DOT = 2.0  # a drawing no larger than this, in canvas pixels, is a dot: a click of an unsteady hand
_USUAL_PENS = (1.9, 3.8)  # the pens of nine in ten of MNIST's writers, in pixels of the 28x28 picture
_FEW = 160  # up to so many segments the exact distances are cheaper than the raster of marks
_MARKS_PER_PIXEL = 8
_MOST_MARKS = 30_000


def rasterize(strokes: Iterable[npt.ArrayLike], *, pen_width: float = PEN_WIDTH) -> _Picture:
    """Draw pen strokes as MNIST would have scanned them.

    The same drawing gives the same picture wherever on the canvas and however large it is drawn. Nothing drawn gives
    an empty picture, a dot gives a dot.

    Args:
        strokes: One array of shape (n, 2) per stroke: x and y of its points in canvas pixels, y downwards. Points
            outside the canvas and strokes of a single point are fine.
        pen_width: Thickness of the pen in pixels of the 28x28 picture; the default is that of MNIST's median digit.

    Returns:
        Grey levels of shape (28, 28), float32: 0 is paper, 1 is ink.

    Raises:
        UsageError: A stroke that is no (n, 2) array of finite numbers, or a pen width outside 0.5 to 8.

    Example:
        >>> seven = [[(60, 50), (200, 50), (110, 230)]]
        >>> rasterize(seven).shape
        (28, 28)

    Taught in notebook 09.
    """
    if not 0.5 <= pen_width <= 8:
        raise UsageError(f"pen_width={pen_width!r} is no thickness for a 28x28 picture: give 0.5 to 8 pixels.")
    drawn = check_strokes(strokes)
    if not drawn:
        return np.zeros((SIDE, SIDE), np.float32)
    distance = _distance_to(*_segments(_fit(drawn, pen_width)))
    middle = np.full(2, (SIDE - 1) / 2)
    picture = _ink(distance, middle, pen_width)
    return _ink(distance, _placement(picture, middle), pen_width)


def from_picture(picture: Picture) -> _Picture:
    """Bring any picture of a digit into MNIST's form, as `rasterize` does with strokes.

    Dark ink on light paper and light ink on dark are told apart by the border. Pens far thinner or thicker than
    MNIST's are brought nearer to its thickness.

    Args:
        picture: An array of shape (h, w), (h, w, 3) or (h, w, 4), any real dtype and range; the path of a picture
            file, or its bytes (PNG, JPEG, WebP, GIF, BMP).

    Returns:
        Grey levels of shape (28, 28), float32: 0 is paper, 1 is ink; all zeros for an empty picture.

    Raises:
        UsageError: An array of another shape or with NaN, or no picture at all.
        DataError: A file that is missing or is no picture, or a picture of more than 60 million pixels.

    Example:
        >>> page = np.full((200, 300), 255)
        >>> page[50:150, 140:150] = 0  # a one
        >>> from_picture(page)[14].round(1).max()
        np.float32(1.0)

    Taught in notebook 09.
    """
    ink = ink_of(picture)
    rows, columns = _span(ink.sum(axis=1)), _span(ink.sum(axis=0))
    if rows is None or columns is None:
        return np.zeros((SIDE, SIDE), np.float32)
    ink = _with_usual_pen(ink[slice(*rows), slice(*columns)])
    middle = np.full(2, (SIDE - 1) / 2)
    return _scaled(ink, _placement(_scaled(ink, middle), middle))


def _span(mass: _Array) -> tuple[int, int] | None:
    """Return where along one axis the ink lies, without the specks that hold a five hundredth of it on either side."""
    total = np.cumsum(mass)
    if total[-1] <= 0:
        return None
    first, last = np.searchsorted(total, [0.002 * total[-1], 0.998 * total[-1]], side="right")
    return int(first), int(last) + 1


def _with_usual_pen(ink: _Array) -> _Array:
    """Thicken or thin lines that would end far from MNIST's own thickness."""
    padded = np.pad(ink, 1)
    outline = np.hypot(np.diff(padded, axis=0)[:, :-1], np.diff(padded, axis=1)[:-1]).sum()
    thickness = 2 * ink.sum() / outline  # a line has two long sides
    scale = BOX / max(ink.shape)
    wanted = np.clip(thickness * scale, *_USUAL_PENS) / scale
    rounds = round(abs(wanted - thickness) / 2)
    grow = np.maximum if wanted > thickness else np.minimum
    picture = np.pad(ink, rounds if wanted > thickness else 0)
    for number in range(rounds):
        picture = _neighbours(picture, grow, corners=number % 3 == 1)  # together nearly a disc
    return picture


def _neighbours(ink: _Array, choose: np.ufunc, corners: bool) -> _Array:
    """Take the largest or the smallest of each pixel and its neighbours."""
    padded = np.pad(ink, 1)
    down, across = choose(padded[:-2], padded[2:]), choose(padded[:, :-2], padded[:, 2:])
    chosen = choose(ink, choose(down[:, 1:-1], across[1:-1]))
    if corners:
        chosen = choose(chosen, choose(down[:, :-2], down[:, 2:]))
    result: _Array = chosen
    return result


def _scaled(ink: _Array, middle: _Array) -> _Picture:
    """Average the ink that falls on each pixel when it fills the box, the box's middle lying at `middle`."""
    scale = BOX / max(ink.shape)
    shares = []
    for side, place in zip(ink.shape, middle[::-1], strict=True):
        edges = (np.arange(SIDE + 1) - 0.5 - place) / scale + side / 2  # the pixels' edges, in the picture's pixels
        overlap = np.minimum(edges[1:, None], np.arange(1, side + 1)) - np.maximum(edges[:-1, None], np.arange(side))
        shares.append(np.clip(overlap, 0, None) * scale)
    picture: _Picture = (shares[0] @ ink @ shares[1].T).astype(np.float32)
    return np.clip(picture, 0, 1)


def check_strokes(strokes: Iterable[npt.ArrayLike]) -> list[_Array]:
    """Check strokes and return them as float64 arrays of shape (n, 2); strokes without a point are left out.

    Args:
        strokes: One array-like of shape (n, 2) per stroke.

    Raises:
        UsageError: A stroke that is no (n, 2) array of finite numbers.
    """
    if isinstance(strokes, (str, bytes)) or not isinstance(strokes, Iterable):
        raise UsageError(f"Strokes are a list of (n, 2) arrays of canvas pixels; given was {_shown(strokes)}.")
    checked = []
    for number, stroke in enumerate(strokes):
        points = _points(stroke, number)
        if len(points):
            checked.append(points)
    return checked


def _points(stroke: npt.ArrayLike, number: int) -> _Array:
    """Check one stroke."""
    try:
        raw = np.asarray(stroke)
        points = raw.astype(np.float64) if raw.dtype.kind in "fiu" or not raw.size else None
    except (TypeError, ValueError):  # ragged rows
        points = None
    if points is None:
        raise UsageError(f"Stroke {number} is no array of numbers: {_shown(stroke)}. Give (n, 2): x and y in pixels.")
    if points.size == 0:
        return points.reshape(0, 2)
    if points.ndim != 2 or points.shape[1] != 2:
        hint = " For a single stroke, wrap it in a list: [stroke]." if points.shape == (2,) else ""
        raise UsageError(
            f"Stroke {number} has the shape {points.shape}; it should be (n, 2): x and y of n points.{hint}"
        )
    wrong = np.flatnonzero(~np.isfinite(points).all(axis=1) | (np.abs(points) > 1e9).any(axis=1))
    if len(wrong):
        raise UsageError(
            f"Point {wrong[0]} of stroke {number} is {tuple(points[wrong[0]].tolist())}: "
            "both should be finite numbers of canvas pixels."
        )
    return points


def _shown(value: object) -> str:
    text = repr(value)
    return f"{text[:60]}… ({type(value).__name__})" if len(text) > 60 else text


def _fit(strokes: Sequence[_Array], pen_width: float) -> list[_Array]:
    """Scale strokes so that they fill the box, pen and soft edge included; the box's middle becomes (0, 0)."""
    everything = np.concatenate(strokes)
    low, high = everything.min(axis=0), everything.max(axis=0)
    extent = float((high - low).max())
    scale = 0.0 if extent <= _DOT else (BOX - pen_width - _SOFT_EDGE) / extent
    return [(stroke - (low + high) / 2) * scale for stroke in strokes]


def _segments(strokes: Sequence[_Array]) -> tuple[_Picture, _Picture]:
    """Return where each segment starts and ends, (m, 2) each; a stroke of one point is a segment of no length."""
    starts = [stroke[:-1] if len(stroke) > 1 else stroke for stroke in strokes]
    ends = [stroke[1:] if len(stroke) > 1 else stroke for stroke in strokes]
    return np.concatenate(starts).astype(np.float32), np.concatenate(ends).astype(np.float32)


def _placement(picture: _Picture, middle: _Array) -> _Array:
    """Return where the box's middle must go for the centre of mass to reach its place, without leaving the picture."""
    rows, columns = picture.sum(axis=1), picture.sum(axis=0)
    index = np.arange(SIDE)
    mass = np.array([columns @ index, rows @ index]) / picture.sum()
    room = (SIDE - BOX) / 2
    moved: _Array = np.clip(middle + CENTRE - mass, (SIDE - 1) / 2 - room, (SIDE - 1) / 2 + room)
    return moved


def _ink(distance: _Distance, middle: _Array, pen_width: float) -> _Picture:
    """Draw with the box's middle at `middle`: full ink near the line, falling to paper over the soft edge."""
    x, y = (np.arange(SIDE, dtype=np.float32) - np.float32(place) for place in middle)
    ink: _Picture = np.clip((pen_width / 2 - np.sqrt(distance(x, y))) / _SOFT_EDGE + 0.5, 0, 1).astype(np.float32)
    return ink


def _distance_to(starts: _Picture, ends: _Picture) -> _Distance:
    """Return what gives the squared distances from the crossings of columns x and rows y to the nearest segment."""
    return _distance_to_few(starts, ends) if len(starts) <= _FEW else _distance_to_many(starts, ends)


def _distance_to_few(starts: _Picture, ends: _Picture) -> _Distance:
    """Measure to every segment: exact, and quick for the strokes of a digit."""
    along = ends - starts
    step = along / np.maximum((along**2).sum(axis=1, keepdims=True), np.float32(1e-12))

    def distance(x: _Picture, y: _Picture) -> _Picture:
        from_x, from_y = x - starts[:, :1], y - starts[:, 1:]
        # where on its segment the nearest point lies, 0 to 1, for each segment, row and column
        where = (from_x * step[:, :1])[:, None, :] + (from_y * step[:, 1:])[:, :, None]
        np.clip(where, 0, 1, out=where)
        away_x = from_x[:, None, :] - where * along[:, 0, None, None]
        away_y = from_y[:, :, None] - where * along[:, 1, None, None]
        nearest: _Picture = (away_x**2 + away_y**2).min(axis=0)
        return nearest

    return distance


def _distance_to_many(starts: _Picture, ends: _Picture) -> _Distance:
    """Measure to marks that the segments leave on a fine raster: as good as exact, in a time that has a bound."""
    half = int(BOX * _MARKS_PER_PIXEL) // 2
    column, row = (np.rint(_along(starts, ends) * _MARKS_PER_PIXEL).astype(np.intp) + half).T
    marked = np.zeros((2 * half + 1, 2 * half + 1), bool)
    marked[row, column] = True
    # the last mark at or before each place of a raster row, and the first one at or after it
    index = np.arange(2 * half + 1, dtype=np.float32)
    before = np.maximum.accumulate(np.where(marked, index, np.float32(-1e4)), axis=1)
    after = np.minimum.accumulate(np.where(marked, index, np.float32(1e4))[:, ::-1], axis=1)[:, ::-1]

    def distance(x: _Picture, y: _Picture) -> _Picture:
        at = x * _MARKS_PER_PIXEL + half
        nearby = np.clip(np.rint(at), 0, 2 * half).astype(np.intp)
        in_row = np.minimum((at - before[:, nearby]) ** 2, (at - after[:, nearby]) ** 2)
        down = ((y * _MARKS_PER_PIXEL + half)[:, None] - index) ** 2
        nearest: _Picture = np.stack([(in_row + line[:, None]).min(axis=0) for line in down])
        nearest /= _MARKS_PER_PIXEL**2
        return nearest

    return distance


def _along(starts: _Picture, ends: _Picture) -> _Picture:
    """Return points along the segments, no further apart than the raster's marks unless they would be far too many."""
    length = np.hypot(*(ends - starts).T)
    step = max(1 / _MARKS_PER_PIXEL, float(length.sum()) / _MOST_MARKS)
    counts = (length // step).astype(np.intp)
    if not counts.any():
        return np.concatenate([starts, ends])
    segment = np.repeat(np.arange(len(starts)), counts)
    number = np.arange(len(segment)) - np.repeat(np.cumsum(counts) - counts, counts)
    share = ((number + 1) / (counts[segment] + 1)).astype(np.float32)[:, None]
    return np.concatenate([starts, starts[segment] + share * (ends - starts)[segment], ends])
