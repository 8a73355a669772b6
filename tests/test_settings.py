"""Explicit argument > `use(...)` of this process > environment > default."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from mlhelpers import settings
from mlhelpers.errors import DataError, UsageError


def test_defaults_are_local_and_without_a_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLHELPERS_HOME")

    now = settings.current()

    assert now == settings.Settings(home=Path.home() / ".mlhelpers")
    assert (now.backend, now.project, now.mirror, now.bucket) == ("local", None, None, None)


@pytest.mark.parametrize(
    ("variable", "field"),
    [
        ("MLHELPERS_MIRROR", "mirror"),
        ("MLHELPERS_BACKEND", "backend"),
        ("GOOGLE_CLOUD_PROJECT", "project"),
        ("MLHELPERS_REGION", "region"),
        ("MLHELPERS_BUCKET", "bucket"),
    ],
)
def test_the_environment_beats_the_default_and_use_beats_both(
    variable: str, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "from-environment")
    assert getattr(settings.current(), field) == "from-environment"

    settings.use(**{field: "from-use"})
    assert getattr(settings.current(), field) == "from-use"

    settings.use(backend=None, **({field: None} if field != "backend" else {}))
    if field != "backend":
        assert getattr(settings.current(), field) == "from-environment"


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLHELPERS_MIRROR", "")

    assert settings.current().mirror is None


def test_the_environment_is_read_when_asked_not_at_import(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLHELPERS_HOME", str(tmp_path / "other"))

    assert settings.current().home == tmp_path / "other"


def test_home_takes_a_tilde_and_becomes_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    settings.use(home="~/store")
    assert settings.current().home == tmp_path / "store"

    monkeypatch.chdir(tmp_path)
    settings.use(home="store")
    assert settings.current().home == tmp_path / "store"


def test_use_refuses_an_unknown_setting_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"There is no setting 'miror'\. Did you mean 'mirror'\?"):
        settings.use(miror="/somewhere")


def test_using_restores_what_was_there_before_also_after_an_error() -> None:
    settings.use(project="outer")

    with suppress(RuntimeError), settings.using(project="inner", bucket="b"):
        assert settings.current().project == "inner"
        raise RuntimeError

    assert (settings.current().project, settings.current().bucket) == ("outer", None)


def test_home_folder_makes_what_is_asked(home: Path) -> None:
    assert settings.home_folder("jobs", "deep") == home / "jobs" / "deep"
    assert (home / "jobs" / "deep").is_dir()


def test_a_home_that_cannot_be_made_names_the_variable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with settings.using(home=tmp_path / "file"), pytest.raises(DataError, match=r"cannot be made.*Set MLHELPERS_HOME"):
        settings.home_folder("jobs")


def test_nothing_is_made_at_import(tmp_path: Path) -> None:
    code = "import mlhelpers.settings as s; s.current(); s.shipped_data()"
    environment = {**os.environ, "MLHELPERS_HOME": str(tmp_path / "store")}

    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=30)

    assert not (tmp_path / "store").exists()


def test_shipped_data_is_the_repositorys_data_folder(repository: Path) -> None:
    assert settings.shipped_data() == repository / "data"


def test_as_many_jobs_run_at_once_as_there_are_cores_unless_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.current().max_jobs == settings.cores() >= 1

    monkeypatch.setenv("MLHELPERS_MAX_JOBS", "7")
    assert settings.current().max_jobs == 7
    with settings.using(max_jobs=3):
        assert settings.current().max_jobs == 3


@pytest.mark.parametrize(("quota", "most"), [("50000 100000", 1), ("100000 100000", 1), ("150000 100000", 2)])
def test_a_containers_share_of_the_cores_counts(
    quota: str, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = settings.cores()
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    monkeypatch.setattr(settings, "_CPU_QUOTA", tmp_path / "cpu.max")

    assert settings.cores() == min(before, most)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert settings.cores() >= before


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_number_of_jobs_that_is_none_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLHELPERS_MAX_JOBS", value)

    with pytest.raises(UsageError, match=rf"max_jobs \(MLHELPERS_MAX_JOBS\) is '{value}'. Give a whole number, 1 or"):
        settings.current()
