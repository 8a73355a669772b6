"""A trainer whose result can be computed by hand, and studies of it that leave no process behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from running_jobs import WriteTrainer, child_environment, no_process_is_left, until, write_trainer

from mlhelpers import jobs, tuning

__all__ = ["Tune", "child_environment", "no_process_is_left", "until", "write_trainer"]

Tune = Callable[..., Any]

# reports loss = (x - 0.25)^2 + 0.1 * layers + 1 / step; reads no framework, so a trial takes a moment
TRAINER = """
import argparse, os, sys, time
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float, default=1.0)
parser.add_argument("--layers", type=int, default=1)
parser.add_argument("--act", default="relu")
parser.add_argument("--steps", type=int, default=4)
parser.add_argument("--pause", type=float, default=0.0)
parser.add_argument("--fail-above", type=float, default=9.0)
parser.add_argument("--tag", default="loss")
parser.add_argument("--job-dir")
flags = parser.parse_args()
import hypertune
reporter = hypertune.HyperTune()
if flags.x > flags.fail_above:
    sys.exit("this x is too great")
for step in range(1, flags.steps + 1):
    time.sleep(flags.pause)
    loss = (flags.x - 0.25) ** 2 + 0.1 * flags.layers + 1 / step
    reporter.report_hyperparameter_tuning_metric(flags.tag, loss, step)
    print("step", step, flush=True)
"""


@pytest.fixture
def trainer(write_trainer: WriteTrainer) -> Path:
    """Give the package of the trainer above."""
    return write_trainer(TRAINER)


@pytest.fixture
def tune(trainer: Path, tmp_path: Path) -> Tune:
    """Give a function that starts a study of that trainer: four trials by random search where nothing else is said."""

    def start(space: tuning.Space | None = None, name: str = "study", **options: Any) -> Any:
        job = jobs.JobSpec(
            name,
            "trainer.task",
            package_path=trainer,
            args=options.pop("args", {}),
            job_dir=options.pop("job_dir", tmp_path / "out"),
            **({"max_retries": 0, "max_restarts": 0} | options.pop("job", {})),
        )
        given = {"metric": "loss", "trials": 4, "parallel": 2, "algorithm": "random"} | options
        return tuning.tune(job, space or {"x": tuning.Float(0.0, 1.0)}, **given)

    return start
