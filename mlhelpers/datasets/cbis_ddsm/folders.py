"""The prepared files: folders of PNG files named `<density>_<case>.png`, and the TFRecord files made of them.

Names of folders and files are the tutorial's. Its pictures had no ending; here they end in .png, so that every program
knows what they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlhelpers.datasets.base import Part
from mlhelpers.datasets.cbis_ddsm.pictures import SIZE, read_png
from mlhelpers.datasets.records import Value, write_records
from mlhelpers.errors import DataError

__all__ = ["FOLDERS", "RECORDS", "in_order", "list_pictures", "read_pictures", "settle", "write_part"]

FOLDERS = {"train": "small_train", "test": "small_test"}
RECORDS = {"train": "cache/ddsm_train.tfrecords", "test": "cache/ddsm_eval.tfrecords"}

_NAME = re.compile(r"(?P<density>[1-4])_(?P<case>.+?)(\.png)?")
_PATIENT = re.compile(r"(?:(?P<made_up>Phantom)-\w+?_)?(?:\w+-\w+?_)?(?P<patient>P_\d+)_.*")


def patient_of(case: str) -> str:
    """Return whose picture a case is: "P_00173", or "Phantom_P_00001" where nobody's; the case itself if unknown.

    Example:
        >>> patient_of("Mass-Test_P_00173_LEFT_CC"), patient_of("Phantom-Test_P_00207_LEFT_CC")
        ('P_00173', 'Phantom_P_00207')
    """
    match = _PATIENT.fullmatch(case)
    if match is None:
        return case
    return "_".join(filter(None, (match["made_up"], match["patient"])))


def list_pictures(folder: Path) -> list[Path]:
    """Return the pictures of a folder in the order of their names: all of density 1, then 2, 3 and 4.

    Raises:
        DataError: The folder is missing or holds no picture.
    """
    paths = sorted(path for path in folder.glob("*_*") if path.is_file() and _NAME.fullmatch(path.name))
    if not paths:
        raise DataError(
            f"{folder} holds no picture named <density>_<case>.png. "
            "Write them first:  mlhelpers data prepare cbis_ddsm --output-dir DIR"
        )
    return paths


def read_pictures(paths: Sequence[Path]) -> Part:
    """Read pictures named `<density>_<case>.png`.

    Returns:
        `images` (n, 128, 95) uint16, `labels` (n,) int64 (density - 1), `case` and `patient` (n,) text.

    Raises:
        DataError: A picture is damaged, has another size, or is named otherwise.
    """
    images = np.zeros((len(paths), SIZE[1], SIZE[0]), np.uint16)
    labels = np.zeros(len(paths), np.int64)
    cases = []
    for k, path in enumerate(paths):
        label, case = _told_by(path)
        images[k], labels[k] = _picture(path), label
        cases.append(case)
    return {"images": images, "labels": labels, "case": np.array(cases), "patient": np.array([*map(patient_of, cases)])}


def settle(root: Path, wanted: dict[str, set[str]]) -> None:
    """Bring pictures of an earlier run to the part where they belong now, and refuse what belongs to none.

    Without this a picture could stay in the training folder after another split has put it among the test pictures.

    Args:
        root: The output folder.
        wanted: Part -> the file names that belong there.

    Raises:
        DataError: A folder holds a picture that this data set does not have; nothing is moved then.
    """
    moves: list[tuple[Path, Path]] = []
    for part, other in (("train", "test"), ("test", "train")):
        folder = root / FOLDERS[part]
        for path in sorted(folder.glob("[1-4]_*")):
            if path.name in wanted[other]:
                moves.append((path, root / FOLDERS[other] / path.name))
            elif path.name not in wanted[part]:
                raise DataError(
                    f"{path} is left from something else: it belongs to neither part of what is prepared now, and a "
                    f"trainer would take it in. Choose another output folder, or remove {folder}."
                )
    for path, target in moves:
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)


def write_part(root: Path, part: str, paths: Sequence[Path], rng: np.random.Generator | None) -> Path:
    """Write the TFRecord file of a part, one picture in memory at a time.

    Each record has `label` (int64, density - 1) and `image` (128x95 float32 row by row, 48,640 bytes, 0 to 65535).

    Args:
        root: The output folder.
        part: "train" or "test".
        paths: The pictures, in the order of their labels.
        rng: Shuffles the records; they stay in label order, as the original wrote them, if None.

    Returns:
        The file.

    Raises:
        DataError: A picture is damaged, or the file cannot be written.
    """
    order = in_order(len(paths), rng)
    target = root / RECORDS[part]
    write_records(target, _examples(paths[k] for k in order), total=len(paths), label=target.name)
    return target


def in_order(n: int, rng: np.random.Generator | None) -> NDArray[np.int64]:
    """Return 0 to n - 1, shuffled by `rng` where there is one."""
    return np.arange(n) if rng is None else rng.permutation(n)


def _examples(paths: Iterable[Path]) -> Iterator[dict[str, Value]]:
    for path in paths:
        yield {"label": _told_by(path)[0], "image": _picture(path).astype("<f4").tobytes()}


def _told_by(path: Path) -> tuple[int, str]:
    """Return label and case that a file name tells."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise DataError(f"{path} is not named <density>_<case>.png, so its density is not known.")
    return int(match["density"]) - 1, match["case"]


def _picture(path: Path) -> NDArray[np.uint16]:
    image = read_png(path)
    if image.shape != SIZE[::-1]:
        raise DataError(f"{path} is {image.shape[1]}x{image.shape[0]} pixels; the trainers read {SIZE[0]}x{SIZE[1]}.")
    return image
