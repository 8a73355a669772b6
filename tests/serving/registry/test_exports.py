"""Which folder is taken for a model, and what is said where there is none."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlhelpers.errors import ModelError
from mlhelpers.serving.registry.exports import MODEL_FILES, find_export, holds_model


def test_an_export_is_taken_as_it_is(tiny_export: Path) -> None:
    assert holds_model(tiny_export)
    assert find_export(tiny_export) == tiny_export


def test_the_newest_timestamp_is_taken_by_number(tiny_export: Path, tmp_path: Path) -> None:
    for name in ("999", "1000", "temp-2000", ".3000.part"):
        shutil.copytree(tiny_export, tmp_path / "Servo" / name)

    assert find_export(tmp_path / "Servo") == tmp_path / "Servo" / "1000"


def test_a_bucket_stands_for_its_folder(tiny_export: Path, home: Path) -> None:
    shutil.copytree(tiny_export, home / "buckets" / "my-bucket" / "model")

    assert find_export("gs://my-bucket/model") == home / "buckets" / "my-bucket" / "model"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nothere' does not exist\. Give the folder that a trainer exported"):
        find_export(tmp_path / "nothere")
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match="file' is a file"):
        find_export(tmp_path / "file")


def test_an_empty_folder_is_no_export(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"There is no model in .* model\.tflite or saved_model\.pb or .*, with signature\.json"
    ):
        find_export(tmp_path)


def test_a_trainers_output_folder_points_to_its_export(tiny_export: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_export, tmp_path / "export" / "Servo" / "17")

    with pytest.raises(ModelError, match=r"Did you mean .*export.Servo.17\?"):
        find_export(tmp_path)


def test_half_an_export_says_what_is_there(own_export: Path) -> None:
    for name in ("model.tflite", "saved_model.pb"):
        (own_export / name).unlink()

    with pytest.raises(ModelError, match=r"only signature\.json is there\. Export it again"):
        find_export(own_export)


@pytest.mark.parametrize("name", ["model.tflite", "saved_model.pb", "model.keras"])
def test_a_file_that_says_itself_what_it_takes_is_a_model_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()

    assert name in MODEL_FILES
    assert find_export(tmp_path) == tmp_path


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("flowers.tflite", r"'flowers\.tflite' there may be a model under another name: call it 'model\.tflite'"),
        ("old.h5", r"'old\.h5' there is Keras' former format: .* save it as 'model\.keras'"),
    ],
)
def test_a_model_under_another_name_is_pointed_out(tmp_path: Path, name: str, advice: str) -> None:
    (tmp_path / name).touch()

    with pytest.raises(ModelError, match=advice):
        find_export(tmp_path)


def test_the_registry_knows_the_files_without_any_framework() -> None:
    code = (
        "import sys; from mlhelpers.serving.registry import exports, resources, store; "
        "print({'tensorflow', 'keras', 'ai_edge_litert', 'sklearn', 'xgboost'} & sys.modules.keys())"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout == "set()\n"
