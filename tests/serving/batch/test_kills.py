"""Batches that are killed at random moments: nothing is lost, nothing is doubled, no finished shard is done again.

`make test` makes two rounds, `make soak` thirty others, and the one that shows that memory does not grow.
"""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from batch_files import lines_of, write_digits

from mlhelpers import jobs, serving, settings
from mlhelpers.errors import JobError
from mlhelpers.jobs.local.store import Store
from mlhelpers.serving.batch import shards

_KILLS = 3


def _victims(name: str, chance: random.Random) -> list[int]:
    """Return whom a kill meets: a worker, the controller, the supervisor, or everything that runs over this home."""
    row = Store(settings.current().home / "jobs").job(name)
    assert row is not None
    supervisor = [int(row["supervisor"].split("/")[-2])] if row["supervisor"] else []
    replicas = jobs.attach(name).describe()["localOutput"]["replicas"]
    controller = [one["pid"] for one in replicas if "endTime" not in one]
    workers: list[int] = []
    for pid in controller:
        with suppress(psutil.Error):
            workers += [child.pid for child in psutil.Process(pid).children()]
    everything = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get("MLHELPERS_HOME") == str(settings.current().home):
                everything.append(process.pid)
    return chance.choice([workers[:1], controller, supervisor, everything])


def _round(model: Path, folder: Path, pictures: np.ndarray, seed: int) -> None:
    """Start a batch, kill it three times, submit it again where its job has failed, until it is done."""
    chance = random.Random(seed)
    many = np.concatenate([pictures] * 60)
    path, output = write_digits(folder / "in.tfrecords", many), folder / "out"
    job = serving.batch_predict(model, str(path), output, data_format="tf-record", batch_size=1, name=f"b{seed}_0")
    finished: dict[str, float] = {}  # by file: when it was written
    for attempt in range(_KILLS + 1):
        if attempt < _KILLS:
            time.sleep(chance.uniform(0.2, 2.5))
            for pid in _victims(job.name, chance):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        else:
            with suppress(JobError):
                job.wait(120, progress=False)
        state = output / ".prediction.00000000.part"
        done = [path.stem for path in state.glob("[0-9]*.json")]
        for name in done:
            for one in output.glob(f"prediction.results-{name}-of-*"):
                assert finished.setdefault(one.name, one.stat().st_mtime_ns) == one.stat().st_mtime_ns
        if job.state is jobs.JobState.FAILED:
            name = f"b{seed}_{attempt + 1}"
            job = serving.batch_predict(model, str(path), output, data_format="tf-record", batch_size=1, name=name)
    assert job.wait(120, progress=False) is jobs.JobState.SUCCEEDED
    for name, moment in finished.items():
        assert (output / name).stat().st_mtime_ns == moment, "a finished shard was done again"
    classes = [row["classes"] for row in lines_of(output)]
    assert len(classes) == len(many)
    assert classes == classes[:300] * 60
    assert sorted(path.name[:11] for path in output.iterdir()) == ["prediction."] * len(list(output.iterdir()))
    assert job.describe()["predictionOutput"]["predictionCount"] == str(len(many))


@pytest.mark.parametrize("seed", range(2))
def test_a_batch_killed_three_times_at_random_moments_has_every_answer_once(
    tiny_export: Path, tmp_path: Path, pictures: np.ndarray, seed: int
) -> None:
    _round(tiny_export, tmp_path, pictures, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 130))
def test_thirty_batches_killed_three_times_each(
    tiny_export: Path, tmp_path: Path, pictures: np.ndarray, seed: int
) -> None:
    _round(tiny_export, tmp_path, pictures, seed)


def _peak_mb(model: Path, path: Path, output: Path) -> float:
    """Return the most memory that any process of a batch had, in MB."""
    job = serving.batch_predict(model, str(path), output, data_format="tf-record")
    peak = 0
    while not job.state.is_final:
        for one in job.describe()["localOutput"]["replicas"]:
            with suppress(psutil.Error):
                controller = psutil.Process(one["pid"])
                for process in (controller, *controller.children()):
                    peak = max(peak, process.memory_info().rss)
        time.sleep(0.1)
    job.wait(1, progress=False)
    return peak / 2**20


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_memory_is_the_same_for_100_thousand_records_and_for_2_million(
    tiny_export: Path, tmp_path: Path, pictures: np.ndarray
) -> None:
    once = write_digits(tmp_path / "a", pictures[:100]).read_bytes()
    for name, count in (("small", 1000), ("large", 20000)):
        with (tmp_path / name).open("wb") as stream:
            for _ in range(count):
                stream.write(once)

    small = _peak_mb(tiny_export, tmp_path / "small", tmp_path / "out_small")
    large = _peak_mb(tiny_export, tmp_path / "large", tmp_path / "out_large")

    assert (tmp_path / "large").stat().st_size > shards._MOST_BYTES * 20
    assert large < small + 15, f"{small:.0f} MB for 100,000 records, {large:.0f} MB for 2,000,000"
