"""A job's own code: the packages that came with it, built, kept beside the job, and unpacked where it runs.

In a job's folder `packages/` holds what a cloud would be sent, `package/` the user's own package as it runs, and
`package-1/`, `package-2/`, … the other ones in the order in which they were given.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlhelpers.errors import UsageError
from mlhelpers.jobs.packaging.archive import ARCHIVES, is_wheel, unpack_sdist, unpack_wheel
from mlhelpers.jobs.packaging.package import check_module, find_packed, hides_python, package_folder
from mlhelpers.jobs.packaging.sdist import Project, build, build_wheel, project_of, write_plain_sdist
from mlhelpers.jobs.packaging.tree import TreeFile, list_files, list_project
from mlhelpers.jobs.spec import JobSpec
from mlhelpers.storage import local_path

__all__ = ["Code", "check_code", "write_code"]

_Key = tuple[object, ...]


@dataclass(frozen=True)
class Code:
    """What is known of a job's own code before it starts.

    Attributes:
        package: The user's package folder, or None.
        cwd: Where the trainer runs: the folder that holds the package, or this process's own.
        folders: The folders of a job that Python searches first, by their names inside the job's folder.
        notes: Sentences about what the packages ask for and do not find.
        is_apart: Whether the trainer's own folder must not be searched, because the original lies there.
    """

    package: Path | None
    cwd: Path
    folders: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    is_apart: bool = False


@dataclass(frozen=True)
class _Built:
    """What was built for a plan and waits for its submission; removed with the object."""

    key: _Key
    place: tempfile.TemporaryDirectory[str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Sources:
    """The user's own package and all that is packed with it.

    Attributes:
        package: Its folder.
        project: What builds it, or None for a bare folder.
        files: What is packed, or copied to be built.
        too_large: What of the project is left out of that copy.
    """

    package: Path
    project: Project | None
    files: Sequence[TreeFile]
    too_large: Sequence[str] = ()

    @property
    def note(self) -> str:
        """Return a sentence on what was left out, or nothing."""
        if self.project is None or not self.too_large:
            return ""
        more = f" and {len(self.too_large) - 3:,} more" if self.too_large[3:] else ""
        return (
            f"Too large to be source, and so left out where {self.project.file.name} is built: "
            f"{', '.join(self.too_large[:3])}{more}. If the package needs it, move it into {self.package.name}/."
        )


_built: list[_Built] = []  # the last one, or none: building takes a second, and plan and submit come together


def check_code(spec: JobSpec) -> Code:
    """Check the packages of a spec, and that they hold its module; a bare folder is only looked through.

    Where something has to be built or unpacked for that, it is done in a temporary folder.

    Args:
        spec: What to run.

    Returns:
        Where the code will lie, and what there is to say about it.

    Raises:
        UsageError: A package that is not there, cannot be built or unpacked or does not fit this machine, two of one
            name, or a module that is in none of them.
    """
    package = None if spec.package_path is None else package_folder(str(spec.package_path))
    cwd = Path.cwd() if package is None else package.parent
    archives = _archives(spec)
    folders = _folders(package, archives)
    sources = None if package is None else _sources(package)  # what cannot be packed is refused now
    project = None if sources is None else sources.project
    if project is None and not archives:
        check_module(spec.module, package, cwd)
        return Code(package, cwd, folders, (), package is not None)
    built = _take(key := _key(sources, archives))
    if built is None:
        aside = tempfile.TemporaryDirectory(prefix="mlhelpers-packages-")
        built = _Built(key, aside, tuple(_fill(Path(aside.name), sources, archives)))
    place = Path(built.place.name)
    is_packed = _check_packed(spec.module, package, project, cwd, [place / name for name in folders])
    _built.append(built)
    from mlhelpers.jobs.packaging.requirements import compare

    notes = (*compare([place / name for name in folders]), *built.notes)
    return Code(package, cwd, folders, notes, is_packed or package is not None)


def write_code(spec: JobSpec, folder: Path) -> None:
    """Put a spec's packages into a job's folder, built and unpacked; what is edited later does not reach them.

    Args:
        spec: What to run, checked by `check_code`.
        folder: The job's folder, which is there already.

    Raises:
        UsageError: Something has become wrong since it was checked.
        OSError: The folder cannot be written, for instance because the disk is full.
    """
    package = None if spec.package_path is None else package_folder(str(spec.package_path))
    archives = _archives(spec)
    if package is None and not archives:
        return
    sources = None if package is None else _sources(package)
    project = None if sources is None else sources.project
    built = _take(_key(sources, archives)) if project or archives else None
    if built is None:
        _fill(folder, sources, archives)
    else:
        for part in Path(built.place.name).iterdir():
            shutil.move(part, folder / part.name)
        built.place.cleanup()
    folders = [folder / name for name in _folders(package, archives)]
    _check_packed(spec.module, package, project, Path.cwd() if package is None else package.parent, folders)


def _sources(package: Path) -> _Sources:
    project = project_of(package)
    if project is None:
        return _Sources(package, None, list_files(package))
    return _Sources(package, project, *list_project(project.folder, package))


def _archives(spec: JobSpec) -> list[Path]:
    """Return the packages given beside the user's own, as files; refuse what is not there. The spec refuses twins."""
    found: list[Path] = []
    for given in map(str, spec.packages):
        path = local_path(given).absolute()
        if not path.name.endswith(ARCHIVES):
            raise UsageError(
                f"The package {given!r} is none of {', '.join(ARCHIVES)}. Build one with  python setup.py sdist  or  "
                "python -m build, or give a folder with --package-path."
            )
        if not path.is_file():
            raise UsageError(f"The package {given!r} is not there ({path}). Build it, or mend the path.")
        found.append(path)
    return found


