"""What a digit recogniser answers, as HTML: the digit, what the network saw, and a bar for each of the ten.

Drawn by the page itself, so that it is there within milliseconds; `widget.DigitPad` shows it live, and a notebook that
was executed without a browser keeps it. Colours follow JupyterLab's light and dark themes. Pure: arrays in, text out.
May import `errors`.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["STYLE", "answer_html", "drawing_svg"]

_SURE = 0.8  # below this share of certainty the second guess is named as well
_PAPER, _INK = "#fdfdfb", "#1d2440"

STYLE = """<style>
.mlh-pad { --mlh-text: var(--jp-ui-font-color1, #202330); --mlh-soft: var(--jp-ui-font-color2, #5b6070);
  --mlh-line: var(--jp-border-color2, #d5d8e0); --mlh-bar: var(--jp-layout-color3, #dfe2ea);
  --mlh-win: #2f6fed; --mlh-warn: #b3261e; padding: 6px 4px 10px; overflow: visible; }
[data-jp-theme-light="false"] .mlh-pad { --mlh-win: #7ba7ff; --mlh-warn: #ff9c93; }
.mlh-board { flex-flow: row wrap; align-items: flex-start; gap: 14px 30px; overflow: visible; }
.mlh-board > *, .mlh-pad > * { overflow: visible; }
.mlh-paper { border-radius: 14px; border: 1px solid var(--mlh-line); box-shadow: 0 1px 3px rgba(20, 26, 60, .12),
  0 8px 24px rgba(20, 26, 60, .10); cursor: crosshair; touch-action: none; -webkit-user-select: none;
  user-select: none; max-width: none; background: #fdfdfb; }
.mlh-paper:focus { outline: none; }
.mlh-buttons { gap: 10px; margin-top: 12px; overflow: visible; }
.mlh-buttons .jupyter-button { border-radius: 8px; height: 36px; line-height: 36px; font-size: 14px; margin: 0;
  flex: 1 1 0; width: auto; box-shadow: none; border: 1px solid var(--mlh-line);
  background: var(--jp-layout-color1, #fff); color: var(--mlh-text); }
.mlh-buttons .jupyter-button:hover:enabled { border-color: var(--mlh-win); color: var(--mlh-win); }
.mlh-buttons .jupyter-button:focus-visible { outline: 2px solid var(--mlh-win); outline-offset: 2px; }
.mlh-buttons .jupyter-button:disabled { opacity: .45; }
.mlh-pad .widget-html, .mlh-pad .widget-html-content { overflow: visible; height: auto; line-height: 1.3; }
.mlh-answer { font-family: var(--jp-ui-font-family, system-ui, sans-serif); color: var(--mlh-text); width: 380px;
  max-width: 100%; }
.mlh-top { display: flex; gap: 22px; align-items: center; height: 126px; }
.mlh-digit { font-size: 116px; line-height: 116px; font-weight: 700; min-width: 88px; text-align: center;
  color: var(--mlh-win); font-variant-numeric: tabular-nums; }
.mlh-digit.mlh-none { color: var(--mlh-bar); }
.mlh-words { flex: 1; font-size: 14px; color: var(--mlh-soft); }
.mlh-words b { display: block; font-size: 26px; color: var(--mlh-text); font-variant-numeric: tabular-nums; }
.mlh-view { text-align: center; font-size: 12px; color: var(--mlh-soft); }
.mlh-view img { display: block; width: 112px; height: 112px; image-rendering: pixelated; border-radius: 8px;
  margin-bottom: 5px; background: #000; }
.mlh-bars { display: flex; gap: 7px; height: 158px; margin-top: 18px; border-bottom: 1px solid var(--mlh-line); }
.mlh-bar { flex: 1 1 0; min-width: 0; display: flex; flex-direction: column; justify-content: flex-end;
  text-align: center; }
.mlh-bar span { font-size: 11px; margin: 0 -9px; color: var(--mlh-soft); white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.mlh-bar i { display: block; min-height: 2px; border-radius: 5px 5px 0 0; background: var(--mlh-bar); }
.mlh-win i { background: var(--mlh-win); }
.mlh-win span { color: var(--mlh-win); font-weight: 700; }
.mlh-names { display: flex; gap: 7px; margin-top: 4px; }
.mlh-names span { flex: 1; text-align: center; font-size: 17px; color: var(--mlh-soft); }
.mlh-names .mlh-win { color: var(--mlh-win); font-weight: 700; }
.mlh-error { font-family: var(--jp-ui-font-family, system-ui, sans-serif); color: var(--mlh-warn); font-size: 14px;
  line-height: 1.45; border-left: 3px solid var(--mlh-warn); padding: 2px 0 2px 10px; margin-top: 12px;
  max-width: 690px; white-space: normal; overflow-wrap: anywhere; }
.mlh-notice { font-family: var(--jp-ui-font-family, system-ui, sans-serif); max-width: 690px; white-space: normal;
  line-height: 1.5; font-size: 14px; color: var(--mlh-text); }
.mlh-notice pre { padding: 8px 12px; border-radius: 8px; border: 1px solid var(--mlh-line); line-height: 1.5; }
</style>"""


def answer_html(picture: npt.NDArray[np.float32], probabilities: Sequence[float] | None) -> str:
    """Show an answer: the digit, how sure, the picture as the network sees it, and ten bars.

    Args:
        picture: What the network was given: shape (28, 28), 0 is paper, 1 is ink.
        probabilities: One number from 0 to 1 for each digit, or None where there is no answer.

    Returns:
        HTML without a script; `STYLE` has to stand somewhere on the same page, inside an element of class `mlh-pad`.

    Example:
        >>> "100 %" in answer_html(np.zeros((28, 28), np.float32), [0, 0, 0, 1, 0, 0, 0, 0, 0, 0])
        True
    """
    return (
        f'<div class="mlh-answer"><div class="mlh-top">{_digit(picture, probabilities)}{_view(picture)}</div>'
        f"{_bars(probabilities)}</div>"
    )


def drawing_svg(strokes: Sequence[npt.NDArray[np.float64]], size: int, pen: float) -> str:
    """Show pen strokes as a picture that stands still.

    Args:
        strokes: One array of shape (n, 2) per stroke: x and y in canvas pixels, y downwards.
        size: Side of the canvas in pixels.
        pen: Thickness of the pen in pixels.
    """
    lines = "".join(
        f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in (*stroke, stroke[-1]))}"/>' for stroke in strokes
    )
    return (
        f'<svg class="mlh-paper" role="img" aria-label="The drawing" width="{size}" height="{size}" '
        f'viewBox="0 0 {size} {size}"><rect width="100%" height="100%" rx="14" fill="{_PAPER}"/>'
        f'<g fill="none" stroke="{_INK}" stroke-width="{pen:.1f}" stroke-linecap="round" stroke-linejoin="round">'
        f"{lines}</g></svg>"
    )


def _digit(picture: npt.NDArray[np.float32], probabilities: Sequence[float] | None) -> str:
    """Show the digit with a word on how sure the network is, spoken aloud by a screen reader when it changes."""
    if probabilities is None:
        words = "There is no answer." if picture.any() else "Draw a digit from 0 to 9 on the paper."
        return f'<div class="mlh-digit mlh-none">?</div><div class="mlh-words" aria-live="polite">{words}</div>'
    second, first = (int(digit) for digit in np.argsort(probabilities)[-2:])
    is_sure = probabilities[first] >= _SURE
    words = "sure" if is_sure else f"perhaps; or a {second} ({_percent(probabilities[second])})"
    return (
        f'<div class="mlh-digit" data-digit="{first}">{first}</div><div class="mlh-words" aria-live="polite">'
        f"<b>{_percent(probabilities[first])}</b>{words}</div>"
    )


def _view(picture: npt.NDArray[np.float32]) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.rint(picture * 255).astype(np.uint8)).save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    return (
        '<div class="mlh-view"><img alt="What the network sees: 28 by 28 grey levels, white ink on black" '
        f'src="data:image/png;base64,{data}">what the network sees</div>'
    )


def _bars(probabilities: Sequence[float] | None) -> str:
    """Show ten bars; for a screen reader they are one picture with its numbers in words."""
    shown = [0.0] * 10 if probabilities is None else [float(value) for value in probabilities]
    best = -1 if probabilities is None else int(np.argmax(shown))
    bars = "".join(
        f'<div class="mlh-bar{" mlh-win" if digit == best else ""}"><span>{_bar_label(value)}</span>'
        f'<i style="height:{value * 85:.1f}%"></i></div>'
        for digit, value in enumerate(shown)
    )
    names = "".join(f"<span{_mark(digit == best)}>{digit}</span>" for digit in range(10))
    spoken = ", ".join(f"{digit}: {_percent(value)}" for digit, value in enumerate(shown))
    return (
        f'<div role="img" aria-label="Probabilities. {html.escape(spoken)}"><div class="mlh-bars">{bars}</div>'
        f'<div class="mlh-names">{names}</div></div>'
    )


def _mark(is_best: bool) -> str:
    return ' class="mlh-win"' if is_best else ""


def _bar_label(value: float) -> str:
    return _percent(value) if value >= 0.005 else ""


def _percent(value: float) -> str:
    """Give a share in per cent, with a decimal where it is close to all or nothing but is neither."""
    decimals = 1 if 0.0005 <= value < 0.1 or 0.9 <= value < 0.9995 else 0
    return f"{100 * value:.{decimals}f} %"
