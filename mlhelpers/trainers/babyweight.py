"""The predictor of birth weights: `python -m mlhelpers.trainers.babyweight --bucket BUCKET --output_dir RUN`.

The wide and deep network of the original tutorial, with its columns, sizes and two optimizers: FTRL for the wide part,
Adagrad for the deep part. Rates and penalties were chosen on months held out of the real sample's training rows (four
folds: 1.033 lb; a linear model on the wide columns 1.035, boosted trees 1.031): without the penalties, the deep part
learns single births by heart and is worse than the linear model. Taught in notebook 05.

Over several processes (TF_CONFIG) each takes its rows of the very batch that one process would take, and adds its share
to the gradients; the penalties count once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.errors import UsageError
from mlhelpers.frameworks import import_tensorflow
from mlhelpers.trainers.base import claim_folder, finish, leave_to_chief, main, output_folder
from mlhelpers.trainers.births import BirthFiles, read_births, signature
from mlhelpers.trainers.cluster import Rows, read_cluster
from mlhelpers.trainers.data_parallel import Workers, join
from mlhelpers.trainers.export import export, made_of
from mlhelpers.trainers.flags import flag
from mlhelpers.trainers.wide_and_deep import WIDE_RATE, build_model, encode_births, encode_request

__all__ = ["Hyperparameters", "count_steps", "train"]

_MODULE = "mlhelpers.trainers.babyweight"
_EVAL_BATCH_SIZE = 2**15

Inputs = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Hyperparameters(BirthFiles):
    """Train a wide and deep network on births, evaluate it on those of other months, and export it.

    Example:
        --data_dir data/runs/babyweight --output_dir data/runs/babies
    """

    tuning_metrics = ("rmse", "loss", "average_loss")

    batch_size: int = flag(512, help="rows a step", minimum=1, tunable=True)
    nnsize: tuple[int, ...] = flag(
        (128, 32, 4), help="units of each hidden layer, one or more numbers", minimum=1, maximum=10_000, tunable=True
    )
    nembeds: int = flag(3, help="numbers learnt for each crossed bucket", minimum=1, maximum=1000, tunable=True)
    train_examples: int = flag(5000, help="rows to train on, in thousands; the data are repeated", minimum=1)
    eval_steps: int | None = flag(None, help="batches of 32768 rows to evaluate on; all rows if None", minimum=1)
    learning_rate: float = flag(
        0.02, help="Adagrad's, of the deep part, at the start; it falls to zero", minimum=1e-9, tunable=True
    )
    wide_learning_rate: float = flag(WIDE_RATE, help="FTRL's, of the wide part", minimum=1e-9, tunable=True)
    cross_penalty: float = flag(
        0.03,
        help="what the square of an embedding's number adds to the loss; 0 as the original",
        minimum=0,
        tunable=True,
    )
    layer_penalty: float = flag(
        0.003, help="what the square of a layer's weight adds to the loss; 0 as the original", minimum=0, tunable=True
    )
    seed: int = flag(0, help="order of the data, first weights", minimum=0, maximum=2**31 - 1)
    save_checkpoints_secs: float = flag(15.0, help="seconds between checkpoints", minimum=0)


def train(hyperparameters: Hyperparameters) -> Path:
    """Train, evaluate and export; go on from the newest checkpoint where the output folder holds one.

    Args:
        hyperparameters: What the flags say.

    Returns:
        The export directory; the output folder in a process that is not the chief.

    Raises:
        UsageError: No data or output folder named, a batch larger than the data, a folder of a run with other
            settings, or a TF_CONFIG that does not do.
        DataError: Shards missing or damaged, or a folder that cannot be written.
        MLHelpersError: The loss stopped being a number.
        ReplicaError: Another process of the cluster is gone.
    """
    settings, cluster = hyperparameters, read_cluster()
    rows = cluster.rows(settings.batch_size, "--batch_size")
    folder = output_folder(settings.output_dir, settings.job_dir, cluster)
    with join(cluster) as workers:
        return _train(settings, folder, workers, rows)


def _train(settings: Hyperparameters, folder: Path, workers: Workers, rows: Rows | None) -> Path:
    from mlhelpers.trainers.loop import fit

    train_data, eval_data, *held_out = _read_parts(settings)
    validation = (held_out[0], None) if held_out else (eval_data, settings.eval_steps)
    n, steps = len(train_data[1]), count_steps(settings.train_examples, settings.batch_size)
    if settings.batch_size > n:
        raise UsageError(f"--batch_size is {settings.batch_size}, but there are only {n} rows to train on.")
    if workers.is_chief:
        claim_folder(folder, settings, free=("output_dir", "job_dir", "save_checkpoints_secs"))
        print(f"training for {steps} steps of {settings.batch_size} rows", flush=True)
        print(f"the deep part's hidden layers have {', '.join(map(str, settings.nnsize))} units", flush=True)
    tf = import_tensorflow()
    import keras

    keras.utils.set_random_seed(settings.seed)
    model, wide, deep = build_model(settings.nnsize, settings.nembeds)
    measure = _measure(tf, deep, settings)
    evaluate = _evaluator(tf, model, measure)
    reporter = fit(
        _task(tf, model, wide, deep, measure, train_data, settings, steps, rows),
        folder,
        validate=lambda: evaluate(*validation),
        checkpoint_every_s=settings.save_checkpoints_secs,
        report_every=max(1, steps // 20),
        workers=workers,
    )
    if not workers.is_chief:
        return leave_to_chief(reporter, folder)
    reporter.phase("evaluating")
    result = evaluate(eval_data, settings.eval_steps)
    headline = f"eval rmse {result['rmse']:.4f} lb (average loss {result['average_loss']:.4f})"
    write_export = partial(_export, tf, model, folder, settings, result)
    more = {"global_step": steps}
    parameters = model.count_params()
    return finish(reporter, folder, parameters, steps, result, write_export, part="eval", headline=headline, more=more)


def count_steps(train_examples: int, batch_size: int) -> int:
    """Return how many whole batches so many thousand rows make, at least one.

    Example:
        >>> count_steps(5000, 512), count_steps(1, 512)
        (9765, 1)
    """
    return max(1, train_examples * 1000 // batch_size)


def _read_parts(settings: Hyperparameters) -> list[tuple[Inputs, NDArray[Any]]]:
    return [(encode_births(columns), columns["weight_pounds"][:, None]) for columns in read_births(settings)]


def _measure(tf: Any, deep: Sequence[Any], settings: Hyperparameters) -> Callable[[Any, Any], dict[str, Any]]:
    """Return what training makes smaller: the mean squared error, and a little for the squares of the deep weights.

    Most crossed buckets are seen a few times or never; without the penalty on the embedding the deep part learns their
    births by heart. The one on the layers closes its way out, small embeddings made large by the layers behind them.
    """
    embedding, *layers = deep
    matrices = [variable for variable in layers if len(variable.shape) == 2]

    def measure(pounds: Any, targets: Any) -> dict[str, Any]:
        error = tf.reduce_mean(tf.square(pounds - targets))
        cross = tf.reduce_sum(tf.square(embedding.value))
        layer = tf.add_n([tf.reduce_sum(tf.square(matrix.value)) for matrix in matrices])
        loss = error + settings.cross_penalty * cross + settings.layer_penalty * layer
        return {"loss": loss, "average_loss": error}

    return measure


def _task(
    tf: Any,
    model: Any,
    wide: Any,
    deep: Any,
    measure: Any,
    data: Any,
    settings: Hyperparameters,
    steps: int,
    rows: Rows | None,
) -> Any:
    import keras

    from mlhelpers.trainers.loop import Task, epochs_of_indices

    inputs = {name: tf.constant(values) for name, values in data[0].items()}
    targets = tf.constant(data[1])

    def batch(_: Any, indices: Any) -> Any:
        if rows is not None:
            indices = indices[rows.part]
        return {name: tf.gather(values, indices) for name, values in inputs.items()}, tf.gather(targets, indices)

    def batches(first_step: int) -> Any:
        indices = epochs_of_indices(len(data[1]), settings.batch_size, settings.seed, first_step)
        return indices.map(tf.autograph.experimental.do_not_convert(batch)).prefetch(8)

    # FTRL's rate stays as it is: the rule divides by it, and a falling one would pull every weight to zero
    ftrl = keras.optimizers.Ftrl(settings.wide_learning_rate)
    falling = keras.optimizers.schedules.PolynomialDecay(settings.learning_rate, steps, end_learning_rate=0.0)
    optimizers = [(ftrl, wide), (keras.optimizers.Adagrad(falling), deep)]
    return Task(model, optimizers, batches, steps, measure, rows)


def _evaluator(
    tf: Any, model: Any, measure: Any
) -> Callable[[tuple[Inputs, NDArray[Any]], int | None], dict[str, float]]:
    def of_batch(inputs: Any, targets: Any) -> Any:
        return measure(model(inputs, training=False), targets)

    compiled = tf.function(of_batch, reduce_retracing=True)

    def evaluate(data: tuple[Inputs, NDArray[Any]], steps: int | None) -> dict[str, float]:
        inputs, targets = data
        n = len(targets) if steps is None else min(len(targets), steps * _EVAL_BATCH_SIZE)
        sums = {"loss": 0.0, "average_loss": 0.0}
        for start in range(0, n, _EVAL_BATCH_SIZE):
            part = slice(start, min(start + _EVAL_BATCH_SIZE, n))
            found = compiled({name: tf.constant(values[part]) for name, values in inputs.items()}, targets[part])
            for name, value in found.items():
                sums[name] += float(value) * (part.stop - part.start) / n
        return {"rmse": float(np.sqrt(sums["average_loss"])), **sums}

    return evaluate


def _export(tf: Any, model: Any, folder: Path, settings: Hyperparameters, result: dict[str, float]) -> Path:
    """Export with the original's signature; words and buckets are looked up inside the model, so nobody can mistake."""

    def answer(is_male: Any, mother_age: Any, plurality: Any, gestation_weeks: Any, key: Any) -> dict[str, Any]:
        pounds = model(encode_request(is_male, mother_age, plurality, gestation_weeks), training=False)
        return {"predictions": pounds, "key": tf.identity(key)}

    described = signature()
    kinds = {
        name: tf.string if tensor["dtype"] == "string" else tf.float32 for name, tensor in described["inputs"].items()
    }
    specs = [tf.TensorSpec([None], kind, name) for name, kind in kinds.items()]
    description = {
        "name": "babyweight",
        "description": "wide and deep prediction of a baby's weight at birth; teaching material, no medical advice",
        **made_of(settings, result),
    }
    plain = tf.autograph.experimental.do_not_convert(answer)  # there is no Python control flow in it to rewrite
    signatures = {"serving_default": (plain, specs, described)}
    return export(folder, "exporter", model, signatures, description, litert=False)


if __name__ == "__main__":
    main(Hyperparameters, train, _MODULE)
