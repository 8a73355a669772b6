"""The real-data road: case lists and a download from TCIA become the folders of small pictures.

https://www.cancerimagingarchive.net/collection/cbis-ddsm/ gives the four case lists as CSV, and a manifest from which
the NBIA Data Retriever downloads 163.6 GB. A part of the download is enough.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlhelpers.datasets.base import DataFile, fetch
from mlhelpers.datasets.cbis_ddsm.case_lists import NAMES, Case, CaseList, read_case_lists
from mlhelpers.datasets.cbis_ddsm.conversion import Job, Outcome, convert, largest_frame
from mlhelpers.datasets.cbis_ddsm.folders import FOLDERS, settle
from mlhelpers.datasets.cbis_ddsm.pictures import parse_size
from mlhelpers.datasets.cbis_ddsm.splitting import split_by_patient
from mlhelpers.datasets.cbis_ddsm.tree import Found, find_mammograms
from mlhelpers.errors import DataError, unknown_name
from mlhelpers.settings import current
from mlhelpers.storage import write_aside

__all__ = ["LISTS", "REPORT", "SPLITS", "TEST_SHARE", "make_pictures"]

_log = logging.getLogger(__name__)

SPLITS = ("patient", "official")
TEST_SHARE = 0.2
REPORT = "report.json"

LISTS = {
    "mass_train": DataFile(
        NAMES[0], "d1b4249fe0176a7531f27458e9f6bfa95dcc93886b249b5aa4db6ed82083bbbe", 772_680, is_shipped=False
    ),
    "mass_test": DataFile(
        NAMES[1], "bea24f508f2632944c856202a76e36a01aa6362f2c2f7a33f38b10ed1ea8de62", 217_021, is_shipped=False
    ),
    "calc_train": DataFile(
        NAMES[2], "f7e705ac8badaf4d637519b0f2324b1f6e540325ecabeab582806421273bfb45", 924_914, is_shipped=False
    ),
    "calc_test": DataFile(
        NAMES[3], "1a94adc4290f020e92d8e987992fb48ddc256e7b71e8d8f5b7a96f2cdd645673", 190_321, is_shipped=False
    ),
}


def make_pictures(
    root: Path,
    images: Path,
    case_lists: Path | None,
    split: str,
    frame: str,
    seed: int,
    workers: int | None,
) -> tuple[dict[str, list[Path]], Path]:
    """Make the small picture of each mammogram that the lists name and the download holds, in its part's folder.

    Args:
        root: The output folder.
        images: The download.
        case_lists: A folder with case lists, or one of them; those beside the download or in the mirror if None.
        split: "patient" or "official".
        frame: Width and height such as "5251x7111", or "largest".
        seed: Draws the test patients.
        workers: As in `conversion.convert`.

    Returns:
        Part -> its pictures in the order of their names, and the report's file.

    Raises:
        UsageError: An unknown split, or a frame that is no size.
        DataError: Lists or download are missing or hold nothing of the other, nothing could be read, or the folder
            cannot be written.
        MissingExtraError: pydicom is not installed.
    """
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    size = None if frame == "largest" else parse_size(frame)
    if not images.is_dir():
        raise DataError(f"There is no folder {images}: give the folder of a download from TCIA.")
    listed = read_case_lists(_list_files(case_lists, images))
    _tell_lists(listed)
    found = find_mammograms(images, listed.cases)
    cases = [case for case in listed.cases if case.name in found.files]
    _tell_found(found, images, len(listed.cases))
    test = _test_cases(cases, split, seed)
    parts = {"train": [case for case, is_test in zip(cases, test, strict=True) if not is_test]}
    parts["test"] = [case for case, is_test in zip(cases, test, strict=True) if is_test]
    settle(root, {part: {case.file_name for case in chosen} for part, chosen in parts.items()})
    targets = {case.name: root / FOLDERS[part] / case.file_name for part in parts for case in parts[part]}
    size = size or largest_frame([found.files[case.name] for case in cases])
    jobs = [Job(found.files[case.name], targets[case.name]) for case in cases]
    outcome = convert(jobs, size, workers)
    if len(outcome.failed) == len(cases):
        raise DataError(f"None of the {len(cases)} mammograms below {images} could be read; their paths stand above.")
    for job in jobs:  # what an earlier run made of a file that is broken now does not stay
        if job.source in outcome.failed:
            job.target.unlink(missing_ok=True)
    made = {part: sorted(targets[case.name] for case in parts[part] if targets[case.name].is_file()) for part in parts}
    return made, _report(root, listed, found, outcome, split, size, {part: len(made[part]) for part in made})


def _list_files(case_lists: Path | None, images: Path) -> list[Path]:
    """Return the case lists' files: those given, else those beside the download, else the mirror's."""
    if case_lists is not None and case_lists.is_file():
        return [case_lists]
    for folder in (images, images.parent) if case_lists is None else (case_lists,):
        files = [folder / name for name in NAMES if (folder / name).is_file()]
        if files:
            return files
    if case_lists is None and current().mirror:
        return [fetch("cbis_ddsm", file, "mirror")[0] for file in LISTS.values()]
    raise DataError(
        f"There is no case list in {case_lists or images}. Download {', '.join(NAMES)} from "
        "https://www.cancerimagingarchive.net/collection/cbis-ddsm/ into one folder (any of the four will do) and give "
        "it with --case-lists FOLDER, or set MLHELPERS_MIRROR to a folder that holds them as cbis_ddsm/<file>."
    )


def _test_cases(cases: Sequence[Case], split: str, seed: int) -> NDArray[np.bool_]:
    if split == "official":
        return np.array([case.part == "test" for case in cases], bool)
    patients, densities = [case.patient for case in cases], [case.density for case in cases]
    return split_by_patient(patients, densities, TEST_SHARE, np.random.default_rng(seed))


def _tell_lists(listed: CaseList) -> None:
    if listed.refused:
        _log.warning(
            "Left out: %d with density 0, which BI-RADS does not know: %s.",
            len(listed.refused),
            ", ".join(listed.refused),
        )
    if listed.in_both_parts:
        _log.warning(
            "%d views stand in a training list and in a test list; the official split keeps them for the test.",
            len(listed.in_both_parts),
        )


def _tell_found(found: Found, images: Path, total: int) -> None:
    for reason in found.unreadable.values():
        _log.warning("Skipped: %s", reason)
    if not found.files:
        raise DataError(
            f"{images} holds none of the {total:,} mammograms of the case lists (.dcm files in folders named like "
            "Calc-Training_P_00008_LEFT_CC, or with that name in their header). Give the folder that the NBIA Data "
            "Retriever wrote, and the lists that go with it."
        )
    if found.missing:
        _log.warning(
            "%d of the %d mammograms of the lists are not below %s, %s for one. The others are taken.",
            len(found.missing),
            total,
            images,
            found.missing[0],
        )


def _report(
    root: Path,
    listed: CaseList,
    found: Found,
    outcome: Outcome,
    split: str,
    frame: tuple[int, int],
    sizes: dict[str, int],
) -> Path:
    """Write what was made and what was left out, so that nothing goes missing silently."""
    skipped = [*outcome.failed.values(), *found.unreadable.values()]
    content = {
        "pictures": sizes,
        "made": outcome.made,
        "kept": outcome.kept,
        "split": split,
        "frame": f"{frame[0]}x{frame[1]}",
        "rows": listed.rows,
        "density_0": listed.refused,
        "in_both_official_parts": listed.in_both_parts,
        "skipped": skipped,
        "not_in_download": found.missing,
    }
    path = root / REPORT
    with write_aside(path) as aside:
        aside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path
