"""The code of a job as the cloud gets it: source distributions, each under its checksum in the staging bucket.

`gs://BUCKET/packages/SHA256/NAME.tar.gz`: the same content has the same address, is uploaded once, and is never
replaced. Our own trainers travel as a source distribution of mlhelpers, packed from the files that run here.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import mlhelpers
from mlhelpers.errors import JobError, UsageError
from mlhelpers.jobs.packaging.bundle import check_code, write_code
from mlhelpers.jobs.packaging.package import check_module, package_folder
from mlhelpers.jobs.packaging.sdist import write_plain_sdist
from mlhelpers.jobs.packaging.tree import list_files
from mlhelpers.jobs.spec import JobSpec
from mlhelpers.jobs.vertex.needs import imports_mlhelpers, requirements_of, sources_of

__all__ = ["Code", "Packed", "code_of", "file_of"]


@dataclass(frozen=True)
class Packed:
    """A source distribution or wheel.

    Attributes:
        name: Its file's name.
        digest: SHA-256 of its content; empty for one that lies in Cloud Storage already.
        address: Where it lies already, or empty.
    """

    name: str
    digest: str = ""
    address: str = ""

    def address_in(self, bucket: str) -> str:
        """Return where the machines get it from.

        Args:
            bucket: The staging bucket's bare name.
        """
        return self.address or f"gs://{bucket}/packages/{self.digest}/{self.name}"


@dataclass(frozen=True)
class Code:
    """What a job brings along.

    Attributes:
        packages: In the order in which pip gets them.
        requirements: What the trainer needs beside them and beside the image.
        notes: Sentences about what the packages ask for.
    """

    packages: tuple[Packed, ...] = ()
    requirements: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


# digest -> the file of what this process has packed, and the folder that keeps it; submitting follows planning
_kept: dict[str, tuple[Path, tempfile.TemporaryDirectory[str]]] = {}
_KEPT = 64


def code_of(spec: JobSpec, has_gpu: bool = False, is_in_image: bool = False) -> Code:
    """Check and pack the code of a job; nothing is sent, and nothing written but temporary files.

    Args:
        spec: What to run.
        has_gpu: Whether the machines have GPUs.
        is_in_image: Whether an image of the user's own may hold the module.

    Raises:
        UsageError: A package is not there or cannot be built, or the module is in none of them.
    """
    remote = tuple(Packed(path.rpartition("/")[2], address=path) for path in map(str, spec.packages) if _is_there(path))
    local = replace(spec, packages=[path for path in spec.packages if not _is_there(str(path))])
    is_ours = spec.module.partition(".")[0] == "mlhelpers"
    package = None if spec.package_path is None else package_folder(str(spec.package_path))
    sources: Sequence[Path] = sources_of(package) if package is not None else ()
    packed: list[Packed] = []
    notes: tuple[str, ...] = ()
    if package is not None or local.packages:
        notes = tuple(note for note in check_code(local).notes if "not installed here" not in note)
        packed = _pack(local)
    elif is_ours:
        check_module(spec.module, None, Path(mlhelpers.__file__).resolve().parent.parent)
    elif not (remote or is_in_image):
        check_module(spec.module, None, Path.cwd())  # a slip in the name is the likelier fault
        raise UsageError(
            f"The module {spec.module!r} is on this machine alone, and the cloud has to be sent it: give its package's "
            "folder with --package-path (package_path=…), or built packages with --packages."
        )
    if is_ours or imports_mlhelpers(sources):
        packed.insert(0, _own())
    requirements = requirements_of(spec.module, sources, has_gpu) if packed else []
    return Code((*packed, *remote), tuple(requirements), notes)


def file_of(packed: Packed) -> Path:
    """Return the file of a package that this process has packed.

    Raises:
        JobError: It was packed too long ago, or by another process.
    """
    if packed.digest not in _kept:
        raise JobError(f"The package {packed.name} of this plan is no longer kept. Plan the job again, then submit it.")
    return _kept[packed.digest][0]


def _is_there(path: str) -> bool:
    return path.startswith("gs://")


def _pack(spec: JobSpec) -> list[Packed]:
    aside = tempfile.TemporaryDirectory(prefix="mlhelpers-packages-")
    write_code(spec, Path(aside.name))
    kept = Path(aside.name, "packages")
    given = [Path(path).name for path in map(str, spec.packages)]
    found = sorted(kept.iterdir(), key=lambda path: given.index(path.name) if path.name in given else len(given))
    return [_keep(path, aside) for path in found]


def _own() -> Packed:
    """Pack mlhelpers as it is here, without what it needs: that is told apart, for each trainer."""
    aside = tempfile.TemporaryDirectory(prefix="mlhelpers-packages-")
    folder = Path(mlhelpers.__file__).resolve().parent
    files = [file for file in list_files(folder) if not file.name.startswith("_data/")]
    return _keep(write_plain_sdist(folder, files, Path(aside.name)), aside)


def _keep(path: Path, aside: tempfile.TemporaryDirectory[str]) -> Packed:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    _kept.pop(digest, None)
    _kept[digest] = (path, aside)  # the folder goes when the last of its files is forgotten
    while len(_kept) > _KEPT:
        _kept.pop(next(iter(_kept)))
    return Packed(path.name, digest)
