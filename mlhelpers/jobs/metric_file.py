"""The metric file of a trainer in a study: a line of JSON for each value, as Google's `cloudml-hypertune` writes it."""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["read_metric_file", "set_aside"]

_NO_TAGS = frozenset(("timestamp", "trial", "global_step", "checkpoint_path"))


def set_aside(path: Path) -> None:
    """Keep what a trainer has reported before it is started again: the library would begin the file anew.

    Args:
        path: The metric file, which gets a number behind its name; nothing happens where it is not there.
    """
    if path.is_file():
        path.rename(path.with_name(f"{path.name}.{len(_earlier(path)) + 1}"))


def read_metric_file(path: Path) -> dict[str, dict[int, float]]:
    """Return what a trainer has reported: tag -> step -> value, the last value where a step was reported twice.

    What it had reported before it was started again counts too.

    The library rewrites the file at each report and keeps the last hundred, so it may be read half-written: lines that
    are no JSON are passed over.

    Args:
        path: The file; nothing was reported where it is not there.
    """
    found: dict[str, dict[int, float]] = {}
    for line in [line for each in [*_earlier(path), path] for line in _lines(each)]:
        try:
            report = json.loads(line)
            points = {tag: float(report[tag]) for tag in set(report) - _NO_TAGS}
            step = int(report.get("global_step", 0))
        except (ValueError, TypeError):
            continue
        for tag, value in points.items():
            found.setdefault(tag, {})[step] = value
    return found


def _earlier(path: Path) -> list[Path]:
    """Return the files that were set aside, in the order of their numbers."""
    found = [each for each in path.parent.glob(f"{path.name}.*") if each.suffix[1:].isdecimal()]
    return sorted(found, key=lambda each: int(each.suffix[1:]))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []
