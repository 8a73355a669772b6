"""The training loop: many steps per call of a compiled function, checkpoints, and taking a run up again.

The loop is our own rather than `Model.fit`, because a run that was killed must go on with the very next batch, and
because `fit` does not work over several processes on Keras 3 (keras-team/keras#20585).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlhelpers.errors import DataError, MLHelpersError
from mlhelpers.frameworks import import_tensorflow
from mlhelpers.trainers.reporting import Reporter

__all__ = ["Task", "epochs_of_indices", "fit"]

_CALL_S = 0.5  # one call of the compiled function shall take about this long: the bar moves, and overhead stays small
_MAX_STEPS_PER_CALL = 200


@dataclass(frozen=True)
class Task:
    """What is to be trained.

    Attributes:
        model: A Keras model that returns logits, shape (n, classes).
        optimizer: A Keras optimizer.
        batches: Called with a step, returns a `tf.data.Dataset` of the (inputs, labels) of that step and all later
            ones. The same step always gives the same batch: that is what makes a run resumable.
        total_steps: Where training ends.
        label_smoothing: Share of the target that is spread evenly over the classes, 0 to 1.
    """

    model: Any
    optimizer: Any
    batches: Callable[[int], Any]
    total_steps: int
    label_smoothing: float = 0.0


def fit(
    task: Task,
    folder: Path,
    validate: Callable[[], dict[str, float]] | None = None,
    checkpoint_every_s: float = 15.0,
) -> Reporter:
    """Train to the last step, from the newest checkpoint in `folder` if there is one.

    Writes checkpoints to `folder/checkpoints`, TensorBoard events to `folder/train` and `folder/eval`, and
    `folder/history.csv`.

    Args:
        task: Model, optimizer, data, length.
        folder: The run's folder.
        validate: Measures the model on validation data; called with every checkpoint and at the end.
        checkpoint_every_s: Seconds between checkpoints.

    Returns:
        The reporter, still open: `seconds` holds the training time, and later results go through it.

    Raises:
        MLHelpersError: The loss is no longer a number.
        DataError: A checkpoint does not fit, or cannot be written (disk full).
    """
    tf = import_tensorflow()
    checkpoints = _Checkpoints(tf, task, folder)
    step, seconds_before = checkpoints.restore()
    reporter = Reporter(folder, task.total_steps, step, seconds_before)
    if step:
        reporter.say(f"going on from the checkpoint at step {step}/{task.total_steps}")
    iterator = iter(task.batches(step))
    run_steps = _compile(tf, task)
    chunk, saved_at = 1, time.monotonic()
    while step < task.total_steps:
        count = min(chunk, task.total_steps - step)
        began = time.monotonic()
        loss, accuracy = (float(value) for value in run_steps(iterator, tf.constant(count)))
        elapsed = time.monotonic() - began
        step += count
        if loss != loss:  # NaN is the only number that is not itself
            raise MLHelpersError(
                f"The loss stopped being a number before step {step}. Lower --learning_rate, or look at the data."
            )
        reporter.train(step, {"loss": loss, "accuracy": accuracy}, elapsed)
        chunk = max(1, min(_MAX_STEPS_PER_CALL, int(count * _CALL_S / max(elapsed, 1e-6)), 2 * count))
        if time.monotonic() - saved_at >= checkpoint_every_s or step == task.total_steps:
            if validate is not None:
                reporter.evaluate(step, "validation", validate())
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


def _compile(tf: Any, task: Task) -> Any:
    """Compile a function that runs `count` steps and returns the mean loss and accuracy over them."""
    task.optimizer.build(task.model.trainable_variables)
    smoothing = task.label_smoothing

    def run_steps(iterator: Any, count: Any) -> Any:
        loss_sum, accuracy_sum = tf.constant(0.0), tf.constant(0.0)
        for _ in tf.range(count):
            inputs, labels = next(iterator)
            with tf.GradientTape() as tape:
                logits = task.model(inputs, training=True)
                target = tf.one_hot(labels, logits.shape[-1]) * (1 - smoothing) + smoothing / logits.shape[-1]
                loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(target, logits))
            variables = task.model.trainable_variables
            task.optimizer.apply(tape.gradient(loss, variables), variables)
            hits = tf.equal(tf.argmax(logits, 1, output_type=labels.dtype), labels)
            loss_sum += loss
            accuracy_sum += tf.reduce_mean(tf.cast(hits, tf.float32))
        n = tf.cast(count, tf.float32)
        return loss_sum / n, accuracy_sum / n

    return tf.function(run_steps, reduce_retracing=True)


class _Checkpoints:
    """The run's checkpoints: TensorFlow's own, the newest two kept."""

    def __init__(self, tf: Any, task: Task, folder: Path) -> None:
        self._tf = tf
        self._step = tf.Variable(0, dtype=tf.int64)
        self._seconds = tf.Variable(0.0, dtype=tf.float64)
        task.optimizer.build(task.model.trainable_variables)
        self._checkpoint = tf.train.Checkpoint(
            model=task.model, optimizer=task.optimizer, step=self._step, seconds=self._seconds
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
                "afresh, or choose another --output_dir."
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
