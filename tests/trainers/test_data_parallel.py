"""Training over two real processes: the same curve as one, the chief alone writes, and nobody waits for the dead."""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from mlhelpers import datasets, jobs
from mlhelpers.datasets.cbis_ddsm import phantoms
from mlhelpers.datasets.cbis_ddsm.pictures import write_png
from mlhelpers.errors import UsageError
from mlhelpers.frameworks import import_tensorflow
from mlhelpers.trainers import cbis_ddsm, data_parallel
from mlhelpers.trainers.cluster import Rows, read_cluster

pytestmark = pytest.mark.timeout(900)  # three TensorFlow processes on a busy machine of two cores take their time

STEP_BY_STEP = str(Path(__file__).parent / "step_by_step.py")


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@dataclass
class Replica:
    """One process of a cluster, its output in a file."""

    process: subprocess.Popen[bytes]
    log: Path
    stream: IO[bytes]

    @property
    def out(self) -> str:
        return self.log.read_text("utf-8")

    def wait(self, seconds: float = 500) -> int:
        return self.process.wait(seconds)


class Replicas:
    """Starts processes, and ends what is left of them."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.started: list[Replica] = []

    def start(self, name: str, words: list[str], config: object = None, **environ: str) -> Replica:
        log = self.place / f"{name}.log"
        stream = log.open("wb")
        environ = {"MLHELPERS_PROGRESS_FILE": str(self.place / f"{name}.json")} | environ
        if config is not None:
            environ["TF_CONFIG"] = json.dumps(config)
        process = subprocess.Popen(
            [sys.executable, *words], env=os.environ | environ, stdout=stream, stderr=subprocess.STDOUT
        )
        self.started.append(Replica(process, log, stream))
        return self.started[-1]

    def close(self) -> None:
        for replica in self.started:
            replica.process.kill()
            replica.process.wait()
            replica.stream.close()


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    made = Replicas(tmp_path_factory.mktemp("replicas"))
    yield made
    made.close()


def make_data(name: str, folder: Path, small_mnist: Path) -> Path:
    if name == "mnist":
        return small_mnist
    if name == "babyweight":
        datasets.prepare(name, folder)
        return folder
    for part, place, n in (("train", "small_train", 40), ("test", "small_test", 8)):
        for view in phantoms.views(part)[:n]:
            file = f"{view.density}_Phantom-{part}_P_{view.patient:05d}_{view.side}_{view.projection}.png"
            write_png(folder / place / file, phantoms.draw(view).image)
    return folder


# batches that two do not divide; float64 where batch normalisation and Adam make much out of the last digits
CURVES = {
    "mnist": ("float64", 30, "--data_dir={data} --output_dir={run} --train_steps=30 --train_batch_size=51"),
    "babyweight": ("float32", 29, "--data_dir={data} --output_dir={run} --train_examples=15 --batch_size=501"),
    "cbis_ddsm": ("float64", 6, "--data_bucket={data} --model_dir={run} --training_steps=6 --batch_size=9"),
}


@dataclass
class Pair:
    """The same training by one process and by two."""

    steps: int
    place: Path
    one: Replica
    chief: Replica
    worker: Replica
    codes: list[int]

    def history(self, run: str) -> dict[str, list[float]]:
        with (self.place / run / "history.csv").open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        return {name: [float(row[name]) for row in rows] for name in ("step", "loss")}


@pytest.fixture(scope="module", params=sorted(CURVES))
def pair(request: pytest.FixtureRequest, small_mnist: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    name, place = request.param, tmp_path_factory.mktemp(request.param)
    precision, steps, flags = CURVES[name]
    data, started = make_data(name, place / "data", small_mnist), Replicas(place)
    # a master, and parameter servers and evaluators that no one waits for: the cluster of the tutorials
    first, second, server = (f"127.0.0.1:{port}" for port in free_ports(3))
    cluster = {"master": [first], "worker": [second], "ps": [server]}

    def start(replica: str, task: str = "") -> Replica:
        words = [STEP_BY_STEP, precision, name, *flags.format(data=data, run=place / replica).split()]
        config = {"cluster": cluster, "task": {"type": task, "index": 0}} if task else None
        return started.start(replica, words, config, CLOUD_ML_HP_METRIC_FILE=str(place / f"{replica}.metrics"))

    one, chief, worker = start("one"), start("chief", "master"), start("worker", "worker")
    yield Pair(steps, place, one, chief, worker, [replica.wait() for replica in (one, chief, worker)])
    started.close()


@pytest.mark.slow
def test_two_processes_have_the_loss_of_one_at_every_step(pair: Pair) -> None:
    assert pair.codes == [0, 0, 0], pair.one.out + pair.chief.out + pair.worker.out

    one, two = pair.history("one"), pair.history("chief")
    assert one["step"] == two["step"] == list(range(1, pair.steps + 1))
    np.testing.assert_allclose(two["loss"], one["loss"], rtol=2e-5)  # history.csv holds six digits


@pytest.mark.slow
def test_the_chief_alone_writes(pair: Pair) -> None:
    made = sorted(path.name for path in (pair.place / "chief").iterdir())
    assert made == sorted(path.name for path in (pair.place / "one").iterdir())
    assert {"checkpoints", "export", "history.csv", "metrics.json", "train"} <= set(made)
    assert not (pair.place / "worker").exists()
    assert (pair.place / "chief.metrics").is_file()
    assert not (pair.place / "worker.metrics").exists()


@pytest.mark.slow
def test_every_process_says_where_it_is_and_only_workers_say_who_they_are(pair: Pair) -> None:
    lines = pair.worker.out.splitlines()
    assert all(line.startswith("worker 2 of 2: ") for line in lines), lines
    assert "worker" not in pair.chief.out
    progress = [json.loads((pair.place / f"{name}.json").read_text()) for name in ("chief", "worker")]
    assert [(each["step"], each["phase"]) for each in progress] == [(pair.steps, "done"), (pair.steps, "waiting")]


@pytest.mark.slow
def test_a_job_whose_worker_is_killed_goes_on_from_the_last_checkpoint(home: Path, tmp_path: Path) -> None:
    """The engine starts the worker again, the chief learns that the old one is gone and is started again, too."""
    datasets.prepare("babyweight", tmp_path / "data")
    flags = {"data_dir": tmp_path / "data", "output_dir": tmp_path / "run", "train_examples": 200, "batch_size": 500}
    machines = {"scale_tier": "CUSTOM", "master": jobs.Pool("m"), "workers": jobs.Pool("m", 1)}
    flags["save_checkpoints_secs"] = 0
    job = jobs.submit(jobs.JobSpec("crash", "mlhelpers.trainers.babyweight", args=flags, **machines))
    until = time.monotonic() + 300
    while not list((tmp_path / "run" / "checkpoints").glob("ckpt-*.index")):
        assert time.monotonic() < until, job.log()
        time.sleep(0.05)

    pids = {replica["task"]: replica["pid"] for replica in job.describe()["localOutput"]["replicas"]}
    os.kill(pids["worker-replica-0"], signal.SIGKILL)

    assert job.wait(500, progress=False) is jobs.JobState.SUCCEEDED
    chief, worker = job.log(), job.log(task="worker-replica-0")
    assert "Another process of the cluster is gone" in chief
    assert "Start all 2 again" in chief
    assert "Traceback" not in chief
    assert "going on from the checkpoint at step " in chief
    assert "worker 2 of 2: going on from the checkpoint at step " in worker
    assert "after 400 steps" in chief
    told = job.log(task="service")
    assert "worker-replica-0 was ended by the signal SIGKILL; it is started again (1 of 5)" in told
    assert "master-replica-0 exited with code 1; it is started again (1 of 5)" in told


TWO = {"chief": ["127.0.0.1:1"], "worker": ["127.0.0.1:2"], "ps": ["127.0.0.1:3"]}


@pytest.mark.parametrize(
    ("trainer", "role", "words"),
    [
        ("mnist --data_dir=none", "ps", "this replica is a parameter server: our trainers average gradients"),
        ("babyweight", "evaluator", "this replica is an evaluator: the chief evaluates"),
        ("iris", "worker", "worker 2 of 2: this trainer's data are too small to share: the chief trains alone"),
    ],
)
def test_a_replica_with_nothing_to_do_says_so_and_ends_well(
    trainer: str, role: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": TWO, "task": {"type": role, "index": 0}}))
    name, *flags = trainer.split()
    done = subprocess.run(
        [sys.executable, "-m", f"mlhelpers.trainers.{name}", *flags], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(words)
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("trainer", "words"),
    [
        ("mnist --data_dir=none --output_dir=none --train_batch_size=1", "--train_batch_size is 1, but 2 processes"),
        ("babyweight --data_dir=none --output_dir=none --batch_size=1", "--batch_size is 1, but 2 processes"),
        ("babyweight --no-such-flag=1", "--no-such-flag"),
    ],
)
def test_a_batch_that_cannot_be_shared_is_refused_before_anyone_is_waited_for(
    trainer: str, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": TWO, "task": {"type": "chief", "index": 0}}))
    name, *flags = trainer.split()
    done = subprocess.run(
        [sys.executable, "-m", f"mlhelpers.trainers.{name}", *flags],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )

    assert done.returncode == 2
    assert words in done.stderr


def test_jax_does_not_share_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")

    with pytest.raises(UsageError, match="KERAS_BACKEND is jax, but TF_CONFIG names 2 processes"):
        cbis_ddsm._import_keras(2)


LONELY = """
from mlhelpers.errors import ReplicaError
from mlhelpers.trainers import data_parallel
from mlhelpers.trainers.cluster import read_cluster

