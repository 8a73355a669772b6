"""The command: flags in, a run in its output folder, an exit code out."""

from mlhelpers.trainers.base import main
from trainer.model import Hyperparameters, train

if __name__ == "__main__":
    main(Hyperparameters, train, "trainer.task")
