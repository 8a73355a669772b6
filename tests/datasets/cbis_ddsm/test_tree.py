from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from mlhelpers.datasets.cbis_ddsm.case_lists import case_of
from mlhelpers.datasets.cbis_ddsm.dicom import write_mammogram
from mlhelpers.datasets.cbis_ddsm.tree import find_mammograms
from mlhelpers.errors import DataError

NAME = "Calc-Training_P_00008_LEFT_CC"
SERIES = "1.3.6.1.4.1.9590.100.1.2.42"
CASE = case_of(NAME, 1, (SERIES,))
DESCRIPTIVE = "08-07-2016-DDSM-NA-23157/1.000000-{}-38548"
Scan = Callable[..., NDArray[np.uint16]]


def _write(path: Path, pixels: NDArray[np.uint16], case: str = NAME, description: str | None = None) -> Path:
    write_mammogram(path, pixels, case, series=SERIES if case == NAME else "")
    if description is not None:
        dataset = pydicom.dcmread(path)
        dataset.SeriesDescription = description
        dataset.save_as(path)
    return path


@pytest.mark.parametrize(
    "place",
    [
        f"CBIS-DDSM/{NAME}/1.3.6.1.4.1.9590.100.1.2.41/{SERIES}/000000.dcm",
        f"CBIS-DDSM/{NAME}/1.3.6.1.4.1.9590.100.1.2.41/{SERIES}/1-1.dcm",
        f"manifest-1657064287305/CBIS-DDSM/{NAME}/{DESCRIPTIVE.format('full mammogram images')}/1-1.dcm",
        f"{SERIES}/1-1.dcm",
        "all/of/them/flat/scan17.DCM",
        "scan17.dcm",
    ],
    ids=["classic", "classic-1-1", "nbia", "by-series", "by-header", "by-header-at-the-top"],
)
def test_the_mammogram_is_found_in_every_layout(place: str, tmp_path: Path, scan: Scan) -> None:
    path = _write(tmp_path / place, scan())

    found = find_mammograms(tmp_path, [CASE, case_of("Calc-Training_P_00009_LEFT_CC", 2)])

    assert found.files == {NAME: path}
    assert found.missing == ("Calc-Training_P_00009_LEFT_CC",)


def test_masks_and_crops_in_folders_of_their_own_are_not_even_opened(tmp_path: Path, scan: Scan) -> None:
    for mask in ("ROI mask images", "cropped images"):
        path = tmp_path / f"{NAME}_1" / DESCRIPTIVE.format(mask) / "1-1.dcm"
        path.parent.mkdir(parents=True)
        path.write_text("opened, this would be called unreadable")
    path = _write(tmp_path / NAME / DESCRIPTIVE.format("full mammogram images") / "1-1.dcm", scan())

    found = find_mammograms(tmp_path, [CASE])

    assert (found.files, found.unreadable) == ({NAME: path}, {})


def test_masks_and_crops_in_any_other_folder_are_passed_by(tmp_path: Path, scan: Scan) -> None:
    for k, mask in enumerate(("ROI mask images", "cropped images")):
        _write(tmp_path / "flat" / f"{k}.dcm", scan(90, 90), f"{NAME}_1", mask)
    path = _write(tmp_path / "flat" / "2.dcm", scan())

    assert find_mammograms(tmp_path, [CASE]).files == {NAME: path}


def test_of_several_files_in_the_cases_own_folder_the_one_called_full_is_taken(tmp_path: Path, scan: Scan) -> None:
    """Even where a mask is larger and comes first."""
    _write(tmp_path / NAME / "s" / "1-1.dcm", scan(90, 90), description="ROI mask images")
    path = _write(tmp_path / NAME / "s" / "1-2.dcm", scan())
    _write(tmp_path / NAME / "s" / "1-3.dcm", scan(90, 90), description="cropped images")

    assert find_mammograms(tmp_path, [CASE]).files == {NAME: path}


def test_of_several_without_a_name_the_one_with_the_most_pixels_is_taken(tmp_path: Path, scan: Scan) -> None:
    _write(tmp_path / NAME / "s" / "1-1.dcm", scan(30, 30), description="")
    path = _write(tmp_path / NAME / "s" / "1-2.dcm", scan(90, 90), description="")

    assert find_mammograms(tmp_path, [CASE]).files == {NAME: path}


