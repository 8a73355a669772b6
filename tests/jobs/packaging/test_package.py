"""Which packages and modules are taken."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mlhelpers import jobs
from mlhelpers.errors import UsageError
from mlhelpers.jobs import JobSpec
from mlhelpers.jobs.packaging.package import check_module


def _plan(module: str, package: Path | str | None = None) -> jobs.Plan:
    return jobs.plan(JobSpec("first", module, package_path=package))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def test_a_package_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"The package path '.*nowhere' is no folder. Give the folder that holds"):
        _plan("nowhere.task", tmp_path / "nowhere")


def test_a_package_path_without_init_is_refused_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "trainer").mkdir()

    with pytest.raises(UsageError, match=r"has no __init__.py.* touch .*/trainer/__init__.py"):
        _plan("trainer.task", tmp_path / "trainer")


def test_a_package_whose_name_cannot_be_imported_is_refused(tmp_path: Path) -> None:
    (tmp_path / "my-trainer").mkdir()
    (tmp_path / "my-trainer" / "__init__.py").touch()

    with pytest.raises(UsageError, match=r"cannot be imported by the name 'my-trainer': rename it"):
        _plan("trainer.task", tmp_path / "my-trainer")


def test_a_package_with_the_name_of_pythons_own_module_is_refused(tmp_path: Path) -> None:
    (tmp_path / "logging").mkdir()
    (tmp_path / "logging" / "__init__.py").touch()

    with pytest.raises(UsageError, match=r"has the name of Python's own module 'logging', and would hide it"):
        _plan("logging.task", tmp_path / "logging")


def test_a_package_named_like_a_word_of_the_language_is_refused(tmp_path: Path) -> None:
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "__init__.py").touch()

    with pytest.raises(UsageError, match=r"cannot be imported by the name 'class': rename it"):
        _plan("trainer.task", tmp_path / "class")


def test_the_folder_of_the_project_in_place_of_the_packages_gets_a_hint(write_trainer) -> None:
    package = write_trainer("")

    with pytest.raises(UsageError, match=rf"no __init__.py.* Did you mean the package inside it, {package}\?"):
        _plan("trainer.task", package.parent)


def test_a_package_in_a_bucket_runs(write_trainer, home: Path) -> None:
    write_trainer("print('from a bucket')").rename(_made(home / "buckets" / "code") / "trainer")

    assert jobs.run(JobSpec("first", "trainer.task", package_path="gs://code/trainer")).log() == "from a bucket\n"


def test_a_module_that_the_package_lacks_is_refused_with_the_nearest(write_trainer) -> None:
    write_trainer("", module="model")
    with pytest.raises(
        UsageError, match=r"'trainer' has no 'tsk'. Did you mean 'trainer.task'\? It holds: model, task."
    ):
        _plan("trainer.tsk", write_trainer(""))


def test_a_module_of_another_package_is_refused(write_trainer) -> None:
    with pytest.raises(
        UsageError, match=r"the package given is 'trainer', so the module's name begins with 'trainer.'"
    ):
        _plan("other.task", write_trainer(""))


def test_a_module_that_is_not_installed_points_to_the_package_path() -> None:
    with pytest.raises(UsageError, match=r"Python finds no 'trainer_nowhere'.* --package-path"):
        _plan("trainer_nowhere.task")


def test_a_module_below_a_plain_file_is_refused(write_trainer) -> None:
    with pytest.raises(UsageError, match=r"'trainer.task' is a file, not a package"):
        _plan("trainer.task.deeper", write_trainer(""))


def test_a_package_without_main_is_refused_with_what_it_holds(write_trainer) -> None:
    with pytest.raises(UsageError, match=r"'trainer' is a package and has no __main__.py.* It holds: trainer.task"):
        _plan("trainer", write_trainer(""))


def test_a_package_with_main_runs(write_trainer) -> None:
    package = write_trainer("print('main')", module="__main__")

    assert jobs.run(JobSpec("first", "trainer", package_path=package)).log() == "main\n"


def test_looking_for_a_module_imports_nothing_of_it(write_trainer) -> None:
    package = write_trainer("raise RuntimeError")
    (package / "__init__.py").write_text("raise RuntimeError")
    before = set(sys.modules)

    check_module("trainer.task", package, package.parent)

    assert not {name for name in set(sys.modules) - before if name.startswith("trainer")}


def test_a_module_of_the_working_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "alone.py").write_text("print('here')")
    monkeypatch.chdir(tmp_path)

    assert jobs.run(JobSpec("first", "alone")).log() == "here\n"


def test_a_package_with_a_broken_link_is_refused_and_no_job_is_made(write_trainer) -> None:
    package = write_trainer("")
    (package / "data").symlink_to("/nowhere/at/all")

    with pytest.raises(UsageError, match=r"The link .*/trainer/data leads nowhere"):
        jobs.submit(JobSpec("first", "trainer.task", package_path=package))

    assert jobs.list_jobs() == []
