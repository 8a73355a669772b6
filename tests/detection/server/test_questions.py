"""What a request asks beside its picture: known names, values in range, and nothing ignored."""

from __future__ import annotations

import pytest

from mlhelpers.detection.server.questions import Question, read_question
from mlhelpers.errors import UsageError


def test_what_is_left_out_has_its_default() -> None:
    assert read_question({}) == read_question({"model": "", "threshold": "", "limit": ""}) == Question(None, 0.5, 100)


def test_what_is_asked_is_read() -> None:
    assert read_question({"model": "nanodet", "threshold": "0", "limit": "3"}) == Question("nanodet", 0, 3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"treshold": "0.5"}, "There is no parameter 'treshold'. Did you mean 'threshold'"),
        ({"threshold": "1.5"}, "threshold is '1.5'; it should be a number from 0 to 1"),
        ({"threshold": "nan"}, "threshold is 'nan'"),
        ({"threshold": "high"}, "threshold is 'high'"),
        ({"limit": "0"}, "limit is '0'; it should be a whole number from 1 to 300"),
        ({"limit": "2.5"}, "limit is '2.5'"),
        ({"limit": "9" * 5000}, "limit is '9{40}'"),
    ],
)
def test_what_is_wrong_is_told(words: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_question(words)
