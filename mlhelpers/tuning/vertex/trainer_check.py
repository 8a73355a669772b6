"""What a trainer says of itself on this machine, asked for before trials are paid for.

On Vertex AI a study sees what cloudml-hypertune reports and nothing else, and a parameter that is no flag ends every
trial; both are found here for nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mlhelpers.jobs import JobSpec
from mlhelpers.jobs.local.environment import base_environment, python_path
from mlhelpers.jobs.packaging.package import package_folder
from mlhelpers.tuning.checking import ask_for_help, check_flags, check_tag

__all__ = ["check_trainer"]

_IMPORTABLE = (".whl", ".zip")  # straight from the file


def check_trainer(job: JobSpec, parameters: Sequence[str], metric: str) -> list[str]:
    """Refuse a study whose trainer lacks a flag, or does not report the metric.

    The trainer's `--help` is run, on this machine.

    Args:
        job: What the trials run.
        parameters: What the study changes.
        metric: What it is to learn from.

    Returns:
        What could not be checked, as sentences.

    Raises:
        UsageError: A parameter that is no flag of the trainer, or a metric that it does not report.
    """
    first = [str(package_folder(str(job.package_path)).parent)] if job.package_path is not None else []
    first += [str(Path(path).resolve()) for path in map(str, job.packages) if path.endswith(_IMPORTABLE)]
    environment = base_environment() | dict(job.env)
    environment["PYTHONPATH"] = python_path(first, job.env)
    help_page = ask_for_help([sys.executable, "-m", job.module], environment, os.getcwd())
    check_flags(help_page, parameters, job.module)
    notes = []
    if help_page.flags is None:
        notes.append(f"The flags of {job.module} could not be read from its --help here: unchecked.")
    if help_page.tags is not None:
        check_tag(help_page.tags, metric, job.module)
    else:
        notes.append(
            f"Whether {job.module} reports {metric!r} with cloudml-hypertune could not be seen here: unchecked. A "
            "study of one trial with --backend local tells."
        )
    return notes
