"""The tutorial's trainer for TPUs: the GPU trainer's network, SGD from 0.05 on, falling, on files of records.

Without a TPU it computes on what there is; `KERAS_BACKEND=jax` is Keras' road to a TPU.
"""

from dataclasses import dataclass

from mlhelpers.trainers.base import main
from mlhelpers.trainers.cbis_ddsm import train
from mlhelpers.trainers.flags import flag
from trainer import gpu_model

__all__ = ["Hyperparameters", "train"]


@dataclass(frozen=True)
class Hyperparameters(gpu_model.Hyperparameters):
    """Train the tutorial's breast density classifier on records, evaluate it, and export it; teaching material.

    Example:
        --training_data train.tfrecords --eval_data eval.tfrecords --model_dir gs://my-bucket/density
    """

    tpu: str = flag("service", help="name of a TPU; takes its learning rate, 0.05 x 0.96 per 100,000 steps")


if __name__ == "__main__":
    main(Hyperparameters, train, "trainer.tpu_model")
