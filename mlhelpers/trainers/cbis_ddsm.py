"""Breast density from mammograms: `python -m mlhelpers.trainers.cbis_ddsm --data_bucket DATA --model_dir RUN`.

One trainer for CPU, GPU and TPU, in place of the original tutorial's two; `KERAS_BACKEND=jax` runs it on JAX, which is
Keras' road to a TPU. Two recipes: `tutorial` is the original network, number for number, with its learning rates;
`fast`, the default, is a small network that works. The flags of both originals are taken. Teaching material, no
diagnostic tool. Taught in notebook 04.

There are two sets of pictures and no third for validation, as in the originals: a hyperparameter study learns the test
result alone, once at the end, and is judged by the pictures that it chose by.

Over several processes (TF_CONFIG; on TensorFlow) each takes its rows of the very batch that one process would take,
changes them as that one would, normalises by the whole batch's statistics and adds its share to the gradients.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mlhelpers.datasets.cbis_ddsm import CLASS_NAMES
from mlhelpers.errors import DataError, MissingExtraError, UsageError, unknown_name
from mlhelpers.frameworks import import_tensorflow
from mlhelpers.storage import bucket_path, local_path
from mlhelpers.trainers.base import claim_folder, finish, leave_to_chief, main, output_folder
from mlhelpers.trainers.cluster import Rows, read_cluster
from mlhelpers.trainers.confusion import confusion_matrix, linear_kappa, recalls, table
from mlhelpers.trainers.data_parallel import Workers, join
from mlhelpers.trainers.export import made_of
from mlhelpers.trainers.flags import flag
from mlhelpers.trainers.mammograms import Pictures, batches, read_folder, read_record_file

__all__ = ["RECIPES", "Hyperparameters", "train"]

_MODULE = "mlhelpers.trainers.cbis_ddsm"
_NO_EFFECT = "taken because the original TPU trainer took it; has no effect"
_BACKENDS = ("jax", "tensorflow")
_FOLDERS = {"training": "small_train", "eval": "small_test"}


@dataclass(frozen=True)
class Hyperparameters:
    """Train a breast density classifier on small mammograms, evaluate it on others, and export it.

    Example:
        --data_bucket data/runs/cbis_ddsm --model_dir data/runs/density
    """

    tuning_metrics = ("accuracy", "loss", "kappa", "majority")

    data_bucket: str = flag("", help="bucket, gs:// address or folder in which the data folders lie")
    training_data_dir: str = flag("", help="folder of PNG files <density>_<case>.png [in a bucket: small_train]")
    eval_data_dir: str = flag("", help="folder of PNG files to evaluate on [in a bucket: small_test]")
    training_data: str = flag("", help="TFRecord file to train on, in place of a folder")
    eval_data: str = flag("", help="TFRecord file to evaluate on")
    image_width: int = flag(0, help="width in pixels; 0 takes the pictures as they are", minimum=0)
    image_height: int = flag(0, help="height in pixels; 0 takes the pictures as they are", minimum=0)
    image_channel: int = flag(1, help="channels; mammograms are grey and have 1", minimum=1, maximum=1)
    model_dir: str = flag("", help="folder for checkpoints, events and export; --job-dir where it is not given")
    job_dir: str = flag("", help="what the service passes to every trainer")
    recipe: str = flag("fast", help="which network and schedule", choices=("fast", "tutorial"))
    batch_size: int | None = flag(None, help="pictures a step; 96 for tutorial, 32 for fast", minimum=1, tunable=True)
    training_steps: int | None = flag(None, help="steps in all; 1000 for tutorial, 500 for fast", minimum=1)
    eval_steps: int = flag(100, help="batches of evaluation at most", minimum=1)
    category_count: int = flag(0, help="classes; 0 is BI-RADS' four", minimum=0, maximum=1000)
    learning_rate: float | None = flag(
        None, help="0.001 for tutorial, 0.05 with --tpu; the peak, 0.01, for fast", minimum=1e-9, tunable=True
    )
    augment: bool | None = flag(None, help="train also on flipped and shifted pictures; on for fast, off for tutorial")
    seed: int = flag(0, help="first weights, order of the pictures, changes", minimum=0, maximum=2**31 - 1)
    save_checkpoints_secs: float = flag(30.0, help="seconds between checkpoints", minimum=0)
    tpu: str = flag("", help="name of a TPU: takes the TPU trainer's rates, 0.05 x 0.96 per 100,000 steps; finds none")
    tpu_zone: str = flag("us-central1-b", help=_NO_EFFECT)
    gcp_project: str = flag("", help=_NO_EFFECT)
    iterations: int = flag(50, help=_NO_EFFECT)
    num_shards: int = flag(8, help=_NO_EFFECT)


# what a field left at None means
RECIPES: dict[str, dict[str, Any]] = {
    "tutorial": {"training_steps": 1000, "batch_size": 96, "learning_rate": 1e-3, "augment": False},
    "fast": {"training_steps": 500, "batch_size": 32, "learning_rate": 1e-2, "augment": True},
}


def resolve(hyperparameters: Hyperparameters) -> Hyperparameters:
    """Replace every None by what the recipe says."""
    recipe = RECIPES[hyperparameters.recipe]
    if hyperparameters.recipe == "tutorial" and hyperparameters.tpu:
        recipe = recipe | {"learning_rate": 0.05}
    return replace(
        hyperparameters, **{name: value for name, value in recipe.items() if getattr(hyperparameters, name) is None}
    )


def train(hyperparameters: Hyperparameters) -> Path:
    """Train, evaluate and export; go on from the newest checkpoint where the model folder holds one.

    Args:
        hyperparameters: What the flags say; None stands for the recipe's own value.

    Returns:
        The export directory; the model folder in a process that is not the chief.

    Raises:
        UsageError: No data or model folder, flags that contradict each other or the data, a folder of a run with other
            settings, a Keras backend other than TensorFlow and JAX, or a TF_CONFIG that does not do.
        DataError: Pictures missing or damaged, or a folder that cannot be written.
        MissingExtraError: The Keras backend is not installed.
        MLHelpersError: The loss stopped being a number.
        ReplicaError: Another process of the cluster is gone.
    """
    settings = resolve(hyperparameters)
    if not (settings.model_dir or settings.job_dir):
        raise UsageError("--model_dir is missing: the folder for checkpoints, events and the export.")
    classes = settings.category_count or len(CLASS_NAMES)
    train_data, test_data = _read(settings, "training"), _read(settings, "eval")
    _check(settings, train_data, test_data, classes)
    cluster = read_cluster()
    rows = cluster.rows(settings.batch_size or 1, "--batch_size")
    folder = output_folder(settings.model_dir, settings.job_dir, cluster)
    _import_keras(cluster.size)
    with join(cluster) as workers:
        return _train(settings, folder, workers, rows, train_data, test_data)


def _train(
    settings: Hyperparameters,
    folder: Path,
    workers: Workers,
    rows: Rows | None,
    train_data: Pictures,
    test_data: Pictures,
) -> Path:
    import keras

    from mlhelpers.trainers.density_network import build_model, export_density
    from mlhelpers.trainers.keras_loop import KerasTask, fit

    if workers.is_chief:  # the others wait for it no longer than it lives
        claim_folder(folder, settings, free=("eval_steps", "save_checkpoints_secs", "tpu_zone", "gcp_project"))
    keras.utils.set_random_seed(settings.seed)
    classes = settings.category_count or len(CLASS_NAMES)
    model = build_model(settings.recipe, train_data.shape, classes, rows)
    _compile(model, settings)
    steps, size = settings.training_steps or 1, settings.batch_size or 1
    batch = batches(train_data, size, settings.seed, bool(settings.augment), rows)
    task = KerasTask(model, batch, steps, None if rows is None else _shared_step(model, workers, rows))
    reporter = fit(task, folder, checkpoint_every_s=settings.save_checkpoints_secs, workers=workers)
    if not workers.is_chief:
        return leave_to_chief(reporter, folder)
    reporter.phase("evaluating")
    result, matrix = evaluate(model, test_data, size, settings.eval_steps, classes)
    names = [f"density {k + 1}" for k in range(classes)]
    for line in table(matrix, names):
        reporter.say(line)
    more = {"confusion_matrix": matrix.tolist(), "recalls": recalls(matrix), "backend": keras.backend.backend()}
    headline = f"test accuracy {result['accuracy']:.4f} (linear-weighted kappa {result['kappa']:.3f}, largest class "
    headline += f"{result['majority']:.4f})"
    description = _description(settings, train_data, result)
    write_export = partial(export_density, model, settings.recipe, folder, names, description)
    return finish(reporter, folder, model.count_params(), steps, result, write_export, headline=headline, more=more)


def evaluate(
    model: Any, data: Pictures, batch_size: int, eval_steps: int, classes: int
) -> tuple[dict[str, float], np.ndarray[Any, Any]]:
    """Measure a model on pictures.

    Args:
        model: Grey levels -> logits.
        data: The pictures.
        batch_size: How many at a time.
        eval_steps: How many batches at most.
        classes: How many classes there are.

    Returns:
        `accuracy`, `loss`, `kappa` (linear-weighted) and `majority` (the accuracy of always naming the class that is
        most frequent here); and the confusion matrix, a row for each true class.
    """
    n = min(len(data), batch_size * eval_steps)
    logits = np.concatenate(
        [
            np.asarray(model.predict_on_batch(data.images[i : min(n, i + batch_size), ..., None].astype(np.float32)))
            for i in range(0, n, batch_size)
        ]
    ).astype(np.float64)
    labels = data.labels[:n]
    losses = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(n), labels]
    matrix = confusion_matrix(labels, logits.argmax(1), classes)
    result = {
        "accuracy": float(np.diag(matrix).sum()) / n,
        "loss": float(losses.mean()),
        "kappa": linear_kappa(matrix),
        "majority": float(matrix.sum(1).max()) / n,
    }
    return result, matrix


def _import_keras(processes: int) -> None:
    """Import Keras on the backend that KERAS_BACKEND names."""
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if backend not in _BACKENDS:
        raise unknown_name("Keras backend for this trainer", backend, _BACKENDS, "KERAS_BACKEND names it.")
    if backend == "tensorflow":
        import_tensorflow()
        return
    if processes > 1:
        raise UsageError(
            f"KERAS_BACKEND is {backend}, but TF_CONFIG names {processes} processes that share each batch: this "
            "trainer does that on TensorFlow only. Leave KERAS_BACKEND out, or start one process without TF_CONFIG."
        )
    try:
        import jax  # noqa: F401
        import keras  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("JAX", "jax") from error


def _read(settings: Hyperparameters, part: str) -> Pictures:
    folder, file = getattr(settings, f"{part}_data_dir"), getattr(settings, f"{part}_data")
    size = settings.image_width, settings.image_height
    if folder and file:
        raise UsageError(f"--{part}_data_dir {folder!r} and --{part}_data {file!r} were both given; give one of them.")
    if file:
        return read_record_file(local_path(file), *size)
    if settings.data_bucket:
        return read_folder(bucket_path(settings.data_bucket) / (folder or _FOLDERS[part]), *size)
    if not folder:
        raise UsageError(
            f"No pictures for {part}: give --data_bucket (a folder with small_train and small_test), "
            f"--{part}_data_dir (a folder of PNG files) or --{part}_data (a TFRecord file). To make them:  "
            "mlhelpers data prepare cbis_ddsm --output-dir DIR"
        )
    return read_folder(local_path(folder), *size)


def _check(settings: Hyperparameters, train_data: Pictures, test_data: Pictures, classes: int) -> None:
    for data, name in ((train_data, "training"), (test_data, "evaluation")):
        low, high = int(data.labels.min()) + 1, int(data.labels.max()) + 1
        if low < 1 or high > classes:
            raise DataError(
                f"The {name} pictures have densities {low} to {high}; with {classes} categories they are 1 to "
                f"{classes}. Look at the data, or raise --category_count."
            )
    if train_data.shape != test_data.shape:
        raise DataError(
            f"Training pictures have {train_data.shape} rows and columns, evaluation pictures {test_data.shape}; "
            "a network takes one size."
        )
    if (settings.batch_size or 1) > len(train_data):
        raise UsageError(f"--batch_size is {settings.batch_size}, but there are only {len(train_data)} pictures.")


def _compile(model: Any, settings: Hyperparameters) -> None:
    """Give the model its optimizer and schedule: the tutorial's own, or a one-cycle of AdamW."""
    import keras

    rate, steps = settings.learning_rate or 0.0, settings.training_steps or 1
    schedules = keras.optimizers.schedules
    if settings.recipe == "tutorial":
        decayed = schedules.ExponentialDecay(rate, 100_000, 0.96) if settings.tpu else rate
        optimizer = keras.optimizers.SGD(decayed)
    else:  # climb for a fifth of the steps, then fall (L. N. Smith and N. Topin, 2017, arXiv:1708.07120)
        climb = max(1, steps // 5)
        cycle = schedules.CosineDecay(rate / 10, max(1, steps - climb), 0.01, warmup_target=rate, warmup_steps=climb)
        optimizer = keras.optimizers.AdamW(cycle, weight_decay=1e-3, clipnorm=1.0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # XLA compiles for half a minute under TensorFlow and gains nothing on two cores; JAX has no other way
    is_jax = keras.backend.backend() == "jax"
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=is_jax)


def _shared_step(model: Any, workers: Workers, rows: Rows) -> Any:
    """Return what stands in for `train_on_batch` where other processes see the other rows of the batch."""
    from mlhelpers.trainers.loop import classification, train_step

    optimizers = [(model.optimizer, model.trainable_variables)]
    return import_tensorflow().function(train_step(model, optimizers, classification, workers, rows))


def _description(settings: Hyperparameters, data: Pictures, result: dict[str, float]) -> dict[str, Any]:
    return {
        "name": "cbis_ddsm",
        "description": f"breast density classifier, recipe {settings.recipe}; teaching material, no diagnostic tool",
        "trained_on": data.what,
        **made_of(settings, result),
    }


if __name__ == "__main__":
    main(Hyperparameters, train, _MODULE)
