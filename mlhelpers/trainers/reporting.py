"""What a run tells the world while it trains: a bar or log lines, TensorBoard events, history, metric file."""

from __future__ import annotations

import csv
import json
import os
import sys
import time
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from mlhelpers.storage import write_aside
from mlhelpers.trainers.cluster import Cluster
from mlhelpers.trainers.events import EventWriter, has_tensorboard
from mlhelpers.trainers.metric_file import MetricFile

__all__ = ["Reporter"]

_LINE_EVERY_S = 2.0
_FILE_EVERY_S = 0.5


class Reporter:
    """Reports the steps of one run in every form that somebody reads.

    On a terminal a bar moves; elsewhere a line is printed every two seconds. TensorBoard events go to `train/` and
    `eval/` of the output folder (where the package tensorboard is installed), one row per report to `history.csv`,
    progress to the file that MLHELPERS_PROGRESS_FILE names. Of several processes that train together the chief alone
    does all this; the others print lines and write their progress files.

    What a hyperparameter study reads goes to the metric file: every validation, so that there is a curve, and nothing
    else where the run validates at all. Settings chosen by the test rows would make the final comparison worthless; a
    result on other rows goes there only in a run without validation.

    Args:
        folder: The run's output folder.
        total_steps: How many steps the run has in all.
        first_step: The step it starts from (over 0 when it goes on from a checkpoint).
        seconds_before: Training time spent before `first_step`, in seconds.
        stream: Where lines and bar go; stdout if None.
        cluster: Who trains together; this process on its own if None.
    """

    def __init__(
        self,
        folder: Path,
        total_steps: int,
        first_step: int = 0,
        seconds_before: float = 0.0,
        stream: TextIO | None = None,
        cluster: Cluster | None = None,
    ) -> None:
        self._folder = folder
        self._cluster = cluster or Cluster()
        stream = stream or sys.stdout
        self._stream = stream
        self._total = total_steps
        self._first = first_step
        self._seconds_before = seconds_before
        self._training_s = 0.0
        self._resumed_at = time.monotonic()
        self._last_line = self._last_file = float("-inf")
        self._writers: dict[str, EventWriter] = {}
        self._metric_file = MetricFile(first_step)
        self._has_validated = False
        rows = _read_history(folder) if self._cluster.is_chief else []
        self._history = [row for row in rows if int(row["step"]) <= first_step]
        terminal = stream.isatty() and self._cluster.is_chief
        self._bar = tqdm(total=total_steps, initial=first_step, unit="step", file=stream, disable=not terminal)

    @property
    def seconds(self) -> float:
        """Training time so far in seconds, evaluation and pauses not counted, earlier attempts included."""
        return self._seconds_before + self._training_s

    def train(self, step: int, metrics: dict[str, float], elapsed_s: float, keep: bool = False) -> None:
        """Report training up to `step`; `elapsed_s` is the time since the last call, `keep` puts it into every file."""
        self._training_s += elapsed_s
        done = step - self._first
        speed = done / self._training_s if self._training_s else 0.0
        left = (self._total - step) / speed if speed else 0.0
        text = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(step - self._bar.n)
        now = time.monotonic()
        if keep or now - self._last_line >= _LINE_EVERY_S or step == self._total:
            self._last_line = now
            self.say(f"step {step}/{self._total}  {text}  {speed:.1f} steps/s  left {left:.0f} s", bar=True)
            self._scalars("train", step, metrics | {"steps_per_second": speed})
            self._remember(step, metrics)
        self._progress("training", step, metrics, speed, left)

    def evaluate(self, step: int, part: str, metrics: dict[str, float]) -> None:
        """Report metrics measured on a part of the data: "validation", or "test" or "eval" at the end.

        Raises:
            DataError: The metric file of a study cannot be written.
        """
        text = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        self.say(f"step {step}/{self._total}  {part} {text}")
        self._scalars("eval" if part == "validation" else part, step, metrics)
        self._remember(step, {f"{part}_{name}": value for name, value in metrics.items()})
        self._has_validated |= part == "validation"
        if self._cluster.is_chief and (part == "validation" or not self._has_validated):
            self._metric_file.report(step, metrics)

    def phase(self, name: str, metrics: dict[str, float] | None = None) -> None:
        """Tell readers of the progress file what is going on: "evaluating", "exporting", "done"."""
        self._last_file = float("-inf")
        self._progress(name, self._total, metrics or {}, 0.0, 0.0)

    def say(self, line: str, bar: bool = False) -> None:
        """Print a line; a line that the bar shows anyway is printed only where there is no bar."""
        if self._bar.disable:
            print(self._cluster.label + line, file=self._stream, flush=True)
        elif not bar:
            self._bar.write(line, file=self._stream)

    def save_history(self) -> None:
        """Write history.csv whole; columns are added as they appear."""
        if not self._cluster.is_chief:
            return
        columns = list(dict.fromkeys(name for row in self._history for name in row))
        with (
            write_aside(self._folder / "history.csv") as aside,
            aside.open("w", newline="", encoding="utf-8") as stream,
        ):
            writer = csv.DictWriter(stream, columns)
            writer.writeheader()
            writer.writerows(self._history)

    def close(self) -> None:
        """Close the bar and every writer."""
        self._bar.close()
        for writer in self._writers.values():
            writer.close()

    def _remember(self, step: int, metrics: dict[str, float]) -> None:
        values = {name: f"{value:.6g}" for name, value in metrics.items()}
        if self._history and self._history[-1]["step"] == str(step):
            self._history[-1] |= values
        else:
            self._history.append({"step": str(step), "seconds": f"{self.seconds:.3f}"} | values)

    def _scalars(self, part: str, step: int, metrics: dict[str, float]) -> None:
        if not self._cluster.is_chief or not has_tensorboard():
            return
        if part not in self._writers:
            self._writers[part] = EventWriter(self._folder / part)
        self._writers[part].scalars(step, metrics)

    def _progress(self, phase: str, step: int, metrics: dict[str, float], speed: float, left: float) -> None:
        path = os.environ.get("MLHELPERS_PROGRESS_FILE")
        now = time.monotonic()
        if not path or now - self._last_file < _FILE_EVERY_S:
            return
        self._last_file = now
        state = {
            "step": step,
            "total_steps": self._total,
            "steps_per_second": round(speed, 2),
            "seconds_left": round(left, 1),
            "metrics": metrics,
            "phase": phase,
        }
        with write_aside(Path(path)) as aside:
            aside.write_text(json.dumps(state), encoding="utf-8")


def _read_history(folder: Path) -> list[dict[str, str]]:
    path = folder / "history.csv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return [{name: value for name, value in row.items() if value} for row in csv.DictReader(stream)]
