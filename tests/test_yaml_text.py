"""Plain data as YAML for people; PyYAML reads it back."""

from __future__ import annotations

import yaml

from mlhelpers.yaml_text import yaml_text

_PROGRAM = "first line\nsecond line\n"


def test_a_text_of_several_lines_stands_there_line_by_line() -> None:
    assert yaml_text({"command": ["python3", _PROGRAM]}).splitlines()[2:] == [
        "- |",
        "  first line",
        "  second line",
    ]


def test_a_list_with_such_a_text_is_written_once_and_read_back_everywhere() -> None:
    command = ["python3", "-c", _PROGRAM]
    data = {"pools": [{"command": command}, {"command": command}]}

    written = yaml_text(data)

    assert written.count("first line") == 1
    assert yaml.safe_load(written) == data


def test_any_other_list_that_comes_twice_is_written_twice() -> None:
    words = ["--steps=1"]

    assert yaml_text({"a": words, "b": words}) == "a:\n- --steps=1\nb:\n- --steps=1\n"


def test_keys_keep_their_order_and_letters_stay_letters() -> None:
    assert yaml_text({"zwei": "ü", "eins": 1}) == "zwei: ü\neins: 1\n"
