"""Batch predictions on the wire: submitted once, followed, described and taken up again by their handle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from faults import Fault, Proxy

from mlhelpers import jobs, serving
from mlhelpers.cloud import ledger
from mlhelpers.errors import JobError, UsageError
from mlhelpers.serving import BatchSpec, batch
from mlhelpers.serving.registry.resources import UnknownModelError
from mlhelpers.serving.vertex.registry import VertexRegistry
from mlhelpers.storage.cloud import CloudStore, download, upload


@pytest.fixture
def lines(models: VertexRegistry, tmp_path: Path) -> str:
    """Return the address of three lines, of which the last is no instance."""
    path = tmp_path / "digits.json"
    rows = [{"inputs": [0.5] * 784, "key": "a"}, {"inputs": [0.25] * 784, "key": "b"}, {"inputs": [1.0]}]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    upload(path, "gs://staging/in/digits.json", models.place)
    return "gs://staging/in/digits.json"


def spec(name: str, lines: str, **changes: object) -> BatchSpec:
    return BatchSpec(name, [lines], f"gs://staging/out/{name}", model="MNIST", **changes)  # type: ignore[arg-type]


def test_a_batch_lives_its_whole_life(models: VertexRegistry, tiny_export: Path, lines: str, tmp_path: Path) -> None:
    models.create(models.plan_version("MNIST", "v1", tiny_export, deploy=False))

    job = batch.submit(spec("digits", lines, labels={"team": "a"}), "vertex")
    assert job.wait(timeout_s=120, progress=False) is jobs.JobState.SUCCEEDED

    said = job.describe()
    assert (said["jobId"], said["labels"]) == ("digits", {"team": "a"})
    assert (said["predictionOutput"]["predictionCount"], said["predictionOutput"]["errorCount"]) == ("2", "1")
    assert said["predictionInput"]["modelName"].endswith("/models/mnist@1")
    folder = said["predictionOutput"]["outputPath"]
    found = [name for name, _ in CloudStore(models.place).below(folder, CloudStore(models.place).path(f"{folder}/"))]
    results = next(name for name in found if "results" in name)
    download(results, tmp_path / "results", models.place)
    rows = [json.loads(line) for line in (tmp_path / "results").read_text().splitlines()]
    here = serving.load(tiny_export).predict([{"inputs": [0.5] * 784, "key": "a"}])
    assert rows[0] == here[0]
    assert job.handle.startswith("vertex://test-project/us-central1/")
    assert _elsewhere(job.handle) == "digits SUCCEEDED"
    assert [row["jobId"] for row in jobs.list_jobs(backend="vertex")][:1] == ["digits"]
    job.cancel()  # one that is over stays as it is
    assert jobs.attach(job.handle).state is jobs.JobState.SUCCEEDED
    with pytest.raises(JobError, match="A name is used once"):
        batch.submit(spec("digits", lines), "vertex")
    _forget("batch_job")


def _elsewhere(handle: str) -> str:
    """Return what another process says of a handle."""
    from mlhelpers.settings import current

    code = "import sys; from mlhelpers import jobs; j = jobs.attach(sys.argv[1]); print(j.describe()['jobId'], j.state)"
    settings = current()
    environment = {
        **os.environ,
        "GOOGLE_CLOUD_PROJECT": "other-project",  # the handle says where
        "MLHELPERS_VERTEX_ENDPOINT": str(settings.vertex_endpoint),
    }
    done = subprocess.run(
        [sys.executable, "-c", code, handle], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_lost_answer_starts_one_batch(models: VertexRegistry, wire: Proxy, tiny_export: Path, lines: str) -> None:
    models.create(models.plan_version("MNIST", "v1", tiny_export, deploy=False))
    wire.add(Fault("POST", "batchPredictionJobs", cut="after"))

    job = batch.submit(spec("lost", lines), "vertex")

    assert wire.count("POST", "batchPredictionJobs") == 1
    assert len([entry for entry in ledger.entries() if entry.kind == "batch_job" and entry.name]) == 1
    job.wait(timeout_s=120, progress=False)
    _forget("batch_job")


def test_split_traffic_is_told_and_the_default_version_taken(
    models: VertexRegistry, tiny_export: Path, lines: str
) -> None:
    for version in ("v1", "v2"):
        models.create(models.plan_version("MNIST", version, tiny_export))
    models.set_traffic("MNIST", {"v1": 50, "v2": 50})

    place = batch.place("vertex")
    notes = place.submit(place.plan(spec("split", lines)))

    assert "are split (v1 50 %, v2 50 %); a batch takes one version, here the default one, v1" in notes[0]
    place.job("split").wait(timeout_s=120, progress=False)
    _forget("batch_job")


def test_what_is_not_there_is_named(models: VertexRegistry, tiny_export: Path, lines: str) -> None:
    with pytest.raises(UnknownModelError, match=r"no model or version .*/models/mnist@default"):
        batch.submit(spec("none", lines), "vertex")
    with pytest.raises(JobError, match="no batch prediction 'never'"):
        batch.place("vertex").job("never").describe()
    with pytest.raises(UsageError, match=r"is no handle\. It reads vertex://PROJECT/REGION/NUMBER"):
        jobs.attach("vertex://a/b")
    assert not [entry for entry in ledger.entries() if entry.kind == "batch_job"]


def _forget(kind: str) -> None:
    for entry in ledger.entries():
        if entry.kind == kind:
            ledger.forget(entry)


def test_the_split_of_a_model_here_is_told_too(tiny_export: Path, tmp_path: Path) -> None:
    store = serving.ModelStore()
    store.create_model("MNIST")
    for version in ("v1", "v2"):
        store.create_version("MNIST", version, tiny_export)
    store.set_traffic("MNIST", {"v1": 90, "v2": 10})
    path = tmp_path / "one.json"
    path.write_text(json.dumps([0.5] * 784))
    words = {"input_paths": [path], "output_path": tmp_path / "out", "model": "MNIST"}

    split = batch.plan(BatchSpec("split", **words), "local").request["local"]["notes"]
    named = batch.plan(BatchSpec("named", **words, version="v2"), "local").request["local"]["notes"]

    assert split == [
        "The requests to MNIST are split (v1 90 %, v2 10 %); a batch takes one version, here the default one, v1. "
        "Name another with --version."
    ]
    assert named == []