data_parallel._REGISTER_S = 3
try:
    data_parallel.Workers(read_cluster())
except ReplicaError as error:
    print(error)
"""


@pytest.mark.slow
def test_who_waits_for_the_others_in_vain_is_told_why(replicas: Replicas) -> None:
    first, second = (f"127.0.0.1:{port}" for port in free_ports(2))
    config = {"cluster": {"chief": [first], "worker": [second]}, "task": {"type": "worker", "index": 0}}
    alone = replicas.start("lonely", ["-c", LONELY], config)

    assert alone.wait() == 0, alone.out
    assert f"worker 2 of 2: The processes of the cluster, {first}, {second}, did not come together" in alone.out


def test_a_process_that_has_used_tensorflow_cannot_join(monkeypatch: pytest.MonkeyPatch) -> None:
    import_tensorflow().constant(1) + 1
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": TWO, "task": {"type": "worker", "index": 0}}))

    with pytest.raises(UsageError, match="TF_CONFIG names a cluster, but TensorFlow is in use in this process already"):
        data_parallel.Workers(read_cluster())


@pytest.mark.slow
def test_rows_of_a_batch_lose_what_they_lose_in_the_whole_batch() -> None:
    import_tensorflow()
    import keras

    inputs = np.random.default_rng(0).random((9, 5)).astype("float32")
    results = []
    for rows in (None, Rows(2, 6, 9)):
        keras.utils.set_random_seed(3)
        layer = data_parallel.build_dropout(0.4, rows)
        results.append([np.asarray(layer(inputs[rows.part] if rows else inputs, training=True)) for _ in range(2)])
        np.testing.assert_array_equal(layer(inputs[:4], training=False), inputs[:4])

    for whole, part in zip(*results, strict=True):
        assert (part == 0).any()
        np.testing.assert_array_equal(part, whole[2:6])
