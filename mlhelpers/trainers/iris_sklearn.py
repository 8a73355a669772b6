"""The species classifier of scikit-learn: a scaler and a logistic regression in one pipeline.

`python -m mlhelpers.trainers.iris_sklearn --train-files TRAIN --eval-files TEST --job-dir RUN`. The same flowers and
the same requests as `iris`, which is TensorFlow's; TensorFlow is not needed.

Of several processes (TF_CONFIG) the chief trains alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mlhelpers.datasets.base import Part
from mlhelpers.datasets.iris import CLASS_NAMES
from mlhelpers.trainers.base import claim_folder, finish, main, output_folder
from mlhelpers.trainers.export import made_of, write_export
from mlhelpers.trainers.flags import flag
from mlhelpers.trainers.flowers import DESCRIPTION, FlowerFiles, lengths, measure, read_flowers, signatures
from mlhelpers.trainers.pipelines import count_coefficients, fit, import_sklearn, write_skops

__all__ = ["Hyperparameters", "build_pipeline", "train"]

_MODULE = "mlhelpers.trainers.iris_sklearn"


@dataclass(frozen=True)
class Hyperparameters(FlowerFiles):
    """Fit a logistic regression on irises from CSV files, evaluate it on others, and export it with skops.

    Example:
        --train-files iris/iris_training.csv --eval-files iris/iris_test.csv --job-dir data/runs/irises_sklearn
    """

    tuning_metrics = ("accuracy", "loss")

    inverse_penalty: float = flag(
        10.0, help="C: how little the squares of the weights cost; small values make a simple model", minimum=1e-6,
        maximum=1e6, tunable=True,
    )  # fmt: skip
    max_iter: int = flag(1000, help="iterations of the solver, at most", minimum=1, tunable=True)


def train(hyperparameters: Hyperparameters) -> Path:
    """Fit, evaluate and export; a run that had ended in the output folder is evaluated and exported again.

    Args:
        hyperparameters: What the flags say.

    Returns:
        The export directory.

    Raises:
        UsageError: No files, no output folder, or a folder of a run with other settings.
        DataError: A file is missing or malformed, or a folder cannot be written.
        MissingExtraError: scikit-learn or skops is not installed.
    """
    settings = hyperparameters
    train_data, eval_data = read_flowers(settings)
    folder = output_folder(settings.output_dir, settings.job_dir)
    claim_folder(folder, settings, free=("job_dir", "output_dir"))
    import_sklearn()
    names = np.array(CLASS_NAMES)[train_data["Species"]]  # the model answers with the names themselves
    pipeline = build_pipeline(settings.inverse_penalty, settings.max_iter)
    fitted, reporter = fit(pipeline, lengths(train_data), names, folder, lambda model: _measure(model, train_data))
    reporter.phase("evaluating")
    result = _measure(fitted, eval_data)
    parameters = count_coefficients(fitted)
    description = {
        **DESCRIPTION,
        "description": "species classifier, logistic regression on scaled lengths",
        "framework": "scikit-learn",
        **made_of(settings, result),
    }
    export = partial(write_export, folder, "iris", partial(write_skops, fitted), signatures(), description, parameters)
    headline = f"test accuracy {result['accuracy']:.4f}"
    return finish(reporter, folder, parameters, 1, result, export, headline=headline)


def build_pipeline(inverse_penalty: float = 10.0, max_iter: int = 1000) -> Any:
    """Build an unfitted pipeline: (n, 4), the lengths in cm -> one of the species.

    Args:
        inverse_penalty: scikit-learn's C.
        max_iter: Iterations at most.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=inverse_penalty, max_iter=max_iter))


def _measure(pipeline: Any, part: Part) -> dict[str, float]:
    return measure(pipeline.predict_proba(lengths(part)), part["Species"])


if __name__ == "__main__":
    main(Hyperparameters, train, _MODULE, shares=False)
