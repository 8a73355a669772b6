"""A job's own code: which of its packages runs, and what is said about them."""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
import time
import zipfile
from pathlib import Path

import pytest

from mlhelpers import jobs
from mlhelpers.errors import UsageError
from mlhelpers.jobs import JobSpec
from mlhelpers.jobs.packaging.bundle import check_code, write_code

SETUP = "from setuptools import find_packages, setup\nsetup(name='trainer', version='0.1', packages=find_packages(){})"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give temporary files a folder of their own, to see what is left there."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def wheel(path: Path, entries: dict[str, str]) -> Path:
    name, version = path.name.split("-")[:2]
    entries |= {f"{name}-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"}
    with zipfile.ZipFile(path, "w") as packed:
        for place, text in entries.items():
            packed.writestr(place, text)
    return path


def with_setup(package: Path, more: str = "") -> Path:
    (package.parent / "setup.py").write_text(SETUP.format(more))
    return package


def notes(spec: JobSpec) -> list[str]:
    return jobs.plan(spec).request["local"]["notes"]


def test_a_bare_folder_runs_from_its_copy_and_its_archive_is_kept(write_trainer, home: Path) -> None:
    package = write_trainer("import trainer\nprint(trainer.__file__)")
    job = jobs.run(JobSpec("first", "trainer.task", package_path=package))

    folder = home / "jobs" / "first"
    assert job.log() == f"{folder / 'package' / 'trainer' / '__init__.py'}\n"
    assert os.listdir(folder / "packages") == ["trainer-0.0.0.tar.gz"]


def test_a_bare_folder_starts_no_build_and_writes_nothing_before_it_is_submitted(
    write_trainer, temporary: Path, home: Path
) -> None:
    jobs.plan(JobSpec("first", "trainer.task", package_path=write_trainer("")))

    assert os.listdir(temporary) == []
    assert not (home / "jobs" / "first").exists()


def test_a_package_with_setup_py_runs_from_what_its_source_distribution_holds(write_trainer, home: Path) -> None:
    package = with_setup(write_trainer("import trainer\nprint(trainer.__file__)"))
    job = jobs.run(JobSpec("first", "trainer.task", package_path=package))

    folder = home / "jobs" / "first"
    assert job.log() == f"{folder / 'package' / 'trainer' / '__init__.py'}\n"
    assert os.listdir(folder / "packages") == ["trainer-0.1.tar.gz"]
    assert sorted(os.listdir(package.parent)) == ["setup.py", "trainer"]


def test_an_edit_after_submission_does_not_reach_the_job(write_trainer, tmp_path: Path) -> None:
    code = f"""
        import time, os
        while not os.path.exists({str(tmp_path / "go")!r}):
            time.sleep(0.02)
        from trainer import model
    """
    package = with_setup(write_trainer(code))
    write_trainer("print('old')", module="model")
    job = jobs.submit(JobSpec("first", "trainer.task", package_path=package))
    write_trainer("print('new')", module="model")
    (tmp_path / "go").touch()
    job.wait(progress=False)

    assert job.log() == "old\n"


def test_an_edit_between_plan_and_submission_is_built_again(write_trainer, home: Path) -> None:
    spec = JobSpec("first", "trainer.task", package_path=with_setup(write_trainer("old = 1")))
    check_code(spec)
    write_trainer("newer = 1")
    folder = home / "job"
    folder.mkdir(parents=True)

    write_code(spec, folder)

    assert (folder / "package" / "trainer" / "task.py").read_text() == "newer = 1"


def test_plan_and_submission_build_once_and_leave_nothing_behind(write_trainer, home: Path, temporary: Path) -> None:
    log = home.parent / "builds"
    package = with_setup(write_trainer(""))
    setup = package.parent / "setup.py"
    setup.write_text(f"open({str(log)!r}, 'a').write('built ')\n" + setup.read_text())
    spec = JobSpec("first", "trainer.task", package_path=package)
    folder = home / "job"
    folder.mkdir(parents=True)

    check_code(spec)
    builds = log.read_text()
    write_code(spec, folder)

    assert log.read_text() == builds != ""
    assert os.listdir(temporary) == []


