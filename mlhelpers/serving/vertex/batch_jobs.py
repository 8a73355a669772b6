"""Batch predictions on Vertex AI as jobs: followed, described, cancelled, listed and taken up from any process.

They stand among the jobs of the backend "vertex", with handles of the same form. The fields that `describe` gives are
the old service's, with the BatchPredictionJob's own counts under `predictionOutput`; its states are mapped to ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlhelpers.cloud.clients import client
from mlhelpers.cloud.place import Place, place
from mlhelpers.cloud.refusals import asking, retrying
from mlhelpers.errors import JobError, UsageError
from mlhelpers.jobs.base import Backend, JobState, LogEntry, Plan
from mlhelpers.jobs.spec import JobSpec
from mlhelpers.jobs.vertex.description import STATES
from mlhelpers.labels import relabelled
from mlhelpers.serving.vertex.making import ROLE, look
from mlhelpers.serving.vertex.names import MARK
from mlhelpers.settings import current

__all__ = ["BatchJobs", "backend"]

_FORMATS = {"jsonl": "JSON", "tf-record": "TF_RECORD", "tf-record-gzip": "TF_RECORD_GZIP"}
_TASK = "service"


class BatchJobs(Backend):
    """The batch predictions of a project and region; a name is a job's display name or its number."""

    name = "vertex"

    def __init__(self, where: Place | None = None) -> None:
        """Open the list of jobs.

        Args:
            where: The place; the settings' when something is first asked, where None.
        """
        self._place = where
        here = where is not None and where.is_here
        self.pauses_s = (0.1, 0.5) if here else (2.0, 60.0)

    @property
    def place(self) -> Place:
        """Where the jobs are.

        Raises:
            UsageError: No project is set.
        """
        return self._place or place()

    def take_up(self, reference: str) -> tuple[Backend, str]:
        """Return the jobs and the name for PROJECT/REGION/NUMBER, or for a name in the place in force.

        Raises:
            UsageError: The reference is malformed.
        """
        parts = reference.split("/")
        if len(parts) == 1:
            return BatchJobs(self.place), reference
        if len(parts) != 3 or not parts[2].isdigit():
            raise UsageError(f"{reference!r} is no batch prediction: it reads PROJECT/REGION/NUMBER, or is a name.")
        return BatchJobs(Place(parts[0], parts[1], None, current().vertex_endpoint)), parts[2]

    def handle(self, name: str) -> str:
        """Return the text with which any process takes the job up again."""
        number = self._one(name).name.rpartition("/")[2]
        return f"{self.name}://{self.place.project}/{self.place.region}/{number}"

    def found(self, name: str) -> list[Any]:
        """Return the jobs with a display name, newest first; more than one only where others have made them."""
        what = f"look for the batch prediction {name!r}"
        request = {"parent": self.place.parent, "filter": f'display_name="{name}"'}
        with asking(what, ROLE):
            return list(client("jobs", self.place).list_batch_prediction_jobs(request=request, retry=retrying()))

    def plan(self, spec: JobSpec) -> Plan:
        """Refuse: a batch prediction is planned from a `BatchSpec`.

        Raises:
            UsageError: Always.
        """
        raise UsageError("A batch prediction is planned with  serving.batch.plan(BatchSpec(…), backend='vertex')")

    def submit(self, plan: Plan) -> None:
        """Refuse: a batch prediction is started from a `BatchSpec`.

        Raises:
            UsageError: Always.
        """
        raise UsageError("A batch prediction is started with  serving.batch.submit(BatchSpec(…), backend='vertex')")

    def state(self, name: str) -> JobState:
        """Return the state now."""
        return STATES[self._one(name).state.name]

    def tasks(self, name: str) -> list[str]:
        """Return the one task there is: what the service tells."""
        self._one(name)
        return [_TASK]

    def log(self, name: str, start: int, task: str | None) -> tuple[bytes, int]:
        """Return what the service tells of faults, from an offset, and the offset after it."""
        text = "".join(f"{entry.message}\n" for entry in self._lines(name, task)).encode()
        begin = max(0, len(text) + start) if start < 0 else start
        return text[begin:], max(begin, len(text))

    def entries(
        self, name: str, cursor: Mapping[str, int], task: str | None
    ) -> tuple[list[LogEntry], Mapping[str, int]]:
        """Return the next lines of what the service tells, and the cursor after them."""
        lines, seen = self._lines(name, task), cursor.get(_TASK, 0)
        return [*lines[seen:]], {_TASK: len(lines)} if lines else cursor

    def cancel(self, name: str) -> None:
        """Ask the job to end; nothing happens to one that is over or being cancelled."""
        job = self._one(name)
        if STATES[job.state.name].is_final or STATES[job.state.name] is JobState.CANCELLING:
            return
        with asking(f"cancel the batch prediction {name!r}", ROLE):
            client("jobs", self.place).cancel_batch_prediction_job(name=job.name, retry=retrying())

    def relabel(self, name: str, labels: Mapping[str, str | None], clear: bool) -> None:
        """Refuse: Vertex AI keeps the labels that a batch prediction was started with.

        Raises:
            JobError: Always.
        """
        relabelled({}, labels, clear)
        raise JobError(
            f"Vertex AI keeps the labels of {name!r} as it was started with them: there is no way to change."
        )

    def list(self, limit: int | None) -> list[dict[str, Any]]:
        """Return short rows of the jobs, newest first."""
        with asking("list the batch predictions", ROLE):
            answer = client("jobs", self.place).list_batch_prediction_jobs(parent=self.place.parent, retry=retrying())
            jobs = sorted(answer, key=lambda job: job.create_time, reverse=True)
        return [_short(job) for job in jobs[:limit]]

    def describe(self, name: str) -> dict[str, Any]:
        """Return the job in the old service's words, with the name of Vertex AI's resource."""
        job = self._one(name)
        stats, consumed = job.completion_stats, job.resources_consumed
        counted = {
            "predictionCount": str(stats.successful_count) if stats else None,
            "errorCount": str(stats.failed_count) if stats else None,
            "outputPath": job.output_info.gcs_output_directory,
            "nodeHours": round(consumed.replica_hours, 2) if consumed and consumed.replica_hours else None,
        }
        if stats and stats.incomplete_count > 0:
            counted["incompleteCount"] = str(stats.incomplete_count)
        resource = _short(job) | {"predictionInput": _input(job)}
        if output := {field: value for field, value in counted.items() if value}:
            resource["predictionOutput"] = output
        if message := _fault(job):
            resource["errorMessage"] = message
        return resource | {"vertexState": job.state.name, "resource": job.name}

    def progress(self, name: str) -> dict[str, Any]:
        """Return how many instances are done, as far as Vertex AI says."""
        stats = self._one(name).completion_stats
        done = (stats.successful_count + stats.failed_count) if stats else 0
        total = done + max(0, stats.incomplete_count) if stats else 0
        return {"step": done, "total_steps": total, "phase": "predicting"} if total else {}

    def _lines(self, name: str, task: str | None) -> Sequence[LogEntry]:
        if task not in (None, _TASK):
            raise UsageError(f"A batch prediction on Vertex AI has one task, {_TASK!r}, and none {task!r}.")
        job = self._one(name)
        time = _stamp(job.end_time) or _stamp(job.update_time) or _stamp(job.create_time)
        faults = [one.message for one in (job.error, *job.partial_failures) if one is not None and one.message]
        return [LogEntry(time, "ERROR", _TASK, message) for message in faults]

    def _one(self, name: str) -> Any:
        """Return the job of a number or display name."""
        if name.isdigit():
            where = f"{self.place.parent}/batchPredictionJobs/{name}"
            ask = client("jobs", self.place).get_batch_prediction_job
            found = look(f"look up the batch prediction {name}", lambda retry: ask(name=where, retry=retry))
        else:
            found = next(iter(self.found(name)), None)
        if found is None:
            raise JobError(
                f"There is no batch prediction {name!r} in {self.place.project}, {self.place.region}. See what there "
                f"is:  mlhelpers jobs list --backend {self.name}"
            )
        return found


