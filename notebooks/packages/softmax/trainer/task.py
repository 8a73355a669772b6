"""Softmax regression on MNIST in plain numpy: a trainer of your own, small enough to read in a minute.

It does the four things that make a trainer a good guest on any service: it takes flags, saves where it has got to,
goes on from there, and reports what it measures.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import hypertune
import numpy as np

from mlhelpers import datasets


def main() -> None:
    """Train from the checkpoint, if there is one, to the last step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job-dir", type=Path, required=True, help="where the checkpoint goes")
    parser.add_argument("--train_steps", type=int, default=3000, help="steps in all (default: %(default)s)")
    parser.add_argument("--batch_size", type=int, default=500, help="digits a step (default: %(default)s)")
    parser.add_argument("--learning_rate", type=float, default=0.3, help="length of a step (default: %(default)s)")
    flags = parser.parse_args()

    digits = datasets.load("mnist")
    images, labels = pixels(digits.train["images"]), np.asarray(digits.train["labels"])
    test_images, test_labels = pixels(digits.test["images"]), np.asarray(digits.test["labels"])
    checkpoint = flags.job_dir / "checkpoint.npz"
    report = hypertune.HyperTune()

    first, weights = restore(checkpoint)
    print(f"starting at step {first} of {flags.train_steps}", flush=True)
    for step in range(first, flags.train_steps):
        # the batch is a function of the step alone: a run that was killed goes on with the very next one
        batch = np.random.default_rng(step).integers(len(images), size=flags.batch_size)
        weights -= flags.learning_rate * slope(weights, images[batch], labels[batch])
        if (step + 1) % 200 == 0 or step + 1 == flags.train_steps:
            save(checkpoint, step + 1, weights)
            accuracy = np.mean((test_images @ weights).argmax(axis=1) == test_labels)
            print(f"step {step + 1}  accuracy {accuracy:.4f}", flush=True)
            report.report_hyperparameter_tuning_metric("accuracy", accuracy, step + 1)


def pixels(images: np.ndarray) -> np.ndarray:
    """Return pictures (n, 28, 28) of 0 to 255 as rows of 784 levels from 0 to 1, and a one for the constant."""
    rows = images.reshape(len(images), -1).astype(np.float32) / 255
    return np.hstack([rows, np.ones((len(rows), 1), np.float32)])


def slope(weights: np.ndarray, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the slope of the mean cross-entropy of a batch, of the shape of the weights, (785, 10)."""
    scores = np.exp(images @ weights - (images @ weights).max(axis=1, keepdims=True))
    probabilities = scores / scores.sum(axis=1, keepdims=True)
    probabilities[np.arange(len(labels)), labels] -= 1
    return images.T @ probabilities / len(labels)


def restore(checkpoint: Path) -> tuple[int, np.ndarray]:
    """Return the step and the weights that were saved last, or the beginning."""
    if not checkpoint.exists():
        return 0, np.zeros((785, 10), np.float32)
    with np.load(checkpoint) as saved:
        return int(saved["step"]), saved["weights"]


def save(checkpoint: Path, step: int, weights: np.ndarray) -> None:
    """Write beside the old checkpoint, then put the new one in its place: at no moment is there half a file."""
    aside = checkpoint.with_name("aside.npz")
    np.savez(aside, step=step, weights=weights)
    os.replace(aside, checkpoint)


if __name__ == "__main__":
    main()
