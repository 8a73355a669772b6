"""The tutorial's network, number for number: 3,274,634 parameters, Adam at 0.001, dropout 0.4.

`--architecture fast` trains the small network of `mlhelpers.trainers.mnist` in its place.
"""

from dataclasses import dataclass

from mlhelpers.trainers import mnist
from mlhelpers.trainers.flags import flag
from mlhelpers.trainers.mnist import build_model, train

__all__ = ["Hyperparameters", "build_model", "train"]


@dataclass(frozen=True)
class Hyperparameters(mnist.Hyperparameters):
    """Train the tutorial's digit classifier on MNIST records, evaluate it on the test digits, and export it.

    Example:
        --data_dir gs://my-bucket/data --output_dir gs://my-bucket/mnist_1 --train_steps 10000
    """

    architecture: str = flag("tutorial", help="which network and schedule", choices=("fast", "tutorial"))