def test_a_module_that_setup_py_leaves_out_is_named(write_trainer) -> None:
    package = with_setup(write_trainer(""))
    (package / "inner").mkdir()
    (package / "inner" / "task.py").touch()

    with pytest.raises(
        UsageError, match=r"'trainer' has no 'inner'.* What runs is what .*/setup.py packs, and that is: trainer. Name"
    ):
        check_code(JobSpec("first", "trainer.inner.task", package_path=package))


def test_a_package_that_setup_py_leaves_out_is_named(write_trainer) -> None:
    package = with_setup(write_trainer(""))
    (package.parent / "setup.py").write_text("from setuptools import setup\nsetup(name='t', version='1', packages=[])")

    with pytest.raises(UsageError, match=r"setup.py leaves the package 'trainer' out, so there is no module"):
        check_code(JobSpec("first", "trainer.task", package_path=package))


def test_what_the_package_asks_for_is_compared_with_what_is_installed(write_trainer) -> None:
    package = with_setup(write_trainer(""), ", install_requires=['numpy==1.14.3', 'nowhere-gcs==1.10.0']")

    missing, other = notes(JobSpec("first", "trainer.task", package_path=package))

    assert missing == "The package asks for nowhere-gcs, not installed here:  pip install nowhere-gcs"
    assert other.startswith("The package asks for numpy==1.14.3; numpy 2.")


def test_data_files_outside_of_the_package_are_told_to_be_left_out(write_trainer) -> None:
    package = with_setup(write_trainer(""), ", data_files=[('share', ['words.txt'])]")
    (package.parent / "words.txt").touch()

    (note,) = notes(JobSpec("first", "trainer.task", package_path=package))

    assert note.startswith("trainer-0.1.tar.gz would also install share/words.txt outside of Python's folders")


def test_output_beside_setup_py_neither_hinders_nor_travels(write_trainer, home: Path) -> None:
    package = with_setup(write_trainer("print('ran')"))
    output = package.parent / "output"
    output.mkdir()
    (output / "latest").symlink_to("run_7")
    os.mkfifo(output / "pipe")
    with (output / "model.ckpt").open("wb") as data:
        data.truncate(3 * 1024**3)  # takes no room on the disk
    job = jobs.run(spec := JobSpec("first", "trainer.task", package_path=package))

    assert job.log() == "ran\n"
    assert notes(dataclasses.replace(spec, name="second")) == [
        "Too large to be source, and so left out where setup.py is built: output/model.ckpt (3,221 MB). "
        "If the package needs it, move it into trainer/."
    ]


def test_a_build_that_misses_what_was_left_out_says_so(write_trainer) -> None:
    package = with_setup(write_trainer(""))
    (package.parent / "setup.py").write_text("open('words.bin')")
    with (package.parent / "words.bin").open("wb") as data:
        data.truncate(60_000_000)

    with pytest.raises(UsageError, match=r"(?s)No such file .*'words.bin'.*left out where setup.py is built: wo"):
        check_code(JobSpec("first", "trainer.task", package_path=package))


def test_packages_are_unpacked_and_found_in_the_order_given(write_trainer, tmp_path: Path, home: Path) -> None:
    one = wheel(tmp_path / "one-1-py3-none-any.whl", {"shared.py": "NAME = 'one'", "lib/__init__.py": ""})
    two = wheel(tmp_path / "two-1-py3-none-any.whl", {"shared.py": "NAME = 'two'", "only_two.py": ""})
    code = "import only_two, lib, shared\nprint(shared.NAME)"
    job = jobs.run(JobSpec("first", "trainer.task", package_path=write_trainer(code), packages=[one, two]))

    assert job.log() == "one\n"
    assert sorted(os.listdir(home / "jobs" / "first" / "packages")) == [
        "one-1-py3-none-any.whl",
        "trainer-0.0.0.tar.gz",
        "two-1-py3-none-any.whl",
    ]


