"""Arguments and PYTHONPATH as the trainer gets them; the contract's variables are seen from inside in test_engine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import mlhelpers
from mlhelpers.errors import UsageError
from mlhelpers.jobs.local.environment import base_environment, python_path, trainer_arguments, trainer_environment


def test_only_addresses_become_folders(home: Path) -> None:
    words = ["--note", "see gs://bucket", "a=b", "gs://bucket/*.csv"]

    assert trainer_arguments(words, None) == ["--note", "see gs://bucket", "a=b", f"{home}/buckets/bucket/*.csv"]


def test_a_relative_job_dir_is_made_absolute() -> None:
    assert trainer_arguments([], "out") == ["--job-dir", str(Path.cwd() / "out")]


def test_an_address_without_a_bucket_is_refused() -> None:
    with pytest.raises(UsageError, match=r"names no bucket"):
        trainer_arguments(["--in=gs://B/x"], None)


def test_a_run_in_the_foreground_has_no_job_id() -> None:
    assert trainer_environment() == {"PYTHONUNBUFFERED": "1"}


def test_what_an_outer_job_was_told_is_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_ML_HP_METRIC_FILE", "/of/the/outer")
    monkeypatch.setenv("OF_THE_USER", "1")

    environment = base_environment()

    assert "CLOUD_ML_HP_METRIC_FILE" not in environment
    assert environment["OF_THE_USER"] == "1"


def test_the_folder_of_mlhelpers_is_searched_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/one", "/two"]))
    root = str(Path(mlhelpers.__file__).parents[1])

    assert python_path(["/first"]).split(os.pathsep) == ["/first", "/one", "/two", root]
    assert python_path([], {"PYTHONPATH": "/asked"}).split(os.pathsep) == ["/asked", root]
