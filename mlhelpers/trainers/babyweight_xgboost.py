"""The predictor of birth weights of XGBoost: boosted trees that take the words as categories.

`python -m mlhelpers.trainers.babyweight_xgboost --data_dir SHARDS --output_dir RUN`. The same births and the same
requests as `babyweight`, which is TensorFlow's; TensorFlow is not needed.

Depth, rate and rounds were chosen over four folds of training months: 0.920 lb on the synthetic births, 1.029 lb on the
real sample; from the seventieth round on both rise again. Of several processes (TF_CONFIG) the chief trains alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mlhelpers.datasets.babyweight import FEATURES, VOCABULARY
from mlhelpers.trainers.base import claim_folder, finish, main, output_folder
from mlhelpers.trainers.births import BirthFiles, measure, read_births, signature, table
from mlhelpers.trainers.boosting import BoostingTask, count_nodes, fit, import_xgboost, write_booster
from mlhelpers.trainers.export import made_of, write_export
from mlhelpers.trainers.flags import flag

__all__ = ["Hyperparameters", "train"]

_MODULE = "mlhelpers.trainers.babyweight_xgboost"


@dataclass(frozen=True)
class Hyperparameters(BirthFiles):
    """Boost trees on births, evaluate them on those of other months, and export them as XGBoost's own model file.

    Example:
        --data_dir data/runs/babyweight --output_dir data/runs/babies_xgboost
    """

    tuning_metrics = ("rmse", "loss")

    num_boost_round: int = flag(70, help="rounds of boosting in all", minimum=1, maximum=100_000, tunable=True)
    learning_rate: float = flag(0.1, help="how much of each tree counts", minimum=1e-6, maximum=1, tunable=True)
    max_depth: int = flag(3, help="splits between a tree's root and its leaves", minimum=1, maximum=20, tunable=True)
    min_child_weight: float = flag(20.0, help="births in a leaf, at least", minimum=0, maximum=1e9, tunable=True)
    reg_lambda: float = flag(1.0, help="what the squares of the leaves cost", minimum=0, maximum=1e9, tunable=True)
    nthread: int = flag(1, help="threads that train; more pay for millions of rows, and 0 takes every core", minimum=0)
    save_checkpoints_secs: float = flag(15.0, help="seconds between checkpoints", minimum=0)


def train(hyperparameters: Hyperparameters) -> Path:
    """Train, evaluate and export; go on from the newest checkpoint where the output folder holds one.

    Args:
        hyperparameters: What the flags say.

    Returns:
        The export directory.

    Raises:
        UsageError: No data or output folder named, or a folder of a run with other settings.
        DataError: Shards missing or damaged, or a folder that cannot be written.
        MissingExtraError: XGBoost is not installed.
        MLHelpersError: The loss stopped being a number.
    """
    settings = hyperparameters
    train_data, eval_data, *held_out = read_births(settings)
    folder = output_folder(settings.output_dir, settings.job_dir)
    claim_folder(folder, settings, free=("output_dir", "job_dir", "nthread", "save_checkpoints_secs"))
    import_xgboost()
    names = ("learning_rate", "max_depth", "min_child_weight", "reg_lambda", "nthread")
    # a split takes one word from the others: with so few there is no need to group them
    parameters = {"objective": "reg:squarederror", "max_cat_to_onehot": 1 + max(map(len, VOCABULARY.values()))}
    task = BoostingTask(
        parameters=parameters | {name: getattr(settings, name) for name in names},
        rounds=settings.num_boost_round,
        table=table(train_data, words=False),
        targets=train_data["weight_pounds"],
        feature_names=FEATURES,
        categories=VOCABULARY,
    )
    (judged,) = held_out or [eval_data]
    seen, weights = table(judged, words=False), judged["weight_pounds"]
    booster, reporter = fit(
        task, folder, measure, lambda model: measure(model(seen), weights), settings.save_checkpoints_secs
    )
    reporter.phase("evaluating")
    result = measure(booster.inplace_predict(table(eval_data, words=False)), eval_data["weight_pounds"])
    nodes = count_nodes(booster)
    description = {
        "name": "babyweight",
        "description": "boosted trees on a baby's weight at birth; teaching material, no medical advice",
        "framework": "xgboost",
        **made_of(settings, result),
    }
    described = {"serving_default": signature()}
    export = partial(write_export, folder, "exporter", partial(write_booster, booster), described, description, nodes)
    headline = f"eval rmse {result['rmse']:.4f} lb (loss {result['loss']:.4f})"
    steps = settings.num_boost_round
    return finish(reporter, folder, nodes, steps, result, export, part="eval", headline=headline)


if __name__ == "__main__":
    main(Hyperparameters, train, _MODULE, shares=False)
