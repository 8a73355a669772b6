"""A CustomJob as our Job resource: states in our words, and what is known of it in the cloud under vertexOutput."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlhelpers.jobs.base import JobState
from mlhelpers.jobs.vertex.request import training_input

__all__ = ["MARK", "STATES", "console_link", "description", "short", "state_of"]

MARK = "mlhelpers_mark"  # the label by which a submission knows what it has made; of no interest to a reader

# the API's JobState -> ours. A paused job can go on, and an update is of one that runs; what expired never will.
STATES: Mapping[str, JobState] = {
    "JOB_STATE_UNSPECIFIED": JobState.QUEUED,
    "JOB_STATE_QUEUED": JobState.QUEUED,
    "JOB_STATE_PENDING": JobState.PREPARING,
    "JOB_STATE_RUNNING": JobState.RUNNING,
    "JOB_STATE_SUCCEEDED": JobState.SUCCEEDED,
    "JOB_STATE_FAILED": JobState.FAILED,
    "JOB_STATE_CANCELLING": JobState.CANCELLING,
    "JOB_STATE_CANCELLED": JobState.CANCELLED,
    "JOB_STATE_PAUSED": JobState.QUEUED,
    "JOB_STATE_EXPIRED": JobState.FAILED,
    "JOB_STATE_UPDATING": JobState.RUNNING,
    "JOB_STATE_PARTIALLY_SUCCEEDED": JobState.SUCCEEDED,
}
_MEANINGS = {
    "JOB_STATE_EXPIRED": "The job has expired before it was done.",
    "JOB_STATE_PARTIALLY_SUCCEEDED": "The job has succeeded in part: some results are missing because of errors.",
    "JOB_STATE_PAUSED": "The job is paused, and can go on.",
}


def state_of(job: Mapping[str, Any]) -> JobState:
    """Return the state of a CustomJob, given as JSON; one that is new to us counts as running."""
    return STATES.get(str(job.get("state", "JOB_STATE_UNSPECIFIED")), JobState.RUNNING)


def short(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a list shows of a CustomJob, given as JSON."""
    values = {
        "jobId": job.get("displayName", ""),
        "state": str(state_of(job)),
        "createTime": job.get("createTime"),
        "startTime": job.get("startTime"),
        "endTime": job.get("endTime"),
        "labels": {key: value for key, value in job.get("labels", {}).items() if key != MARK},
    }
    return {name: value for name, value in values.items() if value is not None}


def description(job: Mapping[str, Any], last_lines: list[str]) -> dict[str, Any]:
    """Return the Job resource of a CustomJob.

    Args:
        job: The CustomJob, as JSON.
        last_lines: The last lines of its first replica's log, told with a failure.
    """
    _, project, _, region, _, number = job["name"].split("/")
    resource = short(job) | {"trainingInput": training_input(job, region)}
    state = str(job.get("state", ""))
    said = [str(job.get("error", {}).get("message", "")), _MEANINGS.get(state, "")]
    if last_lines:
        said.append("\n".join(["Its last lines:", *(f"  {line}" for line in last_lines)]))
    if message := "\n".join(filter(None, said)):
        resource["errorMessage"] = message
    output = {
        "name": job["name"],
        "handle": f"vertex://{project}/{region}/{number}",
        "state": state,
        "console": console_link(project, region, number),
        "webAccessUris": job.get("webAccessUris"),
    }
    resource["vertexOutput"] = {name: value for name, value in output.items() if value}
    return resource


def console_link(project: str, region: str, number: str) -> str:
    """Return the page of a custom job in Google's console."""
    return f"https://console.cloud.google.com/ai/platform/locations/{region}/training/{number}?project={project}"
