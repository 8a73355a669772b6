"""The metric file of a trainer in a study: a line of JSON for each value, as Google's `cloudml-hypertune` writes it."""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["read_metric_file"]

_NO_TAGS = frozenset(("timestamp", "trial", "global_step", "checkpoint_path"))


def read_metric_file(path: Path) -> dict[str, dict[int, float]]:
    """Return what a trainer has reported: tag -> step -> value, the last value where a step was reported twice.

    The library rewrites the file at each report and keeps the last hundred, so it may be read half-written: lines that
    are no JSON are passed over.

    Args:
        path: The file; nothing was reported where it is not there.
    """
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return {}
    found: dict[str, dict[int, float]] = {}
    for line in text.splitlines():
        try:
            report = json.loads(line)
            points = {tag: float(report[tag]) for tag in set(report) - _NO_TAGS}
            step = int(report.get("global_step", 0))
        except (ValueError, TypeError):
            continue
        for tag, value in points.items():
            found.setdefault(tag, {})[step] = value
    return found
