"""The tutorial's network: layers that grow narrower, ReLU, Adagrad at 0.05 on the sum of a batch's cross-entropies."""

from dataclasses import dataclass

from mlhelpers.trainers import iris
from mlhelpers.trainers.iris import build_model, train

__all__ = ["Hyperparameters", "build_model", "train"]


@dataclass(frozen=True)
class Hyperparameters(iris.Hyperparameters):
    """Train the tutorial's classifier of irises on CSV files, evaluate it on others, and export it.

    Example:
        --train-files iris_training.csv --eval-files iris_test.csv --job-dir output --train-steps 1000
    """
