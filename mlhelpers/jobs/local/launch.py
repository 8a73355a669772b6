"""What a job on this machine is made of: the request that its spec becomes, and the folder that holds it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from mlhelpers.errors import UsageError
from mlhelpers.jobs.base import Plan
from mlhelpers.jobs.configuration import resource
from mlhelpers.jobs.local.cluster import cluster_of, this_machine
from mlhelpers.jobs.local.environment import (
    absolute,
    base_environment,
    python_path,
    trainer_arguments,
    trainer_environment,
)
from mlhelpers.jobs.local.identity import TOKEN_VARIABLE
from mlhelpers.jobs.local.logs import log_path
from mlhelpers.jobs.local.outcome import OUTCOME_BYTES
from mlhelpers.jobs.packaging.bundle import check_code, write_code
from mlhelpers.jobs.spec import MAX_RUNNING_S, JobSpec
from mlhelpers.settings import current

__all__ = ["fill_folder", "local_plan", "make_job_dir", "own_files"]


def local_plan(spec: JobSpec, folder: Path) -> Plan:
    """Check a spec against this machine and return the request; nothing is written.

    Args:
        spec: What to run.
        folder: The folder that the job will have.

    Raises:
        UsageError: The package or the module is not there, the package cannot be built, or the job is to be tuned.
    """
    if "hyperparameters" in spec.cloud:
        raise UsageError(
            "The job has hyperparameters to tune: it is a study of many trials. Submit it with  mlhelpers jobs submit "
            "training --config FILE  or with tuning.submit(tuning.study_of(spec)); without the field it trains once."
        )
    cluster = cluster_of(spec, this_machine())
    code = check_code(spec)
    job_dir = None if spec.job_dir is None else str(spec.job_dir)
    training_input = resource(spec)
    environment = trainer_environment(job_dir, {"job_name": spec.name, **training_input})
    environment["MLHELPERS_HOME"] = str(current().home)
    environment |= spec.env
    environment["PYTHONPATH"] = python_path([str(folder / name) for name in code.folders], spec.env)
    # -P: Python would else put the working folder first, and there lies the original that is being edited
    unsafe = ["-P"] if code.is_apart else []
    command = [sys.executable, *unsafe, "-m", spec.module, *trainer_arguments(spec.words, job_dir)]
    local = {
        "note": cluster.note,
        "notes": list(code.notes),
        "cluster": {"counts": dict(cluster.counts), "threads": cluster.threads, "gpus": list(cluster.gpus)},
        "replicas": {task.name: own_files(folder, task.name) for task in cluster.tasks},
        "command": command,
        "cwd": str(code.cwd),
        "environment": environment,
        "package": None if code.package is None else str(code.package),
        "folder": str(folder),
    }
    request = {"jobId": spec.name, "labels": dict(spec.labels), "trainingInput": training_input, "local": local}
    return Plan("local", spec, request)


def own_files(folder: Path, task: str) -> dict[str, str]:
    """Return the variables that name the files which one replica writes for its readers."""
    return {
        "CLOUD_ML_HP_METRIC_FILE": str(folder / "metrics" / task / "output.metrics"),
        "MLHELPERS_PROGRESS_FILE": str(folder / "progress" / f"{task}.json"),
    }


def make_job_dir(job_dir: str) -> None:
    """Make the folder for results, as on the service, where a bucket has no folders to make.

    Raises:
        UsageError: It cannot be made or written.
    """
    folder = absolute(job_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
        reason = "" if writable else "Permission denied"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise UsageError(
            f"The job dir {job_dir!r} cannot be written: {reason} ({folder}). Give a folder you may write to, or a "
            "gs:// address, which becomes a folder of the local store."
        )


def fill_folder(folder: Path, plan: Plan, token: str) -> None:
    """Write what the supervisor needs into a new job's folder: the launch file, the packages' copies, an empty log.

    Args:
        folder: The folder, which is there already.
        plan: The job's plan.
        token: The mark by which the job's processes are found.

    Raises:
        UsageError: A package cannot be read, built or unpacked.
        OSError: The folder cannot be written, for instance because the disk is full.
    """
    local = plan.request["local"]
    write_code(plan.spec, folder)
    for task in local["replicas"]:
        (folder / "metrics" / task).mkdir(parents=True)
    (folder / "progress").mkdir()
    (folder / "working_folder").write_text(local["cwd"])
    (folder / "logs").mkdir()
    for task in local["replicas"]:
        log_path(folder, task).touch()
    (folder / "outcome").write_bytes(b" " * OUTCOME_BYTES)
    spec = plan.spec
    launch = {
        "python": sys.executable,
        "command": local["command"],
        "cwd": local["cwd"],
        "environment": local["environment"],
        "inherited": base_environment() | {"PYTHONPATH": python_path(), TOKEN_VARIABLE: token},
        "replicas": local["replicas"],
        "cluster": local["cluster"],
        "job": {"job_name": spec.name, **plan.input},  # a trial's is its study's
        "trial": local.get("trial"),
        "study": local.get("study"),
        "prediction": local.get("prediction"),
        "token": token,
        "grace_s": spec.grace_s,
        "max_running_s": spec.max_running_s or MAX_RUNNING_S,
        "max_restarts": spec.max_restarts,
        "max_retries": spec.max_retries,
        "max_jobs": current().max_jobs,
    }
    with open(os.open(folder / "launch.json", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        json.dump(launch, file, indent=1)
