"""The backend "vertex": a job here is a CustomJob there, known by its display name or by its number.

What the service does not know is not made up: labels of a custom job cannot be changed there, and how far a trainer is
stands in its log alone.
"""

from __future__ import annotations

import importlib
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlhelpers.cloud import ledger
from mlhelpers.cloud.place import Place, place
from mlhelpers.errors import JobError, MLHelpersError, UsageError, unknown_name
from mlhelpers.jobs.base import Backend, Bill, JobState, LogEntry, Plan
from mlhelpers.jobs.spec import JobSpec
from mlhelpers.jobs.vertex import checks
from mlhelpers.jobs.vertex.client import CustomJobs
from mlhelpers.jobs.vertex.description import console_link, description, short, state_of
from mlhelpers.jobs.vertex.logs import SERVICE, log_entries, replica
from mlhelpers.jobs.vertex.package import Packed, file_of
from mlhelpers.jobs.vertex.request import bucket_of, code_for, custom_job, notes_on
from mlhelpers.settings import current

__all__ = ["VertexBackend", "send_code"]

# what else is listed and found among the jobs: modules with a function `backend(place)`, named as text
_OTHER_KINDS = ("mlhelpers.tuning.vertex.engine", "mlhelpers.serving.vertex.batch_jobs")
_REFERENCE = re.compile(r"([^/]+)/([^/]+)/(\d+)")
_ADDRESS = re.compile(r"gs://[a-z0-9._-]+/packages/[0-9a-f]{64}/[A-Za-z0-9._-]+")
_LAST_LINES = 20
_FAILED_LINES = 10


