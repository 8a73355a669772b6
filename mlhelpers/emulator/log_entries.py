"""Cloud Logging's entries:list for the jobs of the emulator: what the local engine's logs hold, in its words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mlhelpers import jobs
from mlhelpers.emulator.messages import RefusedError
from mlhelpers.errors import JobError
from mlhelpers.jobs import LogEntry

__all__ = ["PATH", "list_entries"]

PATH = "/v2/entries:list"
_TERM = re.compile(r'(resource\.type|resource\.labels\.job_id|resource\.labels\.task_name|timestamp)(=|>=)"([^"]*)"')
_FIELDS = ("resourceNames", "filter", "orderBy", "pageSize", "pageToken", "projectIds")
_POOLS = {"master": 0, "worker": 1, "ps": 2, "evaluator": 3}


def list_entries(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a page of a job's log.

    Args:
        body: What was sent: filter, orderBy, pageSize, pageToken.

    Raises:
        RefusedError: A field or a term of the filter that is not honoured.
    """
    for field in body:
        if field not in _FIELDS:
            raise RefusedError("UNIMPLEMENTED", f"The emulator does not honour the field {field!r} of entries:list.")
    terms: dict[str, str] = {}
    for term in filter(None, re.split(r"\s+AND\s+|\n", str(body.get("filter", "")).strip())):
        match = _TERM.fullmatch(term.strip())
        if match is None or (match[2] == ">=") != (match[1] == "timestamp"):
            raise RefusedError("UNIMPLEMENTED", f"The emulator does not honour the filter {term!r} of entries:list.")
        terms[match[1]] = match[3]
    if terms.get("resource.type") != "ml_job" or "resource.labels.job_id" not in terms:
        raise RefusedError("UNIMPLEMENTED", 'The emulator has logs of jobs alone: resource.type="ml_job", a job_id.')
    found = _entries(terms)
    if str(body.get("orderBy", "timestamp asc")).endswith("desc"):
        found.reverse()
    start, size = int(body.get("pageToken") or 0), int(body.get("pageSize") or 50)
    more = {"nextPageToken": str(start + size)} if start + size < len(found) else {}
    return {"entries": found[start : start + size], **more}


def _entries(terms: Mapping[str, str]) -> list[dict[str, Any]]:
    number, since = terms["resource.labels.job_id"], terms.get("timestamp")
    first = datetime.fromisoformat(since) if since else None
    backend = jobs.backend("local")
    found: list[dict[str, Any]] = []
    cursor: Mapping[str, int] = {}
    while True:
        try:
            lines, after = backend.entries(f"vertex_{number}", cursor, None)
        except JobError:  # Cloud Logging knows nothing of jobs: it finds none of its lines
            return []
        found += [_entry(number, at, line) for at, line in enumerate(lines, len(found))]
        if after == cursor:
            break
        cursor = after
    task = terms.get("resource.labels.task_name")
    return [
        entry
        for entry in found
        if (first is None or datetime.fromisoformat(entry["timestamp"]) >= first)
        and (task is None or entry["resource"]["labels"]["task_name"] == task)
    ]


def _entry(number: str, at: int, line: LogEntry) -> dict[str, Any]:
    role, _, index = line.task.rpartition("-replica-")
    task = f"workerpool{_POOLS[role]}-{index}" if role in _POOLS else line.task
    return {
        "insertId": f"{line.trial}-{line.task}-{at}",
        "logName": f"projects/-/logs/{task}",
        "resource": {"type": "ml_job", "labels": {"job_id": number, "task_name": task}},
        "timestamp": line.time,
        "severity": line.severity,
        "jsonPayload": {"message": line.message, "levelname": line.severity},
        **({"labels": {"ml.googleapis.com/trial_id": line.trial}} if line.trial else {}),
    }