@pytest.mark.parametrize("ending", [".tar.gz", ".zip"])
def test_a_trainer_runs_from_a_source_distribution_in_a_bucket(
    write_trainer, home: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    package = with_setup(write_trainer("import trainer; print('packed', trainer.__file__)"))
    bucket = home / "buckets" / "code"
    shutil.make_archive(str(bucket / "a"), "gztar" if ending == ".tar.gz" else "zip", package.parent)
    monkeypatch.chdir(package.parent)  # where the original lies, which must not be what runs
    job = jobs.run(JobSpec("first", "trainer.task", packages=[f"gs://code/a{ending}"]))

    assert job.log() == f"packed {home / 'jobs' / 'first' / 'package-1' / 'trainer' / '__init__.py'}\n"


def test_an_installed_module_finds_the_packages_given_with_it(tmp_path: Path) -> None:
    given = wheel(tmp_path / "one-1-py3-none-any.whl", {"sitecustomize_not.py": "print('found')"})
    job = jobs.run(JobSpec("first", "runpy", ["sitecustomize_not"], packages=[given]))

    assert job.log() == "found\n"


def test_two_packages_of_one_file_name_are_refused(tmp_path: Path) -> None:
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        wheel(tmp_path / place / "one-1-py3-none-any.whl", {"one.py": ""})

    with pytest.raises(UsageError, match=r"Two packages have the file name 'one-1-py3-none-any.whl'"):
        check_code(JobSpec("first", "one", packages=[tmp_path / place / "one-1-py3-none-any.whl" for place in "ab"]))


def test_a_package_of_the_file_name_that_ones_own_gets_is_refused(write_trainer, tmp_path: Path) -> None:
    package = with_setup(write_trainer(""))
    (tmp_path / "trainer-0.1.tar.gz").touch()

    with pytest.raises(UsageError, match=r"is packed as 'trainer-0.1.tar.gz', and a package of that file name"):
        check_code(JobSpec("f", "trainer.task", package_path=package, packages=[tmp_path / "trainer-0.1.tar.gz"]))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("trainer.rar", r"'trainer.rar' is none of .tar.gz, .tgz, .zip, .whl. Build one with"),
        ("gs://code/a.whl", r"'gs://code/a.whl' is not there \(.*/buckets/code/a.whl\). Build it, or mend the path"),
    ],
)
def test_a_package_that_is_none_or_not_there_is_refused(given: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_code(JobSpec("first", "trainer.task", packages=[given]))


def test_a_package_that_would_hide_pythons_own_module_is_refused(tmp_path: Path) -> None:
    given = wheel(tmp_path / "enum34-1-py3-none-any.whl", {"enum/__init__.py": ""})

    with pytest.raises(UsageError, match=r"enum34-1-py3-none-any.whl holds enum: a module of that name is Python's"):
        check_code(JobSpec("first", "enum34", packages=[given]))


def test_a_package_that_cannot_be_built_makes_no_job(write_trainer, home: Path, temporary: Path) -> None:
    package = with_setup(write_trainer(""))
    (package.parent / "setup.py").write_text("print 'python 2'")

    with pytest.raises(UsageError, match=r"(?s)setup.py cannot be built:.*SyntaxError: Missing parentheses"):
        jobs.submit(JobSpec("first", "trainer.task", package_path=package))

    assert jobs.list_jobs() == []
    assert os.listdir(temporary) == []


def test_packing_a_bare_folder_takes_a_fraction_of_what_a_build_takes(write_trainer, home: Path) -> None:
    def seconds(spec: JobSpec, folder: Path) -> float:
        folder.mkdir(parents=True)
        start = time.perf_counter()
        check_code(spec)
        write_code(spec, folder)
        return time.perf_counter() - start

    package = write_trainer("")
    spec = JobSpec("first", "trainer.task", package_path=package)
    bare = min(seconds(spec, home / f"bare{number}") for number in range(3))
    with_setup(package)

    assert bare < seconds(spec, home / "built") / 10
