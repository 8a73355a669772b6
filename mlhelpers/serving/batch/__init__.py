"""Batch prediction: a model over files of any size, as a job that is followed, cancelled and described like all others.

| file | what |
|---|---|
| `spec.py` | what to predict: `BatchSpec`, in words that every place to run understands |
| `local.py` | what is checked here before anything starts, and the request of the job |
| `inputs.py`, `shards.py` | the files that are meant, and the pieces they are cut into at lines and records |
| `reading.py`, `examples.py` | from a shard's bytes to instances |
| `controller.py`, `workers.py`, `progress.py` | the process behind the job, its workers, what it tells of them |
| `worker.py`, `answers.py` | one worker; the files that it writes |
| `state.py` | what is known of a batch in its output folder, so that it can be killed at any moment |

To add a place to run: a module with `plan(spec) -> Plan`, `submit(plan) -> list[str]`, `job(name) -> Job` and
`bill(plan) -> Bill | None`, and its line in `BACKENDS`.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlhelpers.errors import unknown_name
from mlhelpers.serving.batch.spec import BatchSpec, batch_name
from mlhelpers.serving.registry.resources import split_name
from mlhelpers.settings import current

if TYPE_CHECKING:
    from mlhelpers.jobs import Job, Plan

__all__ = ["BACKENDS", "BatchSpec", "batch_predict", "place", "plan", "submit"]

BACKENDS = {
    "local": "mlhelpers.serving.batch.local",
    "vertex": "mlhelpers.serving.vertex.batch",
}


def batch_predict(
    model: str | os.PathLike[str],
    input_paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output_path: str | os.PathLike[str],
    *,
    data_format: str = "text",
    batch_size: int = 64,
    max_workers: int = 10,
    signature_name: str | None = None,
    features: Mapping[str, str] | None = None,
    name: str | None = None,
    labels: Mapping[str, str] | None = None,
    backend: str | None = None,
) -> Job:
    """Start a batch prediction and return at once; it goes on when this process ends.

    Args:
        model: "MODEL" (its default version) or "MODEL/VERSION" of the model store, or an export folder; write "./NAME"
            for a folder that is called like a model.
        input_paths: Files, local or gs://; a name that ends with * means every file that begins so.
        output_path: Folder or gs:// address for `prediction.results-NNNNN-of-NNNNN`, a JSON object a line, in the order
            of the input, and `prediction.errors_stats-NNNNN-of-NNNNN`, what could not be predicted and why.
        data_format: "text" (an instance a line), "tf-record" or "tf-record-gzip"; see `BatchSpec`.
        batch_size: How many instances the model is given at once.
        max_workers: How many processes at most; this machine takes no more than it has cores.
        signature_name: The signature to take; None lets the first instance decide, for the whole batch.
        features: For records: input -> the feature that holds it, where the names differ.
        name: The job's; made of the model's and the time where None.
        labels: Your own marks, lower-case text.
        backend: Where; the setting `backend` where None.

    Returns:
        The job: `wait`, `tail`, `describe` and `cancel` work as for training.

    Raises:
        UsageError: A value that is not allowed, or an output path that holds something.
        DataError: An input is not there, or is no file of the format.
        ModelError: There is no such model, or it cannot be read.
        JobError: The job cannot be started.
    """
    text = os.fspath(model)
    named = split_name(text) if isinstance(model, str) else None
    spec = BatchSpec(
        name=name or batch_name(text),
        input_paths=[input_paths] if isinstance(input_paths, str | os.PathLike) else input_paths,
        output_path=output_path,
        model=named[0] if named else None,
        version=named[1] if named else None,
        model_dir=None if named else text,
        data_format=data_format,
        batch_size=batch_size,
        max_workers=max_workers,
        signature_name=signature_name,
        features=features or {},
        labels=labels or {},
    )
    return submit(spec, backend)


def plan(spec: BatchSpec, backend: str | None = None) -> Plan:
    """Make the complete request of a batch prediction without starting or writing anything; print it to read it.

    Args:
        spec: What to predict.
        backend: Where; the setting `backend` where None.

    Raises:
        UsageError: Something in it cannot work there.
        DataError: An input is not there, or is no file of the format.
        ModelError: There is no such model, or it cannot be read.
    """
    made: Plan = place(backend).plan(spec)
    return made


def submit(spec: BatchSpec, backend: str | None = None) -> Job:
    """Start a batch prediction and return at once; it goes on when this process ends.

    Args:
        spec: What to predict.
        backend: Where; the setting `backend` where None.

    Raises:
        UsageError: Something in it cannot work there.
        DataError: An input is not there, or is no file of the format.
        ModelError: There is no such model, or it cannot be read.
        JobError: The name is taken, or the job cannot be started.
    """
    room = place(backend)
    for note in room.submit(room.plan(spec)):
        warnings.warn(note, stacklevel=2)
    job: Job = room.job(spec.name)
    return job


def place(backend: str | None = None) -> Any:
    """Return the module that plans and submits batch predictions in a place.

    Args:
        backend: A key of `BACKENDS`; the setting `backend` where None.

    Raises:
        UsageError: There is none of that name.
    """
    name = backend or current().backend
    if name not in BACKENDS:
        hint = "Choose one with backend=… or MLHELPERS_BACKEND."
        raise unknown_name("backend for batch predictions", name, BACKENDS, hint)
    return importlib.import_module(BACKENDS[name])
