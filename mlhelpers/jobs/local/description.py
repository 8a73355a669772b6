"""A local job as the service's Job resource, from its row and its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlhelpers.jobs.local.logs import log_path
from mlhelpers.jobs.local.store import Store

__all__ = ["description", "progress", "short"]


def description(store: Store, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the Job resource of a row, with what is known of the job here under localOutput.

    Args:
        store: The store.
        row: The job's row, made true.
    """
    folder = store.folder / row["name"]
    given = json.loads(row["training_input"])
    # every prediction says its data format, and no training has such a field
    kind = "prediction" if "dataFormat" in given else "training"
    resource = short(row) | {f"{kind}Input": given}
    if row["error_message"]:
        resource["errorMessage"] = row["error_message"]
    if output := _json(folder / f"{kind}_output.json"):
        resource[f"{kind}Output"] = output
    resource["localOutput"] = {
        "folder": str(folder),
        "workingFolder": _text(folder / "working_folder"),
        "retries": row["retries"],
        "replicas": [_replica(folder, replica) for replica in store.replicas(row["name"])],
    }
    return resource


def short(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a list shows of a job."""
    values = {
        "jobId": row["name"],
        "state": row["state"],
        "createTime": row["create_time"],
        "startTime": row["start_time"],
        "endTime": row["end_time"],
        "labels": json.loads(row["labels"]) if row["labels"] != "{}" else {},
    }
    return {name: value for name, value in values.items() if value is not None}


def _replica(folder: Path, row: Mapping[str, Any]) -> dict[str, Any]:
    values = {
        "task": row["task"],
        "pid": int(row["process"].split("/")[-2]),
        "startTime": row["start_time"],
        "endTime": row["end_time"],
        "exitCode": row["exit_code"],
        "restarts": row["restarts"],
        "log": str(log_path(folder, row["task"])),
        "progress": progress(folder, row["task"]) or None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the folder was removed
        return ""


def progress(folder: Path, task: str) -> dict[str, Any]:
    """Return what a replica last reported, or nothing."""
    return _json(folder / "progress" / f"{task}.json")


def _json(path: Path) -> dict[str, Any]:
    """Return the fields that a file holds; none where it is not there, or is no JSON."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
