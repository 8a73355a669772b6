"""The metric file, from which a hyperparameter study learns how a trial does: lines as `cloudml-hypertune` writes them.

Each line is a JSON object with one metric at one step: `{"rmse": "1.07", "global_step": "500", "trial": "3", …}`. The
last line of a tag is the trial's objective, the lines before are its curve. The library keeps the last 100 lines and
writes the whole file anew for each; a reader may therefore meet half a file, and reads it again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlhelpers.errors import DataError, MissingExtraError

__all__ = ["MetricFile"]

_VARIABLE = "CLOUD_ML_HP_METRIC_FILE"


class MetricFile:
    """Reports metrics to the file that CLOUD_ML_HP_METRIC_FILE names; does nothing where the variable is not set.

    A run that is taken up again keeps the lines of its earlier attempt, up to the step it goes on from.

    Args:
        first_step: That step; 0 starts the file afresh.
    """

    def __init__(self, first_step: int = 0) -> None:
        self._first = first_step
        self._hypertune: Any = None
        self._told: set[tuple[str, int]] = set()

    def report(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add a line for each metric; one that was reported at this step already is left out.

        Args:
            step: The step that the metrics belong to, 0 or more.
            metrics: Values by tag.

        Raises:
            DataError: The file cannot be written.
            MissingExtraError: The package that writes it is not installed.
        """
        path = os.environ.get(_VARIABLE)
        if not path:
            return
        try:
            if self._hypertune is None:
                self._hypertune = self._open(Path(path))
            for tag, value in metrics.items():
                if (tag, step) not in self._told:
                    self._told.add((tag, step))
                    self._hypertune.report_hyperparameter_tuning_metric(tag, value, step)
        except OSError as error:
            raise DataError(
                f"The metric file {path} cannot be written: {error.strerror}. {_VARIABLE} names it; without that "
                "variable a run reports to no study."
            ) from error

    def _open(self, path: Path) -> Any:
        try:
            import hypertune
        except ImportError as error:
            raise MissingExtraError("cloudml-hypertune, which writes what a study reads,", "train") from error

        writer = hypertune.HyperTune()
        before = path.read_text(encoding="utf-8", errors="replace") if self._first and path.is_file() else ""
        for line in before.splitlines():
            try:
                entry = json.loads(line)
                step = int(entry["global_step"])
            except (ValueError, TypeError, KeyError):  # the attempt before was killed while it wrote
                continue
            if step <= self._first:
                writer.metrics_queue.append(entry)
                self._told |= {(tag, step) for tag in entry}
        return writer
