"""What a job printed, from Cloud Logging: the entries of the resource type `ml_job` with the job's number.

Its client speaks REST here as the others do. Lines come out of order and late, so the last minute is asked for again
each time, and what was given already is left out by its insertId.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from mlhelpers.cloud.access import credentials
from mlhelpers.cloud.place import Place
from mlhelpers.cloud.refusals import asking, retrying
from mlhelpers.errors import MissingExtraError
from mlhelpers.jobs.base import LogEntry
from mlhelpers.jobs.lines import severity
from mlhelpers.jobs.vertex.machines import POOLS

__all__ = ["SERVICE", "log_entries", "replica", "task_on_the_wire"]

SERVICE = "service"  # what Vertex AI itself has to say of a job
_ROLE = "roles/logging.viewer"
_AGAIN = timedelta(seconds=60)
_PAGE = 1000
_PATIENCE_S = 60.0
_MOST = 20_000  # lines at once: a few megabytes
_REPLICA = re.compile(r"(master|worker|ps|evaluator)-replica-(\d+)")
_POOL = re.compile(r"workerpool(\d)-(\d+)")
_SEVERITIES = {"DEFAULT": "", "NOTICE": "INFO", "ALERT": "CRITICAL", "EMERGENCY": "CRITICAL"}
_NEWEST = ""  # the key of a cursor that holds the time of the newest entry; every other key is an insertId


def log_entries(
    place: Place, number: str, cursor: Mapping[str, int], task: str | None = None, newest: int | None = None
) -> tuple[list[LogEntry], Mapping[str, int]]:
    """Return a job's next lines by time, and the cursor after them.

    Args:
        place: Where the job is.
        number: Its id.
        cursor: What the last call gave; empty at the beginning.
        task: One replica alone, in our words ("worker-replica-0"), or "service"; all where None.
        newest: The last so many lines alone, whatever the cursor says.

    Raises:
        MissingExtraError: Google's client for logs is not installed.
        CloudError: Cloud Logging refused, or could not be reached.
    """
    since = cursor.get(_NEWEST)
    after = None if since is None else _moment(since) - _AGAIN
    found: list[LogEntry] = []
    seen = dict(cursor)
    for entry in _ask(place, _filter(number, task, after), newest):
        mark = str(entry.insert_id or f"{entry.timestamp}{entry.payload}")
        if mark in cursor:
            continue
        moment = entry.timestamp or datetime.now(UTC)
        seen[mark] = _nanoseconds(moment)
        found.append(_line(entry, moment))
    if newest is not None:
        return found[::-1], cursor
    return found, _shortened(seen)


def replica(task: str) -> str:
    """Return our name of a replica, "worker-replica-0", for the service's, "workerpool1-0"; others stay as they are."""
    match = _POOL.fullmatch(task)
    return f"{POOLS[int(match[1])]}-replica-{match[2]}" if match and int(match[1]) < len(POOLS) else task


def task_on_the_wire(name: str) -> str:
    """Return the service's name of a replica for ours: the inverse of `replica`."""
    match = _REPLICA.fullmatch(name)
    return f"workerpool{POOLS.index(match[1])}-{match[2]}" if match else name


def _ask(place: Place, condition: str, newest: int | None) -> list[Any]:
    """Return the entries that fit, oldest first; the newest ones, newest first, where only some are asked for."""
    try:
        from google.cloud import logging
    except ImportError as error:
        raise MissingExtraError("Google's client for logs", "vertex") from error
    options = {"api_endpoint": place.endpoint} if place.is_here else None
    client = logging.Client(  # type: ignore[no-untyped-call]
        project=place.project, credentials=credentials(place), _use_grpc=False, client_options=options
    )
    order = logging.ASCENDING if newest is None else logging.DESCENDING
    most = _MOST if newest is None else newest

    def pages() -> list[Any]:  # from the first one on: pages that were broken off do not go on
        size = min(_PAGE, most)
        return list(
            client.list_entries(  # type: ignore[no-untyped-call]
                filter_=condition, order_by=order, page_size=size, max_results=most
            )
        )

    with asking("read the job's log", _ROLE):
        found: list[Any] = retrying(_PATIENCE_S)(pages)()
    return found


def _filter(number: str, task: str | None, after: datetime | None) -> str:
    parts = ['resource.type="ml_job"', f'resource.labels.job_id="{number}"']
    if task is not None:
        parts.append(f'resource.labels.task_name="{task_on_the_wire(task)}"')
    # without a time the client would ask for the last day alone
    parts.append(f'timestamp>="{(after or datetime(2020, 1, 1, tzinfo=UTC)).isoformat()}"')
    return " AND ".join(parts)


def _line(entry: Any, moment: datetime) -> LogEntry:
    payload = entry.payload
    told = payload.get("message", "") if isinstance(payload, Mapping) else payload
    message = str(told if told is not None else "").rstrip("\n")
    kind = _SEVERITIES.get(str(entry.severity), str(entry.severity or "")) or severity(message)
    labels = getattr(entry.resource, "labels", None) or {}
    trial = (entry.labels or {}).get("ml.googleapis.com/trial_id", "")
    time = moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return LogEntry(time, kind, replica(str(labels.get("task_name", ""))), message, trial)


def _shortened(seen: Mapping[str, int]) -> dict[str, int]:
    """Return a cursor without the marks of entries that will not be asked for again."""
    if not seen:
        return {}
    newest = max(seen.values())
    first = newest - int(_AGAIN.total_seconds() * 1e9)
    return {mark: when for mark, when in seen.items() if mark and when >= first} | {_NEWEST: newest}


def _nanoseconds(moment: datetime) -> int:
    whole = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (whole.days * 86_400 + whole.seconds) * 1_000_000_000 + whole.microseconds * 1000


def _moment(nanoseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanoseconds // 1000)
