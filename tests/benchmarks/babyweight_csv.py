"""Ten million births from CSV to the trainer's shards and from the shards to arrays, beside plain pandas.

Each step of each side is a process of its own; pandas lies in an environment of its own, made on the first run.
Measured are births (or rows) a second and the peak of the process's resident memory. Both do the same: clean, split by
month, write each birth twice with its SHA-224 key, spread over shards; then read the shards into columns.

    .venv/bin/python tests/benchmarks/babyweight_csv.py                       ten million births; pandas wants 16 GB
    .venv/bin/python tests/benchmarks/babyweight_csv.py --births 2000000      some minutes
    .venv/bin/python tests/benchmarks/babyweight_csv.py --only ours           ten million births, ours alone
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SHARDS = 8


def main() -> int:
    """Measure both sides and print a table; return 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--births", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, default=ROOT / "data" / "runs" / "benchmarks" / "babyweight")
    parser.add_argument("--only", choices=["ours", "pandas"])
    parser.add_argument("--step", choices=sorted(STEPS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    source = options.folder / f"births-{options.births}.csv"
    if options.step:
        print(json.dumps(STEPS[options.step](source, options.folder / options.step.split("-")[0])))
        return 0
    _write_births(source, options.births)
    pythons = {"ours": sys.executable}
    if options.only != "ours":
        pythons["pandas"] = _pandas_environment(options.folder / "environment")
    figures = {}
    for side, python in pythons.items():
        if options.only in (None, side):
            shutil.rmtree(options.folder / side, ignore_errors=True)
            figures[side] = {}
            for step in (f"{side}-prepare", f"{side}-read"):
                command = [python, __file__, "--step", step, "--births", str(options.births)]
                done = subprocess.run([*command, "--folder", options.folder], capture_output=True, text=True)
                if done.returncode:
                    print(f"{step} FAILED, exit code {done.returncode}: {done.stderr[-600:]}")
                    return 1
                figures[side] |= json.loads(done.stdout.splitlines()[-1])
            shutil.rmtree(options.folder / side)
            print(side, figures[side], flush=True)
    if len(figures) == 2:
        for key in ("prepare_births_s", "read_rows_s", "prepare_peak_mb", "read_peak_mb"):
            print(f"{key}: ours {figures['ours'][key]:,.0f}, pandas {figures['pandas'][key]:,.0f}, "
                  f"ours / pandas {figures['ours'][key] / figures['pandas'][key]:.2f}")  # fmt: skip
    return 0


class _Peak:
    """Watch this process's resident memory, in megabytes, and take the time."""

    def __enter__(self) -> _Peak:
        self.megabytes, self._go_on = 0.0, True
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._began = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._began
        self._go_on = False
        self._thread.join()

    def _watch(self) -> None:
        while self._go_on:
            for line in Path("/proc/self/status").read_text("ascii").splitlines():
                if line.startswith("VmRSS:"):  # pages of mapped files are counted too
                    self.megabytes = max(self.megabytes, int(line.split()[1]) / 1024)
            time.sleep(0.02)


def _write_births(path: Path, n: int) -> None:
    """Write synthetic births, a million at a time."""
    if path.is_file():
        return
    import polars as pl

    from mlhelpers.datasets.babyweight import RAW_COLUMNS, synthetic

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as stream:
        for number, begin in enumerate(range(0, n, 1_000_000)):
            births = synthetic.draw_births(min(1_000_000, n - begin), seed=100 + number)
            table = pl.DataFrame({name: births[name] for name in RAW_COLUMNS})
            table.write_csv(stream, include_header=begin == 0)
    part.rename(path)


def _ours_prepare(source: Path, folder: Path) -> dict[str, float]:
    import polars  # noqa: F401  # imported before the watch starts

    from mlhelpers.datasets import babyweight

    with _Peak() as peak:
        babyweight.prepare(folder, births_file=source, shards=SHARDS)
    return _figures("prepare", "births", peak, int(source.stem.split("-")[1]))


def _ours_read(source: Path, folder: Path) -> dict[str, float]:
    import polars  # noqa: F401  # imported before the watch starts

    from mlhelpers.datasets import babyweight

    with _Peak() as peak:
        columns = babyweight.read_csv(babyweight.find_shards(folder, "train"))
    return _figures("read", "rows", peak, len(columns["is_male"]))


def _pandas_prepare(source: Path, folder: Path) -> dict[str, float]:
    """Do it as one does it with pandas: everything in memory, whole columns at once."""
    import hashlib

    import farmhash
    import pandas as pd

    words = {1: "Single(1)", 2: "Twins(2)", 3: "Triplets(3)", 4: "Quadruplets(4)", 5: "Quintuplets(5)"}
    names = ["weight_pounds", "is_male", "mother_age", "plurality", "gestation_weeks"]
    folder.mkdir(parents=True)
    with _Peak() as peak:
        births = pd.read_csv(source)
        births = births[(births.year > 2000) & (births[[names[0], *names[2:]]] > 0).all(axis=1)]
        month = births.year.astype(str) + births.month.astype(str)
        signed = {text: farmhash.fingerprint64(text) for text in month.unique()}
        signed = {text: value - 2**64 if value >= 2**63 else value for text, value in signed.items()}
        is_eval = month.map({text: abs(value) % 4 == 3 for text, value in signed.items()})
        births["gestation_weeks"] = births.gestation_weeks.astype(float)
        births["is_male"] = births.is_male.map({True: "True", False: "False"})
        several = births.plurality > 1
        births["plurality"] = births.plurality.map(words)
        second = births.copy()
        second["is_male"] = "Unknown"
        second["plurality"] = several.map({True: "Multiple(2+)", False: "Single(1)"})
        for part, chosen in (("train", ~is_eval), ("eval", is_eval)):
            rows = pd.concat([births[chosen], second[chosen]])[names]
            line = rows.weight_pounds.astype(str) + "," + rows.is_male + "," + rows.mother_age.astype(str) + ","
            line = line + rows.plurality + "," + rows.gestation_weeks.astype(str)
            rows["key"] = [hashlib.sha224(text.encode()).hexdigest() for text in line]
            number = rows.key.map(lambda key: int(key[:12], 16) % SHARDS)
            for shard in range(SHARDS):
                path = folder / f"{part}.csv-{shard:05d}-of-{SHARDS:05d}"
                rows[number == shard].to_csv(path, header=False, index=False)
    return _figures("prepare", "births", peak, int(source.stem.split("-")[1]))


def _pandas_read(source: Path, folder: Path) -> dict[str, float]:
    import pandas as pd

    names = ["weight_pounds", "is_male", "mother_age", "plurality", "gestation_weeks", "key"]
    with _Peak() as peak:
        table = pd.concat(pd.read_csv(path, names=names) for path in sorted(folder.glob("train*")))
    return _figures("read", "rows", peak, len(table))


def _figures(step: str, unit: str, peak: _Peak, n: int) -> dict[str, float]:
    return {
        f"{step}_s": round(peak.seconds, 1),
        f"{step}_{unit}": n,
        f"{step}_{unit}_s": round(n / peak.seconds),
        f"{step}_peak_mb": round(peak.megabytes),
    }


def _pandas_environment(folder: Path) -> str:
    """Make the environment with pandas, or take up the one that is there; return its Python."""
    python = folder / "bin" / "python"
    if not (folder / "ready").is_file():
        print("Making pandas' environment ...", flush=True)
        venv.create(folder, clear=True, symlinks=True)
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "pandas==3.0.*", "pyfarmhash"]
        subprocess.run(pip, check=True, env=os.environ)
        (folder / "ready").touch()
    return str(python)


STEPS = {
    "ours-prepare": _ours_prepare,
    "ours-read": _ours_read,
    "pandas-prepare": _pandas_prepare,
    "pandas-read": _pandas_read,
}

if __name__ == "__main__":
    sys.exit(main())
