"""The tutorial's trainer for GPUs: its network, number for number, and SGD at 0.001, on folders of PNG files.

`--recipe fast` trains the small network of `mlhelpers.trainers.cbis_ddsm`, which learns more in less time.
"""

from dataclasses import dataclass

from mlhelpers.trainers import cbis_ddsm
from mlhelpers.trainers.base import main
from mlhelpers.trainers.cbis_ddsm import train
from mlhelpers.trainers.flags import flag

__all__ = ["Hyperparameters", "train"]


@dataclass(frozen=True)
class Hyperparameters(cbis_ddsm.Hyperparameters):
    """Train the tutorial's breast density classifier, evaluate it, and export it; teaching material.

    Example:
        --data_bucket my-mammograms --model_dir gs://my-bucket/density --training_steps 1000
    """

    recipe: str = flag("tutorial", help="which network and schedule", choices=("fast", "tutorial"))


if __name__ == "__main__":
    main(Hyperparameters, train, "trainer.gpu_model")