def _folders(package: Path | None, archives: Sequence[Path]) -> tuple[str, ...]:
    own = () if package is None else ("package",)
    return (*own, *(f"package-{number}" for number in range(1, len(archives) + 1)))


def _fill(place: Path, sources: _Sources | None, archives: Sequence[Path]) -> list[str]:
    """Build, keep and unpack everything below a folder; return what there is to say about it."""
    kept = _made(place / "packages")
    notes: list[str] = []
    if sources is not None:
        own = _plain(place, sources) if sources.project is None else _built_from(sources.project, sources, place, notes)
        if any(own.name == archive.name for archive in archives):
            raise UsageError(
                f"The package {sources.package} is packed as {own.name!r}, and a package of that file name is given as "
                "well: leave that one out."
            )
    for number, archive in enumerate(archives, 1):
        copy = kept / archive.name
        shutil.copyfile(archive, copy)
        with tempfile.TemporaryDirectory(dir=place) as aside:
            wheel = copy if is_wheel(copy) else build_wheel(copy, Path(aside))
            notes += _install(wheel, place / f"package-{number}", copy.name)
    return notes


def _plain(place: Path, sources: _Sources) -> Path:
    """Pack a bare folder and unpack it again; return the source distribution."""
    package = sources.package
    sdist = write_plain_sdist(package, sources.files, place / "packages")
    with tempfile.TemporaryDirectory(dir=place) as aside:
        (unpack_sdist(sdist, Path(aside)) / package.name).rename(_made(place / "package") / package.name)
    return sdist


def _built_from(project: Project, sources: _Sources, place: Path, notes: list[str]) -> Path:
    """Build a project and unpack what it would install; return the source distribution."""
    with tempfile.TemporaryDirectory(dir=place) as aside:
        try:
            sdist, wheel = build(project, sources.files, Path(aside))
        except UsageError as error:
            if sources.note:
                raise UsageError(f"{error}\n{sources.note}") from error
            raise
        notes += [sources.note] if sources.note else []
        notes += _install(wheel, place / "package", sdist.name)
        return sdist.rename(place / "packages" / sdist.name)


def _install(wheel: Path, into: Path, name: str) -> list[str]:
    """Unpack a wheel where Python will find it; return what there is to say about it."""
    elsewhere = unpack_wheel(wheel, _made(into))
    if hidden := hides_python(into):
        raise UsageError(
            f"{name} holds {', '.join(hidden)}: a module of that name is Python's own, and would be hidden from "
            "everything that runs. Rename it, or leave the package out."
        )
    if not elsewhere:
        return []
    what = f"{elsewhere[0]}{' and more' if elsewhere[1:] else ''}"
    return [
        f"{name} would also install {what} outside of Python's folders (data_files); a job here has what lies inside "
        "its package (package_data)."
    ]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _check_packed(
    module: str, package: Path | None, project: Project | None, cwd: Path, folders: Sequence[Path]
) -> bool:
    """Refuse a module that is neither in the unpacked packages nor, without a package of one's own, anywhere else."""
    try:
        if find_packed(module, folders):
            return True
        check_module(module, package, cwd)  # an installed module; or the reason why there is none
    except UsageError as error:
        if project is None:
            raise
        held = sorted(path.name for path in folders[0].iterdir() if not path.name.endswith(".dist-info"))
        raise UsageError(
            f"{error} What runs is what {project.file} packs, and that is: {', '.join(held) or 'nothing'}. Name every "
            "package there (packages=find_packages(), with an __init__.py in each folder)."
        ) from error
    if package is not None and package.name == module.split(".")[0]:
        what = "nothing" if project is None else str(project.file)
        raise UsageError(
            f"{what} leaves the package {package.name!r} out, so there is no module {module!r} in the job. Name it "
            "there: packages=find_packages() in setup.py, or the build backend's own setting in pyproject.toml."
        )
    return False


def _key(sources: _Sources | None, archives: Sequence[Path]) -> _Key:
    """Return what must be the same for a build to be the same: places, sizes and times of all files."""
    packed = tuple((archive, archive.stat().st_size, archive.stat().st_mtime_ns) for archive in archives)
    if sources is None:
        return (packed,)
    files = tuple((file.path, file.size, file.changed_ns) for file in sources.files)
    return (packed, sources.package, files, tuple(sources.too_large))


def _take(key: _Key) -> _Built | None:
    """Return what was built last if it is still the same, and forget it; what is not, is removed."""
    while _built:
        last = _built.pop()
        if last.key == key:
            return last
        last.place.cleanup()
    return None
