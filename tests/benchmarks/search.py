"""The default search beside Optuna's own samplers: how near 20 trials come to the optimum. `make bench` runs it.

A study is 20 trials, 5 in parallel: five are kept running, and which of them ends next is drawn from the study's seed,
the same for every sampler. Measured are the regret, which is the true value (without noise) of the trial that came out
best, above the optimum; and the seconds that all suggestions and reports of a study took. Tables show the median over
the seeds with its 95 % interval from 10,000 bootstrap samples.

No function has its optimum in the middle of its space, where a search that begins there would find it by chance:
Ackley, Levy and Rosenbrock are moved. The noise of `noisy-hartmann-3` has a deviation of 0.3, a twelfth of its range.
`categorical` has the form of a network's error over optimiser, activation, learning rate and dropout, `babyweight` that
over the tutorial's three integers; both are drawn up for this benchmark. The sampler's settings were chosen on seeds
from 1000 and on other functions: camel, Hartmann-4, Powell, Zakharov and the like, and Hartmann-3 without noise.

Optuna's GPSampler needs PyTorch and lies, as the PyTorch rows of run.py, in an environment of its own; where pip finds
no PyTorch, its rows say so. It is given a start of 5 trials: with its default of 10 half a study of 20 would be random.
All samplers run with one thread. Studies are interleaved: each seed is run by every sampler before the next begins.

    .venv/bin/python tests/benchmarks/search.py                    the whole: an hour, most of it GPSampler's
    .venv/bin/python tests/benchmarks/search.py branin --only ours tpe    one function, two samplers
    .venv/bin/python tests/benchmarks/search.py --quick            does it run? The figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy is imported; the workers inherit it

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
REQUIREMENTS = ["-r", str(HERE / "requirements.txt"), f"optuna=={optuna.__version__}", "scipy"]
TRIALS, PARALLEL = 20, 5
SAMPLERS = {
    "ours": "ours, Gaussian process",
    "gp": "Optuna GPSampler",
    "tpe": "Optuna TPESampler",
    "random": "Optuna RandomSampler",
}

Params = dict[str, Any]
Array = np.ndarray
Space = dict[str, BaseDistribution]


def _vector(params: Params) -> Array:
    return np.array([params[f"x{number}"] for number in range(len(params))])


def _cube(count: int, low: float, high: float) -> Space:
    return {f"x{number}": FloatDistribution(low, high) for number in range(count)}


# the shift of what would else have its optimum at the same number in each dimension, as a part of the half-width
_SHIFT = np.array([0.37, -0.24, 0.51, -0.43, 0.16, 0.29, -0.56, -0.11])


def branin(params: Params) -> float:
    x, y = params["x0"], params["x1"]
    wave = 10 * (1 - 1 / (8 * np.pi)) * np.cos(x)
    return float((y - 5.1 / (4 * np.pi**2) * x**2 + 5 / np.pi * x - 6) ** 2 + wave + 10)


_HEIGHTS = np.array([1.0, 1.2, 3.0, 3.2])
_WIDTHS_3 = np.array([[3, 10, 30], [0.1, 10, 35]] * 2)
_PEAKS_3 = 1e-4 * np.array([[3689, 1170, 2673], [4699, 4387, 7470], [1091, 8732, 5547], [381, 5743, 8828]])
_WIDTHS_6 = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
_PEAKS_6 = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def hartmann(params: Params) -> float:
    point = _vector(params)
    widths, peaks = (_WIDTHS_3, _PEAKS_3) if len(point) == 3 else (_WIDTHS_6, _PEAKS_6)
    return float(-_HEIGHTS @ np.exp(-(widths * (point - peaks) ** 2).sum(1)))


def ackley(params: Params) -> float:
    z = _vector(params)
    z = z - 10 * _SHIFT[: len(z)]
    return float(20 + np.e - 20 * np.exp(-0.2 * np.sqrt((z**2).mean())) - np.exp(np.cos(2 * np.pi * z).mean()))


def rosenbrock(params: Params) -> float:
    z = _vector(params)  # its optimum, all ones, lies at three quarters of the range
    return float((100 * (z[1:] - z[:-1] ** 2) ** 2 + (1 - z[:-1]) ** 2).sum())


def levy(params: Params) -> float:
    z = _vector(params)
    w = 1 + (z - 6 * _SHIFT[: len(z)]) / 4
    middle = (w[:-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * w[:-1] + 1) ** 2)
    end = (w[-1] - 1) ** 2 * (1 + np.sin(2 * np.pi * w[-1]) ** 2)
    return float(np.sin(np.pi * w[0]) ** 2 + middle.sum() + end)


def categorical(params: Params) -> float:
    optimizer = {"sgd": (-0.9, 0.25), "momentum": (-1.9, 0.08), "adam": (-2.8, 0.0), "adagrad": (-1.3, 0.3)}
    activation = {"relu": (0.0, 0.3), "tanh": (0.15, 0.15), "sigmoid": (0.6, 0.05), "elu": (0.05, 0.45)}
    (rate, slow), (weak, dropout) = optimizer[params["optimizer"]], activation[params["activation"]]
    off = np.log10(params["learning_rate"]) - rate
    return float(slow + weak + 0.35 * off**2 * (1 + 0.5 * np.tanh(off)) + 2 * (params["dropout"] - dropout) ** 2)


def babyweight(params: Params) -> float:
    batch, network = np.log2(params["batch_size"]), np.log2(params["nnsize"])
    embedding = (params["nembeds"] - 8) / 10
    steep = 0.06 * (batch - 4.8) ** 2 + 0.05 * (batch - 4.8) * (network - 7.6) + 0.09 * (network - 7.6) ** 2
    return float(1.0 + steep + 0.08 * embedding**2 + 0.015 * np.sin(2.5 * batch) * np.cos(2 * network))


TUTORIAL: Space = {
    "batch_size": IntDistribution(8, 512, log=True),
    "nembeds": IntDistribution(3, 30),
    "nnsize": IntDistribution(64, 512, log=True),
}
NETWORK: Space = {
    "optimizer": CategoricalDistribution(["sgd", "momentum", "adam", "adagrad"]),
    "activation": CategoricalDistribution(["relu", "tanh", "sigmoid", "elu"]),
    "learning_rate": FloatDistribution(1e-5, 1.0, log=True),
    "dropout": FloatDistribution(0.0, 0.8),
}


def _best_of_grid() -> float:
    """Return the least of `babyweight` over all its whole numbers."""
    axes = np.meshgrid(np.arange(8, 513), np.arange(64, 513))
    batch, network = np.log2(axes[0]), np.log2(axes[1])
    steep = 0.06 * (batch - 4.8) ** 2 + 0.05 * (batch - 4.8) * (network - 7.6) + 0.09 * (network - 7.6) ** 2
    return float((1.0 + steep + 0.015 * np.sin(2.5 * batch) * np.cos(2 * network)).min())


# function -> space, function, its least value, deviation of the noise
FUNCTIONS: dict[str, tuple[Space, Callable[[Params], float], float, float]] = {
    "branin": ({"x0": FloatDistribution(-5, 10), "x1": FloatDistribution(0, 15)}, branin, 0.397887, 0.0),
    "hartmann-6": (_cube(6, 0, 1), hartmann, -3.32237, 0.0),
    "noisy-hartmann-3": (_cube(3, 0, 1), hartmann, -3.86278, 0.3),
    "categorical": (NETWORK, categorical, 0.0, 0.0),
    "babyweight": (TUTORIAL, babyweight, _best_of_grid(), 0.0),
    "levy-8": (_cube(8, -10, 10), levy, 0.0, 0.0),
    "ackley-5": (_cube(5, -10, 10), ackley, 0.0, 0.0),
    "rosenbrock-4": (_cube(4, -2, 2), rosenbrock, 0.0, 0.0),
    "levy-4": (_cube(4, -10, 10), levy, 0.0, 0.0),
}


def _sampler(name: str, seed: int, space: Space) -> optuna.samplers.BaseSampler:
    if name == "ours":
        from mlhelpers.tuning.sampler import GaussianProcessSampler

        return GaussianProcessSampler(seed, space)
    if name == "gp":
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=5)
    return optuna.samplers.TPESampler(seed=seed) if name == "tpe" else optuna.samplers.RandomSampler(seed=seed)


def study(sampler: str, function: str, seed: int, trials: int) -> dict[str, float]:
    """Return regret and seconds of one study."""
    space, true_value, least, noise = FUNCTIONS[function]
    generator = np.random.default_rng([seed, trials])
    errors, turns = noise * generator.normal(size=trials), generator.random(trials)
    found, running = optuna.create_study(sampler=_sampler(sampler, seed, space)), []
    seconds, best = 0.0, (np.inf, np.inf)
    for number in range(trials + PARALLEL - 1):
        began = time.perf_counter()
        if number < trials:
            running.append(found.ask(space))
        seconds += time.perf_counter() - began
        if number >= PARALLEL - 1:
            trial = running.pop(int(turns[number - PARALLEL + 1] * len(running)))
            value = true_value(trial.params)
            told = value + errors[trial.number]
            best = min(best, (told, value))
            began = time.perf_counter()
            found.tell(trial, told)
            seconds += time.perf_counter() - began
    return {"regret": best[1] - least, "seconds": seconds}


def work() -> None:
    """Answer requests, a line of JSON each, until there are no more."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for line in sys.stdin:
        print(json.dumps(study(*json.loads(line))), flush=True)