def test_an_unreadable_file_beside_the_good_one_is_not_taken(tmp_path: Path, scan: Scan) -> None:
    (tmp_path / NAME / "s").mkdir(parents=True)
    (tmp_path / NAME / "s" / "1-0.dcm").write_text("no dicom")
    path = _write(tmp_path / NAME / "s" / "1-1.dcm", scan())

    assert find_mammograms(tmp_path, [CASE]).files == {NAME: path}


def test_a_view_is_found_under_its_name_in_the_other_list(tmp_path: Path, scan: Scan) -> None:
    other = "Mass-Test_P_00008_LEFT_CC"
    path = _write(tmp_path / other / "1.2" / "1.2.3" / "1-1.dcm", scan(), other)

    assert find_mammograms(tmp_path, [case_of(NAME, 1, (other,))]).files == {NAME: path}


def test_where_both_names_are_there_its_own_is_taken(tmp_path: Path, scan: Scan) -> None:
    other = "Acalc-Test_P_00008_LEFT_CC"
    _write(tmp_path / other / "1-1.dcm", scan(90, 90), other)
    path = _write(tmp_path / NAME / "1-1.dcm", scan(), NAME)

    assert find_mammograms(tmp_path, [case_of(NAME, 1, (other,))]).files == {NAME: path}


def test_a_file_that_nobody_can_place_is_named_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "somewhere" / "1-1.dcm"
    path.parent.mkdir()
    path.write_text("no dicom")

    found = find_mammograms(tmp_path, [CASE])

    assert found.unreadable == {path: f"{path} is no DICOM file."}


def test_shadow_files_and_other_kinds_of_files_are_no_mammograms(tmp_path: Path, scan: Scan) -> None:
    path = _write(tmp_path / NAME / "1-1.dcm", scan())
    (tmp_path / NAME / "._1-1.dcm").write_bytes(b"\0\5\x16\7")
    (tmp_path / NAME / "LICENSE.txt").write_text("CC BY 3.0")

    found = find_mammograms(tmp_path, [CASE])

    assert (found.files, found.unreadable) == ({NAME: path}, {})


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no folder .*nowhere: give the folder of a download from TCIA"):
        find_mammograms(tmp_path / "nowhere", [CASE])


def test_real_files_are_found_by_their_headers_and_in_both_layouts(tmp_path: Path, real_dicom: Path) -> None:
    cases = [case_of(f"Mass-Test_{patient}_{view}", 2) for patient in ("P_00173", "P_00820") for view in
             ("LEFT_CC", "LEFT_MLO", "RIGHT_CC", "RIGHT_MLO")]  # fmt: skip

    by_header = find_mammograms(real_dicom, cases)
    for k, (name, source) in enumerate(sorted(by_header.files.items())):
        place = DESCRIPTIVE.format("full mammogram images") if k % 2 else f"1.3.6.1.{k}/1.3.6.2.{k}"
        target = tmp_path / "CBIS-DDSM" / name / place / "1-1.dcm"
        target.parent.mkdir(parents=True)
        shutil.copyfile(source, target)

    assert by_header.missing == ()
    assert by_header.files["Mass-Test_P_00820_RIGHT_CC"].name == "1-282.dcm"
    assert set(find_mammograms(tmp_path, cases).files) == {case.name for case in cases}


@pytest.mark.mirror
def test_the_series_of_the_real_files_are_those_of_the_real_list(mirror: Path, real_dicom: Path) -> None:
    from mlhelpers.datasets.cbis_ddsm.case_lists import read_case_lists

    cases = read_case_lists([mirror / "cbis_ddsm" / "mass_case_description_test_set.csv"]).cases
    found = find_mammograms(real_dicom, cases)
    aliases = {case.name: case.aliases for case in cases}

    assert len(found.files) == 8
    for name, path in found.files.items():
        header = pydicom.dcmread(path, stop_before_pixels=True)
        assert (header.PatientID, header.SeriesInstanceUID in aliases[name]) == (name, True)
