"""A study on this machine: the request that it becomes, and its submission.

The study is a job whose trainer is its controller (`controller.py`). It takes no place in the queue; its trials do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlhelpers import jobs
from mlhelpers.errors import JobError, UsageError
from mlhelpers.jobs import Job, JobSpec, Plan
from mlhelpers.jobs.configuration import spec_fields
from mlhelpers.jobs.local import backend
from mlhelpers.jobs.local.cluster import this_machine
from mlhelpers.jobs.local.engine import LocalBackend
from mlhelpers.jobs.local.environment import base_environment, python_path
from mlhelpers.jobs.local.identity import TOKEN_VARIABLE
from mlhelpers.jobs.local.launch import own_files
from mlhelpers.jobs.local.store import FIRST
from mlhelpers.settings import current
from mlhelpers.tuning.checking import Help, ask_for_help, check_flags, check_tag
from mlhelpers.tuning.journal import has_begun
from mlhelpers.tuning.record import Record
from mlhelpers.tuning.spec import StudySpec, study_of

__all__ = ["TAG_IS_KNOWN", "attach", "bill", "plan", "record", "submit"]

_CONTROLLER = "mlhelpers.tuning.controller"
TAG_IS_KNOWN = "tag_is_known"  # a file beside a study's job: its trainer says that it reports the metric
_MOST_SOURCES = 400  # files of a trainer's package that are looked through for TensorFlow


def plan(study: StudySpec) -> Plan:
    """Check a study against this machine and return the request; nothing is written.

    Args:
        study: The study.

    Raises:
        UsageError: The trainer is not found, or the study to go on from is the study itself.
        JobError: There is no study to go on from.
    """
    spec = study.job
    # a tier's machines were for one trial; here trials fill the machine, and only replicas asked for one by one stay
    one = spec if spec.scale_tier == "CUSTOM" else replace(spec, scale_tier="BASIC")
    trial = jobs.plan(one, "local").request
    local = trial["local"]
    replicas = sum(local["cluster"]["counts"].values())
    places = current().max_jobs if replicas == 1 else this_machine().cores // replicas
    at_once = max(1, min(study.parallel, study.trials, places))
    folder = Path(local["folder"])
    hyperparameters = {"hyperparameters": study.hyperparameters()}
    request = {
        "jobId": spec.name,
        "labels": dict(spec.labels),
        "trainingInput": {**trial["trainingInput"], "scaleTier": spec.scale_tier, **hyperparameters},
        "local": {
            "note": _note(study, at_once, replicas),
            "notes": local["notes"],
            "cluster": {"counts": {"chief": 1}, "threads": 1, "gpus": []},
            "replicas": {FIRST: own_files(folder, FIRST)},
            "command": [sys.executable, "-m", _CONTROLLER, str(folder)],
            "cwd": local["cwd"],
            "environment": {
                "PYTHONUNBUFFERED": "1",
                "MLHELPERS_HOME": str(current().home),
                "MLHELPERS_MAX_JOBS": str(current().max_jobs),
                "PYTHONPATH": python_path(),
                "OPENBLAS_NUM_THREADS": "1",  # its matrices are small, and threads that wait take cores from trials
            },
            "package": local["package"],
            "folder": str(folder),
            "nested": True,
            "study": hyperparameters | _template(study, local, at_once),
        },
    }
    return Plan("local", spec, request)


def _template(study: StudySpec, local: Mapping[str, Any], at_once: int) -> dict[str, Any]:
    """Return what the controller needs to make jobs of trials, from the local part of one trial's request."""
    spec = study.job
    return {
        "seed": study.seed,
        "at_once": at_once,
        "command": local["command"][: local["command"].index("-m") + 2],  # arguments differ from trial to trial
        "cwd": local["cwd"],
        "environment": _own_threads() | local["environment"],
        "cluster": _share(local["cluster"], at_once),
        "replicas": list(local["replicas"]),
        "nested": TOKEN_VARIABLE in os.environ,
        "imports_tensorflow": _imports_tensorflow(spec, local["package"]),
        "resume": _resumed(study.resume, study),
        "job": {
            "module": spec.module,
            "args": list(spec.words),
            "job_dir": spec.job_dir,
            "labels": dict(spec.labels),
            "max_restarts": spec.max_restarts,
            "max_retries": spec.max_retries,
            "grace_s": spec.grace_s,
        },
    }


def bill(plan: Plan, expected_s: float | None = None) -> None:
    """Return nothing: on this machine nothing costs money."""


