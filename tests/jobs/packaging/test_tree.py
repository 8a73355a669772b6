"""Which files of a folder are packed, and what is refused."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from mlhelpers.errors import UsageError
from mlhelpers.jobs.packaging import tree
from mlhelpers.jobs.packaging.tree import copy_files, list_files, list_project


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


def project_names(package: Path) -> list[str]:
    return [file.name for file in list_project(package.parent, package)[0]]


def test_what_is_no_file_is_passed_over_beside_the_package(package: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.mkdir()
    (tmp_path / "setup.py").touch()
    (output / "latest").symlink_to("run_7")
    (output / "self").symlink_to("self")
    (output / "up").symlink_to(tmp_path)
    os.mkfifo(output / "pipe")
    (output / os.fsdecode(b"caf\xe9.txt")).touch()
    (output / "words.txt").touch()
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(output / "socket"))

    assert project_names(package) == [
        "output/words.txt",
        "setup.py",
        "trainer/__init__.py",
        "trainer/inner/labels.txt",
    ]


@pytest.mark.parametrize("place", ["", "src"])
def test_inside_the_package_a_project_is_held_to_it_all_the_same(tmp_path: Path, place: str) -> None:
    package = tmp_path / place / "trainer"
    package.mkdir(parents=True)
    (package / "data").symlink_to("/nowhere/at/all")

    with pytest.raises(UsageError, match=r"The link .*/trainer/data leads nowhere"):
        list_project(tmp_path, package)


def test_large_files_are_left_out_beside_the_package_and_named(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "_LARGE_BYTES", 1_000_000)
    monkeypatch.setattr(tree, "_LARGE_FILES", 3)
    (package / "weights.bin").write_bytes(bytes(1_000_001))
    for folder in ("data", "output", "many", "other"):
        (tmp_path / folder).mkdir()
    (tmp_path / "data" / "train.csv").write_bytes(bytes(2_000_001))
    (tmp_path / "data" / "words.txt").touch()
    for number in range(4):
        (tmp_path / "output" / f"model_{number}").write_bytes(bytes(300_000))
        (tmp_path / "many" / f"{number}.json").touch()
    (tmp_path / "other" / "__init__.py").touch()
    (tmp_path / "other" / "weights.bin").write_bytes(bytes(1_000_001))

    files, too_large = list_project(tmp_path, package)

    assert [file.name for file in files if not file.name.startswith("trainer/inner")] == [
        "data/words.txt",
        "other/__init__.py",
        "other/weights.bin",
        "trainer/__init__.py",
        "trainer/weights.bin",
    ]
    assert too_large == [
        "data/train.csv (2 MB)",
        "many/ (more than 1 MB or 3 files)",
        "output/ (more than 1 MB or 3 files)",
    ]


def test_a_project_with_too_much_in_its_package_is_refused(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "MAX_FILES", 1)

    with pytest.raises(UsageError, match=r"too large to be packed: 2 files, .* most of it in trainer"):
        list_project(tmp_path, package)
