"""A detector's archive from its public address: downloaded once, its sum noted, unpacked with care."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tarfile
import tempfile
from pathlib import Path

from filelock import FileLock

from mlhelpers.datasets.download import download
from mlhelpers.errors import DataError
from mlhelpers.settings import home_folder

__all__ = ["SUMS", "fetched", "unpack"]

SUMS = "sums.json"  # address -> SHA-256 at first use, below <home>/detectors
_MAX_ARCHIVE_BYTES = 1_500_000_000  # the largest of the old zoo has 0.7
_MAX_UNPACKED_BYTES = 4_000_000_000
_MAX_FILES = 1000

_log = logging.getLogger(__name__)


def fetched(name: str, address: str) -> Path:
    """Return the folder of a downloaded detector, downloaded and unpacked where it is not there yet.

    The address names no sum to expect, so the first archive's SHA-256 is noted, and one that comes later has to be the
    same. A download that breaks off goes on where it ended.

    Args:
        name: The detector's name.
        address: Its archive's http(s) address.

    Raises:
        DataError: It cannot be downloaded, differs from what came at first use, or cannot be unpacked.
    """
    home = home_folder("detectors")
    folder = home / name
    with FileLock(home / f"{name}.lock"):
        if folder.is_dir():
            return folder
        archive = home / f"{name}.tar.gz.part"
        try:
            download(address, archive, max_size_bytes=_MAX_ARCHIVE_BYTES, label=name)
        except ConnectionError as error:
            raise DataError(
                f"The detector {name} cannot be downloaded from {address}: {error}. What came so far is kept, the same "
                "command goes on from there. Without a network use a shipped one: mlhelpers detect models"
            ) from error
        _note_sum(home / SUMS, address, archive)
        try:
            unpack(archive, folder)
        finally:
            archive.unlink(missing_ok=True)
    return folder


def _note_sum(sums: Path, address: str, archive: Path) -> None:
    """Note the archive's sum at first use; refuse another one later."""
    with archive.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    with FileLock(f"{sums}.lock"):
        known: dict[str, str] = json.loads(sums.read_text("utf-8")) if sums.is_file() else {}
        if known.get(address, sha256) != sha256:
            archive.unlink()
            raise DataError(
                f"{address} gives another file than at first use: expected SHA-256 {known[address]}, got {sha256}. It "
                f"is not used. Where you trust it, delete its line from {sums} and try again."
            )
        if address not in known:
            _log.warning("First use of %s: its SHA-256 %s is noted in %s.", address, sha256, sums)
        aside = sums.with_name(f"{sums.name}.part")
        aside.write_text(json.dumps(known | {address: sha256}, indent=1) + "\n", "utf-8")
        aside.replace(sums)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a .tar.gz beside its folder and rename it when it is whole; a single folder at its top is left out.

    Links, devices and paths that lead outside are refused, as is an archive that unpacks to too much.

    Args:
        archive: The archive.
        folder: Where its content goes; must not be there yet.

    Raises:
        DataError: It is no such archive, or holds what is refused.
    """
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unpacking-") as aside:
            with tarfile.open(archive, "r:gz") as content:
                _unpack_members(content, Path(aside))
            top = list(Path(aside).iterdir())
            whole = top[0] if len(top) == 1 and top[0].is_dir() else Path(aside)
            shutil.move(whole, folder) if whole != Path(aside) else shutil.copytree(whole, folder)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{archive.name} cannot be unpacked: {error}.") from error


def _unpack_members(content: tarfile.TarFile, aside: Path) -> None:
    size = 0
    for count, member in enumerate(content, start=1):
        size += member.size
        if size > _MAX_UNPACKED_BYTES or count > _MAX_FILES:
            raise tarfile.TarError(f"it holds more than {_MAX_UNPACKED_BYTES:,} bytes or {_MAX_FILES} files")
        if not (member.isfile() or member.isdir()):
            raise tarfile.TarError(f"{member.name!r} is neither file nor folder")
        content.extract(member, aside, filter="data")
