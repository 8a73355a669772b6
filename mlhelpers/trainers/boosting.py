"""What the XGBoost trainers share: rounds of boosting with a curve, checkpoints, and one file that holds it all.

Texts are categories. XGBoost itself sees their places in a list of words; the list lies in the model file, as the
booster's attribute "categories" (JSON: feature -> its words in order), and the names of the classes beside it as
"class_names". Since 3.1 XGBoost can keep such lists on its own, but only where it is trained and asked with data frames
of pandas or pyarrow (https://xgboost.readthedocs.io/en/stable/tutorials/categorical.html), which we do without.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mlhelpers.errors import DataError, MissingExtraError, MLHelpersError
from mlhelpers.storage import write_aside
from mlhelpers.trainers.reporting import Reporter

__all__ = ["BoostingTask", "count_nodes", "fit", "import_xgboost", "write_booster"]

_REPORTS = 20
_KEPT = 2


@dataclass(frozen=True)
class BoostingTask:
    """What is to be trained.

    Attributes:
        parameters: XGBoost's own, by its names.
        rounds: Where training ends.
        table: What to learn from, (n, k) float32; a category is its place in the list of words.
        targets: What to learn, (n,).
        feature_names: The name of each column.
        categories: The words of each column that holds places, in order.
        class_names: The name of class 0, 1, …; none where numbers are predicted.
    """

    parameters: Mapping[str, Any]
    rounds: int
    table: NDArray[Any]
    targets: NDArray[Any]
    feature_names: Sequence[str]
    categories: Mapping[str, Sequence[str]] = field(default_factory=dict)
    class_names: Sequence[str] = ()


def import_xgboost() -> Any:
    """Import XGBoost.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import xgboost
    except ImportError as error:
        raise MissingExtraError("XGBoost", "frameworks") from error
    return xgboost


def fit(
    task: BoostingTask,
    folder: Path,
    measure: Callable[[NDArray[Any], NDArray[Any]], dict[str, float]],
    validate: Callable[[Callable[[NDArray[Any]], NDArray[Any]]], dict[str, float]],
    checkpoint_every_s: float = 15.0,
) -> tuple[Any, Reporter]:
    """Boost to the last round, from the newest checkpoint in `folder` if there is one.

    Writes checkpoints to `folder/checkpoints`, TensorBoard events to `folder/train` and `folder/eval`, and
    `folder/history.csv`. The same settings give the same trees, also where a run was broken off in between: every round
    sees every row, for XGBoost draws rows otherwise after a checkpoint was loaded.

    Args:
        task: Data, settings, length.
        folder: The run's folder.
        measure: Called with answers and targets of the training rows, returns metrics; "loss" stands first.
        validate: Called with the model as a function from tables to answers, returns metrics.
        checkpoint_every_s: Seconds between checkpoints.

    Returns:
        The booster and the reporter, still open.

    Raises:
        MLHelpersError: The loss is no longer a number.
        DataError: A checkpoint does not fit, or cannot be written.
    """
    xgboost = import_xgboost()
    types = ["c" if name in task.categories else "float" for name in task.feature_names]
    data = xgboost.DMatrix(task.table, task.targets, feature_names=list(task.feature_names), feature_types=types)
    parameters = {**task.parameters, "validate_parameters": True}
    booster = xgboost.Booster(parameters, [data])
    step, seconds = _restore(xgboost, booster, folder / "checkpoints")
    booster.set_param(parameters)  # a file that was loaded has put XGBoost's own in their place
    booster.set_attr(categories=json.dumps(dict(task.categories)), class_names=json.dumps(list(task.class_names)))
    reporter = Reporter(folder, task.rounds, step, seconds)
    if step:
        reporter.say(f"going on from the checkpoint at round {step}/{task.rounds}")
    every = max(1, task.rounds // _REPORTS)
    if step >= task.rounds:
        reporter.evaluate(step, "validation", validate(booster.inplace_predict))
    began = saved_at = time.monotonic()
    while step < task.rounds:
        booster.update(data, step)
        step += 1
        is_last = step == task.rounds
        if step % every and not is_last:
            continue
        metrics = measure(booster.predict(data), task.targets)
        if not math.isfinite(metrics["loss"]):
            raise MLHelpersError(
                f"The loss stopped being a number at round {step}. Lower --learning_rate, or look at the data."
            )
        reporter.train(step, metrics, time.monotonic() - began, keep=True)
        reporter.evaluate(step, "validation", validate(booster.inplace_predict))
        if time.monotonic() - saved_at >= checkpoint_every_s or is_last:
            _save(booster, folder / "checkpoints", step, reporter.seconds)
            reporter.save_history()
            saved_at = time.monotonic()
        began = time.monotonic()
    return booster, reporter


def write_booster(booster: Any, folder: Path) -> None:
    """Write `model.ubj` into a folder: XGBoost's own form, which any of its libraries reads.

    Args:
        booster: A trained booster.
        folder: Where to.
    """
    booster.set_attr(seconds=None)  # what only a checkpoint needs
    booster.save_model(folder / "model.ubj")


def count_nodes(booster: Any) -> int:
    """Return how many splits and leaves the trees have learnt."""
    return sum(len(tree.splitlines()) for tree in booster.get_dump())


def _save(booster: Any, folder: Path, step: int, seconds: float) -> None:
    booster.set_attr(seconds=str(seconds))
    with write_aside(folder / f"round-{step}.ubj") as aside:
        aside.write_bytes(booster.save_raw("ubj"))
    for path in _newest_first(folder)[_KEPT:]:
        path.unlink(missing_ok=True)


def _restore(xgboost: Any, booster: Any, folder: Path) -> tuple[int, float]:
    """Load the newest checkpoint that can be read; return its round and training seconds (0, 0 without one)."""
    paths = _newest_first(folder)
    for path in paths:
        try:
            booster.load_model(bytearray(path.read_bytes()))
            return int(booster.num_boosted_rounds()), float(booster.attr("seconds") or 0.0)
        except (xgboost.core.XGBoostError, OSError, ValueError):  # altered since: the one before may be whole
            continue
    if paths:
        raise DataError(
            f"No checkpoint in {folder} can be read by this trainer. Remove the run's folder to start afresh, or "
            "choose another output folder."
        )
    return 0, 0.0


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("round-*.ubj"), key=lambda path: int(path.stem.split("-")[1]), reverse=True)
