"""Hyperparameter studies: many trials of one trainer, each with other settings, and a search that learns from them.

`tune` starts a study and gives back a `Study`: its table of trials, the best one, pictures, and the way to go on. The
same study is what `mlhelpers jobs submit training --config hyperparam.yaml` makes of the service's own config file.

| file | what |
|---|---|
| `space.py`, `params.py`, `spec.py` | what is searched, and how: Python's words, the service's, Optuna's |
| `gaussian_process.py`, `sampler.py`, `early_stopping.py`, `search.py` | what to try next, and what to stop |
| `local.py`, `checking.py` | the request of a study on this machine, and what is checked before the first trial |
| `controller.py`, `trial_jobs.py`, `failures.py` | the process behind a study, and its trials as jobs of the engine |
| `rehearsal.py` | a study of a Python function, in this process |
| `journal.py`, `reading.py`, `results.py` | where a study on this machine is kept, its trials as data |
| `record.py`, `study.py` | what every place lets be read of a study; the handle |
| `vertex/` | a study as a tuning job of Vertex AI |
| `pictures.py`, `view.py` | its plots, and how it shows itself in a notebook |

May import `errors`, `settings`, `storage`, `jobs` and `plots`; it knows a trainer by its module path, as text.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlhelpers.errors import UsageError, unknown_name
from mlhelpers.settings import current
from mlhelpers.tuning.space import Choice, Float, Int, Space
from mlhelpers.tuning.spec import StudySpec, study_of

if TYPE_CHECKING:
    from mlhelpers.jobs import JobSpec, Plan
    from mlhelpers.tuning.rehearsal import rehearse
    from mlhelpers.tuning.results import Trial
    from mlhelpers.tuning.study import Study

__all__ = ["BACKENDS", "Choice", "Float", "Int", "Space", "Study", "StudySpec", "Trial"]
__all__ += ["attach", "place", "plan", "rehearse", "study_of", "submit", "tune"]

_NAMES = {
    "Study": "mlhelpers.tuning.study",
    "Trial": "mlhelpers.tuning.results",
    "rehearse": "mlhelpers.tuning.rehearsal",
}
BACKENDS = {
    "local": "mlhelpers.tuning.local",
    "vertex": "mlhelpers.tuning.vertex",
}


def __getattr__(name: str) -> Any:
    """Import what takes NumPy or more when it is first named: a mere plan does not need it."""
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'mlhelpers.tuning' has no attribute {name!r}")


def tune(
    trainer: str | JobSpec,
    space: Space,
    *,
    metric: str,
    goal: str = "minimize",
    trials: int = 20,
    parallel: int = 5,
    args: Sequence[str] | Mapping[str, object] = (),
    job_dir: str | os.PathLike[str] | None = None,
    name: str | None = None,
    algorithm: str = "bayesian",
    early_stopping: bool = False,
    max_failed: int = 0,
    resume: str | None = None,
    seed: int = 0,
    backend: str | None = None,
) -> Study:
    """Start a study and return at once; it goes on when this process ends.

    Args:
        trainer: The trainer's module, for instance "mlhelpers.trainers.babyweight"; or a `JobSpec`, whose name, args
            and job dir count where none are given here.
        space: Flag of the trainer -> `Float`, `Int` or `Choice`.
        metric: The tag that the trainer reports, for instance "rmse".
        goal: "minimize" or "maximize".
        trials: How many trials in all.
        parallel: How many at once, at most; this machine runs as many as it has cores (setting `max_jobs`).
        args: What all trials are given: a list of words, or a mapping from flag to value.
        job_dir: Folder or gs:// address; each trial has the folder of its number in it.
        name: Of the study; made of the trainer's and the time where None.
        algorithm: "bayesian", "random", "grid" or "tpe".
        early_stopping: Whether to end trials that do worse than the median of the others.
        max_failed: With more failed trials the study fails; 0 leaves it to the study.
        resume: Name of an earlier study to go on from.
        seed: Of the search.
        backend: Where; the setting `backend` where None.

    Raises:
        UsageError: What cannot work: a parameter that is no flag of the trainer, a metric that it does not report, …
        JobError: The name is taken, or the study cannot be started.

    Taught in notebook 07.
    """
    from dataclasses import replace

    from mlhelpers.jobs import JobSpec
    from mlhelpers.tuning.study import stamped

    if isinstance(trainer, JobSpec):
        changes: dict[str, Any] = {"name": name, "args": args or None, "job_dir": job_dir}
        job = replace(trainer, **{field: value for field, value in changes.items() if value is not None})
    else:
        job = JobSpec(name or stamped(f"tune_{trainer.rpartition('.')[2]}"), trainer, args=args, job_dir=job_dir)
    study = StudySpec(job, space, metric, goal, trials, parallel, max_failed, early_stopping, algorithm, resume, seed)
    return submit(study, backend)


def plan(study: StudySpec, backend: str | None = None) -> Plan:
    """Make the complete request of a study without starting or writing anything; print it to read it.

    Args:
        study: The study; `study_of` makes one of a job with a config file's hyperparameters.
        backend: Where; the setting `backend` where None.

    Raises:
        UsageError: Something in it cannot work there.
    """
    made: Plan = place(backend).plan(study)
    return made


def submit(study: StudySpec, backend: str | None = None) -> Study:
    """Start a study and return at once; it goes on when this process ends.

    Args:
        study: The study.
        backend: Where; the setting `backend` where None.

    Raises:
        UsageError: Something in it cannot work there; the trainer's flags and metrics are asked for first.
        JobError: The name is taken, or the study cannot be started.
    """
    room = place(backend)
    room.submit(room.plan(study))
    return attach(f"{backend or current().backend}://{study.job.name}")


def attach(handle_or_name: str) -> Study:
    """Take up a study again, from any process.

    Args:
        handle_or_name: The handle, for instance "local://babies" or "vertex://PROJECT/REGION/ID", or the name alone,
            looked up in the backend in force.

    Raises:
        UsageError: The handle is malformed or names an unknown backend.
        JobError: There is no such job, or it is no study.
    """
    from mlhelpers.tuning.study import Study

    where, separator, name = handle_or_name.rpartition("://")
    if separator and not (where and name):
        raise UsageError(f"{handle_or_name!r} is no handle of a study. A handle reads BACKEND://NAME: local://babies.")
    return Study(place(where or None).attach(name))


def place(backend: str | None = None) -> Any:
    """Return the module that plans and submits studies in a place.

    Args:
        backend: A key of `BACKENDS`; the setting `backend` where None.

    Raises:
        UsageError: There is none of that name.
    """
    name = backend or current().backend
    if name not in BACKENDS:
        raise unknown_name("backend for studies", name, BACKENDS, "Choose one with backend=… or MLHELPERS_BACKEND.")
    return importlib.import_module(BACKENDS[name])
