"""What a study costs beyond the training of its trials. `make bench` runs everything.

Twenty trials of a trainer that computes with TensorFlow for two seconds, as many at once as there are cores: with
processes kept warm, and cold. The peer is the ideal, the trials' training seconds over the trials at once.

- `beyond`: seconds a trial takes of its place beyond its training; the budget is 0.3 s for warm ones. From the begin of
  the first trial that started warm to the end of the last one.
- `ratio`: the same span over the ideal; the budget is 1.3 for warm ones.
- `whole`: from the call of `tune` to the end of the study, TensorFlow's first import among it.

Figures mean something only beside each other, on a machine that is idle. They go to data/runs/benchmarks as JSON.

    .venv/bin/python tests/benchmarks/studies.py
    .venv/bin/python tests/benchmarks/studies.py --quick       does it run? The figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import tempfile
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tabulate import tabulate

HERE = Path(__file__).resolve().parent
TRAINER = """
import argparse, time
parser = argparse.ArgumentParser(epilog="reports to tuning: loss")
parser.add_argument("--x", type=float)
parser.add_argument("--seconds", type=float)
flags, _ = parser.parse_known_args()
import tensorflow as tf
began = time.time()
import hypertune
matrix = tf.random.stateless_normal((300, 300), seed=(1, 2))
while time.time() - began < flags.seconds:
    matrix = tf.linalg.l2_normalize(matrix @ matrix)
hypertune.HyperTune().report_hyperparameter_tuning_metric("loss", flags.x, 1)
print("trained", time.time() - began, flush=True)
"""


def measure(package: Path, trials: int, seconds: float, is_warm: bool) -> dict[str, float]:
    """Run one study; return what it took."""
    from mlhelpers import jobs, tuning

    job = jobs.JobSpec(f"study_{time.time_ns()}", "trainer.task", args={"seconds": seconds}, package_path=package)
    spec = tuning.StudySpec(
        job, {"x": tuning.Float(0, 1)}, "loss", trials=trials, parallel=trials, algorithm="bayesian"
    )
    place = tuning.place()
    plan = place.plan(spec)
    template: dict[str, Any] = plan.request["local"]["study"]
    template["imports_tensorflow"] = is_warm
    began = time.monotonic()
    place.submit(replace(plan, request=plan.request))
    study = tuning.attach(job.name)
    study.wait(900, progress=False)
    whole = time.monotonic() - began
    at_once = template["at_once"]
    # the first ones wait for the import that all others find done
    later = sorted(study.results, key=lambda trial: trial.number)[at_once if is_warm else 0 :]
    logs = [jobs.attach(trial.job).log() for trial in later]
    trained = sum(float(re.findall(r"^trained (\S+)", log, re.MULTILINE)[-1]) for log in logs)
    moments = [datetime.fromisoformat(moment) for trial in later for moment in (trial.start_time, trial.end_time)]
    span = (max(moments) - min(moments)).total_seconds()
    return {
        "beyond": span * at_once / len(later) - trained / len(later),
        "ratio": span / (trained / at_once),
        "whole": whole,
        "at once": at_once,
    }


def main() -> None:
    """Measure both ways and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three trials of a fifth of a second, warm ones alone")
    parser.add_argument("--folder", type=Path, default=HERE.parents[1] / "data" / "runs" / "benchmarks")
    flags = parser.parse_args()
    trials, seconds, ways = (3, 0.2, ["warm"]) if flags.quick else (20, 2.0, ["warm", "cold"])
    with tempfile.TemporaryDirectory(prefix="mlhelpers-bench-") as place:
        os.environ["MLHELPERS_HOME"] = str(Path(place, "home"))
        package = Path(place, "project", "trainer")
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "task.py").write_text(TRAINER)
        figures = {way: measure(package, trials, seconds, way == "warm") for way in ways}
    rows = [[way, *(f"{value:.2f}" for value in found.values())] for way, found in figures.items()]
    heads = ("trials", "beyond its training, s a trial", "ratio to the ideal", "the whole study, s", "at once")
    print(tabulate(rows, heads, tablefmt="github"))
    flags.folder.mkdir(parents=True, exist_ok=True)
    told = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "trials": trials, "seconds": seconds}
    path = flags.folder / f"studies-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps(told | {"figures": figures}, indent=1) + "\n")
    print(f"figures: {path}")


if __name__ == "__main__":
    main()
