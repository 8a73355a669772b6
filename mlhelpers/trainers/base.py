"""The skeleton of every trainer: flags in, a run in its output folder, an exit code out."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from mlhelpers.errors import DataError, MLHelpersError, ReplicaError, UsageError, unknown_name
from mlhelpers.storage import local_path, write_aside
from mlhelpers.trainers.cluster import Cluster, read_cluster
from mlhelpers.trainers.flags import parse
from mlhelpers.trainers.metric_file import MetricFile
from mlhelpers.trainers.reporting import Reporter

__all__ = ["claim_folder", "finish", "hypertune_callback", "leave_to_chief", "main", "output_folder", "write_json"]

_FAILED_FOR_GOOD = 65
_T = TypeVar("_T")


def main(
    hyperparameters: type[_T],
    train: Callable[[_T], object],
    module: str,
    argv: Sequence[str] | None = None,
    shares: bool = True,
) -> None:
    """Run a trainer as a command and exit with its code.

    0: done, also by a replica that TF_CONFIG gives nothing to do, such as a parameter server, which says so. 2: asked
    wrongly. 65 (EX_DATAERR of sysexits.h): it failed, and would again, so that a job does not start it once more.
    1: another replica is gone, and starting again mends that.

    Args:
        hyperparameters: The dataclass that the flags come from.
        train: Does the work.
        module: The trainer's module path, for the help page.
        argv: The command line's words; the process's own where None.
        shares: Whether the trainer can share its batches between processes.
    """
    try:
        settings = parse(hyperparameters, sys.argv[1:] if argv is None else argv, module)
        if reason := read_cluster().reason_to_leave(shares):
            print(reason, flush=True)
            return
        train(settings)
    except UsageError as error:
        _fail(module, error, 2)
    except ReplicaError as error:
        _fail(module, error, 1)
    except MLHelpersError as error:
        _fail(module, error, _FAILED_FOR_GOOD)
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)


def _fail(module: str, error: MLHelpersError, code: int) -> None:
    print(f"{module}: {error}", file=sys.stderr, flush=True)
    sys.exit(code)


def output_folder(output_dir: str, job_dir: str = "", cluster: Cluster | None = None) -> Path:
    """Return the run's folder, made if it is missing.

    Every trial of a hyperparameter study is given the same flags beside the tuned ones. Its folder is therefore
    `output_dir/3` in trial 3; `--job-dir` stays as it is, for the service has put the trial there already.

    Args:
        output_dir: The trainer's own flag, `--output_dir` or `--model_dir`: a folder or a gs:// address.
        job_dir: `--job-dir`, used where `output_dir` is empty.
        cluster: What TF_CONFIG says; read here if None. A process that is not the chief writes nothing: for it the
            folder is neither made nor looked into.

    Raises:
        UsageError: Neither was given, or TF_CONFIG is malformed.
        DataError: It cannot be made or written to.
    """
    if not (output_dir or job_dir):
        raise UsageError("--output_dir is missing: the folder for checkpoints, events and the export.")
    cluster = cluster or read_cluster()
    folder = local_path(output_dir or job_dir)
    if output_dir:
        folder /= cluster.trial
    folder = folder.resolve()
    if not cluster.is_chief:
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"The output folder {folder} cannot be made: {error.strerror}. Choose another one.") from error
    if not os.access(folder, os.W_OK):
        raise DataError(f"The output folder {folder} cannot be written to. Choose another one.")
    return folder


def claim_folder(folder: Path, hyperparameters: Any, free: Sequence[str]) -> None:
    """Write the run's settings into its folder, or check that an earlier run there had the same.

    A run that goes on from the checkpoints of another network or another seed would be neither of the two.

    Args:
        folder: The run's folder.
        hyperparameters: The dataclass instance, resolved.
        free: Names of fields that may differ between the two.

    Raises:
        UsageError: The folder holds a run with other settings; they are named.
        DataError: The settings it holds are damaged.
    """
    path = folder / "hyperparameters.json"
    mine = json.loads(json.dumps(asdict(hyperparameters)))  # tuples become lists, as they come back from a file
    if path.is_file():
        try:
            theirs = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{path} is damaged ({error}). Remove {folder} or choose another output folder.") from error
        other = [
            f"{name} {theirs[name]!r} (now {value!r})"
            for name, value in mine.items()
            if name not in free and name in theirs and theirs[name] != value
        ]
        if other:
            raise UsageError(
                f"{folder} holds a run with other settings: {', '.join(other)}. "
                "Choose another output folder, or remove that one to start afresh."
            )
    write_json(path, mine)


def leave_to_chief(reporter: Reporter, folder: Path) -> Path:
    """End the part of a process that is not the chief: it neither evaluates nor exports.

    Args:
        reporter: The run's; closed afterwards.
        folder: The run's folder.

    Returns:
        The run's folder, into which the chief exports.
    """
    reporter.phase("waiting")
    reporter.say("trained; the chief evaluates and exports")
    reporter.close()
    return folder


def finish(
    reporter: Reporter,
    folder: Path,
    parameters: int,
    steps: int,
    result: dict[str, float],
    export: Callable[[], Path],
    *,
    part: str = "test",
    headline: str,
    more: Mapping[str, Any] | None = None,
) -> Path:
    """End a run: report what was measured, write metrics.json, export, and say so.

    Args:
        reporter: The run's; closed afterwards.
        folder: The run's folder.
        parameters: How many numbers the model has learnt.
        steps: How many steps were trained.
        result: What was measured last, by metric; goes to history and events, and to a study's metric file if the
            run had no validation.
        export: Writes the export directory and returns it.
        part: What it was measured on.
        headline: How the last line begins.
        more: Further fields of metrics.json.

    Returns:
        The export directory.

    Raises:
        DataError: A file cannot be written.
    """
    reporter.evaluate(steps, part, result)
    reporter.save_history()
    reporter.phase("exporting", result)
    run = {"steps": steps, "seconds": round(reporter.seconds, 2), "parameters": parameters}
    write_json(folder / "metrics.json", {**result, **(more or {}), **run})
    where = export()
    reporter.phase("done", result)
    reporter.say(f"exported to {where}")
    reporter.say(f"{headline} after {steps} steps in {reporter.seconds:.1f} s")
    reporter.close()
    return where


def hypertune_callback(tag: str | None = None, metric: str | None = None) -> Any:
    """Return a Keras callback with which a trainer of your own reports each epoch to a hyperparameter study.

    It writes the metric file with `cloudml-hypertune`, on every Keras backend. Outside of a study, where
    CLOUD_ML_HP_METRIC_FILE is not set, and in a process that is not the chief, it does nothing. The step is the number
    of epochs that are over, counted on when the model is fitted again with the same callback. One callback is enough,
    and two would write over each other. The file holds the last 100 values.

    Args:
        tag: The name under which the study knows the metric (hyperparameterMetricTag); the metric's own if None.
        metric: Which of Keras' logs to report; if None the one named as the tag, "val_" and the tag going first. With
            neither all logs are reported, or where there are validation data, all that begin with "val_".

    Returns:
        A `keras.callbacks.Callback`.

    Raises:
        UsageError: At the end of the first epoch: Keras' logs have no such metric.

    Example:
        >>> model.fit(x, y, validation_split=0.2, epochs=20, callbacks=[hypertune_callback("accuracy")])
    """
    import keras

    class HypertuneCallback(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is untyped
        def __init__(self) -> None:
            super().__init__()
            self._file: MetricFile | None = None
            self._epochs = 0

        def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            if not os.environ.get("CLOUD_ML_HP_METRIC_FILE") or not read_cluster().is_chief:
                return
            self._file = self._file or MetricFile(first_step=epoch)
            self._epochs = max(self._epochs, epoch) + 1
            self._file.report(self._epochs, _choose(logs or {}, tag, metric))

    return HypertuneCallback()


def _choose(logs: Mapping[str, Any], tag: str | None, metric: str | None) -> dict[str, float]:
    """Return what a callback reports of an epoch's logs, by tag."""
    if tag is None and metric is None:
        names = [name for name in logs if name.startswith("val_")] or list(logs)
        return {name: float(logs[name]) for name in names}
    name = metric or (f"val_{tag}" if f"val_{tag}" in logs else str(tag))
    if name not in logs:
        raise unknown_name("metric in Keras' logs", name, logs, "Name it in hypertune_callback, or compile it in.")
    return {tag or name: float(logs[name])}


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, aside first."""
    with write_aside(path) as aside:
        aside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
