"""Source distributions: of bare folders, and of projects with a build of their own."""

from __future__ import annotations

import os
import shutil
import tarfile
import textwrap
import time
import zipfile
from pathlib import Path

import pytest

from mlhelpers.errors import UsageError
from mlhelpers.jobs.packaging import sdist as sdist_module
from mlhelpers.jobs.packaging.sdist import Project, build, build_wheel, project_of, write_plain_sdist
from mlhelpers.jobs.packaging.tree import list_files, list_project

SETUP = """
from setuptools import find_packages, setup

setup(name="trainer", version="0.1", packages=find_packages(), package_data={"trainer": ["*.txt"]})
"""


def project(folder: Path, setup: str = SETUP, package: str = "trainer", settings: str = "") -> Path:
    """Write a project and return its package's folder."""
    inside = folder / package
    inside.mkdir(parents=True)
    (inside / "__init__.py").touch()
    (inside / "task.py").write_text("print('task')")
    (inside / "labels.txt").write_text("0 1 2")
    if setup:
        (folder / "setup.py").write_text(textwrap.dedent(setup))
    if settings:
        (folder / "pyproject.toml").write_text(textwrap.dedent(settings))
    return inside


def built(package: Path, out: Path) -> list[str]:
    """Return the names of what the wheel of a package's project holds, without its metadata."""
    found = project_of(package)
    assert found is not None
    files, _ = list_project(found.folder, package)
    _, wheel = build(found, files, out)
    return sorted(name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name)


def everything(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_the_same_bare_folder_always_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = project(tmp_path / "one", setup=""), project(tmp_path / "two", setup="")
    os.utime(two / "task.py", (1, 1))
    archives = []
    for package, now in ((one, 1.5e9), (two, 1.6e9)):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        archives.append(write_plain_sdist(package, list_files(package), package.parent))

    assert [path.name for path in archives] == ["trainer-0.0.0.tar.gz"] * 2
    assert archives[0].read_bytes() == archives[1].read_bytes()


def test_what_pip_would_install_of_a_bare_folder_is_all_that_is_in_it(tmp_path: Path) -> None:
    package = project(tmp_path, setup="")
    for place in ("inner/deep.py", "data/words.txt"):
        (package / place).parent.mkdir()
        (package / place).touch()

    wheel = build_wheel(write_plain_sdist(package, list_files(package), tmp_path), tmp_path / "out")

    held = sorted(name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name)
    assert held == sorted(f"trainer/{file.name}" for file in list_files(package))


def test_a_setup_py_beside_the_package_is_used_and_the_project_stays_clean(tmp_path: Path) -> None:
    package = project(tmp_path / "project")
    before = everything(tmp_path / "project")

    held = built(package, tmp_path / "out")

    assert held == ["trainer/__init__.py", "trainer/labels.txt", "trainer/task.py"]
    assert everything(tmp_path / "project") == before
    (archive,) = (tmp_path / "out").glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        assert "trainer-0.1/setup.py" in packed.getnames()


def test_an_old_setup_py_runs_unchanged(tmp_path: Path) -> None:
    # distutils, a neighbour imported and a file opened, as setup files of 2018 did
    setup = """
    from distutils.core import setup
    import version
    setup(name='trainer', version=version.NUMBER, packages=['trainer'], description=open('README.md').read(),
          setup_requires=['pytest-runner'], install_requires=['numpy==1.14.3'])
    """
    package = project(tmp_path, setup)
    (tmp_path / "version.py").write_text("NUMBER = '0.2'")
    (tmp_path / "README.md").write_text("old")
    (tmp_path / "MANIFEST.in").write_text("include version.py README.md\n")

    assert built(package, tmp_path / "out") == ["trainer/__init__.py", "trainer/task.py"]


def test_a_manifest_brings_its_data_files(tmp_path: Path) -> None:
    setup = (
        "from setuptools import setup\nsetup(name='t', version='1', packages=['trainer'], include_package_data=True)"
    )
    package = project(tmp_path, setup)
    (tmp_path / "MANIFEST.in").write_text("include trainer/labels.txt\n")

    assert "trainer/labels.txt" in built(package, tmp_path / "out")


def test_what_setup_py_leaves_out_is_not_there(tmp_path: Path) -> None:
    package = project(tmp_path, "from setuptools import setup\nsetup(name='t', version='1', packages=['trainer'])")

    assert built(package, tmp_path / "out") == ["trainer/__init__.py", "trainer/task.py"]


def test_a_src_layout_with_pyproject_is_built_by_its_own_backend(tmp_path: Path) -> None:
    settings = """
    [build-system]
    requires = ["hatchling"]
    build-backend = "hatchling.build"
    [project]
    name = "trainer"
    version = "1"
    """
    package = project(tmp_path, "", "src/trainer", settings)

    assert built(package, tmp_path / "out") == ["trainer/__init__.py", "trainer/labels.txt", "trainer/task.py"]


def test_a_backend_of_the_projects_own_is_found(tmp_path: Path) -> None:
    settings = """
    [build-system]
    requires = []
    build-backend = "mine"
    backend-path = ["tools"]
    """
    package = project(tmp_path, SETUP, settings=settings)
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "mine.py").write_text("from setuptools.build_meta import *")
    (tmp_path / "MANIFEST.in").write_text("graft tools\n")

    assert "trainer/task.py" in built(package, tmp_path / "out")


