from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from mlhelpers.datasets.cbis_ddsm.case_lists import NAMES, case_of, read_case_lists
from mlhelpers.errors import DataError

LEFT = "Mass-Training_P_00001_LEFT_CC"
WriteList = Callable[..., Path]


@pytest.mark.parametrize("column", ["breast_density", "breast density"])
def test_both_spellings_of_the_density_column_are_read(column: str, tmp_path: Path, write_list: WriteList) -> None:
    path = write_list(tmp_path / NAMES[0], [(LEFT, 3)], column)

    (case,) = read_case_lists([path]).cases

    assert (case.name, case.density, case.patient, case.side, case.view) == (LEFT, 3, "P_00001", "LEFT", "CC")
    assert case.file_name == f"3_{LEFT}.png"


def test_line_breaks_inside_quotes_make_no_extra_row(tmp_path: Path, write_list: WriteList) -> None:
    path = write_list(tmp_path / NAMES[0], [(LEFT, 3), ("Mass-Training_P_00002_LEFT_CC", 1)])
    assert len(path.read_text().splitlines()) == 5

    assert read_case_lists([path]).rows == 2


def test_a_path_with_line_break_quotes_and_url_signs_is_cleaned(tmp_path: Path) -> None:
    path = tmp_path / NAMES[2]
    path.write_text(
        "patient_id,breast density,image file path\n"
        'P_00008,1,"""Calc%2DTraining_P_00008_LEFT_CC/1.2/1.2.3/000000.dcm\n"""\n'
    )

    (case,) = read_case_lists([path]).cases

    assert (case.name, case.aliases) == ("Calc-Training_P_00008_LEFT_CC", ("1.2.3",))


def test_a_byte_order_mark_before_the_header_does_no_harm(tmp_path: Path, write_list: WriteList) -> None:
    path = write_list(tmp_path / NAMES[0], [(LEFT, 3)])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())

    assert len(read_case_lists([path]).cases) == 1


def test_several_abnormalities_of_a_view_are_one_case(tmp_path: Path, write_list: WriteList) -> None:
    listed = read_case_lists([write_list(tmp_path / NAMES[0], [(LEFT, 3), (LEFT, 3), (LEFT, 3)])])

    assert (listed.rows, len(listed.cases)) == (3, 1)


def test_density_0_is_refused_by_name(tmp_path: Path, write_list: WriteList) -> None:
    listed = read_case_lists([write_list(tmp_path / NAMES[0], [(LEFT, 0), ("Mass-Training_P_00002_LEFT_CC", 1)])])

    assert listed.refused == (LEFT,)
    assert [case.name for case in listed.cases] == ["Mass-Training_P_00002_LEFT_CC"]


def test_a_view_in_the_mass_and_the_calcification_list_is_one_case_that_knows_both_names(
    tmp_path: Path, write_list: WriteList
) -> None:
    other = "Calc-Training_P_00001_LEFT_CC"
    files = [write_list(tmp_path / NAMES[0], [(LEFT, 3)]), write_list(tmp_path / NAMES[2], [(other, 3)])]

    (case,) = read_case_lists(files).cases

    assert case.name == LEFT
    assert other in case.aliases
    assert f"1.2.840.99.{other}" in case.aliases


@pytest.mark.parametrize("turned", [False, True])
def test_a_view_in_a_training_and_a_test_list_goes_to_the_test(
    turned: bool, tmp_path: Path, write_list: WriteList
) -> None:
    test = "Calc-Test_P_00001_LEFT_CC"
    files = [write_list(tmp_path / NAMES[0], [(LEFT, 3)]), write_list(tmp_path / NAMES[3], [(test, 3)])]

    listed = read_case_lists(reversed(files) if turned else files)

    assert [(case.name, case.part) for case in listed.cases] == [(test, "test")]
    assert listed.in_both_parts == (test,)


def test_two_densities_for_one_picture_are_refused_with_the_line(tmp_path: Path, write_list: WriteList) -> None:
    path = write_list(tmp_path / NAMES[0], [(LEFT, 3), (LEFT, 2)])

    with pytest.raises(
        DataError, match=rf"line 5: {LEFT} has density 2, but {LEFT} is the same picture and has density 3"
    ):
        read_case_lists([path])


def test_a_density_that_birads_does_not_know_is_refused_with_the_line(tmp_path: Path, write_list: WriteList) -> None:
    with pytest.raises(DataError, match=rf"line 3: {LEFT} has density '7'; BI-RADS knows 1, 2, 3 and 4"):
        read_case_lists([write_list(tmp_path / NAMES[0], [(LEFT, 7)])])


def test_a_path_that_names_no_case_is_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / NAMES[0]
    path.write_text("breast_density,image file path\n2,elsewhere/1.dcm\n")

    with pytest.raises(DataError, match=r"line 2: A picture is named by its case, such as .*, not 'elsewhere'"):
        read_case_lists([path])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,2\n", "needs the columns 'image file path' and 'breast_density' .*; it has 'a', 'b'"),
        (b"", "it has none"),
        (b"\xff\xfe\x00breast", "cannot be read as CSV"),
        (b'breast_density,image file path\n2,"' + LEFT.encode(), "cannot be read as CSV"),
    ],
)
def test_what_is_no_case_list_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / NAMES[0]
    path.write_bytes(content)

    with pytest.raises(DataError, match=message) as caught:
        read_case_lists([path])

    assert str(path) in str(caught.value)


def test_a_missing_list_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.csv cannot be read: No such file"):
        read_case_lists([tmp_path / "none.csv"])


def test_the_official_part_is_in_the_name() -> None:
    assert case_of("Calc-Test_P_00038_LEFT_CC", 2).part == "test"
    assert case_of("Calc-Training_P_00008_LEFT_CC", 1).part == "train"


@pytest.mark.mirror
def test_the_real_lists_hold_what_tcia_says(mirror: Path) -> None:
    files = [mirror / "cbis_ddsm" / name for name in NAMES]

    rows = dict(zip(NAMES, (read_case_lists([path]).rows for path in files), strict=True))
    listed = read_case_lists(files)

    assert list(rows.values()) == [1318, 378, 1546, 326]
    assert listed.rows == 3568
    assert listed.refused == ("Calc-Test_P_01743_RIGHT_CC", "Calc-Test_P_01743_RIGHT_MLO")
    assert len(listed.cases) == 3030
    assert len(listed.in_both_parts) == 29
    assert Counter(case.density for case in listed.cases) == {1: 415, 2: 1181, 3: 927, 4: 507}


@pytest.mark.mirror
def test_the_official_split_has_31_patients_on_both_sides(mirror: Path) -> None:
    """Counted with nothing but csv, so that the finding does not rest on the reader alone."""
    import csv

    sides: dict[str, set[bool]] = {}
    for name in NAMES:
        with (mirror / "cbis_ddsm" / name).open(newline="") as stream:
            for row in csv.DictReader(stream):
                sides.setdefault(row["patient_id"], set()).add("test" in name)

    assert (len(sides), sum(len(found) == 2 for found in sides.values())) == (1566, 31)