def submit(plan: Plan) -> list[str]:
    """Check the trainer's flags and tags, then start the study and return at once.

    Args:
        plan: As `plan` made it.

    Returns:
        What could not be checked, as sentences.

    Raises:
        UsageError: A parameter that is no flag of the trainer, or a metric that it does not report.
        JobError: The name is taken, or the job cannot be made.
    """
    template = plan.request["local"]["study"]
    notes: list[str] = []

    def verify(folder: Path) -> None:
        help_page = _help(template, Path(plan.request["local"]["folder"]), folder)
        module, wanted = plan.spec.module, template["hyperparameters"]
        check_flags(help_page, [param["parameterName"] for param in wanted["params"]], module)
        if help_page.flags is None:
            notes.append(f"The flags of {module} could not be read from its --help: unchecked.")
        if help_page.tags is not None:
            check_tag(help_page.tags, wanted["hyperparameterMetricTag"], module)
            (folder / TAG_IS_KNOWN).touch()

    place = backend()
    assert isinstance(place, LocalBackend)
    place.submit(plan, verify)
    return notes


def attach(name: str) -> Job:
    """Return the job of a study.

    Args:
        name: The study's.

    Raises:
        JobError: There is no such job.
    """
    return jobs.attach(f"local://{name}")


def record(job: Job) -> Record:
    """Open what is kept of a study.

    Args:
        job: The study's.

    Raises:
        JobError: The job is no study.
    """
    from mlhelpers.tuning.reading import TrialReader

    resource = job.describe()
    if "hyperparameters" not in resource.get("trainingInput", {}):
        raise JobError(f"The job {job.name!r} is no study: it has no hyperparameters. Use jobs.attach for it.")
    described = {"trainingInput": resource["trainingInput"], "labels": resource.get("labels", {})}
    spec = study_of(JobSpec(job.name, **spec_fields(described)))
    return Record(spec, TrialReader(Path(resource["localOutput"]["folder"]), spec.space).read)


def _help(template: Mapping[str, Any], final: Path, folder: Path) -> Help:
    """Ask the trainer whose packages lie in a folder that is still aside."""
    environment = base_environment() | template["environment"]
    environment["PYTHONPATH"] = environment["PYTHONPATH"].replace(str(final), str(folder))
    return ask_for_help(template["command"], environment, template["cwd"])


def _own_threads() -> dict[str, str]:
    """Return what somebody has set for the trainer, and the controller has otherwise."""
    return {name: os.environ[name] for name in ("OPENBLAS_NUM_THREADS",) if name in os.environ}


def _share(cluster: Mapping[str, Any], at_once: int) -> dict[str, Any]:
    """Return a trial's cluster with its part of the cores: as many threads as there are for it."""
    total = sum(cluster["counts"].values()) * at_once
    return {**cluster, "threads": max(1, this_machine().cores // total) if total > 1 else None}


def _resumed(name: str | None, study: StudySpec) -> str | None:
    """Return the folder of the study to go on from."""
    if name is None:
        return None
    if name == study.job.name:
        raise UsageError(f"The study {name!r} cannot go on from itself: a job's name is used once.")
    resource = jobs.attach(f"local://{name}").describe()
    if "hyperparameters" not in resource.get("trainingInput", {}):
        raise JobError(f"The job {name!r} is no study, so there is nothing to go on from.")
    if not jobs.JobState(resource["state"]).is_final:
        raise JobError(f"The study {name!r} is {resource['state']}. Cancel it first, or wait for its end.")
    folder = Path(resource["localOutput"]["folder"])
    before = resource["trainingInput"]["hyperparameters"].get("resumePreviousJobId")
    if before and not has_begun(folder):  # it was killed before it had taken over what it was to go on from
        return _resumed(before, study)
    return str(folder)


def _imports_tensorflow(spec: JobSpec, package: str | None) -> bool:
    """Tell whether a trainer's source speaks of TensorFlow or Keras: only then it is worth keeping it at hand."""
    if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow" or "KERAS_BACKEND" in spec.env:
        return False
    folder = Path(package) if package else _folder_of(spec.module)
    if folder is None:
        return False
    sources = sorted(folder.rglob("*.py"))[:_MOST_SOURCES] if folder.is_dir() else [folder]
    return any(word in path.read_bytes() for path in sources for word in (b"tensorflow", b"keras"))


def _folder_of(module: str) -> Path | None:
    """Return the folder of the package that holds a module, or the module's own file."""
    import importlib.util

    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    if found is None or not found.origin or not found.origin.endswith(".py"):
        return None
    path = Path(found.origin)
    return path.parent if "." in module else path


def _note(study: StudySpec, at_once: int, replicas: int) -> str:
    machine = this_machine()
    cores = f"{machine.cores} core{'' if machine.cores == 1 else 's'}"
    each = "one process" if replicas == 1 else f"{replicas} processes"
    parts = [f"A study of {study.trials} trials, each {each}"]
    if study.job.scale_tier not in ("BASIC", "CUSTOM"):
        parts.append(f"whatever {study.job.scale_tier} meant: the trials fill the machine")
    asked = f" of the {study.parallel} asked for" if at_once < min(study.parallel, study.trials) else ""
    parts.append(f"{at_once}{asked} at once, for there {'is' if machine.cores == 1 else 'are'} {cores}")
    return "; ".join(parts) + "."