class Worker:
    """This script in another process: in PyTorch's environment, or in the project's own."""

    def __init__(self, python: str) -> None:
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        environment = os.environ | {"PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}
        command = [python, __file__, "--work"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, *request: object) -> dict[str, float]:
        stdin, stdout = self._pipes()
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        answer = stdout.readline()
        if not answer:
            raise SystemExit(f"{request}: the worker ended with code {self._process.wait()}")
        return dict(json.loads(answer))

    def close(self) -> None:
        self._pipes()[0].close()
        self._process.wait(10)

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout


def environment(folder: Path) -> str:
    """Make the environment with PyTorch, or take up the one that is there; return why it cannot be, else nothing."""
    wanted, stamp = (HERE / "requirements.txt").read_text("utf-8") + " ".join(REQUIREMENTS[2:]), folder / "ready"
    if not stamp.is_file() or stamp.read_text("utf-8") != wanted:
        print("Making PyTorch's environment ...", flush=True)
        venv.create(folder, clear=True, symlinks=True)
        pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
        done = subprocess.run([*pip, "install", "-q", *REQUIREMENTS], capture_output=True, text=True)
        if done.returncode:
            return next(line for line in reversed(["pip failed", *done.stderr.splitlines()]) if line.strip())
        stamp.write_text(wanted, encoding="utf-8")
    return ""


def interval(values: list[float]) -> tuple[float, float, float]:
    """Return the median and the ends of its 95 % interval, by the bootstrap."""
    samples = np.random.default_rng(0).choice(values, (10_000, len(values)))
    low, high = np.quantile(np.median(samples, axis=1), [0.025, 0.975])
    return float(np.median(values)), float(low), float(high)


def table(figures: dict[str, dict[str, list[dict[str, float]]]]) -> str:
    """Return function by sampler: regret with its interval, and seconds."""
    from tabulate import tabulate

    lines = []
    for function, rows in figures.items():
        for sampler, results in rows.items():
            if not results:
                lines.append([function, SAMPLERS[sampler], "NO PYTORCH, not measured", None, 0])
                continue
            middle, low, high = interval([result["regret"] for result in results])
            seconds = float(np.median([result["seconds"] for result in results]))
            spread = f"{middle:.3g} [{low:.3g} to {high:.3g}]"
            lines.append([function, SAMPLERS[sampler], spread, seconds, len(results)])
    headers = ["function", "sampler", "median regret [95 %]", "seconds a study", "studies"]
    return str(tabulate(lines, headers=headers, floatfmt=".2f", missingval="-", disable_numparse=[2]))


def main() -> int:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("functions", nargs="*", metavar="FUNCTION", help=f"of {', '.join(FUNCTIONS)}; all if none")
    parser.add_argument("--only", nargs="+", choices=SAMPLERS, default=list(SAMPLERS), help="samplers")
    parser.add_argument("--seeds", type=int, default=50, help="studies of each, seeds 0, 1, ...")
    parser.add_argument("--quick", action="store_true", help="one seed, 12 trials")
    root = ROOT / "data" / "runs" / "benchmarks"
    parser.add_argument("--folder", type=Path, default=root, help="where environment and figures go")
    parser.add_argument("--python", help="an interpreter that has PyTorch and Optuna, instead of a new environment")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work()
        return 0
    if unknown := sorted(set(options.functions) - set(FUNCTIONS)):
        parser.error(f"there is no function {unknown[0]!r}; there are {', '.join(FUNCTIONS)}")
    options.folder.mkdir(parents=True, exist_ok=True)
    pythons = dict.fromkeys(options.only, sys.executable)
    no_torch = ""
    if "gp" in options.only:
        folder = options.folder / "environment-search"
        no_torch = "" if options.python else environment(folder)
        pythons["gp"] = options.python or str(folder / "bin" / "python")
        if no_torch:
            del pythons["gp"]
    figures = measure(options, pythons)
    print(f"\n{table(figures)}")
    if no_torch:
        print(f"\n!! NO PYTORCH, GPSampler is not measured. {no_torch}\n!! {HERE / 'requirements.txt'} says more.")
    return 0


def measure(options: argparse.Namespace, pythons: dict[str, str]) -> dict[str, dict[str, list[dict[str, float]]]]:
    """Run every study, seed by seed; what is known goes to the file of figures after each seed."""
    seeds, trials = (1, 12) if options.quick else (options.seeds, TRIALS)
    names = options.functions or list(FUNCTIONS)
    figures: dict[str, dict[str, list[dict[str, float]]]] = {name: {row: [] for row in options.only} for name in names}
    machine = {"cores": os.cpu_count(), "machine": platform.platform(), "optuna": optuna.__version__}
    path = options.folder / f"search-{time.strftime('%Y%m%d-%H%M%S')}.json"
    workers = {python: Worker(python) for python in set(pythons.values())}
    for seed in range(seeds):
        for function in names:
            for sampler, python in pythons.items():
                figures[function][sampler].append(workers[python].ask(sampler, function, seed, trials))
        text = json.dumps({"quick": options.quick, "trials": trials, **machine, "figures": figures}, indent=1)
        path.write_text(text + "\n", encoding="utf-8")
        print(f"seed {seed} of {seeds}", flush=True)
    for worker in workers.values():
        worker.close()
    print(f"\nevery study: {path}")
    return figures


if __name__ == "__main__":
    sys.exit(main())
