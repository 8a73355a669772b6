"""What a job on this machine is made of: the request that its spec becomes, and the folder that holds it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from mlhelpers.errors import UsageError
from mlhelpers.jobs.base import SCALE_TIERS, JobSpec, Plan
from mlhelpers.jobs.environment import absolute, python_path, trainer_arguments, trainer_environment
from mlhelpers.jobs.identity import TOKEN_VARIABLE
from mlhelpers.jobs.package import check_module, copy_package, package_folder
from mlhelpers.jobs.supervisor import OUTCOME_BYTES
from mlhelpers.settings import current

__all__ = ["fill_folder", "local_plan", "make_job_dir"]


def local_plan(spec: JobSpec, folder: Path) -> Plan:
    """Check a spec against this machine and return the request; nothing is written.

    Args:
        spec: What to run.
        folder: The folder that the job will have.

    Raises:
        UsageError: The scale tier is not offered, or the package or the module is not there.
    """
    if spec.scale_tier != "BASIC":
        raise UsageError(
            f"The scale tier {spec.scale_tier} ({SCALE_TIERS[spec.scale_tier]}) is not available yet on the local "
            "backend, which starts one process: use BASIC."
        )
    package = None if spec.package_path is None else package_folder(str(spec.package_path))
    cwd = Path.cwd() if package is None else package.parent
    check_module(spec.module, package, cwd)
    args = trainer_arguments(spec.words, None)
    job_dir = None if spec.job_dir is None else str(spec.job_dir)
    training_input = _training_input(spec)
    environment = trainer_environment(spec.module, args, job_dir, {"job_name": spec.name, **training_input})
    environment["CLOUD_ML_HP_METRIC_FILE"] = str(folder / "metrics" / "output.metrics")
    environment["MLHELPERS_PROGRESS_FILE"] = str(folder / "progress.json")
    environment["MLHELPERS_HOME"] = str(current().home)
    environment |= spec.env
    environment["PYTHONPATH"] = python_path([] if package is None else [str(folder / "package")], spec.env)
    # -P: Python would else put the working folder first, and there lies the original that is being edited
    unsafe = [] if package is None else ["-P"]
    command = [sys.executable, *unsafe, "-m", spec.module, *trainer_arguments(spec.words, job_dir)]
    local = {
        "command": command,
        "cwd": str(cwd),
        "environment": environment,
        "package": None if package is None else str(package),
        "folder": str(folder),
    }
    request = {"jobId": spec.name, "labels": dict(spec.labels), "trainingInput": training_input, "local": local}
    return Plan("local", spec, request)


def _training_input(spec: JobSpec) -> dict[str, Any]:
    values = {
        "scaleTier": spec.scale_tier,
        "pythonModule": spec.module,
        "args": list(spec.words),
        "region": spec.region,
        "jobDir": spec.job_dir,
        "packageUris": [str(spec.package_path)] if spec.package_path is not None else None,
    }
    return {name: value for name, value in values.items() if value is not None}


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
    """Write what the supervisor needs into a new job's folder: the launch file, the package's copy, an empty log.

    Args:
        folder: The folder, which is there already.
        plan: The job's plan.
        token: The mark by which the job's processes are found.

    Raises:
        UsageError: A file of the package cannot be read.
        OSError: The folder cannot be written, for instance because the disk is full.
    """
    local = plan.request["local"]
    if local["package"] is not None:
        copy_package(Path(local["package"]), folder / "package")
    (folder / "metrics").mkdir()
    (folder / "log").touch()
    (folder / "outcome").write_bytes(b" " * OUTCOME_BYTES)
    launch = {
        "command": local["command"],
        "cwd": local["cwd"],
        "environment": local["environment"] | {TOKEN_VARIABLE: token},
        "token": token,
        "grace_s": plan.spec.grace_s,
    }
    with open(os.open(folder / "launch.json", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        json.dump(launch, file, indent=1)
