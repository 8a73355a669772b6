"""What the scikit-learn trainers share: a pipeline fitted once, kept in the run's folder, written with skops.

A pipeline is fitted in one call, so a run has one step, and nothing in between to go on from: a run that was broken off
fits again, one that had ended says so and fits nothing.

skops (https://skops.readthedocs.io) writes an object as plain data with the names of its types; opening the file runs
no code of its maker's, and a type that is not known to be harmless is refused. Our pipelines are made of types that
skops trusts without being told: anybody opens them with `skops.io.load(file)`. It does not trust trees, whose numbers
scikit-learn follows without checking; so a linear model on good features is the better export where it is as accurate.
"""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mlhelpers.errors import DataError, MissingExtraError
from mlhelpers.storage import write_aside
from mlhelpers.trainers.base import write_json
from mlhelpers.trainers.reporting import Reporter

__all__ = ["count_coefficients", "fit", "import_sklearn", "write_skops"]

_FILE = "model.skops"


def import_sklearn() -> None:
    """Import scikit-learn and skops now, so that a missing one is told before any work is done.

    Raises:
        MissingExtraError: One of them is not installed.
    """
    try:
        import skops.io  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("scikit-learn with skops", "frameworks") from error


def fit(
    pipeline: Any,
    table: NDArray[Any],
    targets: NDArray[Any],
    folder: Path,
    measure: Callable[[Any], dict[str, float]],
    validate: Callable[[Any], dict[str, float]] | None = None,
) -> tuple[Any, Reporter]:
    """Fit a pipeline, or take the one that an earlier run in the folder fitted.

    Writes `folder/checkpoints/model.skops` and TensorBoard events to `folder/train` and `folder/eval`.

    Args:
        pipeline: Unfitted.
        table: What to learn from, (n, k).
        targets: What to learn, (n,).
        folder: The run's folder.
        measure: Measures the fitted pipeline on the training rows; "loss" stands first.
        validate: Measures it on validation rows, where there are any.

    Returns:
        The fitted pipeline and the reporter, still open.

    Raises:
        DataError: The pipeline that was kept cannot be read, or none can be written.
    """
    kept = folder / "checkpoints" / _FILE
    if kept.is_file():
        fitted, seconds = _read(kept)
        reporter = Reporter(folder, 1, 1, seconds)
        reporter.say("the pipeline is fitted already, by an earlier run in this folder; it is evaluated and exported")
    else:
        reporter = Reporter(folder, 1)
        reporter.phase("training")
        began = time.monotonic()
        fitted = pipeline.fit(table, targets)
        elapsed = time.monotonic() - began
        reporter.train(1, measure(fitted), elapsed, keep=True)
        write_json(kept.with_name("seconds.json"), elapsed)
        write_skops(fitted, kept.parent)
    if validate is not None:
        reporter.evaluate(1, "validation", validate(fitted))
    return fitted, reporter


def write_skops(fitted: Any, folder: Path) -> None:
    """Write `model.skops` into a folder, aside first.

    Args:
        fitted: A fitted estimator.
        folder: Where to.

    Raises:
        DataError: It cannot be written.
    """
    import skops.io

    with write_aside(folder / _FILE) as aside:
        skops.io.dump(fitted, aside, compression=zipfile.ZIP_DEFLATED)


def count_coefficients(pipeline: Any) -> int:
    """Return how many coefficients and intercepts the linear model at a pipeline's end has learnt."""
    import numpy as np

    model = pipeline[-1]
    return int(np.size(model.coef_) + np.size(model.intercept_))


def _read(path: Path) -> tuple[Any, float]:
    import skops.io

    try:
        return skops.io.load(path), float(json.loads(path.with_name("seconds.json").read_text(encoding="utf-8")))
    # a damaged file comes as one of many classes: of the archive, of JSON, of skops, of scikit-learn itself
    except Exception as error:
        raise DataError(
            f"{path} cannot be read by this trainer: {error}. Remove {path.parent.parent} to start afresh, or choose "
            "another output folder."
        ) from error
