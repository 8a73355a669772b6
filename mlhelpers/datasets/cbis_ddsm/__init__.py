"""CBIS-DDSM: mammograms with the density of the breast after BI-RADS, 1 to 4; by default synthetic phantoms.

The real collection (Sawyer-Lee et al., 2016, The Cancer Imaging Archive, CC BY 3.0) is 163.6 GB. So the default source
is `synthetic`: drawn pictures with the same layout, called so everywhere. With a download of the real ones the source
`tcia` walks the same road: case lists, DICOM files, pictures of 95x128, TFRecord files. Teaching material, no
diagnostic tool. Taught in notebook 04.

One room each: `case_lists`, `tree` (finds files), `dicom`, `pictures` (makes them small), `conversion` (all cores),
`splitting`, `folders` (what is written), `tcia` (the road), `real` (eight shipped examples), `phantoms`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mlhelpers.datasets.base import Part, Split
from mlhelpers.datasets.cbis_ddsm import drawn
from mlhelpers.datasets.cbis_ddsm.folders import FOLDERS, list_pictures, read_pictures, settle, write_part
from mlhelpers.datasets.cbis_ddsm.pictures import SIZE, write_png
from mlhelpers.datasets.cbis_ddsm.real import EXAMPLES, LARGE, real_examples, real_large
from mlhelpers.datasets.cbis_ddsm.splitting import split_by_patient
from mlhelpers.datasets.cbis_ddsm.tcia import LISTS, SPLITS, make_pictures
from mlhelpers.errors import DataError, UsageError, unknown_name
from mlhelpers.storage import local_path

__all__ = [
    "CLASS_NAMES",
    "COLUMNS",
    "FILES",
    "SOURCES",
    "SPLITS",
    "SUMMARY",
    "load",
    "prepare",
    "real_examples",
    "real_large",
    "request",
]

SUMMARY = "mammograms of 95x128 pixels with breast density 1 to 4; synthetic, or made from a download of the real ones"
SOURCES = ("synthetic", "tcia")
CLASS_NAMES = ("density 1", "density 2", "density 3", "density 4")
COLUMNS = {
    "images": "95x128 grey levels row by row, 0 black to 65535 white",
    "labels": "density of the breast after BI-RADS, less 1: 0 almost all fat to 3 extremely dense",
    "case": "name of the picture: kind, part, patient, side and view",
    "patient": "whose picture it is",
}
FILES = LISTS | {file.name: file for file in (*EXAMPLES, *LARGE)}

_VALIDATION_SHARE = 0.2


def load(source: str | None = None, *, prepared: Path | None = None, seed: int = 0) -> Split:
    """Load the pictures; no patient has pictures in two parts.

    Args:
        source: "synthetic" (the default: 520 drawn phantoms) or "tcia" (real ones that `prepare` has made small).
        prepared: The output folder of `prepare`, for "tcia".
        seed: Which of the training patients become the validation part.

    Returns:
        `images` of shape (n, 128, 95), uint16, 0 black to 65535 white; `labels` of shape (n,), int64, density - 1, 0 to
        3; `case` and `patient` of shape (n,), text.

    Raises:
        UsageError: An unknown source, "tcia" without `prepared`, or `prepared` without "tcia".
        DataError: The prepared folder lacks pictures, or one is damaged.
    """
    train, test = (_part(part, source, prepared) for part in ("train", "test"))
    rng = np.random.default_rng(seed)
    aside = split_by_patient(train["patient"].tolist(), train["labels"].tolist(), _VALIDATION_SHARE, rng)
    order = rng.permutation(len(aside))
    return Split(
        name="cbis_ddsm",
        train={name: column[order][~aside[order]] for name, column in train.items()},
        validation={name: column[order][aside[order]] for name, column in train.items()},
        test=test,
        target="labels",
        columns=COLUMNS,
        class_names=CLASS_NAMES,
        how=f"split by patient; a fifth of the training patients drawn with seed {seed} for validation",
        source=source or SOURCES[0],
    )


def prepare(
    output_dir: str | Path,
    source: str | None = None,
    *,
    images: Path | None = None,
    case_lists: Path | None = None,
    split: str = "patient",
    frame: str = "largest",
    shuffle: bool = True,
    seed: int = 0,
    workers: int | None = None,
) -> list[Path]:
    """Write small_train/ and small_test/ with a PNG file each picture, and the TFRecord files made of them.

    The pictures are grey PNG files of 16 bits named `<density>_<case>.png`; cache/ddsm_train.tfrecords and
    cache/ddsm_eval.tfrecords hold `label` (int64, density - 1) and `image` (128x95 float32, 0 to 65535). Names and
    features are the tutorial's. With real mammograms report.json tells what was left out and why; what is there already
    is not made again, so that a run that was stopped goes on.

    Args:
        output_dir: Folder or gs:// address; made if it is missing.
        source: As in `load`.
        images: Folder of a download from TCIA, for "tcia".
        case_lists: Folder with TCIA's case lists, or one of them; those beside the download or the mirror's if absent.
        split: How "tcia" is split: "patient" (a fifth of the patients for the test) or "official" (TCIA's parts).
        frame: The black frame around each scan before it is made smaller: width and height, or "largest" (scan).
        shuffle: Shuffle the records; without it they stand in label order, as the original wrote them.
        seed: Draws the test patients and the order of the records.
        workers: Processes that read DICOM files; one for each core if absent.

    Returns:
        The two TFRecord files, then the report where there is one, then the pictures.

    Raises:
        UsageError: An unknown source or split, an option of the other source, or a frame or number out of range.
        DataError: A download or list is missing or wrong, or the folder cannot be written.
        MissingExtraError: pydicom is needed and not installed.
    """
    root = local_path(output_dir)
    if _checked(source) == "tcia":
        if images is None:
            raise UsageError("The source 'tcia' needs a download: give its folder with --images.")
        made, report = make_pictures(
            root, Path(images), None if case_lists is None else Path(case_lists), split, frame, seed, workers
        )
        reports = [report]
    else:
        given = {"images": images, "case_lists": case_lists, "split": None if split == "patient" else split}
        for name, value in given.items():
            if value is not None:
                raise UsageError(f"{name} is {str(value)!r}, which belongs to the source 'tcia': add --source tcia.")
        made, reports = _draw(root), []
    records = []
    for part, paths in made.items():
        if not paths:
            raise DataError(
                f"The split {split!r} leaves the {part} part without a picture: the download holds too few patients"
                + (", or those of one part alone. Try split='patient'." if split == "official" else ".")
            )
        records.append(write_part(root, part, paths, np.random.default_rng([seed, len(paths)]) if shuffle else None))
    return [*records, *reports, *(path for paths in made.values() for path in paths)]


def request(n: int = 4, source: str | None = None, *, prepared: Path | None = None) -> list[dict[str, Any]]:
    """Make test pictures into instances: `image` with 128 rows of 95 grey levels, 0 to 65535.

    Densities take turns, so that the first four are of density 1, 2, 3 and 4.

    Args:
        n: How many, 1 to the size of the test part (120 synthetic ones).
        source: As in `load`.
        prepared: The output folder of `prepare`, for "tcia".

    Raises:
        UsageError: `n` is out of range, or as in `load`.
        DataError: As in `load`.
    """
    test = _part("test", source, prepared)
    labels = test["labels"]
    if not 1 <= n <= len(labels):
        raise UsageError(f"{n!r} instances were asked for; allowed is 1 to {len(labels):,}, the size of the test part.")
    turn = np.array([np.sum(labels[:k] == label) for k, label in enumerate(labels)])  # the how-manieth of its density
    chosen = np.lexsort((labels, turn))[:n]
    return [{"image": picture} for picture in test["images"][chosen].tolist()]


def _checked(source: str | None) -> str:
    if source is not None and source not in SOURCES:
        raise unknown_name("source", source, SOURCES)
    return source or SOURCES[0]


def _part(part: str, source: str | None, prepared: Path | None) -> Part:
    """Return the training or the test part, as `load` describes it."""
    if _checked(source) == "synthetic":
        if prepared is not None:
            raise UsageError(f"prepared is {str(prepared)!r}, which belongs to the source 'tcia': name it too.")
        return drawn.part(part)
    if prepared is None:
        raise UsageError(
            "Real mammograms are loaded from the folder that `prepare` wrote: load('tcia', prepared=FOLDER). Make it "
            "with:  mlhelpers data prepare cbis_ddsm --source tcia --images DOWNLOAD --output-dir FOLDER"
        )
    return read_pictures(list_pictures(local_path(prepared) / FOLDERS[part]))


def _draw(root: Path) -> dict[str, list[Path]]:
    """Write the phantoms' PNG files; return those of each part in the order of their names."""
    parts = {part: drawn.part(part) for part in FOLDERS}
    names = {
        part: [
            f"{label + 1}_{case}.png" for label, case in zip(own["labels"].tolist(), own["case"].tolist(), strict=True)
        ]
        for part, own in parts.items()
    }
    settle(root, {part: set(own) for part, own in names.items()})
    for part, own in parts.items():
        for name, image in zip(names[part], own["images"], strict=True):
            write_png(root / FOLDERS[part] / name, image, SIZE)
    return {part: sorted(root / FOLDERS[part] / name for name in own) for part, own in names.items()}
