"""What the three kinds of jobs have in common on the wire: create, get, list, cancel, delete."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mlhelpers.emulator import training
from mlhelpers.emulator.batch import batch_view, start_batch_job
from mlhelpers.emulator.messages import RefusedError, new_id, now, operation, parsed
from mlhelpers.emulator.records import page
from mlhelpers.emulator.routing import Handler, Request
from mlhelpers.errors import MLHelpersError

__all__ = ["job_routes"]


class _Kind(NamedTuple):
    """A kind of job: its message, what starts it on the local engine, and what shows it."""

    message: str
    start: Callable[[str, dict[str, Any], Request], None]
    view: Callable[[str, Mapping[str, Any]], dict[str, Any]]


_KINDS = {
    "customJobs": _Kind("CustomJob", training.start_custom_job, training.job_view),
    "hyperparameterTuningJobs": _Kind("HyperparameterTuningJob", training.start_tuning_job, training.tuning_view),
    "batchPredictionJobs": _Kind("BatchPredictionJob", start_batch_job, batch_view),
}


def job_routes() -> dict[str, Handler]:
    """Return the routes of all kinds of jobs."""
    found: dict[str, Handler] = {}
    for collection in _KINDS:
        found |= {
            f"POST {collection}": _create,
            f"GET {collection}": _list,
            f"GET {collection}/*": _get,
            f"DELETE {collection}/*": _delete,
            f"POST {collection}/*:cancel": _cancel,
        }
    return found


def _create(asked: Request) -> dict[str, Any]:
    kind, number = _KINDS[asked.collection], new_id()
    job = parsed(kind.message, asked.body)
    if not job.get("displayName"):
        raise RefusedError("INVALID_ARGUMENT", f"{kind.message}.displayName is required.")
    name = f"{asked.parent}/{asked.collection}/{number}"
    resource = {"name": name, **job, "createTime": now()}
    asked.records.put(name, resource)  # before the job is there: what was started can always be found again
    try:
        kind.start(_local(number), job, asked)
    except (MLHelpersError, RefusedError):
        asked.records.delete(name)
        raise
    resource |= job
    asked.records.put(name, resource)
    return kind.view(_local(number), resource)


def _get(asked: Request) -> dict[str, Any]:
    return _KINDS[asked.collection].view(_local(asked.id), asked.records.get(asked.name))


def _list(asked: Request) -> dict[str, Any]:
    view = _KINDS[asked.collection].view
    found = [
        view(_local(each["name"].rpartition("/")[2]), each)
        for each in asked.records.all(asked.parent, asked.collection)
    ]
    return page(found, asked.collection, asked.query)


def _cancel(asked: Request) -> dict[str, Any]:
    asked.records.get(asked.name)
    training.cancel(_local(asked.id))
    return {}


def _delete(asked: Request) -> dict[str, Any]:
    asked.records.get(asked.name)
    if not training.is_over(_local(asked.id)):
        raise RefusedError("FAILED_PRECONDITION", f"{asked.name} has not ended. Cancel it first.")
    asked.records.delete(asked.name)
    return operation(asked.name, "Delete")


def _local(number: str) -> str:
    """Return the name of the local engine's job behind a resource."""
    return f"vertex_{number}"
