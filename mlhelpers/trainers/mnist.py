"""The digit classifier: `python -m mlhelpers.trainers.mnist --data_dir DATA --output_dir RUN`.

Two architectures. `tutorial` is the network of the original tutorial, number for number (3,274,634 parameters, Adam at
0.001, dropout 0.4, batches of 100). `fast`, the default, is a small network with a short schedule, trained also on
digits as people draw them; with `--train_steps 12000 --learning_rate 0.008` it made the model in data/models/mnist.
Both are exported with the same two signatures. Taught in notebook 05.

Over several processes (TF_CONFIG) each takes its rows of the very batch that one process would take, moves and redraws
them as that one would, normalises by the whole batch's statistics and adds its share to the gradients.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mlhelpers.errors import DataError, UsageError
from mlhelpers.frameworks import import_tensorflow
from mlhelpers.storage import local_path
from mlhelpers.trainers.base import claim_folder, finish, leave_to_chief, main, output_folder
from mlhelpers.trainers.cluster import Rows, read_cluster
from mlhelpers.trainers.data_parallel import Workers, build_dropout, join
from mlhelpers.trainers.export import export, made_of, number
from mlhelpers.trainers.flags import flag

__all__ = ["RECIPES", "Hyperparameters", "build_model", "train"]

_MODULE = "mlhelpers.trainers.mnist"
_NO_EFFECT = "taken because the original trainer took it; has no effect"


@dataclass(frozen=True)
class Hyperparameters:
    """Train a digit classifier on MNIST records, evaluate it on the test digits, and export it.

    Example:
        --data_dir data/runs/mnist --output_dir data/runs/first
    """

    tuning_metrics = ("accuracy", "loss")

    data_dir: str = flag(help="folder or gs:// address with train, validation and test.tfrecords")
    output_dir: str = flag("", help="folder for checkpoints, events and export; --job-dir where it is not given")
    job_dir: str = flag("", help="what the service passes to every trainer")
    architecture: str = flag("fast", help="which network and schedule", choices=("fast", "tutorial"))
    train_steps: int | None = flag(None, help="steps in all; 10000 for tutorial, 1000 for fast", minimum=1)
    train_batch_size: int | None = flag(
        None, help="pictures a step; 100 for tutorial, 128 for fast", minimum=1, tunable=True
    )
    eval_batch_size: int = flag(100, help="pictures a step of evaluation", minimum=1)
    eval_steps: int = flag(100, help="steps of evaluation: 100 of 100 are all test digits", minimum=1)
    learning_rate: float | None = flag(
        None, help="0.001 for tutorial; the peak of the schedule, 0.01, for fast", minimum=1e-9, tunable=True
    )
    dropout: float | None = flag(
        None,
        help="share of the last hidden units left out in training; 0.4 or 0.2",
        minimum=0,
        maximum=0.95,
        tunable=True,
    )
    augment: bool | None = flag(None, help="train also on moved and redrawn digits; on for fast, off for tutorial")
    seed: int = flag(0, help="order of the data, first weights, augmentation", minimum=0, maximum=2**31 - 1)
    save_checkpoints_secs: float = flag(15.0, help="seconds between checkpoints", minimum=0)
    eval_delay_secs: int = flag(10, help=_NO_EFFECT)
    min_eval_frequency: int = flag(1, help=_NO_EFFECT)


# what a field left at None means
RECIPES: dict[str, dict[str, Any]] = {
    "tutorial": {
        "train_steps": 10000,
        "train_batch_size": 100,
        "learning_rate": 1e-3,
        "dropout": 0.4,
        "augment": False,
    },
    "fast": {"train_steps": 1000, "train_batch_size": 128, "learning_rate": 1e-2, "dropout": 0.2, "augment": True},
}


def resolve(hyperparameters: Hyperparameters) -> Hyperparameters:
    """Replace every None by what the architecture's recipe says."""
    recipe = RECIPES[hyperparameters.architecture]
    return replace(
        hyperparameters, **{name: value for name, value in recipe.items() if getattr(hyperparameters, name) is None}
    )


def train(hyperparameters: Hyperparameters) -> Path:
    """Train, evaluate and export; go on from the newest checkpoint where the output folder holds one.

    Args:
        hyperparameters: What the flags say; None stands for the architecture's own value.

    Returns:
        The export directory; the output folder in a process that is not the chief.

    Raises:
        UsageError: No output folder, one that holds a run with other settings, or a TF_CONFIG that does not do.
        DataError: Records missing or damaged, or a folder that cannot be written.
        MLHelpersError: The loss stopped being a number.
        ReplicaError: Another process of the cluster is gone.
    """
    settings = resolve(hyperparameters)
    cluster = read_cluster()
    rows = cluster.rows(settings.train_batch_size or 1, "--train_batch_size")
    folder = output_folder(settings.output_dir, settings.job_dir, cluster)
    with join(cluster) as workers:
        return _train(settings, folder, workers, rows)


