"""What a trainer finds in its environment: the same names as on the service, so that trainers need no branch."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlhelpers
from mlhelpers.storage import local_path

__all__ = ["CONTRACT", "base_environment", "python_path", "trainer_arguments", "trainer_environment"]

# every name of the contract; one that this run does not set is taken out, lest a job started from a job inherits it
CONTRACT = (
    "TF_CONFIG",
    "CLUSTER_SPEC",
    "CLOUD_ML_JOB",
    "CLOUD_ML_JOB_ID",
    "CLOUD_ML_TRIAL_ID",
    "CLOUD_ML_HP_METRIC_TAG",
    "CLOUD_ML_HP_METRIC_FILE",
    "AIP_MODEL_DIR",
    "AIP_CHECKPOINT_DIR",
    "AIP_TENSORBOARD_LOG_DIR",
    "MLHELPERS_PROGRESS_FILE",
    "MLHELPERS_JOB_TOKEN",
)
_ADDRESS = re.compile(r"(?:^|(?<=[=,]))gs://[^,]+")


def trainer_arguments(args: Sequence[str], job_dir: str | None) -> list[str]:
    """Return the arguments as the trainer gets them: gs:// addresses as folders, `--job-dir` after all others.

    Raises:
        UsageError: A gs:// address that names no bucket.
    """
    words = [_ADDRESS.sub(lambda match: str(local_path(match[0])), word) for word in args]
    return words if job_dir is None else [*words, "--job-dir", str(absolute(job_dir))]


def absolute(place: str) -> Path:
    """Return a folder or gs:// address as an absolute local path."""
    return local_path(place).absolute()


def trainer_environment(job_dir: str | None = None, job: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return the contract's variables that are the same for every replica of a job.

    Args:
        job_dir: Where results go, for the AIP_… folders; these end with a slash as the service's do.
        job: The training input of a submitted job, with "job_name"; None for a run in the foreground.
    """
    values = {"PYTHONUNBUFFERED": "1"}
    if job:
        values |= {"CLOUD_ML_JOB": json.dumps(job), "CLOUD_ML_JOB_ID": str(job["job_name"])}
    if job_dir is not None:
        base = absolute(job_dir)
        values |= {
            "AIP_MODEL_DIR": f"{base / 'model'}/",
            "AIP_CHECKPOINT_DIR": f"{base / 'checkpoints'}/",
            "AIP_TENSORBOARD_LOG_DIR": f"{base / 'logs'}/",
        }
    return values


def base_environment() -> dict[str, str]:
    """Return a copy of this process's environment without what an outer job has put there."""
    return {name: value for name, value in os.environ.items() if name not in CONTRACT}


def python_path(first: Sequence[str] = (), env: Mapping[str, str] | None = None) -> str:
    """Return the PYTHONPATH of a child: some folders, then the one asked for or today's, then where mlhelpers lies.

    The last matters when mlhelpers is used from its source folder without having been installed.
    """
    root = Path(mlhelpers.__file__).resolve().parent.parent
    asked = (env or {}).get("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    parts = [*first, *filter(None, asked.split(os.pathsep))]
    if root.name not in ("site-packages", "dist-packages") and str(root) not in parts and str(root) != sys.prefix:
        parts.append(str(root))
    return os.pathsep.join(parts)
