"""The metrics that a job has reported so far, from what its trainer wrote: TensorBoard events, or the metric file.

Any trainer's: which folders it writes to is read from its arguments.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from mlhelpers.errors import JobError, unknown_name
from mlhelpers.jobs.metric_file import read_metric_file
from mlhelpers.storage import local_path

__all__ = ["Curves", "chosen_curves", "log_folder", "read_curves"]

Curves = dict[str, dict[str, tuple[list[int], list[float]]]]  # metric -> part of the data -> steps, values

_PARTS = {"train": "training", "eval": "validation", "validation": "validation", "val": "validation", "test": "test"}
_MOST_FOLDERS = 5000  # that are looked through below one; a folder of data may hold many
_MOST_METRICS = 6


def read_curves(resource: Mapping[str, Any]) -> Curves:
    """Read what a job has reported so far: its event files, or where there are none its metric file.

    Args:
        resource: The job, as `Job.describe` gives it.

    Returns:
        Metric -> part of the data -> steps and values; "loss" first, then the metrics that most parts have.

    Raises:
        JobError: Nothing was reported yet.
        MissingExtraError: TensorBoard is not installed.
    """
    from mlhelpers import board

    found: Curves = {}
    for part, folder in _named(_runs(resource)).items():
        for tag, curve in board.read_scalars(folder).items():
            found.setdefault(tag, {})[part] = curve
    found = found or _read_metric_files(resource)
    if not found:
        raise _nothing_yet(resource)
    return dict(sorted(found.items(), key=lambda item: (item[0] != "loss", -len(item[1]), item[0])))


def chosen_curves(found: Curves, metric: str | None) -> Curves:
    """Return the curves of one metric, or of the first six where None.

    Raises:
        UsageError: There is no such metric.
    """
    if metric is None:
        return dict(list(found.items())[:_MOST_METRICS])
    if metric not in found:
        raise unknown_name("metric", metric, found, "These are the ones that the job has reported so far.")
    return {metric: found[metric]}


def log_folder(resource: Mapping[str, Any]) -> Path:
    """Return the folder over which TensorBoard shows a job: the first of its folders that holds event files.

    Its job dir where there are none yet.

    Args:
        resource: The job, as `Job.describe` gives it.

    Raises:
        JobError: There are no event files yet, and no job dir.
    """
    for folder in _folders(resource):
        if next(_runs_below(folder, _began(resource)), None):
            return folder
    job_dir = resource.get("trainingInput", {}).get("jobDir")
    if job_dir is None or not (folder := _path(job_dir, resource)).is_dir():
        raise _nothing_yet(resource)
    return folder


def _nothing_yet(resource: Mapping[str, Any]) -> JobError:
    folders = ", ".join(str(folder) for folder in _folders(resource)) or "none: it was given no folder that exists"
    name = resource["jobId"]
    if "predictionInput" in resource:
        return JobError(f"The job {name!r} is a batch prediction, which reports no metrics: only trainers do.")
    return JobError(
        f"The job {name!r} ({resource['state']}) has reported no metrics yet: no TensorBoard events in its folders "
        f"({folders}), and no metric file. A trainer reports by writing events to the folder given with --job-dir, "
        f"--output_dir or the like. See what it does with  mlhelpers jobs stream-logs {name}"
    )


def _folders(resource: Mapping[str, Any]) -> list[Path]:
    """Return the folders that a job was given: its job dir, and those in its arguments that hold none of the others."""
    job_dir = resource.get("trainingInput", {}).get("jobDir")
    words = [word.partition("=")[2] or word for word in resource.get("trainingInput", {}).get("args", ())]
    named = [_path(word, resource) for word in words if word and not word.startswith("-")]
    named = [folder for folder in dict.fromkeys(named) if folder.is_dir()]
    first = [] if job_dir is None else [_path(job_dir, resource)]
    # a bucket that is named beside a folder in it also holds what other jobs write
    inner = [folder for folder in named if not any(folder in other.parents for other in [*first, *named])]
    if trial := str(resource.get("jobId", "")).partition(".")[2]:  # all trials of a study name the same folder
        inner = [folder / trial if (folder / trial).is_dir() else folder for folder in inner]
    return list(dict.fromkeys([folder for folder in first if folder.is_dir()] + inner))


def _path(place: str, resource: Mapping[str, Any]) -> Path:
    """Return a folder as the trainer saw it, whose working folder may be another than this process's."""
    folder = resource.get("localOutput", {}).get("workingFolder", "")
    return Path(os.path.normpath(Path(folder) / local_path(place).expanduser())).absolute()


def _began(resource: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(resource["createTime"]).timestamp()


def _runs(resource: Mapping[str, Any]) -> list[tuple[Path, Path]]:
    """Return (the folder it was found below, the folder) of all that hold event files which this job wrote."""
    found = {run: folder for folder in _folders(resource) for run in _runs_below(folder, _began(resource))}
    return [(folder, run) for run, folder in found.items()]


def _runs_below(folder: Path, began: float) -> Iterator[Path]:
    for count, (place, _, names) in enumerate(os.walk(folder)):
        if count >= _MOST_FOLDERS:
            return
        events = [Path(place, name) for name in names if ".tfevents." in name]
        if any(path.stat().st_mtime >= began for path in events):
            yield Path(place)


def _named(runs: list[tuple[Path, Path]]) -> dict[str, Path]:
    """Name each run after the part of the data that it measures on, or after its folder where that is not clear."""
    names: dict[str, Path] = {}
    for folder, run in sorted(runs):
        name = "training" if run == folder else _PARTS.get(run.name, run.name)
        if name in names:
            name = str(run.relative_to(folder))
        names[name if name not in names else str(run)] = run
    order = list(_PARTS.values())
    return dict(sorted(names.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order)))


def _read_metric_files(resource: Mapping[str, Any]) -> Curves:
    """Read what `cloudml-hypertune` wrote: a file for each replica."""
    folder = resource.get("localOutput", {}).get("folder")
    found: dict[str, dict[str, dict[int, float]]] = {}
    for path in sorted(Path(folder, "metrics").glob("*/output.metrics")) if folder else ():
        for tag, values in read_metric_file(path).items():
            found.setdefault(tag, {})[path.parent.name] = values
    return {
        tag: {part: (sorted(values), [values[step] for step in sorted(values)]) for part, values in parts.items()}
        for tag, parts in found.items()
    }
