"""The drawing widget: a sheet of paper, a pen, and a network's answer beside it.

| file | job |
|---|---|
| `pad.py` | `DigitPad`: the state, and what happens when |
| `paper.py` | the canvas, and a pen that follows mouse, stylus and finger |
| `answer.py` | how strokes and a prediction look in a page |

May import `errors`, `strokes`, `pictures`, and for its default model `serving`.
"""

from __future__ import annotations

from mlhelpers.widget.pad import DigitPad

__all__ = ["DigitPad"]