class VertexBackend(Backend):
    """Jobs on Vertex AI.

    Args:
        where: The place; the one that the settings name where None, asked for when it is needed.
    """

    name = "vertex"
    jobs_of: type[CustomJobs] = CustomJobs  # what asks for its kind of job

    def __init__(self, where: Place | None = None) -> None:
        self._where = where
        self._jobs: dict[Place, CustomJobs] = {}
        self._checked: Plan | None = None

    @property
    def pauses_s(self) -> tuple[float, float]:  # type: ignore[override]
        """Return the seconds between two questions, at first and at most: the service's own client waits longer."""
        return (0.1, 1.0) if self._is_here else (2.0, 30.0)

    @property
    def lines_come_late_s(self) -> float:  # type: ignore[override]
        """Return how long lines may still come after a job's end: Cloud Logging takes some seconds."""
        return 0.0 if self._is_here else 20.0

    def take_up(self, reference: str) -> tuple[Backend, str]:
        """Return the backend of a handle's project and region, and the job's number; or of a name alone.

        Raises:
            UsageError: The reference is malformed.
        """
        if "/" not in reference:
            return self._knowing(reference), reference
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            raise UsageError(
                f"'vertex://{reference}' is no handle. It reads vertex://PROJECT/REGION/NUMBER, as  mlhelpers jobs "
                "describe JOB --backend vertex  shows it."
            )
        there = type(self)(Place(match[1], match[2], current().bucket, current().vertex_endpoint))
        return there._knowing(match[3]), match[3]

    def handle(self, name: str) -> str:
        """Return the handle of a job, with its project, region and number.

        Raises:
            JobError: There is no such job.
        """
        parts = self._client.resource(name).split("/")
        return f"vertex://{parts[1]}/{parts[3]}/{parts[5]}"

    def hints(self, name: str) -> dict[str, str]:
        """Return the page in Google's console, and how to tidy up."""
        parts = self._client.resource(name).split("/")
        return {"console": console_link(parts[1], parts[3], parts[5]), "clean up": "mlhelpers cleanup"}

    def plan(self, spec: JobSpec) -> Plan:
        """Check the spec and return the CustomJob that it becomes, as JSON; nothing is sent.

        Raises:
            UsageError: Something in it is not to be had on Vertex AI, or its code is not there.
        """
        if "hyperparameters" in spec.cloud:
            raise UsageError(
                "The job has hyperparameters to tune: it is a study of many trials. Submit it with  mlhelpers jobs "
                "submit training --config FILE  or with tuning.submit(tuning.study_of(spec))."
            )
        code = code_for(spec)
        return Plan(self.name, spec, custom_job(spec, code), notes_on(spec, code))

    def estimate(self, plan: Plan, expected_s: float | None = None) -> Bill:
        """Return what will run and what it costs, by the machines of the plan and the price file alone.

        Raises:
            DataError: The price file cannot be read.
            UsageError: Something in the price file is not as it should be.
        """
        return checks.bill_of(plan, plan.spec.region or current().region, expected_s)

    def bill(self, plan: Plan, expected_s: float | None = None) -> Bill:
        """Check the place, the job's name and the bucket, and return what will run and what it costs.

        Raises:
            UsageError: No project or bucket is set, or the bucket is elsewhere.
            JobError: The name is taken.
            CloudError: The service refused, or could not be reached.
        """
        where = self._place(plan.spec)
        self._check(plan, where)
        bill = self.estimate(plan, expected_s)
        if where.is_here:
            free = f"The emulator at {where.endpoint} answers: it runs here and costs nothing."
            return replace(bill, lines=(*bill.lines, free), is_free=True)
        return bill

    def submit(self, plan: Plan) -> None:
        """Send the code, then the job; whatever becomes of the connection, there is one job at most.

        Raises:
            UsageError: No project or bucket is set, or the bucket is elsewhere.
            JobError: The name is taken.
            CloudError: The service refused, or could not be reached.
        """
        where = self._place(plan.spec)
        if self._checked is not plan:
            self._check(plan, where)
        send_code(plan.request, where)
        self._client_at(where).create(plan.request)
        self._where = where

    def state(self, name: str) -> JobState:
        """Return the state now."""
        return state_of(self._client.get(name))

    def tasks(self, name: str) -> list[str]:
        """Return the replicas, the first one first, and "service"."""
        job = self._client.get(name)
        pools = job.get("jobSpec", {}).get("workerPoolSpecs", [])
        found = [
            replica(f"workerpool{number}-{index}")
            for number, pool in enumerate(pools)
            for index in range(int(pool.get("replicaCount", 0)))
        ]
        return [*found, SERVICE]

    def log(self, name: str, start: int, task: str | None = None) -> tuple[bytes, int]:
        """Return a piece of a task's log from a byte offset, and the offset after it; offsets count its lines' bytes.

        Raises:
            UsageError: There is no such task.
        """
        number, one = self._number(name), self._task(name, task)
        if start < 0:
            lines = log_entries(self._client.place, number, {}, one, newest=_LAST_LINES)[0]
            text = _text(lines)[start:]
            return text, len(text)
        text = _text(log_entries(self._client.place, number, {}, one)[0])[start:]
        return text, start + len(text)

    def entries(
        self, name: str, cursor: Mapping[str, int], task: str | None = None
    ) -> tuple[list[LogEntry], Mapping[str, int]]:
        """Return the next lines by time, and the cursor after them.

        Raises:
            UsageError: There is no such task.
        """
        one = None if task is None else self._task(name, task)
        return log_entries(self._client.place, self._number(name), cursor, one)

    def cancel(self, name: str) -> None:
        """Ask the job to end; one that is over, or being cancelled, is left alone."""
        if state_of(self._client.get(name)).is_final:
            return
        try:
            self._client.cancel(name)
        except MLHelpersError:
            if not state_of(self._client.get(name)).is_final:  # it has ended meanwhile
                raise

    def relabel(self, name: str, labels: Mapping[str, str | None], clear: bool) -> None:
        """Refuse: the API has no way to change a custom job.

        Raises:
            JobError: Always, with what can be done.
        """
        self._client.get(name)
        raise JobError(
            f"The labels of {name!r} stay as they are: Vertex AI lets nobody change a custom job once it is made. Give "
            "labels when you submit it: --labels team=blue"
        )

    def list(self, limit: int | None) -> list[dict[str, Any]]:
        """Return short rows, newest first."""
        rows = [short(job) for job in self._client.list()]
        for other in self._others():
            rows += other.list(None)
        return sorted(rows, key=lambda row: str(row.get("createTime", "")), reverse=True)[:limit]

    def describe(self, name: str) -> dict[str, Any]:
        """Return the job as the service's Job resource, with what is known of it there under vertexOutput."""
        job = self._client.get(name)
        lines: list[str] = []
        if state_of(job) is JobState.FAILED:
            number = job["name"].rpartition("/")[2]
            try:
                said = log_entries(self._client.place, number, {}, "master-replica-0", newest=_FAILED_LINES)[0]
                lines = [entry.message for entry in said]
            except MLHelpersError as error:
                lines = [f"(they cannot be read: {error})"]
        return description(job, lines)

    def progress(self, name: str) -> dict[str, Any]:
        """Return nothing: the service tells of no steps."""
        return {}

    def _check(self, plan: Plan, where: Place) -> None:
        checks.check_bucket(bucket_of(plan.spec), where)
        if self._client_at(where).is_taken(plan.spec.name):
            raise JobError(
                f"The name {plan.spec.name!r} is taken by another job in {where.project}, {where.region}. Choose a new "
                f"one, for instance {plan.spec.name}_{time.strftime('%Y%m%d_%H%M%S')}."
            )
        self._checked = plan

    def _place(self, spec: JobSpec) -> Place:
        if self._where is None:
            return place(region=spec.region, bucket=spec.staging_bucket)
        return replace(self._where, region=spec.region or self._where.region)

    def _client_at(self, where: Place) -> CustomJobs:
        return self._jobs.setdefault(where, self.jobs_of(where))

    @property
    def _client(self) -> CustomJobs:
        return self._client_at(self._where or place())

    @property
    def _is_here(self) -> bool:
        return (self._where or place()).is_here

    def _number(self, name: str) -> str:
        return self._client.resource(name).rpartition("/")[2]

    def _others(self) -> Sequence[Backend]:
        """Return the backends of other kinds of job, in the same place."""
        found = [] if self.jobs_of is not CustomJobs else [importlib.import_module(path) for path in _OTHER_KINDS]
        return [module.backend(self._where) for module in found]

    def _knowing(self, name: str) -> Backend:
        """Return the backend that knows a job: this one, unless there is only a job of another kind of that name."""
        for one in (self, *self._others()):
            try:
                one.state(name)
            except JobError:
                continue
            return one
        return self

    def _task(self, name: str, task: str | None) -> str:
        if task is None:
            return "master-replica-0"
        if task not in (known := self.tasks(name)):
            raise unknown_name("task", task, known, f"They are the replicas of the job {name!r}.")
        return task


def send_code(request: Mapping[str, Any], where: Place) -> None:
    """Upload the packages that a request names, unless the bucket has them; what was uploaded is on the ledger.

    Args:
        request: A job as JSON, planned by this process.
        where: Whose bucket they go to.

    Raises:
        JobError: A package of the plan is no longer kept.
        CloudError: Cloud Storage refused, or could not be reached.
    """
    from mlhelpers.storage.cloud import upload

    for address in dict.fromkeys(_ADDRESS.findall(json.dumps(request))):
        _, digest, name = address.rsplit("/", 2)
        file = file_of(Packed(name, digest))
        entry = ledger.intend("object", where.project, where.region, address, where.endpoint)
        if upload(file, address, where):
            ledger.made(entry, address)
        else:
            ledger.forget(entry)  # it has been there, and is on the ledger of whoever sent it


def _text(entries: list[LogEntry]) -> bytes:
    return "".join(f"{entry.message}\n" for entry in entries).encode()
