"""Vertex AI as a place for studies: the same `StudySpec` becomes a `HyperparameterTuningJob`.

| file | what |
|---|---|
| `parameters.py`, `request.py` | the request that a study becomes, pure, and the study that a request says |
| `trials.py` | the service's trials as ours |
| `trainer_check.py` | flags and metric of the trainer, asked for on this machine before money is spent |
| `engine.py` | a study over the wire: as any job of `jobs.vertex`, with trials |

What differs from a study on this machine: the search is the service's own, goes on from no earlier study, takes no seed
and no "tpe"; and the only reports that count are those of cloudml-hypertune. None of this was run against Google's own
service: requests are checked with Google's own classes, the wire against `mlhelpers emulator`.
"""

from __future__ import annotations

from mlhelpers.jobs import Bill, Job, Plan
from mlhelpers.tuning.record import Record
from mlhelpers.tuning.spec import StudySpec

__all__ = ["attach", "bill", "plan", "record", "submit"]


def plan(study: StudySpec) -> Plan:
    """Return the tuning job that a study becomes, as REST's JSON; nothing is sent, and no account needed.

    Args:
        study: The study.

    Raises:
        UsageError: Something in it cannot be said on Vertex AI, or its code is not there.
    """
    from mlhelpers.jobs.vertex.request import code_for, custom_job, notes_on
    from mlhelpers.tuning.vertex.request import tuning_job

    code = code_for(study.job)
    trial = custom_job(study.job, code)
    request = tuning_job(study, trial["jobSpec"], trial.get("labels", {}))
    if "encryptionSpec" in trial:
        request["encryptionSpec"] = trial["encryptionSpec"]
    return Plan("vertex", study.job, request, notes_on(study.job, code))


def bill(plan: Plan, expected_s: float | None = None) -> Bill | None:
    """Check place, name and bucket, and return what each trial of a study runs on and what that costs.

    Args:
        plan: As `plan` made it.
        expected_s: How long a trial is expected to run, seconds.

    Raises:
        UsageError: No project or bucket is set, or the bucket is elsewhere.
        JobError: The name is taken.
        CloudError: The service refused, or could not be reached.
    """
    from mlhelpers.tuning.vertex.engine import backend

    return backend().bill(plan, expected_s)


def submit(plan: Plan) -> list[str]:
    """Check the trainer's flags and metric, send the code, then the study; there is one at most, whatever is lost.

    Args:
        plan: As `plan` made it.

    Returns:
        What could not be checked, as sentences.

    Raises:
        UsageError: A parameter that is no flag of the trainer, a metric that it does not report, no project or bucket.
        JobError: The name is taken.
        CloudError: The service refused, or could not be reached.
    """
    from mlhelpers.tuning.vertex.engine import backend
    from mlhelpers.tuning.vertex.request import study_from
    from mlhelpers.tuning.vertex.trainer_check import check_trainer

    study = study_from(plan.spec, plan.request)
    notes = check_trainer(plan.spec, list(study.space), study.metric)
    backend().submit(plan)
    return notes


def attach(name: str) -> Job:
    """Return the job of a study.

    Args:
        name: Its name, its number, or PROJECT/REGION/NUMBER.

    Raises:
        UsageError: The reference is malformed, or no project is set.
        JobError: There is no such study.
    """
    from mlhelpers.tuning.vertex.engine import backend

    there, known = backend().take_up(name)
    there.state(known)
    return Job(known, there)


def record(job: Job) -> Record:
    """Open what the service keeps of a study.

    Args:
        job: The study's.

    Raises:
        JobError: There is no such study.
    """
    from mlhelpers.tuning.vertex.engine import backend

    there, known = backend().take_up(job.handle.partition("://")[2])
    return there.record(known)
