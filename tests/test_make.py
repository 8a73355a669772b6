"""`make` finds a Python, makes the environment once, and says what to do where it cannot.

The set-up is run with a Python that only notes what it is asked for, so that nothing is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).resolve().parent.parent

# stands for python, for `python -m venv`, for pip and for uv; notes each call in $CALLS
_PYTHON = """#!/bin/sh
echo "$(basename "$0") $*" >> "$CALLS"
case "$(basename "$0") $*" in
  *"sys.version_info"*) echo "${VERSION:-3.12}" ;;
  *--version*) echo "Python ${VERSION:-3.12}.1" ;;
  *"import ensurepip"*) exit "${WITHOUT_VENV:-0}" ;;
  *"-m venv"*) mkdir -p .venv/bin; cp "$0" .venv/bin/python; cp "$0" .venv/bin/uv ;;
  "uv "*) exit "${UV_FAILS:-0}" ;;
  *"-m pip config"*) exit 1 ;;
  *"-m pip install"*"-r requirements.lock"*) exit "${PIP_FAILS:-0}" ;;
esac
exit 0
"""


class _Place:
    """A folder with the files that the set-up reads, and a Python that takes notes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("Makefile", "pyproject.toml", "requirements.lock"):
            shutil.copy(_REPOSITORY / name, folder / name)
        self.python = folder / "bin" / "python3"
        self.python.parent.mkdir()
        self.python.write_text(_PYTHON)
        self.python.chmod(0o755)
        self.calls = folder / "calls"

    def make(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        self.calls.write_text("")
        environment = {"PATH": f"{self.python.parent}:/usr/bin:/bin", "CALLS": str(self.calls), "HOME": "/"}
        command = ["make", *(words or ("ready",))]
        return subprocess.run(
            command, cwd=self.folder, env=environment | variables, capture_output=True, text=True, timeout=60
        )

    def called(self, text: str) -> bool:
        return text in self.calls.read_text()


@pytest.fixture
def place(tmp_path: Path) -> _Place:
    return _Place(tmp_path)


def test_the_first_make_installs_from_the_lock_with_hashes(place: _Place) -> None:
    done = place.make()

    assert done.returncode == 0, done.stderr
    assert place.called(
        "uv pip install --quiet --python .venv/bin/python --compile-bytecode --require-hashes --no-deps "
        "-r requirements.lock"
    )
    assert place.called("--require-hashes --no-deps -r .venv/installer.txt")
    assert place.called("-m pip install --quiet --no-deps --no-build-isolation --editable .")


def test_the_installer_is_pinned_by_the_lock(place: _Place) -> None:
    place.make()

    lines = (place.folder / ".venv" / "installer.txt").read_text().splitlines()
    assert lines[0].startswith("uv==")
    assert len(lines) > 5
    assert all(line.strip().startswith(("uv==", "--hash=sha256:", "#")) for line in lines)


def test_an_environment_that_is_there_is_taken_up_at_once(place: _Place) -> None:
    place.make()

    done = place.make()

    assert (done.returncode, done.stdout) == (0, "")
    assert not place.called("pip")


@pytest.mark.parametrize("file", ["requirements.lock", "pyproject.toml"])
def test_a_changed_file_is_installed_into_the_environment_that_is_there(place: _Place, file: str) -> None:
    place.make()
    with (place.folder / file).open("a") as stream:
        stream.write("\n# changed\n")

    place.make()

    assert place.called("uv pip install")
    assert not place.called("-m venv")


def test_an_environment_that_moved_is_installed_again(place: _Place, tmp_path: Path) -> None:
    place.make()
    stamp = place.folder / ".venv" / "ready"
    stamp.write_text(stamp.read_text().replace(str(place.folder), "/elsewhere"))

    place.make()

    assert place.called("--editable .")


def test_where_the_quick_installer_fails_pip_does_it_with_hashes(place: _Place) -> None:
    done = place.make(UV_FAILS="1")

    assert done.returncode == 0
    assert "going on with pip" in done.stdout
    assert place.called("-m pip install --require-hashes --no-deps -r requirements.lock")


def test_a_set_up_that_broke_off_is_taken_up_again(place: _Place) -> None:
    broken = place.make(UV_FAILS="1", PIP_FAILS="1")
    assert broken.returncode != 0
    assert not (place.folder / ".venv" / "ready").exists()

    assert place.make().returncode == 0
    assert place.called("uv pip install")


def test_another_python_by_name_makes_the_environment_anew(place: _Place) -> None:
    place.make()

    place.make("ready", f"PYTHON={place.python}")
    assert not place.called("-m venv"), "the same version is taken up"

    other = place.folder / "other"
    other.write_text(_PYTHON.replace("3.12", "3.13"))
    other.chmod(0o755)
    done = place.make("ready", f"PYTHON={other}")
    assert done.returncode == 0, done.stderr
    assert place.called("-m venv")


def test_a_python_that_does_not_fit_is_told_with_what_was_found(place: _Place) -> None:
    done = place.make("ready", f"PYTHON={place.python}", VERSION="3.9")

    assert done.returncode != 0
    assert f"Python 3.11, 3.12 or 3.13 is needed. Looked for: {place.python} (3.9)." in done.stderr
    assert "make run PYTHON=/path/to/python3.12" in done.stderr
    assert not (place.folder / ".venv").exists()


def test_a_python_without_venv_is_told_with_the_package_that_mends_it(place: _Place) -> None:
    done = place.make("ready", f"PYTHON={place.python}", WITHOUT_VENV="1")

    assert done.returncode != 0
    assert "cannot make environments: its venv module is missing." in done.stderr
    assert "sudo apt-get install python3.12-venv" in done.stderr
    assert not (place.folder / ".venv").exists()


def test_help_is_the_default_and_lists_every_target(place: _Place) -> None:
    told = place.make("help").stdout

    for target in ("help", "run", "lab", "test", "lint", "lock", "bench", "soak", "clean"):
        assert f"make {target} " in told
    outside = {"PATH": os.environ["PATH"]}  # a make that runs the tests would speak up in the one inside
    bare = subprocess.run(["make"], cwd=place.folder, env=outside, capture_output=True, text=True, check=True)
    assert bare.stdout == told


def test_clean_leaves_the_environment_and_the_shipped_data(place: _Place) -> None:
    for name in ("data/runs/x", "data/cache/x", "data/mnist/x", ".venv/x", "mlhelpers/__pycache__/x", "tests/x"):
        (place.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (place.folder / name).write_text("")
    (place.folder / "notebooks").mkdir()

    assert place.make("clean").returncode == 0

    left = {str(path.relative_to(place.folder)) for path in place.folder.rglob("x")}
    assert left == {"data/mnist/x", ".venv/x", "tests/x"}


def test_ci_runs_make_test() -> None:
    script = _REPOSITORY / ".ci" / "run"

    assert script.read_text().rstrip().endswith("exec make test")
    assert os.access(script, os.X_OK)
