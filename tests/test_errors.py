"""Errors that teach."""

from __future__ import annotations

import pytest

from mlhelpers import errors


def test_unknown_name_offers_the_nearest_and_lists_the_known() -> None:
    error = errors.unknown_name("data set", "minst", ["mnist", "iris"])

    assert str(error) == "There is no data set 'minst'. Did you mean 'mnist'? Known: iris, mnist."


def test_unknown_name_without_a_near_one_offers_none() -> None:
    assert "Did you mean" not in str(errors.unknown_name("data set", "whales", ["mnist", "iris"]))


def test_unknown_name_says_when_nothing_is_known() -> None:
    assert str(errors.unknown_name("model", "m", [])) == "There is no model 'm'. No model exists yet."


def test_unknown_name_lists_ten_and_counts_the_rest() -> None:
    message = str(errors.unknown_name("job", "x", [f"job{number:02d}" for number in range(13)]))

    assert "job09 and 3 more." in message
    assert "job10" not in message


def test_unknown_name_ends_with_the_hint() -> None:
    assert str(errors.unknown_name("job", "x", ["y"], "See mlhelpers jobs list.")).endswith("See mlhelpers jobs list.")


def test_unknown_name_takes_what_is_no_text() -> None:
    assert "There is no data set '7'." in str(errors.unknown_name("data set", 7, ["mnist"]))


def test_missing_extra_names_the_install_line() -> None:
    error = errors.MissingExtraError("TensorFlow", "train")

    assert str(error) == "TensorFlow is not installed. Install it with:  pip install 'mlhelpers[train]'"
    assert error.extra == "train"
    assert isinstance(error, ImportError)


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name.endswith("Error")])
def test_every_error_is_an_mlhelpers_error_and_says_when(name: str) -> None:
    kind = getattr(errors, name)

    assert issubclass(kind, errors.MLHelpersError)
    assert kind.__doc__


def test_a_usage_error_is_a_value_error() -> None:
    assert issubclass(errors.UsageError, ValueError)
