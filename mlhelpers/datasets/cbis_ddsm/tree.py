"""Where the mammograms are in a download from TCIA, however it was made.

Known layouts, below any folder:

- `<case>/<study>/<series>/000000.dcm` or `1-1.dcm`: TCIA's classic one, with the DICOM numbers as folder names;
- `<case>/08-29-2017-DDSM-NA-96009/1.000000-full mammogram images-63992/1-1.dcm`: the NBIA Data Retriever's descriptive
  one;
- `<series>/1-1.dcm`: flat, as download scripts make it;
- files that no folder names: their headers say which case they are.

Masks and cropped pictures lie in folders `<case>_1`, `<case>_2` … and are passed by.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlhelpers.datasets.cbis_ddsm.case_lists import Case
from mlhelpers.datasets.cbis_ddsm.dicom import FULL_MAMMOGRAM, read_header
from mlhelpers.errors import DataError

__all__ = ["Found", "find_mammograms"]

_ABNORMALITY = re.compile(r".+_(LEFT|RIGHT)_(CC|MLO)_\d+")


@dataclass(frozen=True)
class Found:
    """What a download holds.

    Attributes:
        files: Case name -> its DICOM file.
        missing: Names of the cases that are not there.
        unreadable: Files that no folder names and whose header cannot be read, each with the reason.
    """

    files: Mapping[str, Path]
    missing: tuple[str, ...]
    unreadable: Mapping[Path, str]


def find_mammograms(folder: Path, cases: Sequence[Case]) -> Found:
    """Find the DICOM file of each case.

    Only headers are read, and those only where folder names leave more than one choice or none.

    Args:
        folder: The download.
        cases: What to look for.

    Returns:
        What was found, what was not, and what could not be read.

    Raises:
        DataError: The folder is missing.
        MissingExtraError: pydicom is needed to choose and is not installed.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}: give the folder of a download from TCIA.")
    by_name = {name: case for case in cases for name in case.aliases} | {case.name: case for case in cases}
    candidates: dict[str, list[Path]] = {}
    unreadable: dict[Path, str] = {}
    for path in _dicom_files(folder):
        case = next((by_name[part] for part in path.relative_to(folder).parts[:-1] if part in by_name), None)
        if case is None:
            try:
                case = _by_header(path, by_name)
            except DataError as error:
                unreadable[path] = str(error)
        if case is not None:
            candidates.setdefault(case.name, []).append(path)
    files = {name: _whole_one(name, paths) for name, paths in candidates.items()}
    return Found(files, tuple(case.name for case in cases if case.name not in files), unreadable)


def _dicom_files(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _ABNORMALITY.fullmatch(name))
        for file in sorted(files):
            if file.lower().endswith(".dcm") and not file.startswith("."):  # ._1-1.dcm is a Mac's shadow of 1-1.dcm
                yield Path(place, file)


def _by_header(path: Path, by_name: Mapping[str, Case]) -> Case | None:
    """Return the case that the header names, if it is a whole mammogram of one."""
    header = read_header(path)
    if str(header.get("SeriesDescription") or FULL_MAMMOGRAM) != FULL_MAMMOGRAM:
        return None
    return by_name.get(str(header.get("SeriesInstanceUID"))) or by_name.get(str(header.get("PatientID")))


def _whole_one(name: str, paths: list[Path]) -> Path:
    """Return the whole mammogram of several files: what is called so, then by its own name, then the largest."""
    if len(paths) == 1:
        return paths[0]
    return max(paths, key=lambda path: _rank(name, path))  # of equals the first


def _rank(name: str, path: Path) -> tuple[bool, bool, int]:
    try:
        header = read_header(path)
    except DataError:
        return False, False, 0
    return str(header.get("SeriesDescription")) == FULL_MAMMOGRAM, name in path.parts, header.Rows * header.Columns
