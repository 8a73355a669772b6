"""The benchmarks run: a few steps and calls of theirs. What they measure is for `make bench`, on a quiet machine."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_short_sample_gives_figures_and_tells_of_a_missing_pytorch(repository: Path, tmp_path: Path) -> None:
    nowhere = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}
    words = ["speed", "latency", "--quick", "--only", "keras-fit", "litert", "predict", "pytorch"]
    command = [sys.executable, str(repository / "tests" / "benchmarks" / "run.py"), *words, "--folder", str(tmp_path)]

    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | nowhere)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "!! NO PYTORCH, its rows are not measured. ERROR: No matching distribution found for torch" in done.stdout
    (path,) = tmp_path.glob("*.json")
    figures = json.loads(path.read_text())["figures"]
    assert figures["speed"]["pytorch"] == [{"failed": "NO PYTORCH, not measured"}]
    assert figures["speed"]["keras-fit"][0]["steps_per_second"] > 0
    for row in ("litert", "predict"):
        (latency,) = figures["latency"][row]
        assert latency["p99_ms"] >= latency["median_ms"] > 0


def test_a_short_sample_of_the_local_engine_gives_figures(repository: Path, tmp_path: Path) -> None:
    script = repository / "tests" / "benchmarks" / "local_jobs.py"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(repository), os.environ["PYTHONPATH"]])}
    command = [sys.executable, str(script), "--quick", "--folder", str(tmp_path)]

    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)

    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = tmp_path.glob("local-jobs-*.json")
    figures = json.loads(path.read_text())["figures"]
    assert set(figures) == {"start", "list", "trials", "follow", "memory"}
    assert all(row["seconds"] > 0 for way in figures["start"].values() for row in way)
    assert figures["memory"]["supervisor"][0]["peak_mb"] > 1
    assert len(figures["follow"]["job.follow()"]) == len(figures["follow"]["tail -f"]) == 5


def test_a_short_sample_of_the_search_gives_figures_and_tells_of_a_missing_pytorch(
    repository: Path, tmp_path: Path
) -> None:
    script = repository / "tests" / "benchmarks" / "search.py"
    words = ["branin", "categorical", "noisy-hartmann-3", "--quick", "--folder", str(tmp_path)]
    nowhere = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}

    done = subprocess.run(
        [sys.executable, str(script), *words], capture_output=True, text=True, env=os.environ | nowhere, timeout=120
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "!! NO PYTORCH, GPSampler is not measured. ERROR: No matching distribution" in done.stdout
    (path,) = tmp_path.glob("search-*.json")
    figures = json.loads(path.read_text())["figures"]
    assert set(figures) == {"branin", "categorical", "noisy-hartmann-3"}
    for rows in figures.values():
        assert rows["gp"] == []
        assert all(rows[sampler][0]["regret"] >= 0 for sampler in ("ours", "tpe", "random"))
        assert rows["ours"][0]["regret"] != rows["random"][0]["regret"]


def _serving(repository: Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    script = repository / "tests" / "benchmarks" / "serving" / "bench.py"
    words = ["--only", "ours", "empty", "--rounds", "1", "--seconds", "1", "--many", "100", "--folder", str(folder)]
    return subprocess.run(
        [sys.executable, str(script), *words], capture_output=True, text=True, env=os.environ | environment, timeout=120
    )


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_a_short_sample_of_the_server_gives_figures(repository: Path, tmp_path: Path) -> None:
    done = _serving(repository, tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "times a LiteRT call and an empty ASGI answer" in done.stdout
    (path,) = tmp_path.glob("serving-*.json")
    told = json.loads(path.read_text())
    (ours,) = told["figures"]["ours"]
    assert ours["1"]["per_second"] > 0
    assert ours["16"]["wrong"] == ours["16"]["broken"] == told["many"]["wrong"] == 0
    assert told["many"]["sent"] >= 100


def test_the_benchmark_of_the_server_says_what_is_missing(repository: Path, tmp_path: Path) -> None:
    done = _serving(repository, tmp_path, PATH=str(tmp_path))

    assert done.returncode == 1
    assert "wrk is not installed. On Debian and Ubuntu:  apt install wrk" in done.stderr


@pytest.mark.slow
def test_a_short_sample_of_batch_prediction_gives_figures(repository: Path, tmp_path: Path) -> None:
    script = repository / "tests" / "benchmarks" / "batch.py"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(repository), os.environ["PYTHONPATH"]])}
    command = [sys.executable, str(script), "--quick", "--folder", str(tmp_path)]

    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=200)

    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = tmp_path.glob("batch-*.json")
    figures = json.loads(path.read_text())["figures"]
    assert {row: found[0]["images"] for row, found in figures.items()} == {
        "records": 10000,
        "loop": 10000,
        "savedmodel": 10000,
        "text": 200,
    }
    assert all(found[0]["images_per_s"] > 0 for found in figures.values())
