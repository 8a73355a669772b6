"""The skeleton of every trainer: flags in, a run in its output folder, an exit code out."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from mlhelpers.errors import DataError, MLHelpersError, ReplicaError, UsageError
from mlhelpers.storage import local_path, write_aside
from mlhelpers.trainers.cluster import read_cluster
from mlhelpers.trainers.flags import parse
from mlhelpers.trainers.reporting import Reporter

__all__ = ["claim_folder", "finish", "leave_to_chief", "main", "output_folder", "write_json"]

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


def output_folder(output_dir: str, job_dir: str = "", is_chief: bool = True) -> Path:
    """Return the run's folder, made if it is missing.

    Args:
        output_dir: `--output_dir`, a folder or a gs:// address.
        job_dir: `--job-dir`, used where `output_dir` is empty.
        is_chief: Whether this process writes into it; for others it is neither made nor looked into.

    Raises:
        UsageError: Neither was given.
        DataError: It cannot be made or written to.
    """
    if not (output_dir or job_dir):
        raise UsageError("--output_dir is missing: the folder for checkpoints, events and the export.")
    folder = local_path(output_dir or job_dir).resolve()
    if not is_chief:
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
    model: Any,
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
        model: The Keras model, for the number of its parameters.
        steps: How many steps were trained.
        result: What was measured last, by metric; goes to history, events and the metric file.
        export: Writes the export directory and returns it.
        part: What it was measured on.
        headline: How the last line begins.
        more: Further fields of metrics.json.

    Returns:
        The export directory.

    Raises:
        DataError: A file cannot be written.
    """
    reporter.evaluate(steps, part, result, tune=True)
    reporter.save_history()
    reporter.phase("exporting", result)
    run = {"steps": steps, "seconds": round(reporter.seconds, 2), "parameters": int(model.count_params())}
    write_json(folder / "metrics.json", {**result, **(more or {}), **run})
    where = export()
    reporter.phase("done", result)
    reporter.say(f"exported to {where}")
    reporter.say(f"{headline} after {steps} steps in {reporter.seconds:.1f} s")
    reporter.close()
    return where


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, aside first."""
    with write_aside(path) as aside:
        aside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
