"""The local engine beside doing the same by hand: starting, listing, following. `make bench` runs everything.

- `start`: seconds from the call to the first line of a trainer that does nothing but print the time. The peer starts
  the same Python with the same module itself. The budget is 0.5 s above the peer, for `jobs.submit` in an open Python.
  With a setup.py beside the package two processes come on top, one that builds its sdist and one its wheel, both of
  which import setuptools. They have no budget; what is above `jobs.submit` is theirs.
- `list`: 10,000 jobs, recorded through the store with real transactions. The peer of the command is the command's own
  start-up. The budget is 0.3 s.
- `follow`: seconds from the printing of a line to its arrival at the follower. The peer is `tail -f` on the same file
  at the same time. The budget is 0.2 s.
- `trials`: the table of a study of 5,000 trials, each of 3 parameters and 5 reported values, in a fresh Python with all
  imports. The peer is Optuna alone, reading the same journal. The budget is 1 s.
- `memory`: a job prints 1 GB while somebody follows it: the peak memory of follower and supervisor.

Rounds are interleaved; tables show medians, which mean something only beside each other, on a machine that is idle.
The figures of every round go to data/runs/benchmarks as JSON.

    .venv/bin/python tests/benchmarks/local_jobs.py start --rounds 40
    .venv/bin/python tests/benchmarks/local_jobs.py --quick       does it run? The figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psutil
from tabulate import tabulate

HERE = Path(__file__).resolve().parent
COMMAND = [sys.executable, "-m", "mlhelpers.cli"]
TRAINERS = {
    "first_line": "import time\nprint(time.time(), flush=True)\n",
    "ticks": (
        "import random, sys, time\n"
        "for _ in range(int(sys.argv[1])):\n"
        "    time.sleep(random.uniform(0.03, 0.13))\n"
        "    print(time.time(), flush=True)\n"
    ),
    "flood": (
        "import sys\n"
        "line = 'step 100/100000  loss 0.1234  accuracy 0.9876  '.ljust(199, '.') + '\\n'\n"
        "for _ in range(int(sys.argv[1])):\n"
        "    sys.stdout.write(line * 5000)\n"  # a megabyte
    ),
}
SETUP = """\
from setuptools import find_packages, setup

setup(name="trainer", version="0.1", packages=find_packages())
"""
FULL = {"rounds": 20, "jobs": 10_000, "ticks": 200, "megabytes": 1000, "trials": 5000}
QUICK = {"rounds": 1, "jobs": 50, "ticks": 5, "megabytes": 3, "trials": 20}
# reads a study in a process of its own, as a notebook that was just opened does
TABLE = "import sys; from mlhelpers import tuning; assert len(tuning.attach('study').trials) == int(sys.argv[2])"
JOURNAL = """
import sys
from pathlib import Path
from mlhelpers.tuning.journal import read_study
assert len(read_study(Path(sys.argv[1]))) == int(sys.argv[2])
"""
# follows a job in a process of its own, as a user does, and tells its peak memory
FOLLOWER = """
import resource, sys, time
from mlhelpers import jobs
began, count, size = time.monotonic(), 0, 0
for entry in jobs.attach(sys.argv[1]).follow("master-replica-0"):
    count, size = count + 1, size + len(entry.message) + 1
