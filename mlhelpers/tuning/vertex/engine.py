"""Studies as jobs of the backend "vertex": a `HyperparameterTuningJob` has the states, log and cancellation of any job.

What differs from a custom job: its trials' spec is called trialJobSpec, it says how far it has come, and its
description has the study's hyperparameters and its trials, best first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mlhelpers.cloud.place import Place
from mlhelpers.errors import UsageError
from mlhelpers.jobs import JobSpec, JobState
from mlhelpers.jobs.base import Bill, Plan
from mlhelpers.jobs.configuration import spec_fields
from mlhelpers.jobs.vertex.client import CustomJobs
from mlhelpers.jobs.vertex.description import MARK, description, state_of
from mlhelpers.jobs.vertex.engine import VertexBackend
from mlhelpers.jobs.vertex.request import training_input
from mlhelpers.tuning.record import Record
from mlhelpers.tuning.results import Trial, best_first, training_output
from mlhelpers.tuning.spec import StudySpec
from mlhelpers.tuning.vertex.request import study_from
from mlhelpers.tuning.vertex.trials import trials_from

__all__ = ["TuningBackend", "TuningJobs", "backend"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,127}")
_NO_MODULE = "an_image_of_its_own"  # what a tuning job runs that was not planned here, and names no module


class TuningJobs(CustomJobs):
    """The tuning jobs of one place."""

    kind, noun, collection = "tuning_job", "hyperparameter_tuning_job", "hyperparameterTuningJobs"
    message = "HyperparameterTuningJob"

    def get(self, name: str) -> dict[str, Any]:
        """Return a tuning job by its name or number, with its trials' spec also where a custom job has its own.

        Raises:
            JobError: There is none.
            CloudError: The service refused, or could not be reached.
        """
        found = super().get(name)
        return found | {"jobSpec": found.get("trialJobSpec", {})}


class TuningBackend(VertexBackend):
    """Studies on Vertex AI.

    Args:
        where: The place; the one that the settings name where None.
    """

    jobs_of = TuningJobs

    def take_up(self, reference: str) -> tuple[TuningBackend, str]:
        """Return the backend of a handle's project and region, and the study's number; or of a name alone.

        Raises:
            UsageError: The reference is malformed.
        """
        there, name = super().take_up(reference)
        assert isinstance(there, TuningBackend)
        return there, name

    def bill(self, plan: Plan, expected_s: float | None = None) -> Bill:
        """Check the place, the study's name and the bucket, and return what each trial runs on and what it costs.

        Raises:
            UsageError: No project or bucket is set, or the bucket is elsewhere.
            JobError: The name is taken.
            CloudError: The service refused, or could not be reached.
        """
        found = super().bill(plan, expected_s)
        trials, parallel = plan.request["maxTrialCount"], plan.request["parallelTrialCount"]
        many = f"That is for one trial of the study; there are {trials}, {parallel} at once."
        return replace(found, lines=(*found.lines, many if trials > 1 else "The study has one trial."))

    def plan(self, spec: JobSpec) -> Plan:
        """Refuse: a study is planned of a `StudySpec`.

        Raises:
            UsageError: Always, with the way to do it.
        """
        raise UsageError(f"The job {spec.name!r} is to be a study: plan it with tuning.plan(study, 'vertex').")

    def describe(self, name: str) -> dict[str, Any]:
        """Return the study as the service's Job resource, with hyperparameters and trials as a study here has them."""
        job = self._client.get(name)
        record = self.record(name)
        resource = description(job, [])
        resource["trainingInput"]["hyperparameters"] = record.spec.hyperparameters()
        output = training_output(self._trials(job, record.spec), record.spec.metric, record.spec.minimizes)
        return resource | {"trainingOutput": output}

    def progress(self, name: str) -> dict[str, Any]:
        """Return how many trials are over, and the best value by now."""
        job = self._client.get(name)
        spec = _study(job, self._client.place.region)
        trials = best_first(self._trials(job, spec), spec.minimizes)
        best = next((one.objective for one in trials if one.is_over and one.objective is not None), None)
        running = ", ".join(str(one.number) for one in trials if one.state == "RUNNING")
        return {
            "step": sum(one.is_over for one in trials),
            "total_steps": spec.trials,
            "unit": "trials",
            "metrics": {} if best is None else {f"best {spec.metric}": best},
            "phase": f"running: {running}" if running else "searching",
        }

    def record(self, name: str) -> Record:
        """Open the record of a study; each reading asks the service once.

        Args:
            name: The study's name or number.

        Raises:
            JobError: There is no such study.
            UsageError: The tuning job has no or several metrics, and is no study of ours.
        """
        spec = _study(self._client.get(name), self._client.place.region)
        return Record(spec, lambda: self._trials(self._client.get(name), spec))

    @staticmethod
    def _trials(job: Mapping[str, Any], spec: StudySpec) -> list[Trial]:
        found = trials_from(job, spec.space, spec.metric)
        is_over = state_of(job) in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
        return [replace(one, state="UNFINISHED") if is_over and not one.is_over else one for one in found]


def backend(where: Place | None = None) -> TuningBackend:
    """Return the backend for studies in a place.

    Args:
        where: The place; the one that the settings name where None.
    """
    return TuningBackend(where)


def _study(job: Mapping[str, Any], region: str) -> StudySpec:
    """Return the study that a tuning job is, of whoever's making."""
    title = str(job.get("displayName", ""))
    name = title if _NAME.fullmatch(title) else f"study_{str(job['name']).rpartition('/')[2]}"
    labels = {key: value for key, value in job.get("labels", {}).items() if key != MARK}
    given = training_input({"jobSpec": job["trialJobSpec"]}, region)
    words = list(given.get("args", []))
    if "jobDir" in given and words[-2:] == ["--job-dir", given["jobDir"]]:  # what the plan has added to them
        given["args"] = words[:-2]
    fields = {"module": _NO_MODULE} | spec_fields({"trainingInput": given, "labels": labels})
    return study_from(JobSpec(name, **fields), job)
