"""The tutorial's network: a wide part on buckets and words, FTRL; a deep part on their cross, Adagrad."""

from dataclasses import dataclass

from mlhelpers.trainers import babyweight
from mlhelpers.trainers.babyweight import train
from mlhelpers.trainers.wide_and_deep import build_model

__all__ = ["Hyperparameters", "build_model", "train"]


@dataclass(frozen=True)
class Hyperparameters(babyweight.Hyperparameters):
    """Train the tutorial's wide and deep network on births, evaluate it on those of other months, and export it.

    Example:
        --bucket my-babies --output_dir gs://my-babies/babyweight/trained_model --train_examples 20000
    """
