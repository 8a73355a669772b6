"""What a trainer needs in the cloud is what it imports, without what the image has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mlhelpers import trainers
from mlhelpers.jobs.vertex.needs import imports_mlhelpers, requirements_of

_DISTRIBUTIONS = {"hypertune": "cloudml-hypertune", "sklearn": "scikit-learn", "skops": "skops", "numpy": "numpy"}


def _bare(requirements: list[str]) -> set[str]:
    return {one.partition(">")[0] for one in requirements}


@pytest.mark.parametrize("name", trainers.names())
def test_no_trainer_is_sent_a_framework_that_the_image_has_nor_googles_clients(name: str) -> None:
    found = _bare(requirements_of(trainers.module_path(name)))

    assert {"numpy", "cloudml-hypertune"} <= found
    assert not found & {"tensorflow", "tensorflow-cpu", "keras", "google-cloud-storage", "google-cloud-aiplatform"}
    assert not found & {"click", "psutil", "ipycanvas", "optuna", "uvicorn"}


def test_each_trainer_needs_its_own_framework_and_no_other() -> None:
    def of(name: str) -> set[str]:
        return _bare(requirements_of(trainers.module_path(name)))

    assert "xgboost-cpu" in of("iris_xgboost")
    assert "skops" in of("iris_sklearn")
    assert "pydicom" in of("cbis_ddsm")
    assert not of("mnist") & {"xgboost-cpu", "skops", "pydicom", "polars"}


def test_a_machine_with_gpus_gets_the_build_that_knows_them() -> None:
    found = _bare(requirements_of("mlhelpers.trainers.iris_xgboost", has_gpu=True))

    assert "xgboost" in found
    assert "xgboost-cpu" not in found


def test_what_a_running_trainer_has_imported_was_asked_for(tmp_path: Path) -> None:
    code = (
        "import sys, runpy\nsys.argv = ['t', '--help']\n"
        "try: runpy.run_module('mlhelpers.trainers.iris_sklearn', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "import mlhelpers.trainers.pipelines, mlhelpers.trainers.metric_file\n"
        "print(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    imported = set(done.stdout.splitlines()[-1].split()) & set(_DISTRIBUTIONS)

    assert {_DISTRIBUTIONS[name] for name in imported} <= _bare(requirements_of("mlhelpers.trainers.iris_sklearn"))


def test_a_package_over_one_of_our_trainers_needs_what_that_needs(tmp_path: Path) -> None:
    source = tmp_path / "task.py"
    source.write_text("def main():\n    from mlhelpers.trainers import iris_xgboost\n")

    assert imports_mlhelpers([source])
    assert "xgboost-cpu" in _bare(requirements_of("trainer.task", [source]))


def test_a_package_without_us_needs_nothing_of_us(tmp_path: Path) -> None:
    source = tmp_path / "task.py"
    source.write_text("import json, numpy\n")

    assert not imports_mlhelpers([source])
    assert requirements_of("trainer.task", [source]) == []
