"""The training loop: many steps per call of a compiled function, checkpoints, and taking a run up again.

The loop is our own rather than `Model.fit`, because a run that was killed must go on with the very next batch, and
because `fit` does not work over several processes on Keras 3 (keras-team/keras#20585). Here it does: a step's batch is
the same, its rows are shared, and the chief alone writes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlhelpers.errors import DataError, MLHelpersError
from mlhelpers.frameworks import import_tensorflow
from mlhelpers.trainers.cluster import Cluster, Rows
from mlhelpers.trainers.data_parallel import Workers
from mlhelpers.trainers.reporting import Reporter

__all__ = ["Task", "classification", "epochs_of_indices", "fit", "train_step", "triangle"]

_CALL_S = 0.5  # one call of the compiled function shall take about this long: the bar moves, and overhead stays small
_MAX_STEPS_PER_CALL = 200


@dataclass(frozen=True)
class Task:
    """What is to be trained.

    Attributes:
        model: A Keras model.
        optimizers: Keras optimizers, each with the variables that it moves; together they have every variable of the
            model that learns, each once.
        batches: Called with a step, returns a `tf.data.Dataset` of the (inputs, targets) of that step and all later
            ones. The same step always gives the same batch: that is what makes a run resumable.
        total_steps: Where training ends.
        measure: Called with the model's outputs and the targets of a batch, returns scalars by name; "loss" is among
            them, and is what training makes smaller. Over several processes they are means over the rows, and what
            does not depend on the rows may be added.
        rows: The rows of each batch that `batches` gives, where other processes see the others; None for all.
    """

    model: Any
    optimizers: Sequence[tuple[Any, Sequence[Any]]]
    batches: Callable[[int], Any]
    total_steps: int
    measure: Callable[[Any, Any], dict[str, Any]]
    rows: Rows | None = None


def classification(logits: Any, labels: Any) -> dict[str, Any]:
    """Measure a classifier's batch: softmax cross-entropy, and the share of right answers.

    Args:
        logits: Float tensor of shape (n, classes).
        labels: Integer tensor of shape (n,).
    """
    tf = import_tensorflow()
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    hits = tf.equal(tf.argmax(logits, 1, output_type=labels.dtype), labels)
    return {"loss": tf.reduce_mean(losses), "accuracy": tf.reduce_mean(tf.cast(hits, tf.float32))}


def fit(
    task: Task,
    folder: Path,
    validate: Callable[[], dict[str, float]] | None = None,
    checkpoint_every_s: float = 15.0,
    report_every: int = 0,
    workers: Workers | None = None,
) -> Reporter:
    """Train to the last step, from the newest checkpoint in `folder` if there is one.

    Writes checkpoints to `folder/checkpoints`, TensorBoard events to `folder/train` and `folder/eval`, and
    `folder/history.csv`. Of several processes the chief alone writes and validates; the others start from its values
    and do not look into `folder`.

    Args:
        task: Model, optimizer, data, length.
        folder: The run's folder.
        validate: Measures the model on validation data; called with every checkpoint and at the end, also of a run
            that had ended before: a study reads the last step's metrics.
        checkpoint_every_s: Seconds between checkpoints.
        report_every: Steps between reports, with a validation each, where the clock would make them too rare for a
            curve; 0 leaves it to the clock.
        workers: Who shares each batch; this process on its own if None.

    Returns:
        The reporter, still open: `seconds` holds the training time, and later results go through it.

    Raises:
        MLHelpersError: The loss is no longer a number.
        ReplicaError: Another process of the cluster is gone.
        DataError: A checkpoint does not fit, or cannot be written (disk full).
    """
    tf = import_tensorflow()
    workers = workers or Workers(Cluster())
    checkpoints = _Checkpoints(tf, task, folder)
    step, seconds_before = checkpoints.restore() if workers.is_chief else (0, 0.0)
    step, seconds_before = int(workers.from_chief(step)), workers.from_chief(seconds_before)
    workers.adopt(checkpoints.variables)
    reporter = Reporter(folder, task.total_steps, step, seconds_before, cluster=workers.cluster)
    if step:
        reporter.say(f"going on from the checkpoint at step {step}/{task.total_steps}")
    if step >= task.total_steps and validate is not None and workers.is_chief:
        reporter.evaluate(step, "validation", validate())
    iterator = iter(task.batches(step))
    run_steps = _compile(tf, train_step(task.model, task.optimizers, task.measure, workers, task.rows))
    chunk, saved_at = 1, time.monotonic()
    while step < task.total_steps:
        count = min(chunk, task.total_steps - step, report_every - step % report_every if report_every else chunk)
        count = int(workers.from_chief(count))  # each reduction has its number, in which the steps of a call count
        began = time.monotonic()
        with workers.watched():
            metrics = {name: float(value) for name, value in run_steps(iterator, tf.constant(count)).items()}
        elapsed = time.monotonic() - began
        step += count
        if not math.isfinite(metrics["loss"]):
            raise MLHelpersError(
                f"The loss stopped being a number before step {step}. Lower --learning_rate, or look at the data."
            )
        is_due = bool(report_every) and step % report_every == 0
        reporter.train(step, metrics, elapsed, keep=is_due)
        chunk = max(1, min(_MAX_STEPS_PER_CALL, int(count * _CALL_S / max(elapsed, 1e-6)), 2 * count))
        is_saved = time.monotonic() - saved_at >= checkpoint_every_s or step == task.total_steps
        if validate is not None and (is_saved or is_due) and workers.is_chief:
            reporter.evaluate(step, "validation", validate())
        if is_saved and workers.is_chief:
            checkpoints.save(step, reporter.seconds)
            reporter.save_history()
            saved_at = time.monotonic()
    return reporter


def epochs_of_indices(n: int, batch_size: int, seed: int, first_step: int) -> Any:
    """Return a dataset of index batches: each epoch a new order, the same for the same seed, from any step on.

    Args:
        n: Number of examples; at least `batch_size`.
        batch_size: Indices per batch. What is left over at an epoch's end is left out; it comes in other epochs.
        seed: Which orders.
        first_step: The step of the first batch returned.

    Returns:
        A `tf.data.Dataset` of (step, indices): int64 scalar, int32 of shape (batch_size,).
    """
    tf = import_tensorflow()
    per_epoch = n // batch_size
    first_epoch, skip = divmod(first_step, per_epoch)

    def epoch(number: Any) -> Any:
        order = tf.random.experimental.stateless_shuffle(tf.range(n), seed=tf.stack([tf.cast(number, tf.int32), seed]))
        batches = tf.reshape(order[: per_epoch * batch_size], [per_epoch, batch_size])
        steps = number * per_epoch + tf.range(per_epoch, dtype=tf.int64)
        return tf.data.Dataset.from_tensor_slices((steps, batches))

    epochs = tf.data.Dataset.range(first_epoch, 1 << 40)
    return epochs.flat_map(tf.autograph.experimental.do_not_convert(epoch)).skip(skip)


def triangle(peak: float, steps: int) -> Any:
    """Return a learning rate that climbs over the first fifth of the steps and then falls to zero, in straight lines.

    After L. N. Smith and N. Topin, "Super-Convergence", 2017 (arXiv:1708.07120).

    Args:
        peak: The highest rate.
        steps: Where it is zero again.
    """
    import keras

    tf = import_tensorflow()

    class Triangle(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # Keras is untyped
        def __call__(self, step: Any) -> Any:
            part = tf.cast(step, tf.float32) / steps
            return peak * tf.minimum(0.1 + 4.5 * part, (1.0 - part) / 0.8)

    return Triangle()


def train_step(
    model: Any,
    optimizers: Sequence[tuple[Any, Sequence[Any]]],
    measure: Callable[[Any, Any], dict[str, Any]],
    workers: Workers,
    rows: Rows | None,
) -> Callable[[Any, Any], dict[str, Any]]:
    """Return a function, to be compiled, that takes one step with the inputs and targets it is given.

    Args:
        model: As in `Task`, and so are `optimizers`, `measure` and `rows`.
        optimizers: Each with its variables.
        measure: What is measured, and made smaller.
        workers: Who shares each batch.
        rows: Which rows this process is given.
    """
    tf = import_tensorflow()
    measure = tf.autograph.experimental.do_not_convert(measure)  # plain graph code; it may import, too
    moved = [variable for _, variables in optimizers for variable in variables]

    def compute(inputs: Any, targets: Any, weight: float) -> tuple[dict[str, Any], list[Any]]:
        with tf.GradientTape() as tape:
            metrics: dict[str, Any] = measure(model(inputs, training=True), targets)
            weighed = metrics["loss"] * weight
        return metrics, tape.gradient(weighed, moved)

    average = workers.average(compute, rows)

    def run_step(inputs: Any, targets: Any) -> dict[str, Any]:
        metrics, gradients = average(inputs, targets)
        left = iter(gradients)
        # outside of the strategy: inside, an optimizer would sum once more, and clip what is not yet summed
        for optimizer, variables in optimizers:
            optimizer.apply([next(left) for _ in variables], variables)
        return metrics

    return run_step


def _compile(tf: Any, run_step: Callable[[Any, Any], dict[str, Any]]) -> Any:
    """Compile a function that runs `count` steps and returns the mean of each metric over them."""

    def run_steps(iterator: Any, count: Any) -> dict[str, Any]:
        sums = run_step(*next(iterator))
        for _ in tf.range(count - 1):
            metrics = run_step(*next(iterator))
            sums = {name: value + metrics[name] for name, value in sums.items()}
        return {name: value / tf.cast(count, value.dtype) for name, value in sums.items()}

    return tf.function(run_steps, reduce_retracing=True)


class _Checkpoints:
    """The run's checkpoints: TensorFlow's own, the newest two kept."""

    def __init__(self, tf: Any, task: Task, folder: Path) -> None:
        self._tf = tf
        self._step = tf.Variable(0, dtype=tf.int64)
        self._seconds = tf.Variable(0.0, dtype=tf.float64)
        for optimizer, variables in task.optimizers:
            optimizer.build(variables)
        self.variables = [*task.model.variables]  # all that a run goes on with, the same in every process
        for optimizer, _ in task.optimizers:
            self.variables += optimizer.variables
        self._checkpoint = tf.train.Checkpoint(
            model=task.model,
            optimizers=[optimizer for optimizer, _ in task.optimizers],
            step=self._step,
            seconds=self._seconds,
        )
        self._folder = folder / "checkpoints"
        self._manager = tf.train.CheckpointManager(self._checkpoint, str(self._folder), max_to_keep=2)

    def restore(self) -> tuple[int, float]:
        """Load the newest checkpoint that can be read; return its step and training seconds (0, 0 without one).

        Raises:
            DataError: There are checkpoints, and none can be read.
        """
        errors = (ValueError, AssertionError, self._tf.errors.OpError)
        last: Exception | None = None
        for path in reversed(self._manager.checkpoints):
            try:
                self._checkpoint.restore(path).assert_existing_objects_matched()
                return int(self._step), float(self._seconds)
            except errors as error:  # killed while the disk was full, or altered: the one before may be whole
                last = error
        if last is not None:
            raise DataError(
                f"No checkpoint in {self._folder} can be read by this trainer. Remove the run's folder to start "
                "afresh, or choose another output folder."
            ) from last
        return 0, 0.0

    def save(self, step: int, seconds: float) -> None:
        """Save a checkpoint; it counts only once it is whole.

        Raises:
            DataError: It cannot be written.
        """
        self._step.assign(step)
        self._seconds.assign(seconds)
        try:
            self._manager.save(checkpoint_number=step)
        except (OSError, self._tf.errors.OpError) as error:
            raise DataError(
                f"The checkpoint of step {step} cannot be written to {self._folder}: {error}. Free some room on the "
                "disk; the same command then goes on from the checkpoint before."
            ) from error
