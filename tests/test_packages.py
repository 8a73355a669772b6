"""The tutorials' trainer packages under notebooks/packages; tests/tutorials runs them."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mlhelpers import jobs, trainers
from mlhelpers.jobs import JobSpec

_PACKAGES = Path(__file__).resolve().parent.parent / "notebooks" / "packages"
# folder and module -> the flags that the original trainer took, as its tutorial writes them
_FLAGS = {
    ("mnist", "task"): "--data_dir --output_dir --train_batch_size --eval_batch_size --train_steps --eval_steps "
    "--job-dir --eval_delay_secs --min_eval_frequency",
    ("iris", "task"): "--train-files --eval-files --job-dir --num-epochs --train-batch-size --eval-batch-size "
    "--train-steps --eval-steps --first-layer-size --num-layers --scale-factor --embedding-size --num-parallel-calls "
    "--prefetch_buffer_size --export-format --verbosity",
    ("babyweight", "task"): "--bucket --output_dir --batch_size --job-dir --nnsize --nembeds --train_examples "
    "--pattern --eval_steps",
    ("cbis_ddsm", "gpu_model"): "--data_bucket --training_data_dir --eval_data_dir --image_width --image_height "
    "--image_channel --model_dir --batch_size --training_steps --eval_steps --category_count",
    ("cbis_ddsm", "tpu_model"): "--training_data --eval_data --tpu --tpu_zone --gcp_project --image_width "
    "--image_height --image_channel --model_dir --batch_size --training_steps --eval_steps --category_count "
    "--learning_rate --iterations --num_shards",
}
_IDS = [f"{folder}.{module}" for folder, module in _FLAGS]
# folder and module -> defaults of the original, where a trainer of mlhelpers has others
_DEFAULTS = {
    ("mnist", "task"): {"train_steps": 10000, "train_batch_size": 100, "learning_rate": 0.001, "dropout": 0.4},
    ("cbis_ddsm", "gpu_model"): {"training_steps": 1000, "batch_size": 96, "learning_rate": 0.001},
    ("cbis_ddsm", "tpu_model"): {"training_steps": 1000, "batch_size": 96, "learning_rate": 0.05, "num_shards": 8},
}


def _python(folder: str, code: str) -> str:
    """Run some code in a package's folder, as a reader would there."""
    paths = [str(_PACKAGES / folder), os.environ["PYTHONPATH"]]
    words = [sys.executable, "-B", "-c", code]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run(words, env=environment, cwd=_PACKAGES, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(("folder", "module"), _FLAGS, ids=_IDS)
def test_help_lists_the_originals_flags_without_importing_tensorflow(folder: str, module: str) -> None:
    code = f"""
import runpy, sys
sys.argv = ["task", "--help"]
try:
    runpy.run_module("trainer.{module}", run_name="__main__")
except SystemExit as end:
    print("code", end.code, "heavy", sorted({{"tensorflow", "keras"}} & set(sys.modules)))
"""
    printed = _python(folder, code)

    missing = [flag for flag in _FLAGS[folder, module].split() if not re.search(rf"{flag}\b", printed)]
    assert missing == []
    assert f"python -m trainer.{module} --" in printed
    assert printed.endswith("code 0 heavy []\n")


@pytest.mark.parametrize(("folder", "module"), _DEFAULTS, ids=[".".join(key) for key in _DEFAULTS])
def test_what_runs_without_further_flags_is_the_tutorials(folder: str, module: str) -> None:
    where = "trainer.model" if module == "task" else f"trainer.{module}"
    code = f"""
from {where} import Hyperparameters
from {trainers.module_path(folder)} import resolve
needed = {{"data_dir": "d"}} if {folder!r} == "mnist" else {{}}
print({{name: getattr(resolve(Hyperparameters(**needed)), name) for name in {list(_DEFAULTS[folder, module])!r}}})
"""
    assert _python(folder, code) == f"{_DEFAULTS[folder, module]}\n"


@pytest.mark.parametrize("folder", sorted({folder for folder, _ in _FLAGS}))
def test_a_job_gets_every_module_and_misses_nothing(folder: str, home: Path) -> None:
    from mlhelpers.jobs.packaging.bundle import check_code, write_code

    (module, *_) = [module for name, module in _FLAGS if name == folder]
    spec = JobSpec("first", f"trainer.{module}", package_path=_PACKAGES / folder / "trainer")
    before = sorted(path for path in (_PACKAGES / folder).rglob("*") if "__pycache__" not in path.parts)
    home.mkdir()

    notes = check_code(spec).notes
    write_code(spec, home)

    packed = {path.name for path in (home / "package" / "trainer").glob("*.py")}
    assert packed == {path.name for path in (_PACKAGES / folder / "trainer").glob("*.py")}
    assert [note for note in notes if "not installed" in note] == []
    assert sorted(path for path in (_PACKAGES / folder).rglob("*") if "__pycache__" not in path.parts) == before


def test_every_package_has_a_row_that_names_its_modules() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", (_PACKAGES / "README.md").read_text(), re.MULTILINE))

    folders = sorted(path.name for path in _PACKAGES.iterdir() if path.is_dir())
    # one for each tutorial, and the reader's own of notebook 05; the tutorials had none in other frameworks
    assert sorted(rows) == folders == sorted({"softmax"} | {folder for folder, _ in _FLAGS})
    assert [
        name for name in trainers.names() if name not in folders and not re.search("_(sklearn|xgboost)$", name)
    ] == []
    for folder, module in _FLAGS:
        assert f"`trainer.{module}`" in rows[folder]


def test_the_config_of_mnist_asks_for_a_cluster() -> None:
    config = yaml.safe_load((_PACKAGES / "mnist" / "config" / "config.yaml").read_text())

    assert config == {"trainingInput": {"scaleTier": "STANDARD_1"}}
    assert jobs.JobSpec("first", "trainer.task", scale_tier=config["trainingInput"]["scaleTier"])


def test_what_babyweight_tunes_are_tunable_flags_of_its_trainer() -> None:
    from mlhelpers.trainers.babyweight import Hyperparameters

    study = yaml.safe_load((_PACKAGES / "babyweight" / "hyperparam.yaml").read_text())["trainingInput"]
    fields = Hyperparameters.__dataclass_fields__

    assert study["hyperparameters"]["hyperparameterMetricTag"] == "rmse"
    assert study["hyperparameters"]["goal"] == "MINIMIZE"
    tuned = [parameter["parameterName"] for parameter in study["hyperparameters"]["params"]]
    assert tuned == ["batch_size", "nembeds", "nnsize"]
    assert all(fields[name].metadata["tunable"] for name in tuned)


def test_a_package_named_trainer_is_not_installed() -> None:
    # then these tests would run that one
    assert importlib.util.find_spec("trainer") is None
