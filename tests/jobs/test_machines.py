"""The types of a pool's fields (the rules on machines together are in test_spec and tests/cli)."""

from __future__ import annotations

from typing import Any

import pytest

from mlhelpers.errors import UsageError
from mlhelpers.jobs import Pool


@pytest.mark.parametrize(
    ("field", "value", "form"),
    [
        ("count", "2", "a whole number"),
        ("accelerator_count", 1.5, "a whole number"),
        ("count", True, "a whole number"),
        ("machine_type", None, "a text"),
    ],
)
def test_a_field_of_another_type_is_refused_with_its_form(field: str, value: Any, form: str) -> None:
    with pytest.raises(UsageError) as refused:
        Pool(**{field: value})

    assert f"Pool: {field}={value!r} is refused. Give {form}" in str(refused.value)
