"""Side by side with plain Keras and PyTorch, each peer in a process of its own. `make bench` runs everything.

- `accuracy`: training time until 99.0 % of the test digits are right. Ours is the default recipe at the fixed end of
  its schedule; the peers are looked at every 200 steps and count from the first time they are there. Looking, reading
  and exporting are not counted, compiling is. One run per seed. A peer is given up after 15 minutes of training.
- `speed`: training steps a second of the tutorial network, batches of 100.
- `latency`: one picture through the shipped model, in process; time from import to the first answer; memory.

Rounds are interleaved; tables show medians. The figures of every round go to data/runs/benchmarks as JSON.

    .venv/bin/python tests/benchmarks/run.py accuracy --seeds 0 1 2       half an hour on two cores, or more
    .venv/bin/python tests/benchmarks/run.py latency --only litert predict  two of its rows
    .venv/bin/python tests/benchmarks/run.py --quick                      does it run? The figures mean nothing.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from tabulate import tabulate

from mlhelpers import datasets
from mlhelpers.datasets.mnist import _examples
from mlhelpers.datasets.records import write_records

HERE = Path(__file__).resolve().parent

# benchmark -> row -> what it is, and its script; the first row is what the others are compared with
ROWS = {
    "accuracy": {
        "ours": ("our default recipe, whole schedule", ""),
        "keras-fit": ("tutorial recipe, Keras fit", "keras_fit.py"),
        "pytorch": ("PyTorch's MNIST example", "pytorch.py"),
    },
    "speed": {
        "ours": ("our loop", ""),
        "keras-fit": ("Keras fit", "keras_fit.py"),
        "pytorch": ("PyTorch", "pytorch.py"),
        "pytorch-channels-last": ("PyTorch, channels last", "pytorch.py"),
    },
    "latency": {
        "litert": ("LiteRT", "latency.py"),
        "predict": ("LiteRT through predict()", "latency.py"),
        "savedmodel": ("SavedModel signature", "latency.py"),
        "keras-predict": ("Keras predict", "latency.py"),
    },
}
COLUMNS = {
    "accuracy": ["seconds", "accuracy", "steps"],
    "speed": ["steps_per_second"],
    "latency": ["median_ms", "p99_ms", "calls", "load_s", "memory_mb"],
}
SETTINGS: dict[str, dict[str, Any]] = {
    "accuracy": {"target": 0.99, "look_every": 200, "give_up_s": 900},
    "speed": {"warm_up": 30, "steps": 300},
    "latency": {"calls": 3000, "give_up_s": 20},
}
QUICK: dict[str, dict[str, Any]] = {
    "accuracy": {"target": 0.05, "look_every": 2, "give_up_s": 10},
    "speed": {"warm_up": 1, "steps": 3},
    "latency": {"calls": 20, "give_up_s": 5},
}


class PeerError(Exception):
    """A peer gives no figures; the text says why."""


def main() -> int:
    """Measure what the command line asks for; return 1 if a peer failed (PyTorch missing is no failure)."""
    options = _options()
    if os.getloadavg()[0] > 0.5 * (os.cpu_count() or 1):
        print(f"!! The machine is busy (load {os.getloadavg()[0]:.1f}); the figures will mislead.", flush=True)
    data = _write_data(options.folder / ("data-quick" if options.quick else "data"), 600 if options.quick else None)
    raw = {name: {row: [] for row in ROWS[name] if row in (options.only or [row])} for name in options.benchmarks}
    wants_torch = any(row.startswith("pytorch") for rows in raw.values() for row in rows)
    no_torch = _make_environment(options.folder / "environment") if wants_torch else ""
    for name, rows in raw.items():
        for number in options.seeds if name == "accuracy" else range(options.rounds):
            for row, results in rows.items():
                try:
                    if no_torch and row.startswith("pytorch"):
                        raise PeerError("NO PYTORCH, not measured")
                    results.append(_measure(name, row, number, data, options))
                except PeerError as error:
                    results.append({"failed": str(error)})
                print(f"{name} {row} {number}: {results[-1]}", flush=True)
    machine = {"cores": os.cpu_count(), "machine": platform.platform(), "python": platform.python_version()}
    path = options.folder / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps({"quick": options.quick, **machine, "figures": raw}, indent=1) + "\n", encoding="utf-8")
    for name, rows in raw.items():
        print(f"\n{name}\n{_table(name, rows)}")
    if no_torch:
        print(f"\n!! NO PYTORCH, its rows are not measured. {no_torch}\n!! {HERE / 'requirements.txt'} says more.")
    print(f"\nevery round: {path}")
    failed = [row for rows in raw.values() for row, results in rows.items() if "failed" in str(results)]
    return int(any(not (no_torch and row.startswith("pytorch")) for row in failed))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "benchmarks", nargs="*", metavar="BENCHMARK", help=f"of {', '.join(ROWS)}; all if none is named"
    )
    names = sorted({row for rows in ROWS.values() for row in rows})
    parser.add_argument("--only", nargs="+", choices=names, metavar="ROW", help=f"of {', '.join(names)}")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="of accuracy, one run each")
    parser.add_argument("--rounds", type=int, default=5, help="of speed and latency")
    parser.add_argument("--quick", action="store_true", help="a few steps and calls, one round")
    root = HERE.parent.parent / "data" / "runs" / "benchmarks"
    parser.add_argument("--folder", type=Path, default=root, help="where data, environment and figures go")
    options = parser.parse_args()
    if unknown := sorted(set(options.benchmarks) - set(ROWS)):
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(ROWS)}")
    options.benchmarks, options.folder = options.benchmarks or list(ROWS), options.folder.absolute()
    if options.quick:
        options.seeds, options.rounds = [0], 1
    return options


def _write_data(folder: Path, size: int | None) -> Path:
    """Write the same pictures as records for our trainer and as arrays for the peers, once."""
    if (folder / "mnist.npz").is_file():
        return folder
    split = datasets.load("mnist")
    arrays = {"picture": split.test["images"][0].reshape(1, 784) / np.float32(255), "label": split.test["labels"][0]}
    for part in ("train", "validation", "test"):
        images, labels = getattr(split, part)["images"][:size], getattr(split, part)["labels"][:size]
        write_records(folder / f"{part}.tfrecords", _examples(images, labels))
        arrays |= {f"{part}_images": images, f"{part}_labels": labels}
    np.savez(folder / "part.npz", **arrays)
    (folder / "part.npz").rename(folder / "mnist.npz")
    return folder


def _make_environment(folder: Path) -> str:
    """Make PyTorch's environment, or take up the one that is there; return why it cannot be, else nothing."""
    wanted, stamp = (HERE / "requirements.txt").read_text("utf-8"), folder / "ready"
    if not stamp.is_file() or stamp.read_text("utf-8") != wanted:
        print("Making PyTorch's environment ...", flush=True)
        venv.create(folder, clear=True, symlinks=True)
        pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
        done = subprocess.run([*pip, "install", "-qr", str(HERE / "requirements.txt")], capture_output=True, text=True)
        if done.returncode:
            return next(line for line in reversed(["pip failed", *done.stderr.splitlines()]) if line.strip())
        stamp.write_text(wanted, encoding="utf-8")
    return ""


