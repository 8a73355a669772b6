"""The progress bar of a job that is waited for, fed with what the trainer reports."""

from __future__ import annotations

import html
import io
import math
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from mlhelpers.jobs.base import JobState
from mlhelpers.jobs.hints import times

if TYPE_CHECKING:
    from tqdm.std import tqdm

__all__ = ["ProgressBar", "metric_text", "number", "progress_text"]

_FORMAT = "{desc}: {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} {unit}, {elapsed}{postfix}"
_FORMAT_AT_FIRST = "{desc}, {elapsed}"  # until the trainer has told how many steps there are
_REDRAW_S = 0.5
_QUICK = 1000  # so many a second, and a part of one says nothing


class ProgressBar:
    """A tqdm bar: steps done, steps/s, time left and the metrics, in a terminal or in a notebook.

    Args:
        name: The job's name.
        shown: Whether to show anything at all.
    """

    def __init__(self, name: str, shown: bool = True) -> None:
        self._name = name
        self._shown = shown
        self._bar: tqdm[Any] | None = None
        self._drawn: JobState | None = None
        self._drawn_at = 0.0

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def is_due(self, state: JobState) -> bool:
        """Tell whether it is time to draw again: the state is another one, or half a second is over."""
        return self._shown and (state is not self._drawn or time.monotonic() - self._drawn_at >= _REDRAW_S)

    def show(self, state: JobState, progress: dict[str, Any]) -> None:
        """Draw the state and the progress, which may be empty while the trainer starts."""
        if not self._shown:
            return
        self._drawn, self._drawn_at = state, time.monotonic()
        bar = self._bar = _new_bar() if self._bar is None else self._bar
        total, step = number(progress.get("total_steps")), number(progress.get("step"))
        if total and bar.total != total:
            bar.bar_format = _FORMAT
            bar.total = total
            bar.unit = str(progress.get("unit") or "steps")  # a study counts trials
        phase = progress.get("phase") if state is JobState.RUNNING else None
        bar.set_description_str(f"{self._name}  {phase or state.lower()}", refresh=False)
        bar.n = bar.n if step is None else step
        bar.set_postfix_str(progress_text(progress))


def progress_text(progress: dict[str, Any]) -> str:
    """Return one line: steps/s (or whatever the unit is), time left, metrics.

    Example:
        >>> progress_text({"steps_per_second": 41.23, "seconds_left": 75, "metrics": {"accuracy": 0.97}})
        '41.2 steps/s, 1 min 15 s left, accuracy 0.9700'
    """
    parts = []
    if progress.get("retries"):
        parts.append(f"tried again {times(progress['retries'])}")
    if progress.get("restarts"):
        parts.append(f"started again {times(progress['restarts'])}")
    if speed := number(progress.get("steps_per_second")):
        unit = progress.get("unit") or "steps"
        parts.append(f"{speed:,.0f} {unit}/s" if speed >= _QUICK else f"{speed:.1f} {unit}/s")
    if left := number(progress.get("seconds_left")):
        minutes, seconds = divmod(round(left), 60)
        parts.append(f"{minutes} min {seconds} s left" if minutes else f"{seconds} s left")
    metrics = progress.get("metrics")
    known = metrics if isinstance(metrics, dict) else {}
    parts += [f"{name} {metric_text(value)}" for name, value in known.items() if number(value) is not None]
    return ", ".join(parts)


def metric_text(value: int | float) -> str:
    """Return a metric for reading: a count whole, anything else with four decimals."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def number(value: object) -> int | float | None:
    """Return a finite number as it is, and None for anything else: a trainer of one's own may report anything."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def _new_bar() -> tqdm[Any]:
    from tqdm.std import tqdm

    if "ipykernel" not in sys.modules:
        # disable=None: where nobody watches a terminal, a bar that redraws itself only fills a file
        return tqdm(bar_format=_FORMAT_AT_FIRST, dynamic_ncols=True, disable=None)

    from IPython import display

    untyped: Any = display.DisplayHandle  # IPython has types, and this class has none
    place = untyped()
    place.display({"text/plain": ""}, raw=True)

    class PageBar(tqdm):  # type: ignore[type-arg]  # it takes none when it runs
        """Drawn as plain HTML: it needs no widget extension, and stays readable in a notebook that was stored."""

        def display(self, msg: str | None = None, pos: int | None = None) -> None:
            text = str(self)
            place.update({"text/html": _page(text, self.n, self.total), "text/plain": text}, raw=True)

    return PageBar(bar_format=_FORMAT_AT_FIRST, file=io.StringIO(), ncols=100)


def _page(text: str, done: float, total: float | None) -> str:
    """Return a bar's text as HTML, its drawn part replaced by the page's own progress element."""
    before, line, rest = text.partition("|")
    if not total or not line:
        return f"<code>{html.escape(text)}</code>"
    after = rest.rpartition("|")[2]
    element = f"<progress value='{done:g}' max='{total:g}' style='vertical-align:middle'></progress>"
    return f"<code>{html.escape(before)}</code>{element}<code>{html.escape(after)}</code>"
