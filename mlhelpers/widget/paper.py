"""The paper of the drawing pad: an ipycanvas canvas, and a pen that follows mouse, stylus and finger.

Knows what is drawn at the moment and how to draw it; what the strokes mean is `pad`'s business.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from mlhelpers.errors import MissingExtraError

try:
    from ipycanvas import Canvas, hold_canvas
except ImportError as error:
    raise MissingExtraError("ipycanvas, which draws in the notebook,", "notebooks") from error

__all__ = ["Paper"]

_PAPER, _INK, _HINT = "#fdfdfb", "#1d2440", "#b4b8c6"

# ipycanvas gathers the drawing commands of every canvas in one place, and callbacks come in threads of their own
_drawing = threading.RLock()


class Paper:
    """A sheet of paper with a pen.

    A stroke begins where the button or the finger goes down and ends where it goes up or leaves the paper: a release
    outside is never told. A finger that comes back goes on with a new stroke; a mouse has to press again, for nobody
    tells whether its button is still down.

    Attributes:
        canvas: The ipycanvas Canvas.
        size: Side in pixels.
        pen: The points of the stroke being drawn, or None while the pen is up.
    """

    def __init__(
        self,
        size: int,
        guarded: Callable[[Callable[[], object]], None],
        on_down: Callable[[], None],
        on_move: Callable[[], None],
        on_stroke: Callable[[list[tuple[float, float]]], None],
    ) -> None:
        """Make a sheet.

        Args:
            size: Side in pixels.
            guarded: Called with what an event asks for; it holds the lock and shows what goes wrong.
            on_down: Called when a stroke begins, before its first point is drawn.
            on_move: Called after each further point.
            on_stroke: Called with a finished stroke's points.
        """
        self.size = size
        self.pen: list[tuple[float, float]] | None = None
        self._on_down, self._on_move, self._on_stroke = on_down, on_move, on_stroke
        self._has_drawing = False
        self.canvas = Canvas(width=size, height=size)
        self.canvas.layout.width = self.canvas.layout.height = f"{size}px"
        self.canvas.add_class("mlh-paper")
        self._elsewhere = Canvas(width=1, height=1)
        self._listen(guarded)

    @property
    def pen_width(self) -> float:
        """Thickness of the pen in pixels."""
        return self.size / 14

    def _listen(self, guarded: Callable[[Callable[[], object]], None]) -> None:
        canvas = self.canvas
        canvas.on_mouse_down(lambda x, y: guarded(lambda: self._down(x, y)))
        canvas.on_mouse_move(lambda x, y: guarded(lambda: self._move(x, y)))
        canvas.on_mouse_up(lambda x, y: guarded(lambda: self._up(x, y)))
        canvas.on_mouse_out(lambda x, y: guarded(lambda: self._up(x, y)))
        canvas.on_touch_start(lambda touches: guarded(lambda: self._touch_start(touches)))
        canvas.on_touch_move(lambda touches: guarded(lambda: self._touch_move(touches)))
        canvas.on_touch_end(lambda touches: guarded(self._up))
        canvas.on_touch_cancel(lambda touches: guarded(self._up))

    def _down(self, x: float, y: float) -> None:
        self._up()  # a release that was never told
        self._on_down()
        if not self._has_drawing:  # the hint, or a picture, makes way
            with _batch():
                self._fresh()
            self._has_drawing = True
        self.pen = [(float(x), float(y))]
        with _batch():
            self._line(self.pen)

    def _move(self, x: float, y: float) -> None:
        if self.pen is None or (x, y) == self.pen[-1]:
            return
        self.pen.append((float(x), float(y)))
        with _batch():
            self._line(self.pen[-3:])
        self._on_move()

    def _up(self, x: float | None = None, y: float | None = None) -> None:
        if self.pen is None:
            return
        if x is not None and y is not None and (x, y) != self.pen[-1]:
            self.pen.append((min(max(float(x), 0.0), self.size), min(max(float(y), 0.0), self.size)))
            with _batch():
                self._line(self.pen[-3:])
        stroke, self.pen = self.pen, None
        self._on_stroke(stroke)

    def _touch_start(self, touches: Sequence[tuple[float, float]]) -> None:
        if touches and self.pen is None:  # a second finger changes nothing
            self._down(*touches[0])

    def _touch_move(self, touches: Sequence[tuple[float, float]]) -> None:
        if not touches:
            return
        x, y = touches[0]
        if not (0 <= x <= self.size and 0 <= y <= self.size):
            self._up(x, y)
        elif self.pen is None:
            self._down(x, y)
        else:
            self._move(x, y)

    def redraw(
        self, strokes: Sequence[npt.NDArray[np.float64]], picture: npt.NDArray[np.float32] | None = None
    ) -> None:
        """Draw everything again on a fresh sheet.

        Args:
            strokes: Arrays of shape (n, 2): x and y in pixels.
            picture: Grey levels of shape (28, 28), 1 is ink, shown in place of strokes.
        """
        self._has_drawing = bool(strokes)
        with _batch():
            # drawing elsewhere first makes ipycanvas name this canvas again: a page that was loaded again would not
            # know which one is meant, and drop what it is told
            self._elsewhere.clear()
            self._fresh()
            for stroke in strokes:
                self._line(stroke)
            if picture is not None:
                self._picture(picture)
            elif not strokes:
                self._hint()
            if self.pen is not None:
                self._line(self.pen)

    def _fresh(self) -> None:
        canvas = self.canvas
        canvas.clear()
        canvas.fill_style = _PAPER
        canvas.fill_rect(0, 0, self.size, self.size)
        canvas.stroke_style = canvas.fill_style = _INK
        canvas.line_width = self.pen_width
        canvas.line_cap = canvas.line_join = "round"

    def _line(self, points: Sequence[Any] | npt.NDArray[np.float64]) -> None:
        """Draw a line with round ends; a single point becomes a dot."""
        if len(points) > 1:
            self.canvas.stroke_lines(_rounded(np.asarray(points, dtype=np.float64), self.size / 30))
        else:
            x, y = points[0]
            self.canvas.fill_circle(float(x), float(y), self.pen_width / 2)

    def _hint(self) -> None:
        canvas = self.canvas
        canvas.fill_style = _HINT
        canvas.font = f"{max(10, self.size // 16)}px system-ui, sans-serif"
        canvas.text_align, canvas.text_baseline = "center", "middle"
        canvas.fill_text("draw a digit here", self.size / 2, self.size / 2)
        canvas.fill_style = _INK

    def _picture(self, picture: npt.NDArray[np.float32]) -> None:
        side = self.size / len(picture)
        for row, column in np.argwhere(picture > 0.02):
            self.canvas.global_alpha = float(picture[row, column])
            self.canvas.fill_rect(float(column * side), float(row * side), side, side)
        self.canvas.global_alpha = 1.0


def _rounded(points: npt.NDArray[np.float64], reach: float) -> npt.NDArray[np.float64]:
    """Bend the corners of a line into curves that begin at most `reach` before a corner: what was told is kept."""
    if len(points) < 3:
        return points
    corner = points[1:-1]
    to_last, to_next = points[:-2] - corner, points[2:] - corner
    before, after = (
        corner + way * np.minimum(0.5, reach / np.maximum(np.hypot(way[:, 0], way[:, 1]), 1e-9))[:, None]
        for way in (to_last, to_next)
    )
    t = np.linspace(0, 1, 6)[None, :, None]
    curves = (1 - t) ** 2 * before[:, None] + 2 * t * (1 - t) * corner[:, None] + t**2 * after[:, None]
    return np.concatenate([points[:1], curves.reshape(-1, 2), points[-1:]])


@contextmanager
def _batch() -> Iterator[None]:
    """Send drawing commands in one message; unlike `hold_canvas` alone, let the hold go after an error as well."""
    with _drawing:
        hold = hold_canvas()
        hold.__enter__()
        try:
            yield
        finally:
            hold.__exit__(None, None, None)
