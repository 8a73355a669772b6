"""Unpack source distributions and wheels, trusting nothing in them: neither names, nor sizes, nor links."""

from __future__ import annotations

import gzip
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from mlhelpers.errors import UsageError
from mlhelpers.jobs.packaging.tree import MAX_BYTES, MAX_FILES

__all__ = ["ARCHIVES", "is_wheel", "unpack_sdist", "unpack_wheel"]

ARCHIVES = (".tar.gz", ".tgz", ".zip", ".whl")
_HEADER_MAX = 64 * 1024
_HEADER_BYTES = 4096  # of a tar's headers, on average for each file: a long name and a Mac's attributes take 3,000
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, RuntimeError, NotImplementedError, ValueError)


def is_wheel(archive: Path) -> bool:
    """Tell by its name whether an archive is a wheel."""
    return archive.name.endswith(".whl")


def unpack_sdist(archive: Path, into: Path) -> Path:
    """Unpack a .tar.gz, .tgz or .zip.

    Args:
        archive: The file.
        into: An empty folder, or one to be made.

    Returns:
        The folder inside that holds the project: the archive's only folder, as a source distribution has it.

    Raises:
        UsageError: It is damaged, too large, holds a name that leads out of the folder, or a link that does.
        OSError: The folder cannot be written.
    """
    into.mkdir(parents=True, exist_ok=True)
    if archive.name.endswith(".zip"):
        _unzip(archive, into)
    else:
        _untar(archive, into)
    inside = list(into.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else into


def unpack_wheel(archive: Path, into: Path) -> list[str]:
    """Unpack what a wheel would install beside other packages; scripts and headers are left out.

    Args:
        archive: The file, which has a wheel's name.
        into: An empty folder, or one to be made.

    Returns:
        The names of files that the wheel would install elsewhere (`data_files` of a setup.py), which are left out.

    Raises:
        UsageError: It is no wheel, is made for another platform or Python, is damaged, too large, or holds a name that
            leads out of the folder.
        OSError: The folder cannot be written.
    """
    _check_tag(archive)
    _unzip(archive, into)
    elsewhere: list[str] = []
    for data in into.glob("*.data"):
        for library in (data / "purelib", data / "platlib"):
            if library.is_dir():
                shutil.copytree(library, into, dirs_exist_ok=True)
        if (data / "data").is_dir():
            elsewhere += sorted(
                path.relative_to(data / "data").as_posix() for path in (data / "data").rglob("*") if path.is_file()
            )
        shutil.rmtree(data)
    return elsewhere


def _check_tag(archive: Path) -> None:
    from packaging.tags import sys_tags
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        *_, tags = parse_wheel_filename(archive.name)
    except InvalidWheelFilename as error:
        raise UsageError(
            f"{archive.name!r} is no wheel's name: it reads NAME-VERSION-PYTHON-ABI-PLATFORM.whl. Keep the name that "
            "the build gave it."
        ) from error
    if not tags & set(sys_tags()):
        mine = next(iter(sys_tags()))
        raise UsageError(
            f"The wheel {archive.name} is made for {', '.join(sorted(map(str, tags)))}; this machine takes {mine} or "
            "py3-none-any. Give the source distribution (.tar.gz), or a wheel built for this machine."
        )


class _TarStream(gzip.GzipFile):
    """An unpacked .tar.gz that lets no more than so many bytes of headers be read.

    While tarfile lists members it reads nothing but headers (the contents are skipped with `seek`), each into memory
    as a whole, however large it says it is.

    Attributes:
        allowed: How many bytes of headers may still be read; None while contents are read.
    """

    allowed: int | None = _HEADER_MAX

    def read(self, size: int | None = -1) -> bytes:
        """Return bytes as a file does.

        Raises:
            UsageError: They are more than is allowed.
        """
        if self.allowed is not None:
            if size is None or not 0 <= size <= min(self.allowed, _HEADER_MAX):
                raise UsageError(
                    f"{Path(self.name).name} is refused: names and attributes alone take "
                    f"more than {_HEADER_MAX // 1024} kB for one file or {_HEADER_BYTES // 1024} kB on average. "
                    "An honest package has no such entry."
                )
            self.allowed -= size
        return super().read(size)


def _untar(archive: Path, into: Path) -> None:
    try:
        with _TarStream(archive) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            members: list[tarfile.TarInfo] = []
            size = 0
            for member in tar:  # counted as they come: a forged archive may go on for ever
                members.append(member)
                size += member.size
                _check_amount(archive, len(members), size)
                stream.allowed = (stream.allowed or 0) + _HEADER_BYTES
            stream.allowed = None
            tar.extractall(into, members=members, filter="data")
    except UsageError:
        raise
    except tarfile.FilterError as error:
        raise UsageError(f"{archive.name} is refused: {error}. An honest package has no such entry.") from error
    except _BROKEN as error:
        raise _damaged(archive, error) from error


def _unzip(archive: Path, into: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as packed:
            entries = packed.infolist()
            _check_amount(archive, len(entries), sum(entry.file_size for entry in entries))
            _check_names(archive, entries)
            packed.extractall(into)  # noqa: S202  # its names have just been checked
            for entry in entries:
                if not entry.is_dir() and entry.external_attr >> 16 & stat.S_IXUSR:
                    (into / entry.filename).chmod(0o755)
    except UsageError:
        raise
    except _BROKEN as error:
        raise _damaged(archive, error) from error


def _check_names(archive: Path, entries: Iterable[zipfile.ZipInfo]) -> None:
    for entry in entries:
        name = PurePosixPath(entry.filename)
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if name.is_absolute() or ".." in name.parts or "\\" in entry.filename or not name.parts:
            raise UsageError(f"{archive.name} is refused: its entry {entry.filename!r} leads out of the folder.")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise UsageError(f"{archive.name} is refused: its entry {entry.filename!r} is neither file nor folder.")


def _check_amount(archive: Path, files: int, size: int) -> None:
    if files > MAX_FILES or size > MAX_BYTES:
        raise UsageError(
            f"{archive.name} is refused: unpacked it has {files:,} files or more and {size / 1e9:.1f} GB or more; "
            f"allowed are {MAX_FILES:,} files and {MAX_BYTES / 1e9:.1f} GB. Keep data outside the package."
        )


def _damaged(archive: Path, error: Exception) -> Exception:
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, tarfile.TarError):
        return error  # the disk's fault, not the archive's
    return UsageError(f"{archive.name} cannot be unpacked: {error or type(error).__name__}. Build it again.")
