"""The species classifier of XGBoost: boosted trees, one for each species a round.

`python -m mlhelpers.trainers.iris_xgboost --train-files TRAIN --eval-files TEST --job-dir RUN`. The same flowers and
the same requests as `iris`, which is TensorFlow's; TensorFlow is not needed.

The flowers of `--eval-files` give the curve during training and the result at its end, as in `iris`. Of several
processes (TF_CONFIG) the chief trains alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mlhelpers.datasets.iris import CLASS_NAMES, FEATURES
from mlhelpers.trainers.base import claim_folder, finish, main, output_folder
from mlhelpers.trainers.boosting import BoostingTask, count_nodes, fit, import_xgboost, write_booster
from mlhelpers.trainers.export import made_of, write_export
from mlhelpers.trainers.flags import flag
from mlhelpers.trainers.flowers import DESCRIPTION, FlowerFiles, lengths, measure, read_flowers, signatures

__all__ = ["Hyperparameters", "train"]

_MODULE = "mlhelpers.trainers.iris_xgboost"


@dataclass(frozen=True)
class Hyperparameters(FlowerFiles):
    """Boost trees on irises from CSV files, evaluate them on others, and export them as XGBoost's own model file.

    Example:
        --train-files iris/iris_training.csv --eval-files iris/iris_test.csv --job-dir data/runs/irises_xgboost
    """

    tuning_metrics = ("accuracy", "loss")

    num_boost_round: int = flag(40, help="rounds of boosting in all", minimum=1, maximum=100_000, tunable=True)
    learning_rate: float = flag(0.1, help="how much of each tree counts", minimum=1e-6, maximum=1, tunable=True)
    max_depth: int = flag(3, help="splits between a tree's root and its leaves", minimum=1, maximum=20, tunable=True)
    nthread: int = flag(1, help="threads that train; more pay for millions of rows, and 0 takes every core", minimum=0)
    save_checkpoints_secs: float = flag(15.0, help="seconds between checkpoints", minimum=0)


def train(hyperparameters: Hyperparameters) -> Path:
    """Train, evaluate and export; go on from the newest checkpoint where the output folder holds one.

    Args:
        hyperparameters: What the flags say.

    Returns:
        The export directory.

    Raises:
        UsageError: No files, no output folder, or a folder of a run with other settings.
        DataError: A file is missing or malformed, or a folder cannot be written.
        MissingExtraError: XGBoost is not installed.
        MLHelpersError: The loss stopped being a number.
    """
    settings = hyperparameters
    train_data, eval_data = read_flowers(settings)
    folder = output_folder(settings.output_dir, settings.job_dir)
    claim_folder(folder, settings, free=("job_dir", "output_dir", "nthread", "save_checkpoints_secs"))
    import_xgboost()
    names = ("learning_rate", "max_depth", "nthread")
    parameters = {"objective": "multi:softprob", "num_class": len(CLASS_NAMES)}
    task = BoostingTask(
        parameters=parameters | {name: getattr(settings, name) for name in names},
        rounds=settings.num_boost_round,
        table=lengths(train_data),
        targets=train_data["Species"],
        feature_names=FEATURES,
        class_names=CLASS_NAMES,
    )
    asked, species = lengths(eval_data), eval_data["Species"]
    booster, reporter = fit(
        task, folder, measure, lambda model: measure(model(asked), species), settings.save_checkpoints_secs
    )
    reporter.phase("evaluating")
    result = measure(booster.inplace_predict(asked), species)
    nodes = count_nodes(booster)
    description = {
        **DESCRIPTION,
        "description": f"species classifier, {settings.num_boost_round} rounds of boosted trees",
        "framework": "xgboost",
        **made_of(settings, result),
    }
    export = partial(write_export, folder, "iris", partial(write_booster, booster), signatures(), description, nodes)
    headline = f"test accuracy {result['accuracy']:.4f}"
    return finish(reporter, folder, nodes, settings.num_boost_round, result, export, headline=headline)


if __name__ == "__main__":
    main(Hyperparameters, train, _MODULE, shares=False)
