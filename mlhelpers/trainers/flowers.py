"""Irises as every trainer of theirs reads them and as its exported model is asked about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.datasets.base import Part
from mlhelpers.datasets.iris import CLASS_NAMES, COLUMNS, FEATURES, LARGEST_CM, read_csv
from mlhelpers.errors import UsageError
from mlhelpers.trainers.export import number, text
from mlhelpers.trainers.flags import flag

__all__ = ["DESCRIPTION", "FlowerFiles", "inputs", "lengths", "measure", "outputs", "read_flowers", "signatures"]

_FILES = "one or more CSV files, paths or gs:// addresses"
DESCRIPTION = {
    "name": "iris",
    "class_names": list(CLASS_NAMES),
    "trained_on": "irises measured by E. Anderson, published by R. A. Fisher in 1936",
}


@dataclass(frozen=True)
class FlowerFiles:
    """The flags of every trainer of irises."""

    train_files: tuple[str, ...] = flag((), help=f"{_FILES}: the flowers to learn from")
    eval_files: tuple[str, ...] = flag((), help=f"{_FILES}: the flowers to report on")
    job_dir: str = flag("", help="folder or gs:// address for checkpoints, events and export")
    output_dir: str = flag("", help="another name of --job-dir; goes before it where both are given")


def read_flowers(files: FlowerFiles) -> tuple[Part, Part]:
    """Read the flowers to learn from and those to report on, files one after the other.

    Args:
        files: What the flags say.

    Returns:
        Two parts, the five columns each.

    Raises:
        UsageError: No files are named.
        DataError: One is missing or malformed.
    """
    return _read(files.train_files, "train-files"), _read(files.eval_files, "eval-files")


def _read(files: Sequence[str], name: str) -> Part:
    if not files:
        raise UsageError(
            f"--{name} is missing: {_FILES}. To make iris_training.csv and iris_test.csv:  "
            "mlhelpers data prepare iris --output-dir data/runs/iris"
        )
    parts = [read_csv(file) for file in files]
    return {name: np.concatenate([part[name] for part in parts]) for name in COLUMNS}


def lengths(part: Part) -> NDArray[np.float32]:
    """Return the four lengths side by side, (n, 4), cm."""
    return np.stack([part[name] for name in FEATURES], axis=1)


def measure(probabilities: NDArray[Any], species: NDArray[Any]) -> dict[str, float]:
    """Measure a classifier on flowers.

    Args:
        probabilities: (n, 3), one for each species.
        species: (n,), 0 to 2.

    Returns:
        `loss`, the mean cross-entropy, and `accuracy`, the share of right answers.
    """
    right = np.clip(probabilities[np.arange(len(species)), species].astype(float), 1e-15, 1.0)
    hits = probabilities.argmax(axis=1) == species
    return {"loss": float(-np.log(right).mean()), "accuracy": float(hits.mean())}


def inputs() -> dict[str, Any]:
    """Describe the four lengths by name; the species, which the original demanded, is what is asked for."""
    return {name: number("float32", [None], COLUMNS[name], 0.0, LARGEST_CM) for name in FEATURES}


def outputs() -> dict[str, Any]:
    """Describe what every classifier of irises answers: ids and names (n, 1), probabilities (n, 3)."""
    species = ", ".join(f"{k} {name}" for k, name in enumerate(CLASS_NAMES))
    n = len(CLASS_NAMES)
    return {
        "class_ids": number("int64", [None, 1], f"the most probable class: {species}"),
        "classes": text([None, 1], "its name"),
        "probabilities": number("float32", [None, n], "one probability per class; they sum to 1", 0.0, 1.0),
    }


def signatures() -> dict[str, dict[str, Any]]:
    """Describe the two forms of requests to a model that takes a table: lengths by name, and bare lists of four.

    The lists are what the service took for scikit-learn and XGBoost.
    """
    meaning = f"{', '.join(FEATURES)}, cm"
    row = {"lengths": number("float32", [None, len(FEATURES)], meaning, 0.0, LARGEST_CM)}
    return {
        "serving_default": {"inputs": inputs(), "outputs": outputs()},
        "rows": {"inputs": row, "outputs": outputs()},
    }
