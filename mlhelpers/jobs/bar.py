"""The progress bar of a job that is waited for, fed with what the trainer reports."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from mlhelpers.jobs.base import JobState

__all__ = ["ProgressBar", "progress_text"]


class ProgressBar:
    """A tqdm bar: steps done, steps/s, time left and the metrics, in a terminal or as a notebook widget."""

    def __init__(self, name: str, shown: bool = True) -> None:
        self._name = name
        self._shown = shown
        self._bar: Any = None

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, state: JobState, progress: dict[str, Any]) -> None:
        """Draw the state and the progress, which may be empty while the trainer starts."""
        if not self._shown:
            return
        if self._bar is None:
            self._bar = _new_bar()
        total = progress.get("total_steps")
        if total and self._bar.total != total:
            self._bar.reset(total=total)
        phase = progress.get("phase") if state is JobState.RUNNING else None
        self._bar.set_description_str(f"{self._name}  {phase or state.lower()}", refresh=False)
        self._bar.n = progress.get("step", self._bar.n)
        self._bar.set_postfix_str(progress_text(progress))


def progress_text(progress: dict[str, Any]) -> str:
    """Return one line: steps/s, time left, metrics.

    Example:
        >>> progress_text({"steps_per_second": 41.23, "seconds_left": 75, "metrics": {"accuracy": 0.97}})
        '41.2 steps/s, 1 min 15 s left, accuracy 0.9700'
    """
    parts = []
    if progress.get("steps_per_second"):
        parts.append(f"{progress['steps_per_second']:.1f} steps/s")
    if progress.get("seconds_left"):
        minutes, seconds = divmod(round(progress["seconds_left"]), 60)
        parts.append(f"{minutes} min {seconds} s left" if minutes else f"{seconds} s left")
    metrics = progress.get("metrics") or {}
    parts += [f"{name} {value:.4f}" for name, value in metrics.items() if isinstance(value, int | float)]
    return ", ".join(parts)


def _new_bar() -> Any:
    from tqdm.auto import tqdm

    in_notebook = "ipykernel" in sys.modules
    return tqdm(
        total=None,
        unit=" steps",
        leave=True,
        # a log file is no place for a bar that redraws itself; a notebook is no terminal either, and yet shows it
        disable=False if in_notebook else None,
        bar_format="{desc}: {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} steps, {elapsed}{postfix}",
    )