def _train(settings: Hyperparameters, folder: Path, workers: Workers, rows: Rows | None) -> Path:
    from mlhelpers.trainers.loop import fit

    data = local_path(settings.data_dir)
    parts = {part: data / f"{part}.tfrecords" for part in ("train", "validation", "test")}
    for part in ("train", "test"):
        if not parts[part].is_file():
            raise DataError(
                f"{parts[part]} does not exist. Make the records first:  "
                f"mlhelpers data prepare mnist --output-dir {settings.data_dir}"
            )
    tf = import_tensorflow()
    import keras

    train_data, test_data = (_read(tf, parts[part]) for part in ("train", "test"))
    validation_data = _read(tf, parts["validation"]) if parts["validation"].is_file() else None
    batch_size = settings.train_batch_size or 1
    if batch_size > len(train_data[1]):
        raise UsageError(f"--train_batch_size is {batch_size}, but there are only {len(train_data[1])} records.")
    if workers.is_chief:
        claim_folder(folder, settings, free=("train_steps",) if settings.architecture == "tutorial" else ())
    keras.utils.set_random_seed(settings.seed)
    model = build_model(settings.architecture, settings.dropout or 0.0, rows)
    evaluate = _evaluator(tf, model, settings.eval_batch_size)
    reporter = fit(
        _task(tf, model, train_data, settings, rows),
        folder,
        validate=None if validation_data is None else lambda: evaluate(validation_data, None),
        checkpoint_every_s=settings.save_checkpoints_secs,
        workers=workers,
    )
    if not workers.is_chief:
        return leave_to_chief(reporter, folder)
    reporter.phase("evaluating")
    result = evaluate(test_data, settings.eval_steps)
    size, steps, headline = model.count_params(), settings.train_steps or 0, f"test accuracy {result['accuracy']:.4f}"
    write_export = partial(_export, tf, model, folder, settings, result)
    return finish(reporter, folder, size, steps, result, write_export, headline=headline)


def build_model(architecture: str, dropout: float, rows: Rows | None = None) -> Any:
    """Build an untrained network.

    Args:
        architecture: "fast" or "tutorial".
        dropout: Share of the last hidden units left out in training.
        rows: The rows of each batch that it is trained on, where other processes take the others; None for all.

    Returns:
        A Keras model: (n, 28, 28, 1) float32 in 0..1 -> logits (n, 10).
    """
    from keras import Sequential, layers

    if architecture == "tutorial":
        body = [
            layers.Conv2D(32, 5, padding="same", activation="relu"),
            layers.MaxPool2D(2),
            layers.Conv2D(64, 5, padding="same", activation="relu"),
            layers.MaxPool2D(2),
            layers.Flatten(),
            layers.Dense(1024, activation="relu"),
        ]
    else:
        body = [
            *_convolution(8, 5, 2, "same", rows),
            *_convolution(24, 3, 2, "same", rows),
            *_convolution(48, 3, 1, "same", rows),
            *_convolution(48, 3, 1, "valid", rows),
            layers.Flatten(),
        ]
    dropped = build_dropout(dropout, rows)
    return Sequential([layers.Input((28, 28, 1)), *body, dropped, layers.Dense(10)], name=architecture)


def _convolution(filters: int, size: int, stride: int, padding: str, rows: Rows | None) -> list[Any]:
    from keras import layers

    return [
        layers.Conv2D(filters, size, strides=stride, padding=padding, use_bias=False),
        layers.BatchNormalization(momentum=0.9, synchronized=rows is not None),
        layers.ReLU(),
    ]


def _task(tf: Any, model: Any, data: tuple[Any, Any], settings: Hyperparameters, rows: Rows | None) -> Any:
    import keras

    from mlhelpers.trainers import augment
    from mlhelpers.trainers.loop import Task, classification, epochs_of_indices, triangle

    images, labels = tf.constant(data[0]), tf.constant(data[1])
    steps, peak = settings.train_steps or 1, settings.learning_rate or 0.0

    def batch(step: Any, indices: Any) -> Any:
        if rows is not None:
            indices = indices[rows.part]
        pictures = tf.cast(tf.gather(images, indices), tf.float32) / 255.0
        classes = tf.gather(labels, indices)
        if settings.augment:
            seed = tf.stack([step, tf.cast(settings.seed, tf.int64)])
            pictures = augment.add_variants(pictures, classes, seed + tf.constant([0, 1 << 32], tf.int64), rows)
            pictures = augment.change_pen(pictures, seed + tf.constant([0, 2 << 32], tf.int64), rows)
            pictures = augment.move(pictures, seed, rows)
        return pictures, classes

    def batches(first_step: int) -> Any:
        indices = epochs_of_indices(len(data[1]), settings.train_batch_size or 1, settings.seed, first_step)
        # plain graph code: there is no Python control flow in it for AutoGraph to rewrite
        return indices.map(tf.autograph.experimental.do_not_convert(batch), num_parallel_calls=2).prefetch(4)

    if settings.architecture == "tutorial":
        optimizer = keras.optimizers.Adam(peak)
    else:
        optimizer = keras.optimizers.AdamW(triangle(peak, steps), weight_decay=1e-4)
    return Task(model, [(optimizer, model.trainable_variables)], batches, steps, classification, rows)


