"""Source distributions of a user's own package, as the service took them: packed here, or built by its project.

A bare folder is packed here, without starting a process. Beside a setup.py or pyproject.toml the project's own build
backend does it, in a copy, so that the project's folder stays as it is; nothing is downloaded for it.
"""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from mlhelpers.errors import UsageError
from mlhelpers.jobs.packaging.archive import unpack_sdist
from mlhelpers.jobs.packaging.tree import TreeFile, copy_files

__all__ = ["Project", "build", "build_wheel", "project_of", "write_plain_sdist"]

_LEGACY = "setuptools.build_meta:__legacy__"  # what stands in where a project names no backend (PEP 517)
_BUILD_S = 300.0
_LINES_SHOWN = 6
_LONG_AGO = 315532800  # 1980, the first year that zip files, wheels among them, can tell
_SETUP = """\
from setuptools import find_namespace_packages, setup

setup(
    name={name!r},
    version="0.0.0",
    packages=find_namespace_packages(include=[{name!r}, {name!r} + ".*"]),
    include_package_data=True,
)
"""


@dataclass(frozen=True)
class Project:
    """What stands beside a package and says how it is built.

    Attributes:
        file: Its setup.py or pyproject.toml.
        backend: The build backend, `module` or `module:attribute`.
        backend_path: Folders inside the project where the backend lies, if it is the project's own.
        requires: What the build needs, as the project says it.
    """

    file: Path
    backend: str = _LEGACY
    backend_path: tuple[str, ...] = ()
    requires: tuple[str, ...] = ("setuptools",)

    @property
    def folder(self) -> Path:
        """Return the project's folder."""
        return self.file.parent


def project_of(package: Path) -> Project | None:
    """Return the project that a package's folder belongs to, or None for a bare folder.

    It lies beside the package, or one folder higher where the package is in src/. A pyproject.toml that only holds
    settings of tools is none.

    Args:
        package: The package's folder.

    Raises:
        UsageError: pyproject.toml cannot be read.
    """
    found = _project_in(package.parent)
    if found is None and package.parent.name == "src":
        found = _project_in(package.parent.parent)
    return found


def write_plain_sdist(package: Path, files: Sequence[TreeFile], into: Path) -> Path:
    """Pack a bare folder with a setup.py written for it; the same files always make the same bytes.

    Args:
        package: The package's folder.
        files: What is in it.
        into: Folder that shall hold the archive.

    Returns:
        The archive, NAME-0.0.0.tar.gz.

    Raises:
        UsageError: A file cannot be read any more.
        OSError: The archive cannot be written.
    """
    name, root = package.name, f"{package.name}-0.0.0"
    texts = {
        "MANIFEST.in": f"graft {name}\n",
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.0.0\n",
        "setup.py": _SETUP.format(name=name),
    }
    archive = into / f"{root}.tar.gz"
    with (
        archive.open("wb") as stream,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=stream, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for place, text in texts.items():
            tar.addfile(_entry(f"{root}/{place}", len(text)), BytesIO(text.encode()))
        for file in files:
            content = _content(file.path)
            tar.addfile(_entry(f"{root}/{name}/{file.name}", len(content), file.is_program), BytesIO(content))
    return archive


def build(project: Project, files: Sequence[TreeFile], into: Path) -> tuple[Path, Path]:
    """Build a project's source distribution, and a wheel from that; its folder is not touched.

    Args:
        project: What `project_of` found.
        files: What is copied of its folder, to be built there.
        into: Folder that shall hold both.

    Returns:
        The source distribution and the wheel.

    Raises:
        UsageError: The build backend is not installed, or the build failed; the message has its last lines.
        OSError: There is no room for the copy.
    """
    with tempfile.TemporaryDirectory(prefix="mlhelpers-build-") as place:
        copy = Path(place, project.folder.name or "project")
        copy.mkdir()
        copy_files(files, copy)
        sdist = _call_hook(project, copy, into, "sdist")
        unpacked = unpack_sdist(sdist, Path(place, "unpacked"))
        return sdist, _call_hook(project, unpacked, into, "wheel")


def build_wheel(sdist: Path, into: Path) -> Path:
    """Build the wheel of a source distribution that somebody gave.

    Args:
        sdist: A .tar.gz, .tgz or .zip.
        into: Folder that shall hold the wheel.

    Raises:
        UsageError: It is damaged or no source distribution, its build backend is not installed, or the build failed.
        OSError: There is no room to unpack it.
    """
    with tempfile.TemporaryDirectory(prefix="mlhelpers-build-") as place:
        folder = unpack_sdist(sdist, Path(place, "unpacked"))
        project = _project_in(folder)
        if project is None:
            raise UsageError(
                f"{sdist.name} is no source distribution: it holds neither setup.py nor pyproject.toml. Make one with  "
                "python setup.py sdist  or  python -m build, or give the package's folder with --package-path."
            )
        return _call_hook(project, folder, into, "wheel", sdist.name)


def _project_in(folder: Path) -> Project | None:
    setup, settings = folder / "setup.py", folder / "pyproject.toml"
    if settings.is_file():
        try:
            told = tomllib.loads(settings.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"{settings} cannot be read: {error}. Mend it, or move it away.") from error
        system = told.get("build-system", {})
        if system or "project" in told:
            named = "build-backend" in system
            return Project(
                settings,
                system.get("build-backend", _LEGACY),
                tuple(system.get("backend-path", ())) if named else (),
                tuple(system.get("requires", ("setuptools",))),
            )
    return Project(setup) if setup.is_file() else None


def _entry(name: str, size: int, is_program: bool = False) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = size, _LONG_AGO, 0o755 if is_program else 0o644
    return entry


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}. Allow it, or move it away.") from error