def test_a_pyproject_without_build_system_is_built_by_setuptools(tmp_path: Path) -> None:
    settings = """
    [project]
    name = "trainer"
    version = "1"
    [tool.setuptools]
    packages = ["trainer"]
    """
    assert "trainer/task.py" in built(project(tmp_path, "", settings=settings), tmp_path / "out")


def test_a_pyproject_with_settings_of_tools_alone_is_no_project(tmp_path: Path) -> None:
    assert project_of(project(tmp_path, "", settings="[tool.ruff]\nline-length = 100")) is None


def test_a_broken_pyproject_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"pyproject.toml cannot be read: Expected .* Mend it, or move it away"):
        project_of(project(tmp_path, "", settings="[project"))


def test_a_read_only_project_is_built(tmp_path: Path) -> None:
    package = project(tmp_path / "project")
    for path in (*package.iterdir(), package, tmp_path / "project"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert "trainer/task.py" in built(package, tmp_path / "out")
    finally:
        for path in (tmp_path / "project", package):
            path.chmod(0o755)


def test_a_backend_that_is_not_installed_is_named_with_the_pip_command(tmp_path: Path) -> None:
    settings = """
    [build-system]
    requires = ["nowhere-core>=1"]
    build-backend = "nowhere.core"
    """
    package = project(tmp_path, "", settings=settings)

    with pytest.raises(
        UsageError,
        match=r"pyproject.toml is built by nowhere.core, which is not installed here:  pip install 'nowhere-core>=1'",
    ):
        built(package, tmp_path / "out")


def test_a_build_that_fails_shows_its_last_lines_and_what_is_missing(tmp_path: Path) -> None:
    settings = """
    [build-system]
    requires = ["setuptools", "nowhere-numpy"]
    build-backend = "setuptools.build_meta"
    """
    package = project(tmp_path, "import nowhere_numpy", settings=settings)

    with pytest.raises(UsageError, match=r"cannot be built:") as caught:
        built(package, tmp_path / "out")

    assert "  ModuleNotFoundError: No module named 'nowhere_numpy'" in str(caught.value)
    assert str(caught.value).endswith("asks for what is not installed here:  pip install 'nowhere-numpy'")


def test_a_build_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdist_module, "_BUILD_S", 2.0)
    setup = f"import subprocess; subprocess.call(['sh', '-c', 'sleep 4; touch {tmp_path / 'survived'}'])"

    with pytest.raises(UsageError, match=r"setup.py was still being built after 2 s, and was stopped"):
        built(project(tmp_path / "project", setup), tmp_path / "out")

    time.sleep(3)
    assert not (tmp_path / "survived").exists()


def test_a_source_distribution_that_was_given_is_built_into_a_wheel(tmp_path: Path) -> None:
    folder = project(tmp_path / "project").parent
    build(Project(folder / "setup.py"), list_files(folder), tmp_path / "first")
    (given,) = (tmp_path / "first").glob("*.tar.gz")

    wheel = build_wheel(given, tmp_path / "out")

    assert "trainer/task.py" in zipfile.ZipFile(wheel).namelist()


def test_an_archive_without_a_build_is_no_source_distribution(tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "c"), "zip", project(tmp_path / "project", setup="").parent)

    with pytest.raises(UsageError, match=r"c.zip is no source distribution: it holds neither setup.py nor pyproject"):
        build_wheel(tmp_path / "c.zip", tmp_path / "out")