def _read(tf: Any, path: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Read a whole record file: pictures (n, 28, 28, 1) uint8 and labels (n,) int32."""
    features = {"image_raw": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}

    def decode(records: Any) -> Any:
        parsed = tf.io.parse_example(records, features)
        return tf.io.decode_raw(parsed["image_raw"], tf.uint8, fixed_length=784), tf.cast(parsed["label"], tf.int32)

    batches = tf.data.TFRecordDataset(str(path)).batch(1000).map(decode)
    try:
        pictures, labels = (np.concatenate(part) for part in zip(*batches.as_numpy_iterator(), strict=True))
    except (ValueError, tf.errors.OpError) as error:
        reason = str(error).split("\n")[0]
        raise DataError(
            f"{path} is truncated, altered or no file of MNIST records ({reason}). Write it again:  "
            f"mlhelpers data prepare mnist --output-dir {path.parent}"
        ) from error
    if labels.min() < 0 or labels.max() > 9:
        raise DataError(
            f"{path} has labels from {labels.min()} to {labels.max()}; digits are 0 to 9. It is not MNIST's."
        )
    return pictures.reshape(-1, 28, 28, 1), labels


def _evaluator(tf: Any, model: Any, batch_size: int) -> Any:
    def measure(pictures: Any, labels: Any) -> Any:
        logits = model(tf.cast(pictures, tf.float32) / 255.0, training=False)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        hits = tf.equal(tf.argmax(logits, 1, output_type=tf.int32), labels)
        return tf.reduce_sum(losses), tf.reduce_sum(tf.cast(hits, tf.float32))

    compiled = tf.function(measure, reduce_retracing=True)

    def evaluate(data: tuple[Any, Any], steps: int | None) -> dict[str, float]:
        n = len(data[1]) if steps is None else min(len(data[1]), steps * batch_size)
        sums = [
            compiled(data[0][i : min(i + batch_size, n)], data[1][i : min(i + batch_size, n)])
            for i in range(0, n, batch_size)
        ]
        loss, hits = (float(sum(float(value) for value in part)) for part in zip(*sums, strict=True))
        return {"accuracy": hits / n, "loss": loss / n}

    return evaluate


def _export(tf: Any, model: Any, folder: Path, settings: Hyperparameters, result: dict[str, float]) -> Path:
    """Export with two signatures; the reshaping and scaling stand inside the model, so nobody can forget them."""

    def answer(pictures: Any) -> dict[str, Any]:
        probabilities = tf.nn.softmax(model(pictures, training=False))
        return {"classes": tf.argmax(probabilities, 1), "probabilities": probabilities}

    def from_levels(inputs: Any) -> dict[str, Any]:
        return answer(tf.reshape(inputs, [-1, 28, 28, 1]))

    def from_pixels(pixels: Any) -> dict[str, Any]:
        return answer(tf.cast(pixels, tf.float32)[..., None] / 255.0)

    outputs = {
        "classes": number("int64", [None], "the most probable digit, 0 to 9"),
        "probabilities": number("float32", [None, 10], "one probability per digit 0 to 9; they sum to 1", 0.0, 1.0),
    }
    text = "grey levels row by row, 0 is paper, 1 is full ink; 28x28 is taken too"
    levels = {"inputs": number("float32", [None, 784], text, 0.0, 1.0)}
    pixels = {"pixels": number("uint8", [None, 28, 28], "rows of grey pixels, 0 is paper, 255 is full ink", 0, 255)}
    signatures = {
        "serving_default": (
            from_levels, [tf.TensorSpec([None, 784], tf.float32, "inputs")], {"inputs": levels, "outputs": outputs},
        ),
        "pixels": (
            from_pixels, [tf.TensorSpec([None, 28, 28], tf.uint8, "pixels")], {"inputs": pixels, "outputs": outputs},
        ),
    }  # fmt: skip
    description = {
        "name": "mnist",
        "description": f"digit classifier, architecture {settings.architecture}",
        "class_names": list("0123456789"),
        "trained_on": "MNIST training digits" + (", moved and redrawn at random" if settings.augment else ""),
        **made_of(settings, result),
    }
    return export(folder, "Servo", model, signatures, description)


if __name__ == "__main__":
    main(Hyperparameters, train, _MODULE)