class _BuildError(Exception):
    """A hook's process ended badly, or did not end; the process's code is None then."""

    def __init__(self, code: int | None, printed: str) -> None:
        super().__init__(code)
        self.code = code
        self.printed = printed


def _call_hook(project: Project, folder: Path, out: Path, kind: str, name: str = "") -> Path:
    """Have the backend make an "sdist" or a "wheel" of a folder, in a process of its own; return the file."""
    from pyproject_hooks import BackendUnavailable, BuildBackendHookCaller

    out.mkdir(parents=True, exist_ok=True)
    caller = BuildBackendHookCaller(
        str(folder), project.backend, project.backend_path or None, runner=_run, python_executable=sys.executable
    )
    what = name or str(project.file)
    try:
        made = caller.build_sdist(str(out)) if kind == "sdist" else caller.build_wheel(str(out))
    except BackendUnavailable as error:
        backend = project.backend.partition(":")[0]
        raise UsageError(
            f"{what} is built by {backend}, which is not installed here:  {_pip_command(project)}"
        ) from error
    except _BuildError as error:
        raise UsageError(_failure(project, what, error)) from error
    return out / made


def _run(cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None) -> None:
    """Run a hook's process without a network for pip, and end it with all that it started where it takes too long."""
    quiet = {"PIP_NO_INDEX": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            cmd,
            cwd=cwd,
            env=os.environ | quiet | dict(extra_environ or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            code = process.wait(_BUILD_S)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if code != 0:
            output.seek(max(0, output.tell() - 20_000))
            raise _BuildError(code, output.read().decode(errors="replace"))


def _pip_command(project: Project) -> str:
    from mlhelpers.jobs.packaging.requirements import not_installed

    return f"pip install {' '.join(map(repr, not_installed(project.requires) or project.requires))}"


def _failure(project: Project, what: str, error: _BuildError) -> str:
    from mlhelpers.jobs.packaging.requirements import not_installed

    if error.code is None:
        return f"{what} was still being built after {_BUILD_S:.0f} s, and was stopped. Does it wait for something?"
    lines = [line for line in error.printed.splitlines() if line.strip()][-_LINES_SHOWN:]
    is_lacking = bool(not_installed(project.requires))
    hint = f"\nIts build asks for what is not installed here:  {_pip_command(project)}" if is_lacking else ""
    return f"{what} cannot be built:\n" + "\n".join(f"  {line}" for line in lines) + hint
