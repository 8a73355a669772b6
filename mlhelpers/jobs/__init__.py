"""Run trainers: here in a process that outlives the notebook, or in another place by the same call.

`JobSpec` says what to run, `plan` shows the complete request without starting anything, `submit` starts it and gives
back a `Job`, which any later process takes up again with `attach("local://NAME")`.

To add a place to run: a file here with a `Backend` and a function `backend()` that makes it, and its line in
`BACKENDS`. Waiting, following, hints and errors are written once, in `job.py`, on top of the backend's small methods.

May import `errors`, `settings` and `storage`; it knows a trainer by its module path, as text, and never imports it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mlhelpers.errors import UsageError, unknown_name
from mlhelpers.settings import current

if TYPE_CHECKING:
    from mlhelpers.jobs.base import Backend, Bill, JobState, LogEntry, Plan
    from mlhelpers.jobs.job import Job
    from mlhelpers.jobs.spec import JobSpec, Pool

__all__ = ["BACKENDS", "Bill", "Job", "JobSpec", "JobState", "LogEntry", "Plan", "Pool"]
__all__ += ["attach", "backend", "estimate", "list_jobs", "plan", "run", "submit"]

BACKENDS = {
    "local": "mlhelpers.jobs.local",
    "vertex": "mlhelpers.jobs.vertex",
}
_NAMES = {
    **dict.fromkeys(("Bill", "JobState", "LogEntry", "Plan"), "mlhelpers.jobs.base"),
    **dict.fromkeys(("JobSpec", "Pool"), "mlhelpers.jobs.spec"),
    "Job": "mlhelpers.jobs.job",
}


def __getattr__(name: str) -> Any:
    """Import a class when it is first named: the supervisor, which has to start at once, needs none of them."""
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'mlhelpers.jobs' has no attribute {name!r}")


def backend(name: str | None = None) -> Backend:
    """Return the backend of a name.

    Args:
        name: A key of `BACKENDS`; the setting `backend` where None.

    Raises:
        UsageError: There is no such backend.
    """
    name = name or current().backend
    if name not in BACKENDS:
        raise unknown_name("backend", name, BACKENDS, "Choose one with backend=… or MLHELPERS_BACKEND.")
    made: Backend = importlib.import_module(BACKENDS[name]).backend()
    return made


def plan(spec: JobSpec, backend: str | None = None) -> Plan:
    """Make the complete request without starting or writing anything; print it to read it.

    Args:
        spec: What to run.
        backend: Where; the setting `backend` where None.

    Raises:
        UsageError: Something in the spec cannot work there: the module is not found, the scale tier is not offered, …
    """
    return _backend(backend).plan(spec)


def estimate(plan: Plan, expected_s: float | None = None) -> Bill | None:
    """Return what a plan would run on and what that costs, as far as it is known; nobody is asked for it.

    Args:
        plan: The plan of a job.
        expected_s: How long the job is expected to run, in seconds.

    Returns:
        The bill; None where nothing costs money.

    Raises:
        DataError: The price file (setting `prices`) cannot be read.
        UsageError: Something in the price file is not as it should be.

    Taught in notebook 06.
    """
    return _backend(plan.backend).estimate(plan, expected_s)


def submit(spec: JobSpec, backend: str | None = None) -> Job:
    """Start a job and return at once; the job goes on when this process ends.

    Args:
        spec: What to run.
        backend: Where; the setting `backend` where None.

    Raises:
        UsageError: Something in the spec cannot work there.
        JobError: The name is taken, or the job cannot be started.

    Taught in notebook 05.
    """
    from mlhelpers.jobs.job import Job

    place = _backend(backend)
    place.submit(place.plan(spec))
    return Job(spec.name, place)


def run(spec: JobSpec, backend: str | None = None) -> Job:
    """Submit a job and wait, with a progress bar, until it has succeeded.

    Args:
        spec: What to run.
        backend: Where; the setting `backend` where None.

    Raises:
        UsageError: Something in the spec cannot work there.
        JobError: The job cannot be started, or it failed: with its last log lines and its exit code.
    """
    job = submit(spec, backend)
    job.wait()
    return job


def attach(handle_or_name: str, backend: str | None = None) -> Job:
    """Take up a job again, from any process.

    Args:
        handle_or_name: The handle, for instance "local://first" or "vertex://PROJECT/REGION/NUMBER", or the name alone.
        backend: Where a name alone is looked up; the setting `backend` where None.

    Raises:
        UsageError: The handle is malformed or names an unknown backend.
        JobError: There is no such job.
    """
    from mlhelpers.jobs.job import Job

    place, separator, name = handle_or_name.partition("://")
    if not separator:
        place, name = "", handle_or_name
    elif not place or not name:
        raise UsageError(
            f"{handle_or_name!r} is no job handle. A handle reads BACKEND://NAME, for instance local://first."
        )
    if backend is not None and place not in ("", backend):
        raise UsageError(f"The handle {handle_or_name!r} says where its job is, and that is not {backend!r}.")
    found, name = _backend(place or backend).take_up(name)
    found.state(name)
    return Job(name, found)


def list_jobs(limit: int | None = None, backend: str | None = None) -> list[dict[str, Any]]:
    """Return the jobs, newest first.

    Args:
        limit: How many at most; all where None.
        backend: Where; the setting `backend` where None.

    Returns:
        One dict per job with jobId, state, createTime, startTime, endTime and labels; times are RFC 3339 text, UTC.
    """
    return _backend(backend).list(limit)


_backend = backend  # the functions above have a parameter of that name
