from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from mlhelpers.datasets import cbis_ddsm
from mlhelpers.datasets.cbis_ddsm import real
from mlhelpers.datasets.cbis_ddsm.pictures import read_png
from mlhelpers.errors import DataError


def test_the_shipped_pictures_are_made_again_from_the_dicom_files_value_for_value(
    tmp_path: Path, real_dicom: Path, repository: Path
) -> None:
    written = real.write_examples(real_dicom, tmp_path)

    assert len(written) == 10
    for path in written:
        shipped = repository / "data" / "cbis_ddsm" / path.relative_to(tmp_path)
        np.testing.assert_array_equal(read_png(path), read_png(shipped))


def test_the_eight_examples_are_two_patients_with_all_four_views_and_their_density() -> None:
    examples = cbis_ddsm.real_examples()

    assert examples["images"].shape == (8, 128, 95)
    assert examples["images"].dtype == np.uint16
    assert dict(zip(examples["patient"].tolist(), examples["labels"].tolist(), strict=True)) == {
        "P_00173": 1,
        "P_00820": 2,
    }
    views = {case.split("_", 3)[3] for case in examples["case"].tolist()}
    assert views == {"LEFT_CC", "LEFT_MLO", "RIGHT_CC", "RIGHT_MLO"}


def test_the_large_ones_are_the_same_mammograms_five_pixels_to_one() -> None:
    large = cbis_ddsm.real_large()

    assert {name: image.shape for name, image in large.items()} == {
        "Mass-Test_P_00173_LEFT_MLO": (893, 570),
        "Mass-Test_P_00820_LEFT_MLO": (936, 516),
    }


def test_they_are_read_without_pydicom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydicom", None)

    assert len(cbis_ddsm.real_examples()["case"]) == 8


def test_a_missing_dicom_file_is_named_when_they_are_made_again(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not hold Mass-Test_P_00173_LEFT_CC, "):
        real.write_examples(tmp_path, tmp_path / "out")


@pytest.mark.mirror
def test_the_densities_are_those_of_the_real_list(mirror: Path) -> None:
    from mlhelpers.datasets.cbis_ddsm.case_lists import NAMES, read_case_lists

    listed = read_case_lists([mirror / "cbis_ddsm" / NAMES[1]])
    density = {case.name: case.density for case in listed.cases}
    examples = cbis_ddsm.real_examples()

    assert [density[case] - 1 for case in examples["case"].tolist()] == examples["labels"].tolist()
