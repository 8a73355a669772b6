"""Tables, boxes and resources as they are printed."""

from __future__ import annotations

import pytest
import yaml

from mlhelpers.cli.output import echo_box, echo_resource, echo_rows


def test_columns_are_aligned_with_upper_case_titles(capsys: pytest.CaptureFixture[str]) -> None:
    echo_rows([{"a": "long one", "b": 1}, {"a": "x", "b": 22, "c": "unseen"}], ["a", "b"], "table")

    assert capsys.readouterr().out == "A         B\nlong one  1\nx         22\n"


def test_a_missing_value_is_an_empty_cell(capsys: pytest.CaptureFixture[str]) -> None:
    echo_rows([{"b": 1}], ["a", "b"], "table")

    assert capsys.readouterr().out == "A  B\n   1\n"


def test_a_wide_character_takes_two_places(capsys: pytest.CaptureFixture[str]) -> None:
    echo_rows([{"a": "名前", "b": 1}, {"a": "wxyz", "b": 2}], ["a", "b"], "table")

    assert [line.index(digit) for line, digit in zip(capsys.readouterr().out.splitlines()[1:], "12", strict=True)] == [
        4,
        6,
    ]


def test_a_resource_as_a_table_has_a_row_for_each_field(capsys: pytest.CaptureFixture[str]) -> None:
    echo_resource({"name": "x", "inside": {"n": 1, "list": ["a"]}, "empty": {}}, "table")

    assert [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()] == [
        ["FIELD", "VALUE"],
        ["name", "x"],
        ["inside.n", "1"],
        ["inside.list", '["a"]'],
        ["empty", "{}"],
    ]


def test_a_text_of_several_lines_is_readable_in_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    resource = {"errorMessage": "It failed.\n  line 1\n    line 2", "state": "FAILED"}

    echo_resource(resource)

    out = capsys.readouterr().out
    assert {"  It failed.", "    line 1", "      line 2"} <= set(out.splitlines())
    assert yaml.safe_load(out) == resource


def test_a_box_has_its_title_above(capsys: pytest.CaptureFixture[str]) -> None:
    echo_box("Title", [{"a": "1"}])

    assert [line.replace(" ", "") for line in capsys.readouterr().out.splitlines()] == [
        "Title",
        "+-----+",
        "|A|",
        "+=====+",
        "|1|",
        "+-----+",
    ]