print(count, size, time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""

Figures = dict[str, list[dict[str, float]]]


class Bench:
    """A store of its own and a package of trainers, and what is measured over them."""

    def __init__(self, folder: Path, sizes: dict[str, int]) -> None:
        self.folder, self.sizes = folder, sizes
        self.package = folder / "project" / "trainer"
        self.package.mkdir(parents=True)
        (self.package / "__init__.py").touch()
        for name, code in TRAINERS.items():
            (self.package / f"{name}.py").write_text(code)
        self.built = folder / "built" / "trainer"
        shutil.copytree(self.package, self.built)
        (self.built.parent / "setup.py").write_text(SETUP)
        self.count = 0

    def name(self) -> str:
        self.count += 1
        return f"job_{self.count}"

    def submit(self, module: str, *args: object, package: Path | None = None) -> Any:
        from mlhelpers import jobs

        words = [str(word) for word in args]
        folder = package or self.package
        return jobs.submit(jobs.JobSpec(self.name(), f"trainer.{module}", words, package_path=folder))

    def start(self) -> Figures:
        """Return seconds to the first line for each way of starting."""
        from mlhelpers import jobs

        ways: dict[str, Callable[[], float]] = {
            "by hand": self._start_by_hand,
            "jobs.submit": lambda: _first_line(self.submit("first_line")),
            "jobs.submit, with a setup.py": lambda: _first_line(self.submit("first_line", package=self._edited())),
            "mlhelpers jobs submit training": self._start_by_command,
            "mlhelpers --version, its start-up": lambda: _seconds_of([*COMMAND, "--version"]),
        }
        self._start_by_hand(), _first_line(self.submit("first_line"))  # from here on everything is in the page cache
        found: Figures = {way: [] for way in ways}
        for _ in range(self.sizes["rounds"]):
            for way, start in ways.items():
                began = time.time()
                seen = start()
                found[way].append({"seconds": seen if "start-up" in way else seen - began})
        assert all(job["state"] == "SUCCEEDED" for job in jobs.list_jobs())
        return found

    def _edited(self) -> Path:
        """Return the package with a setup.py, changed as before a new try, so that no build is taken up again."""
        (self.built / "edited.py").write_text(f"NUMBER = {self.count}\n")
        return self.built

    def _start_by_hand(self) -> float:
        command = [sys.executable, "-m", "trainer.first_line"]
        done = subprocess.run(command, cwd=self.package.parent, capture_output=True, text=True, check=True)
        return float(done.stdout)

    def _start_by_command(self) -> float:
        from mlhelpers import jobs

        name = self.name()
        words = ["jobs", "submit", "training", name, "--module-name", "trainer.first_line"]
        subprocess.run([*COMMAND, *words, "--package-path", str(self.package)], capture_output=True, check=True)
        return _first_line(jobs.attach(name))

    def list(self) -> Figures:
        """Return seconds for listing all jobs and the newest, in an open Python and as a command."""
        from mlhelpers import jobs

        self._record_jobs()
        ways: dict[str, Callable[[], float]] = {
            "list_jobs(), all": lambda: _seconds(jobs.list_jobs),
            "list_jobs(limit=20)": lambda: _seconds(lambda: jobs.list_jobs(limit=20)),
            "mlhelpers jobs list --limit 20": lambda: _seconds_of([*COMMAND, "jobs", "list", "--limit", "20"]),
            "mlhelpers jobs list, as it is": lambda: _seconds_of([*COMMAND, "jobs", "list"]),
            "mlhelpers jobs --help, its start-up": lambda: _seconds_of([*COMMAND, "jobs", "--help"]),
        }
        assert len(jobs.list_jobs()) >= self.sizes["jobs"]
        found: Figures = {way: [] for way in ways}
        for _ in range(self.sizes["rounds"]):
            for way, ask in ways.items():
                found[way].append({"seconds": ask()})
        return found

    def _record_jobs(self) -> None:
        from mlhelpers.jobs.local.store import Store
        from mlhelpers.settings import home_folder

        store = Store(home_folder("jobs"))
        store.prepare()
        arguments = {"scaleTier": "BASIC", "pythonModule": "trainer.task", "args": ["--train_steps=200"] * 8}
        began = time.monotonic()
        # a second connection, so that the write-ahead log is not folded into the database after each transaction
        beside = sqlite3.connect(store.folder / "jobs.sqlite")
        beside.execute("SELECT count(*) FROM jobs").fetchone()
        for number in range(self.sizes["jobs"]):
            row = {"name": f"old_{number}", "token": "", "labels": {"owner": "me"}, "training_input": arguments}
            store.add(row, then=lambda: None)
            store.finish(row["name"], ("SUCCEEDED", "FAILED", "CANCELLED")[number % 3], None, 0)
        beside.close()
        print(f"{self.sizes['jobs']:,} jobs recorded in {time.monotonic() - began:.1f} s", flush=True)

    def trials(self) -> Figures:
        """Return seconds for opening the table of a large study in a new Python, beside Optuna's own reading."""
        folder, count = self._record_study(), str(self.sizes["trials"])
        programs = {"Optuna, its trials": JOURNAL, "study.trials, a table": TABLE}
        found: Figures = {way: [] for way in programs}
        for _ in range(self.sizes["rounds"]):
            for way, program in programs.items():
                seconds = _seconds_of([sys.executable, "-c", program, str(folder), count])
                found[way].append({"seconds": seconds})
        return found

    def _record_study(self) -> Path:
        """Record a study whose journal holds one trial, written by Optuna, many times; return its folder."""
        import optuna

        from mlhelpers import tuning
        from mlhelpers.jobs import JobSpec
        from mlhelpers.jobs.local.store import Store
        from mlhelpers.settings import home_folder
        from mlhelpers.tuning.journal import open_study, suggest

        space = {
            "rate": tuning.Float(1e-4, 1.0, scale="log"),
            "units": tuning.Int(8, 512),
            "act": tuning.Choice(["relu", "tanh"]),
        }
        count = self.sizes["trials"]
        spec = tuning.StudySpec(JobSpec("study", "trainer.task"), space, trials=count, algorithm="random")
        store = Store(home_folder("jobs"))
        store.prepare()
        inputs = {"scaleTier": "BASIC", "pythonModule": "trainer.task", "hyperparameters": spec.hyperparameters()}
        store.add({"name": "study", "token": "", "labels": {}, "training_input": inputs}, then=lambda: None)
        store.finish("study", "SUCCEEDED", None, 0)
        folder = store.folder / "study"
        folder.mkdir()
        study = open_study(folder, "minimize", optuna.pruners.NopPruner(), fill=lambda study: None)
        trial = study.ask()
        suggest(trial, space)
        for name in ("start_time", "end_time"):
            trial.set_user_attr(name, "2026-05-01T12:00:00.000Z")
        for step in range(5):
            trial.report(1.0 / (step + 1), step)
        study.tell(trial, 0.5)
        journal = folder / "study.journal"
        head, *lines = journal.read_text().splitlines()
        one = "\n".join(lines)
        many = (one.replace('"trial_id":0,', f'"trial_id":{number},') for number in range(count))
        journal.write_text("\n".join([head, *many]) + "\n")
        return folder

    def follow(self) -> Figures:
        """Return seconds from the printing of each line to its arrival."""
        job = self.submit("ticks", self.sizes["ticks"])
        log = Path(job.describe()["localOutput"]["folder"]) / "logs" / "master-replica-0.log"
        by_tail: list[float] = []
        with subprocess.Popen(["tail", "-n", "+1", "-f", str(log)], stdout=subprocess.PIPE, text=True) as tail:
            reader = threading.Thread(target=lambda: by_tail.extend(time.time() - float(line) for line in tail.stdout))
            reader.start()
            ours = [time.time() - float(entry.message) for entry in job.follow("master-replica-0")]
            time.sleep(0.2)
            tail.terminate()
            reader.join()
        assert len(ours) == len(by_tail) == self.sizes["ticks"], (len(ours), len(by_tail))
        return {
            "tail -f": [{"seconds": value} for value in by_tail],
            "job.follow()": [{"seconds": value} for value in ours],
        }

    def memory(self) -> Figures:
        """Return the peak memory of who follows and of who looks after a job that prints a lot."""
        job = self.submit("flood", self.sizes["megabytes"])
        supervisor = psutil.Process(_supervisor_of(job))
        follower = subprocess.Popen([sys.executable, "-c", FOLLOWER, job.name], stdout=subprocess.PIPE, text=True)
        peak = 0
        while not job.state.is_final:
            try:
                status = Path(f"/proc/{supervisor.pid}/status").read_text()
            except OSError:
                break
            peak = max(peak, *(int(kilobytes) * 1024 for kilobytes in re.findall(r"VmHWM:\s+(\d+)", status)), 0)
            time.sleep(0.05)
        count, size, seconds, memory = (float(word) for word in follower.communicate()[0].split())
        assert size == self.sizes["megabytes"] * 1e6, (count, size)
        return {
            "follower": [{"peak_mb": memory / 1e6, "read_mb": size / 1e6, "mb_per_second": size / 1e6 / seconds}],
            "supervisor": [{"peak_mb": peak / 1e6}],
        }


def _first_line(job: Any) -> float:
    job.wait(60, progress=False)
    return float(job.log())


def _supervisor_of(job: Any) -> int:
    """Return the process that looks after a job: the parent of its replica."""
    while not (replicas := job.describe()["localOutput"]["replicas"]):
        time.sleep(0.01)
    return int(psutil.Process(replicas[0]["pid"]).ppid())


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _seconds_of(command: list[str]) -> float:
    return _seconds(lambda: subprocess.run(command, capture_output=True, check=True))


def table(found: Figures) -> str:
    """Return the medians, each row also beside the first."""
    lines, base = [], None
    for row, results in found.items():
        columns = {name: [figures[name] for figures in results] for name in results[0]}
        line: dict[str, Any] = {"median": row} | {name: median(values) for name, values in columns.items()}
        if seconds := columns.get("seconds"):
            base = median(seconds) if base is None else base
            spread = quantiles(seconds, n=20) if len(seconds) > 1 else seconds * 19
            line |= {"p95": spread[18], "above the first": median(seconds) - base, "times": median(seconds) / base}
        lines.append(line)
    return str(tabulate(lines, headers="keys", floatfmt=".4f", missingval=""))


def main() -> int:
    """Measure what the command line asks for."""
    names = ("start", "list", "trials", "follow", "memory")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmarks", nargs="*", metavar="BENCHMARK", help=f"of {', '.join(names)}; all if none")
    parser.add_argument("--rounds", type=int, help=f"of start, list and trials; {FULL['rounds']} if not given")
    parser.add_argument("--quick", action="store_true", help="small sizes, one round")
    root = HERE.parent.parent / "data" / "runs" / "benchmarks"
    parser.add_argument("--folder", type=Path, default=root, help="where the figures go")
    options = parser.parse_args()
    if unknown := sorted(set(options.benchmarks) - set(names)):
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(names)}")
    sizes = dict(QUICK if options.quick else FULL)
    sizes["rounds"] = options.rounds or sizes["rounds"]
    if os.getloadavg()[0] > 0.5 * (os.cpu_count() or 1):
        print(f"!! The machine is busy (load {os.getloadavg()[0]:.1f}); only what stands side by side counts.")
    figures: dict[str, Figures] = {}
    for name in options.benchmarks or names:
        folder = Path(tempfile.mkdtemp(prefix="mlhelpers-bench-"))
        os.environ["MLHELPERS_HOME"] = str(folder / "home")
        try:
            figures[name] = getattr(Bench(folder, sizes), name)()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        print(f"\n{name}\n{table(figures[name])}", flush=True)
    machine = {"cores": os.cpu_count(), "machine": platform.platform(), "python": platform.python_version()}
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / f"local-jobs-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps({"quick": options.quick, **machine, "figures": figures}, indent=1) + "\n")
    print(f"\nevery round: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
