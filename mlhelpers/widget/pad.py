"""DigitPad: paper to draw a digit on, and beside it what a network makes of it while you watch.

The strokes live in Python, never in the browser: the picture that the network gets is drawn from them by `strokes`, so
everything works without a browser too.
"""

from __future__ import annotations

import html
import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mlhelpers.errors import MissingExtraError, MLHelpersError, PredictionError, UsageError
from mlhelpers.pictures import Picture
from mlhelpers.strokes import SIDE, check_strokes, from_picture, rasterize
from mlhelpers.widget.answer import STYLE, answer_html, drawing_svg
from mlhelpers.widget.paper import Paper

try:
    import ipywidgets
    import traitlets
except ImportError as error:
    raise MissingExtraError("ipywidgets, which the drawing pad needs,", "notebooks") from error

__all__ = ["DigitPad"]

_log = logging.getLogger(__name__)

_LIVE_EVERY_S = 0.1  # while the pen is down, an answer at most so often,
_LIVE_WITHIN_S = 0.04  # and only where the network answers so quickly that the ink does not lag behind the pen

_COLAB = """<div class="mlh-notice">Colab shows the drawing paper only after these two lines have run in a cell; run
them, then run this cell again. Until then, upload a picture of a digit here.
<pre>from google.colab import output
output.enable_custom_widget_manager()</pre></div>"""


