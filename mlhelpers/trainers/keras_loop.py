"""The training loop for every Keras backend: TensorFlow, or JAX with `KERAS_BACKEND=jax`.

`loop.py` is TensorFlow's own and quicker for small networks; here a step is one call of `train_on_batch`, whatever
runs below it. Batches are NumPy arrays that depend on the step alone, so that a run which was killed goes on with the
very next one.

Under TensorFlow several processes can share each batch; `loop.train_step` then stands in for `train_on_batch`.
"""

from __future__ import annotations

import math
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.errors import DataError, MLHelpersError
from mlhelpers.storage import write_aside
from mlhelpers.trainers.cluster import Cluster
from mlhelpers.trainers.data_parallel import Workers
from mlhelpers.trainers.reporting import Reporter

__all__ = ["KerasTask", "fit", "load_variables", "save_variables"]

_REPORT_EVERY_S = 0.5
_KEPT = 2


@dataclass(frozen=True)
class KerasTask:
    """What is to be trained.

    Attributes:
        model: A compiled Keras model.
        batch: Called with a step, returns inputs and targets of that step; the same step always gives the same ones.
        total_steps: Where training ends.
        train_step: Takes one step with inputs and targets and returns metrics by name, "loss" among them; the model's
            own `train_on_batch` if None.
    """

    model: Any
    batch: Callable[[int], tuple[NDArray[Any], NDArray[Any]]]
    total_steps: int
    train_step: Callable[[NDArray[Any], NDArray[Any]], dict[str, Any]] | None = None


def fit(
    task: KerasTask,
    folder: Path,
    validate: Callable[[], dict[str, float]] | None = None,
    checkpoint_every_s: float = 15.0,
    workers: Workers | None = None,
) -> Reporter:
    """Train to the last step, from the newest checkpoint in `folder` if there is one.

    Writes checkpoints to `folder/checkpoints`, TensorBoard events to `folder/train` and `folder/eval`, and
    `folder/history.csv`. Of several processes the chief alone writes and validates; the others start from its values
    and do not look into `folder`.

    Args:
        task: Model, data, length.
        folder: The run's folder.
        validate: Measures the model on validation data; called with every checkpoint and at the end, also of a run
            that had ended before: a study reads the last step's metrics.
        checkpoint_every_s: Seconds between checkpoints.
        workers: Who shares each batch; this process on its own if None.

    Returns:
        The reporter, still open: `seconds` holds the training time, and later results go through it.

    Raises:
        MLHelpersError: The loss is no longer a number.
        ReplicaError: Another process of the cluster is gone.
        DataError: A checkpoint does not fit, or cannot be written.
    """
    task.model.optimizer.build(task.model.trainable_variables)
    workers = workers or Workers(Cluster())
    step, seconds_before = _restore(task.model, folder / "checkpoints") if workers.is_chief else (0, 0.0)
    step, seconds_before = int(workers.from_chief(step)), workers.from_chief(seconds_before)
    workers.adopt(_everything(task.model))
    reporter = Reporter(folder, task.total_steps, step, seconds_before, cluster=workers.cluster)
    train_step = task.train_step or partial(_train_on_batch, task.model)
    if step:
        reporter.say(f"going on from the checkpoint at step {step}/{task.total_steps}")
    if step >= task.total_steps and validate is not None and workers.is_chief:
        reporter.evaluate(step, "validation", validate())
    began = saved_at = time.monotonic()
    sums, count = {"loss": 0.0}, 0
    while step < task.total_steps:
        with workers.watched():
            for name, value in train_step(*task.batch(step)).items():
                sums[name] = sums.get(name, 0.0) + float(value)
        step, count = step + 1, count + 1
        if not math.isfinite(sums["loss"]):
            raise MLHelpersError(
                f"The loss stopped being a number at step {step}. Lower --learning_rate, or look at the data."
            )
        is_last = step == task.total_steps
        if time.monotonic() - began >= _REPORT_EVERY_S or is_last:
            metrics = {name: value / count for name, value in sums.items()}
            reporter.train(step, metrics, time.monotonic() - began)
            is_saved = time.monotonic() - saved_at >= checkpoint_every_s or is_last
            if is_saved and workers.is_chief:
                if validate is not None:
                    reporter.evaluate(step, "validation", validate())
                _save(task.model, folder / "checkpoints", step, reporter.seconds)
                reporter.save_history()
                saved_at = time.monotonic()
            sums, count, began = {"loss": 0.0}, 0, time.monotonic()
    return reporter


def save_variables(path: Path, variables: list[Any], **more: float) -> None:
    """Write variables in their order to an .npz file, aside first.

    Args:
        path: The file.
        variables: Keras variables.
        **more: Numbers to keep beside them.

    Raises:
        DataError: The file cannot be written.
    """
    content = {f"v{k}": np.asarray(variable) for k, variable in enumerate(variables)}
    with write_aside(path) as aside, aside.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **content, **{name: np.float64(value) for name, value in more.items()})


def load_variables(path: Path, variables: list[Any]) -> dict[str, float]:
    """Read what `save_variables` wrote back into variables of the same shapes, on whatever backend.

    Returns:
        The numbers that were kept beside them.

    Raises:
        DataError: The file is missing, damaged or of another network; nothing is changed then.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            values = {name: content[name] for name in content.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    arrays = [values.pop(f"v{k}", np.zeros(())) for k in range(len(variables))]
    if any(array.shape != tuple(variable.shape) for array, variable in zip(arrays, variables, strict=True)):
        raise DataError(f"{path} belongs to another network.")
    for array, variable in zip(arrays, variables, strict=True):
        variable.assign(array)
    return {name: float(value) for name, value in values.items() if value.shape == ()}


def _train_on_batch(model: Any, inputs: NDArray[Any], targets: NDArray[Any]) -> dict[str, Any]:
    model.reset_metrics()  # they would be a mean since the beginning
    metrics: dict[str, Any] = model.train_on_batch(inputs, targets, return_dict=True)
    return metrics


def _everything(model: Any) -> list[Any]:
    return [*model.variables, *model.optimizer.variables]


def _save(model: Any, folder: Path, step: int, seconds: float) -> None:
    save_variables(folder / f"ckpt-{step}.npz", _everything(model), step=step, seconds=seconds)
    for path in _newest_first(folder)[_KEPT:]:
        path.unlink(missing_ok=True)


def _restore(model: Any, folder: Path) -> tuple[int, float]:
    """Load the newest checkpoint that can be read; return its step and training seconds (0, 0 without one)."""
    last: DataError | None = None
    for path in _newest_first(folder):
        try:
            kept = load_variables(path, _everything(model))
            return int(kept["step"]), kept["seconds"]
        except (DataError, KeyError) as error:  # altered since: the one before may be whole
            last = error if isinstance(error, DataError) else DataError(f"{path} is no checkpoint.")
    if last is not None:
        raise DataError(
            f"No checkpoint in {folder} can be read by this trainer ({last}) Remove the run's folder to start afresh, "
            "or choose another one."
        ) from last
    return 0, 0.0


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("ckpt-*.npz"), key=lambda path: int(path.stem.split("-")[1]), reverse=True)