def backend(where: Place | None = None) -> BatchJobs:
    """Return the batch predictions of a project and region; of those in force where None."""
    return BatchJobs(where)


def _short(job: Any) -> dict[str, Any]:
    values = {
        "jobId": job.display_name,
        "state": str(STATES[job.state.name]),
        "createTime": _stamp(job.create_time),
        "startTime": _stamp(job.start_time),
        "endTime": _stamp(job.end_time),
        "labels": {key: value for key, value in job.labels.items() if key != MARK},
    }
    return {name: value for name, value in values.items() if value}


def _input(job: Any) -> dict[str, Any]:
    values = {
        "modelName": job.model,
        "uri": job.unmanaged_container_model.artifact_uri if job.unmanaged_container_model else None,
        "dataFormat": _FORMATS.get(job.input_config.instances_format, job.input_config.instances_format),
        "outputDataFormat": "JSON",
        "inputPaths": list(job.input_config.gcs_source.uris),
        "outputPath": job.output_config.gcs_destination.output_uri_prefix,
        "maxWorkerCount": str(job.dedicated_resources.max_replica_count),
        "batchSize": str(job.manual_batch_tuning_parameters.batch_size),
    }
    return {name: value for name, value in values.items() if value}


def _fault(job: Any) -> str:
    if job.error is not None and job.error.message:
        return str(job.error.message)
    return "" if job.state.name != "JOB_STATE_EXPIRED" else "The job did not end within the time it may take."


def _stamp(time: Any) -> str:
    return "" if time is None else time.isoformat().replace("+00:00", "Z")
