"""Labels: what the service would take, and how a change leaves the others as they are."""

from __future__ import annotations

import pytest

from mlhelpers.errors import UsageError
from mlhelpers.labels import checked_labels, relabelled


def test_labels_of_the_services_form_are_taken() -> None:
    assert checked_labels({"team": "blue", "n-1_x": "", "a" * 63: "9" * 63})["team"] == "blue"


@pytest.mark.parametrize("labels", [{"Team": "a"}, {"team": "B"}, {"": "a"}, {"a" * 64: "a"}, {"a": "b c"}, {"é": "a"}])
def test_others_are_refused_with_the_form(labels: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="lower-case letters, digits, '-' and '_', 63 at most"):
        checked_labels(labels)


def test_a_value_that_is_no_text_is_refused() -> None:
    with pytest.raises(UsageError, match=r"labels has 'n': 1\. Keys and values are texts"):
        checked_labels({"n": 1})  # type: ignore[dict-item]


def test_a_change_sets_takes_away_and_leaves_the_rest() -> None:
    before = {"a": "1", "b": "2", "c": "3"}

    assert relabelled(before, {"a": "9", "b": None, "missing": None}) == {"a": "9", "c": "3"}
    assert relabelled(before, {"d": "4"}, clear=True) == {"d": "4"}
    assert before == {"a": "1", "b": "2", "c": "3"}
