"""Which files of a folder are packed, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlhelpers.errors import UsageError
from mlhelpers.jobs.packaging import tree
from mlhelpers.jobs.packaging.tree import copy_files, list_files


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "trainer"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "inner" / "labels.txt").write_text("0 1 2")
    return folder


def names(folder: Path) -> list[str]:
    return [file.name for file in list_files(folder)]


def test_files_are_listed_by_name_without_caches_and_environments(package: Path) -> None:
    for place in ("__pycache__/a.py", ".git/config", "trainer.egg-info/PKG-INFO", "env/pyvenv.cfg", "inner/old.pyc"):
        (package / place).parent.mkdir(exist_ok=True)
        (package / place).touch()

    assert names(package) == ["__init__.py", "inner/labels.txt"]


def test_links_to_files_and_folders_are_followed(package: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "words.txt").write_text("a b")
    (package / "data").symlink_to(tmp_path / "elsewhere")

    copy_files(list_files(package), tmp_path / "copy")

    assert (tmp_path / "copy" / "data" / "words.txt").read_text() == "a b"
    assert not (tmp_path / "copy" / "data").is_symlink()


def test_a_program_stays_one(package: Path, tmp_path: Path) -> None:
    (package / "run.sh").touch(0o755)

    copy_files(list_files(package), tmp_path / "copy")

    assert os.access(tmp_path / "copy" / "run.sh", os.X_OK)
    assert not os.access(tmp_path / "copy" / "__init__.py", os.X_OK)


def test_a_file_that_vanishes_before_it_is_copied_is_passed_over(package: Path, tmp_path: Path) -> None:
    files = list_files(package)
    (package / "inner" / "labels.txt").unlink()

    copy_files(files, tmp_path / "copy")

    assert names(tmp_path / "copy") == ["__init__.py"]


def test_a_link_that_leads_nowhere_is_refused(package: Path) -> None:
    (package / "data").symlink_to("/nowhere/at/all")

    with pytest.raises(UsageError, match=r"The link .*/data leads nowhere \(/nowhere/at/all\): remove or mend it"):
        list_files(package)


def test_a_link_in_a_circle_is_refused(package: Path) -> None:
    (package / "inner" / "again").symlink_to(package)

    with pytest.raises(UsageError, match=r"The link .*/inner/again leads back to .*/trainer, which it lies in"):
        list_files(package)


def test_a_link_to_itself_is_refused(package: Path) -> None:
    (package / "self").symlink_to("self")

    with pytest.raises(UsageError, match=r"/self cannot be read: Too many levels of symbolic links"):
        list_files(package)


def test_a_pipe_is_refused(package: Path) -> None:
    os.mkfifo(package / "pipe")

    with pytest.raises(UsageError, match=r"/pipe is no file but a pipe, a socket or a device"):
        list_files(package)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(package: Path) -> None:
    (package / "secret.py").touch(0o000)

    with pytest.raises(UsageError, match=r"/secret.py cannot be read: Permission denied. Allow it"):
        list_files(package)


def test_a_name_that_is_no_text_is_refused(package: Path) -> None:
    (package / os.fsdecode(b"caf\xe9.py")).touch()

    with pytest.raises(UsageError, match=r"caf\\udce9.py' is no UTF-8 text, and cannot be packed: rename it"):
        list_files(package)


def test_a_folder_full_of_data_is_refused_with_its_largest_part(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MAX_BYTES", 1000)
    (package / "data").mkdir()
    (package / "data" / "all.csv").write_bytes(bytes(1001))

    with pytest.raises(UsageError, match=r"too large to be packed: 3 files, .* most of it in data .*Keep data"):
        list_files(package)