class DigitPad(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets ships no types
    """Paper for a digit, drawn with mouse, pen or finger, and a network's answer beside it.

    The state is in traits that can be set, read, observed and linked. Setting `strokes` draws them and asks the
    network, in a browser or without one.

    Attributes:
        strokes: List of arrays of shape (n, 2), float64: x and y of each stroke in canvas pixels, y downwards. Set a
            new list to change the drawing.
        image: What the network sees: shape (28, 28), float32, 0 is paper, 1 is ink. Read only.
        probabilities: Ten floats from 0 to 1, or None while there is nothing to recognise. Read only.
        prediction: The most probable digit as an int, or None. Read only.
        error: What went wrong last, as shown in the pad; empty when all is well. Read only.
        canvas: The paper, an ipycanvas Canvas.

    Example:
        >>> pad = DigitPad(predict=lambda image: np.eye(10)[7])
        >>> pad.strokes = [[(60, 50), (200, 50), (110, 230)]]
        >>> pad.prediction
        7

    Taught in notebook 09.
    """

    strokes: Any = traitlets.List()
    image: Any = traitlets.Instance(np.ndarray, read_only=True)
    probabilities: Any = traitlets.List(allow_none=True, default_value=None, read_only=True)
    prediction: Any = traitlets.Int(allow_none=True, default_value=None, read_only=True)
    error: Any = traitlets.Unicode(read_only=True)

    def __init__(self, predict: Any = None, size: int = 280, **layout: Any) -> None:
        """Make a pad.

        Args:
            predict: A callable that takes an image of shape (28, 28), float32, 0..1, and returns ten probabilities;
                or anything with `predict(instances)` as a served model has it. Without it, the network that the
                project ships.
            size: Side of the paper in pixels.
            **layout: Passed on to `ipywidgets.VBox`.

        Raises:
            UsageError: `predict` can do neither, or the size is not from 56 to 2000.
        """
        if not (predict is None or callable(predict) or hasattr(predict, "predict")):
            raise UsageError(
                f"predict={predict!r} cannot predict: give a function from a (28, 28) image to ten probabilities, "
                "a served model, or nothing for the network that the project ships."
            )
        if isinstance(size, bool) or not isinstance(size, int) or not 56 <= size <= 2000:
            raise UsageError(f"size={size!r} is no size for the paper: give 56 to 2000 pixels.")
        self._lock = threading.RLock()
        self._predict = predict
        self._picture: npt.NDArray[np.float32] | None = None  # read in place of a drawing
        self._is_on_paper = False  # the ink of the newest stroke: it was drawn as the pen moved
        self._asked_at = self._took_s = 0.0
        self._paper = Paper(size, self._guarded, self._pen_down, self._pen_moved, self._pen_up)
        self.canvas = self._paper.canvas
        super().__init__(**layout)
        self.set_trait("image", np.zeros((SIDE, SIDE), np.float32))
        self._build()
        self._paper.redraw([])
        self._show_answer()

    def __repr__(self) -> str:
        return f"<DigitPad: {len(self.strokes)} strokes, prediction {self.prediction}>"

    def _build(self) -> None:
        self._answer, self._error_line = ipywidgets.HTML(), ipywidgets.HTML()
        self._undo = ipywidgets.Button(description="Undo", icon="undo", tooltip="Take the last stroke back")
        self._clear = ipywidgets.Button(description="Clear", icon="eraser", tooltip="Take a fresh sheet of paper")
        self._undo.on_click(lambda _: self._guarded(self.undo))
        self._clear.on_click(lambda _: self._guarded(self.clear))
        self.canvas.on_client_ready(lambda: self._guarded(self._page_ready))
        buttons = ipywidgets.HBox([self._undo, self._clear])
        buttons.add_class("mlh-buttons")
        paper = [ipywidgets.HTML(_COLAB), self._upload()] if _is_colab_without_widgets() else [self.canvas]
        board = ipywidgets.HBox([ipywidgets.VBox([*paper, buttons]), self._answer])
        board.add_class("mlh-board")
        self.add_class("mlh-pad")
        self.children = [ipywidgets.HTML(STYLE), board, self._error_line]

    def _upload(self) -> Any:
        upload = ipywidgets.FileUpload(accept="image/*", description="Picture of a digit")

        def read(change: Any) -> None:
            if change.new:
                self._guarded(lambda: self.read_picture(bytes(change.new[-1]["content"])))

        upload.observe(read, "value")
        return upload

    def undo(self) -> None:
        """Take the last stroke back, or the picture that was read."""
        self._replace([] if self._picture is not None else self.strokes[:-1])

    def clear(self) -> None:
        """Take a fresh sheet of paper."""
        self._replace([])

    def read_picture(self, picture: Picture) -> None:
        """Recognise a digit in a picture, in place of a drawing.

        Args:
            picture: What `strokes.from_picture` takes: an array of grey levels or colours, a path, or a file's bytes.

        Raises:
            UsageError: An array that is no picture.
            DataError: A file that is missing or is no picture.
        """
        image = from_picture(picture)
        self._replace([], image)

    def snapshot(self) -> Any:
        """Return the pad as it is now, as HTML that stays in the notebook without a browser or a kernel."""
        from IPython.display import HTML

        with self._lock:
            paper = drawing_svg(self.strokes, self._paper.size, self._paper.pen_width)
            answer = answer_html(self.image, self.probabilities)
            board = f'<div class="mlh-board" style="display:flex">{paper}{answer}</div>{self._error_line.value}'
        return HTML(f'{STYLE}<div class="mlh-pad">{board}</div>')  # type: ignore[no-untyped-call]

    def _replace(self, strokes: list[Any], picture: npt.NDArray[np.float32] | None = None) -> None:
        """Put other strokes, or a picture, on the paper."""
        with self._lock:
            had_more = self._picture is not None or self._paper.pen is not None
            self.strokes = strokes
            if had_more or picture is not None:
                self._show(picture)

    def _show(self, picture: npt.NDArray[np.float32] | None) -> None:
        """Draw the paper anew, with a picture in place of strokes if there is one, and ask the network."""
        self._paper.pen, self._picture = None, picture
        self._paper.redraw(self.strokes, picture)
        self._recognise()

    def _pen_down(self) -> None:
        self._picture = None

    def _pen_moved(self) -> None:
        if self._took_s <= _LIVE_WITHIN_S and time.monotonic() - self._asked_at >= _LIVE_EVERY_S:
            self._recognise()

    def _pen_up(self, stroke: list[tuple[float, float]]) -> None:
        self._is_on_paper = True
        try:
            self.strokes = [*self.strokes, stroke]
        finally:
            self._is_on_paper = False

    @traitlets.validate("strokes")
    def _checked_strokes(self, proposal: Any) -> list[npt.NDArray[np.float64]]:
        checked = check_strokes(proposal.value)
        for stroke in checked:
            stroke.flags.writeable = False  # a change in place would go unnoticed
        return checked

    @traitlets.observe("strokes")
    def _strokes_changed(self, _: Any) -> None:
        with self._lock:
            if self._is_on_paper:
                self._recognise()
                self._paper.redraw(self.strokes)  # smoother than the pen could draw it, not knowing its next point
            else:
                self._show(None)

    def _page_ready(self) -> None:
        """Draw again for a page that was loaded again, and have the network warm before the first stroke."""
        self._paper.redraw(self.strokes, self._picture)
        if self._predict is None:
            self._ask(np.zeros((SIDE, SIDE), np.float32))

    def _recognise(self) -> None:
        """Ask the network about what is on the paper now, and show its answer or why there is none."""
        self._asked_at = time.monotonic()
        probabilities: list[float] | None = None
        failure: Exception | None = None
        pen = self._paper.pen
        image = self._picture if self._picture is not None else rasterize([*self.strokes, *([pen] if pen else [])])
        try:
            probabilities = self._ask(image) if image.any() else None
        except Exception as error:
            failure = error
        self._took_s = time.monotonic() - self._asked_at
        self.set_trait("image", image)
        self.set_trait("probabilities", probabilities)
        self.set_trait("prediction", None if probabilities is None else int(np.argmax(probabilities)))
        self._show_failure(failure)
        self._show_answer()

    def _ask(self, image: npt.NDArray[np.float32]) -> list[float]:
        """Return the network's ten probabilities for an image."""
        if self._predict is None:
            from mlhelpers import serving

            self._predict = serving.shipped("mnist")
        if not hasattr(self._predict, "predict"):
            return _checked_probabilities(self._predict(image.copy()))
        answer = self._predict.predict([{"inputs": image.ravel().tolist()}])
        try:
            return _checked_probabilities(answer[0]["probabilities"])
        except (LookupError, TypeError) as error:
            raise PredictionError(
                f"The model answered {str(answer)[:80]!r}; the pad needs one answer with 'probabilities' in it."
            ) from error

    def _guarded(self, action: Callable[[], object]) -> None:
        """Do what an event asks for; an error, which ipycanvas would only log, is shown and drawing goes on."""
        with self._lock:
            try:
                action()
            except Exception as error:
                self._show_failure(error)

    def _show_failure(self, failure: Exception | None) -> None:
        """Show an error, or take the last one away."""
        text = ""
        if failure is not None:
            _log.warning("The drawing pad has no answer", exc_info=failure)
            kind = "" if isinstance(failure, MLHelpersError) else f"{type(failure).__name__}: "
            text = (kind + (str(failure) or "no reason was given"))[:400]
        self.set_trait("error", text)
        self._error_line.value = f'<div class="mlh-error" role="alert">{html.escape(text)}</div>' if text else ""

    def _show_answer(self) -> None:
        self._answer.value = answer_html(self.image, self.probabilities)
        is_empty = not self.strokes and self._picture is None
        self._undo.disabled = self._clear.disabled = is_empty


def _checked_probabilities(given: npt.ArrayLike) -> list[float]:
    """Check what a network answered."""
    wanted = "the pad needs ten probabilities, one for each digit."
    try:
        probabilities = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise PredictionError(f"predict answered {str(given)[:80]!r}; {wanted}") from error
    if probabilities.shape not in ((10,), (1, 10)):
        raise PredictionError(f"predict answered an array of shape {probabilities.shape}; {wanted}")
    probabilities = probabilities.reshape(10)
    shown = probabilities.round(3).tolist()
    if not np.isfinite(probabilities).all():
        raise PredictionError(f"predict answered {shown}: a probability is a finite number.")
    if probabilities.min() < -1e-6 or not 0.98 <= probabilities.sum() <= 1.02:
        raise PredictionError(
            f"predict answered {shown}; probabilities lie between 0 and 1 and add up to 1. Does the network lack its "
            "softmax?"
        )
    return [float(value) for value in probabilities]


def _is_colab_without_widgets() -> bool:
    """Tell whether this is Colab without the widget manager that ipycanvas needs."""
    if "google.colab" not in sys.modules:
        return False
    output = getattr(sys.modules["google.colab"], "output", None)
    return getattr(getattr(output, "_widgets", None), "_installed_url", None) is None