def _measure(name: str, row: str, number: int, data: Path, options: argparse.Namespace) -> dict[str, Any]:
    script, settings = ROWS[name][row][1], (QUICK if options.quick else SETTINGS)[name]
    if script:
        wanted = {"benchmark": name, "row": row, "seed": number, "data": str(data / "mnist.npz"), **settings}
        torch = str(options.folder / "environment" / "bin" / "python")
        python = torch if script == "pytorch.py" else sys.executable
        return dict(json.loads(_output([python, str(HERE / script), json.dumps(wanted)]).splitlines()[-1]))
    steps = settings.get("steps", 4 if options.quick else None)
    return _ours(data, options.folder / "run", "tutorial" if name == "speed" else "fast", number, steps)


def _ours(data: Path, folder: Path, architecture: str, seed: int, steps: int | None) -> dict[str, Any]:
    """Run our trainer as a user does, and read what it leaves."""
    shutil.rmtree(folder, ignore_errors=True)  # else it would go on from there
    command = [sys.executable, "-m", "mlhelpers.trainers.mnist", "--data_dir", str(data), "--output_dir", str(folder)]
    command += ["--architecture", architecture, "--seed", str(seed)] + (["--train_steps", str(steps)] if steps else [])
    _output(command)
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    with (folder / "history.csv").open(encoding="utf-8") as stream:
        history = [(int(row["step"]), float(row["seconds"])) for row in csv.DictReader(stream)]
    # the first row, after one step, holds the compiling; the second, two seconds on, still shorter calls
    (first, began), (last, ended) = history[min(1, len(history) - 2)], history[-1]
    figures = {column: metrics[column] for column in COLUMNS["accuracy"]}
    return figures | {"reached": metrics["accuracy"] >= 0.99, "steps_per_second": (last - first) / (ended - began)}


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"})
    if done.returncode:
        raise PeerError(f"exit code {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout


def _table(name: str, rows: dict[str, list[dict[str, Any]]]) -> str:
    columns, lines, base = COLUMNS[name], [], None
    for row, results in rows.items():
        good = [figures for figures in results if "failed" not in figures]
        notes = [f"FAILED {figures['failed'].splitlines()[-1]}" for figures in results if "failed" in figures][:1]
        if name == "accuracy" and (short := sum(not figures["reached"] for figures in good)):
            notes.append(f"{short} of {len(good)} NOT at 99.0 %")
        middles = [median(figures[column] for figures in good) if good else None for column in columns]
        base = middles[0] if row == next(iter(rows)) else base
        key = [figures[columns[0]] for figures in good]
        spread = f"{min(key):.4g} to {max(key):.4g}" if key else None
        ratio = middles[0] / base if key and base else None
        lines.append([ROWS[name][row][0], *middles, spread, ratio, "; ".join(notes)])
    headers = ["median of the rounds", *columns, f"{columns[0]}, range", f"times {next(iter(rows), '')}", ""]
    return tabulate(lines, headers=headers, floatfmt=".4g", missingval="-")


if __name__ == "__main__":
    sys.exit(main())
