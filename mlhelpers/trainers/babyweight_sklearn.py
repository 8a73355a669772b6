"""The predictor of birth weights of scikit-learn: smooth features, their products, and a ridge regression.

`python -m mlhelpers.trainers.babyweight_sklearn --data_dir SHARDS --output_dir RUN`. The same births and the same
requests as `babyweight`, which is TensorFlow's; TensorFlow is not needed.

The words become one-of-many columns, age and weeks a few smooth bumps over their plane (radial basis functions, by
scikit-learn's Nystroem); the products of all pairs let the weeks weigh otherwise for twins. Over four folds of training
months this came to 0.921 lb on the synthetic births and 1.028 lb on the real sample, and the best histogram gradient
boosting to 0.921 and 1.029: as good, and skops opens a linear model without being told to trust trees.

Of several processes (TF_CONFIG) the chief trains alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mlhelpers.datasets.babyweight import FEATURES, VOCABULARY
from mlhelpers.trainers.base import claim_folder, finish, main, output_folder
from mlhelpers.trainers.births import BirthFiles, Births, measure, read_births, signature, table
from mlhelpers.trainers.export import made_of, write_export
from mlhelpers.trainers.flags import flag
from mlhelpers.trainers.pipelines import count_coefficients, fit, import_sklearn, write_skops

__all__ = ["Hyperparameters", "build_pipeline", "train"]

_MODULE = "mlhelpers.trainers.babyweight_sklearn"


@dataclass(frozen=True)
class Hyperparameters(BirthFiles):
    """Fit a ridge regression on births, evaluate it on those of other months, and export it with skops.

    Example:
        --data_dir data/runs/babyweight --output_dir data/runs/babies_sklearn
    """

    tuning_metrics = ("rmse", "loss")

    n_components: int = flag(20, help="bumps over the plane of age and weeks", minimum=1, maximum=200, tunable=True)
    gamma: float = flag(0.1, help="how narrow a bump is", minimum=1e-4, maximum=100, tunable=True)
    alpha: float = flag(1.0, help="what the squares of the weights cost", minimum=1e-9, maximum=1e9, tunable=True)
    seed: int = flag(0, help="on which births the bumps stand", minimum=0, maximum=2**31 - 1)


def train(hyperparameters: Hyperparameters) -> Path:
    """Fit, evaluate and export; a run that had ended in the output folder is evaluated and exported again.

    Args:
        hyperparameters: What the flags say.

    Returns:
        The export directory.

    Raises:
        UsageError: No data or output folder named, or a folder of a run with other settings.
        DataError: Shards missing or damaged, or a folder that cannot be written.
        MissingExtraError: scikit-learn or skops is not installed.
    """
    settings = hyperparameters
    train_data, eval_data, *held_out = read_births(settings)
    folder = output_folder(settings.output_dir, settings.job_dir)
    claim_folder(folder, settings, free=("output_dir", "job_dir"))
    import_sklearn()
    pipeline = build_pipeline(settings.n_components, settings.gamma, settings.alpha, settings.seed)
    fitted, reporter = fit(
        pipeline,
        table(train_data, words=True),
        train_data["weight_pounds"],
        folder,
        lambda model: _measure(model, train_data),
        (lambda model: _measure(model, held_out[0])) if held_out else None,
    )
    reporter.phase("evaluating")
    result = _measure(fitted, eval_data)
    parameters = count_coefficients(fitted)
    description = {
        "name": "babyweight",
        "description": "ridge regression on a baby's weight at birth; teaching material, no medical advice",
        "framework": "scikit-learn",
        **made_of(settings, result),
    }
    described = {"serving_default": signature()}
    export = partial(write_export, folder, "exporter", partial(write_skops, fitted), described, description, parameters)
    headline = f"eval rmse {result['rmse']:.4f} lb (loss {result['loss']:.4f})"
    return finish(reporter, folder, parameters, 1, result, export, part="eval", headline=headline)


def build_pipeline(n_components: int = 20, gamma: float = 0.1, alpha: float = 1.0, seed: int = 0) -> Any:
    """Build an unfitted pipeline: (n, 4) objects, the features in their order, words as texts -> pounds (n,).

    Args:
        n_components: Bumps over the plane of age and weeks.
        gamma: How narrow they are, in scaled units.
        alpha: The penalty on the squares of the weights.
        seed: On which births the bumps stand.
    """
    from sklearn.compose import make_column_transformer
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler

    words = [k for k, name in enumerate(FEATURES) if name in VOCABULARY]
    numbers = [k for k, name in enumerate(FEATURES) if name not in VOCABULARY]
    vocabularies = [list(VOCABULARY[FEATURES[k]]) for k in words]
    bumps = make_pipeline(StandardScaler(), Nystroem(gamma=gamma, n_components=n_components, random_state=seed))
    columns = make_column_transformer(
        (OneHotEncoder(categories=vocabularies, sparse_output=False), words), (bumps, numbers)
    )
    products = PolynomialFeatures(degree=2, interaction_only=True, include_bias=False)
    return make_pipeline(columns, products, Ridge(alpha))


def _measure(pipeline: Any, births: Births) -> dict[str, float]:
    return measure(pipeline.predict(table(births, words=True)), births["weight_pounds"])


if __name__ == "__main__":
    main(Hyperparameters, train, _MODULE, shares=False)
