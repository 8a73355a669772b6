"""The species classifier: `python -m mlhelpers.trainers.iris --train-files TRAIN --eval-files TEST --job-dir RUN`.

The network of the original tutorial's DNNClassifier: fully connected layers that grow narrower, ReLU, Adagrad at 0.05
on the sum of the cross-entropies of a batch. It is exported for one of three kinds of requests: JSON (four numbers),
CSV (one line of text) or EXAMPLE (a serialised `tensorflow.Example`); `iris_serving.py` holds these. Taught in
notebook 05.

There are two files and no third for validation, as in the original: the flowers of `--eval-files` give the curve during
training and the result at its end, and a hyperparameter study that chooses by them is judged by them, too.

Of several processes (TF_CONFIG) the chief trains alone, and the others end at once: 120 flowers are too few to share.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mlhelpers.datasets.base import Part
from mlhelpers.datasets.iris import CLASS_NAMES, FEATURES
from mlhelpers.errors import UsageError
from mlhelpers.frameworks import import_tensorflow
from mlhelpers.trainers.base import claim_folder, finish, main, output_folder
from mlhelpers.trainers.export import export, made_of
from mlhelpers.trainers.flags import flag
from mlhelpers.trainers.flowers import DESCRIPTION, FlowerFiles, lengths, read_flowers
from mlhelpers.trainers.iris_serving import FORMATS, signature

__all__ = ["Hyperparameters", "build_model", "layer_widths", "train"]

_MODULE = "mlhelpers.trainers.iris"
_VERBOSITIES = ("DEBUG", "INFO", "WARN", "ERROR", "FATAL")
_REPORT_EVERY = 100  # steps at most, as the original's estimator did


@dataclass(frozen=True)
class Hyperparameters(FlowerFiles):
    """Train a classifier of irises on CSV files, evaluate it on others, and export it.

    Example:
        --train-files iris/iris_training.csv --eval-files iris/iris_test.csv --job-dir data/runs/irises
    """

    tuning_metrics = ("accuracy", "average_loss", "loss")

    train_steps: int = flag(100, help="steps in all; the tutorial takes 1000", minimum=1)
    eval_steps: int = flag(100, help="steps of evaluation, at most; fewer where the files end", minimum=1)
    num_epochs: int | None = flag(
        None, help="end after so many passes over the training files, if that is sooner", minimum=1
    )
    train_batch_size: int = flag(40, help="flowers a step", minimum=1, tunable=True)
    eval_batch_size: int = flag(40, help="flowers a step of evaluation", minimum=1)
    learning_rate: float = flag(0.05, help="Adagrad's, at the start", minimum=1e-9, tunable=True)
    decay: bool = flag(True, help="let the learning rate fall to zero in a straight line; the original kept it")
    first_layer_size: int = flag(100, help="units of the first layer", minimum=1, maximum=10_000, tunable=True)
    num_layers: int = flag(4, help="hidden layers", minimum=1, maximum=50, tunable=True)
    scale_factor: float = flag(
        0.7, help="how much narrower each layer is than the one before", minimum=0.01, maximum=1, tunable=True
    )
    embedding_size: int = flag(8, help="taken because the original trainer took it; has no effect, there or here")
    num_parallel_calls: int | None = flag(None, help="threads that make batches; one per CPU core if None", minimum=1)
    prefetch_buffer_size: int | None = flag(None, help="batches made ahead; 1024 if None", minimum=0)
    export_format: str = flag("JSON", help="what the exported model takes", choices=FORMATS)
    verbosity: str = flag(
        "INFO", help="DEBUG shows TensorFlow's own remarks too, ERROR hides its warnings", choices=_VERBOSITIES
    )
    seed: int = flag(0, help="first weights, order of the flowers", minimum=0, maximum=2**31 - 1)
    save_checkpoints_secs: float = flag(15.0, help="seconds between checkpoints", minimum=0)


def train(hyperparameters: Hyperparameters) -> Path:
    """Train, evaluate and export; go on from the newest checkpoint where the output folder holds one.

    Args:
        hyperparameters: What the flags say.

    Returns:
        The export directory.

    Raises:
        UsageError: No files, no output folder, a batch larger than the data, or a folder of a run with other settings.
        DataError: A file is missing or malformed, or a folder cannot be written.
        MLHelpersError: The loss stopped being a number.
    """
    settings = hyperparameters
    train_data, eval_data = read_flowers(settings)
    n = len(train_data["Species"])
    if settings.train_batch_size > n:
        raise UsageError(f"--train_batch_size is {settings.train_batch_size}, but there are only {n} flowers.")
    folder = output_folder(settings.output_dir, settings.job_dir)
    claim_folder(folder, settings, free=("job_dir", "output_dir", "verbosity", "save_checkpoints_secs"))
    epochs = settings.num_epochs
    steps = min(settings.train_steps, (epochs or settings.train_steps) * (n // settings.train_batch_size))
    tf = _tensorflow(settings.verbosity)
    import keras

    from mlhelpers.trainers.loop import fit

    keras.utils.set_random_seed(settings.seed)
    model = build_model(layer_widths(settings.first_layer_size, settings.num_layers, settings.scale_factor))
    evaluate = _evaluator(tf, model, eval_data, settings)
    reporter = fit(
        _task(tf, model, train_data, settings, steps),
        folder,
        validate=evaluate,
        checkpoint_every_s=settings.save_checkpoints_secs,
        report_every=max(1, min(_REPORT_EVERY, steps // 10)),  # a study needs a curve of a short run, too
    )
    reporter.phase("evaluating")
    result = evaluate()
    headline = f"test accuracy {result['accuracy']:.4f}"
    write_export = partial(_export, tf, model, folder, settings, result)
    more = {"global_step": steps}
    return finish(reporter, folder, model.count_params(), steps, result, write_export, headline=headline, more=more)


def layer_widths(first_layer_size: int, num_layers: int, scale_factor: float) -> list[int]:
    """Return the number of units of each hidden layer, as the original trainer counts them.

    Layer i has first_layer_size * scale_factor**i units, cut down to a whole number, and never under two.

    Example:
        >>> layer_widths(100, 4, 0.7)  # 48: 100 * 0.7 * 0.7 is 48.999…, and is cut
        [100, 70, 48, 34]
    """
    return [max(2, int(first_layer_size * scale_factor**i)) for i in range(num_layers)]


def build_model(widths: Sequence[int]) -> Any:
    """Build an untrained network.

    Args:
        widths: Units of each hidden layer.

    Returns:
        A Keras model: (n, 4) float32, the lengths in cm -> logits (n, 3).
    """
    from keras import Sequential, layers

    hidden = [layers.Dense(width, activation="relu") for width in widths]
    return Sequential([layers.Input((len(FEATURES),)), *hidden, layers.Dense(len(CLASS_NAMES))], name="iris")


def _tensorflow(verbosity: str) -> Any:
    """Import TensorFlow, as talkative as asked for; what the run itself prints stays the same."""
    if verbosity == "DEBUG":
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"
    tf = import_tensorflow()
    tf.get_logger().setLevel("WARN" if verbosity == "INFO" else verbosity)
    return tf


def _measure(logits: Any, species: Any) -> dict[str, Any]:
    """Measure a batch as the original did: it makes the sum of the cross-entropies smaller, not their mean.

    Adagrad's steps hardly depend on the scale of the loss, but its start does: with the mean it is slower.
    """
    from mlhelpers.trainers.loop import classification

    mean = classification(logits, species)
    return {
        "loss": mean["loss"] * species.shape[0],  # the batch size is fixed, and known to the graph
        "average_loss": mean["loss"],
        "accuracy": mean["accuracy"],
    }


def _task(tf: Any, model: Any, part: Part, settings: Hyperparameters, steps: int) -> Any:
    import keras

    from mlhelpers.trainers.loop import Task, epochs_of_indices

    features, species = tf.constant(lengths(part)), tf.constant(part["Species"])
    ahead = 1024 if settings.prefetch_buffer_size is None else settings.prefetch_buffer_size

    def batch(step: Any, indices: Any) -> Any:
        return tf.gather(features, indices), tf.gather(species, indices)

    def batches(first_step: int) -> Any:
        indices = epochs_of_indices(len(part["Species"]), settings.train_batch_size, settings.seed, first_step)
        calls = settings.num_parallel_calls or tf.data.AUTOTUNE
        return indices.map(tf.autograph.experimental.do_not_convert(batch), num_parallel_calls=calls).prefetch(ahead)

    rate: Any = settings.learning_rate
    if settings.decay:  # at a constant rate the last steps' noise decides on the flowers between two species
        rate = keras.optimizers.schedules.PolynomialDecay(rate, steps, end_learning_rate=0.0)
    optimizer = keras.optimizers.Adagrad(rate, initial_accumulator_value=0.1)
    return Task(model, [(optimizer, model.trainable_variables)], batches, steps, _measure)


def _evaluator(tf: Any, model: Any, part: Part, settings: Hyperparameters) -> Any:
    """Return a function that measures the model on a part: mean over its flowers, `loss` the mean over batches."""
    size, limit = settings.eval_batch_size, settings.eval_steps * settings.eval_batch_size
    features, species = lengths(part)[:limit], part["Species"][:limit]
    n_batches = -(-len(species) // size)

    def evaluate() -> dict[str, float]:
        logits = np.concatenate([model(features[i : i + size], training=False) for i in range(0, len(species), size)])
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(species, logits).numpy().astype(float)
        return {
            "accuracy": float(np.mean(logits.argmax(axis=1) == species)),
            "average_loss": float(losses.mean()),
            "loss": float(losses.sum() / n_batches),
        }

    return evaluate


def _export(tf: Any, model: Any, folder: Path, settings: Hyperparameters, result: dict[str, float]) -> Path:
    widths = ", ".join(str(layer.units) for layer in model.layers[:-1])
    description = {
        **DESCRIPTION,
        "description": f"species classifier, hidden layers of {widths} units",
        **made_of(settings, result),
    }
    signatures = {"serving_default": signature(tf, model, settings.export_format)}
    litert = settings.export_format == "JSON"  # LiteRT takes no text apart
    return export(folder, "iris", model, signatures, description, litert=litert)


if __name__ == "__main__":
    main(Hyperparameters, train, _MODULE, shares=False)
