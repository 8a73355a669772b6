"""Labels: your own marks on jobs, models and versions, in the form that the service takes.

May import `errors` alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from mlhelpers.errors import UsageError

__all__ = ["checked_labels", "relabelled"]

_LABEL = re.compile(r"[a-z0-9_-]{1,63}")


def checked_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return labels as they are, if the service would take them.

    Args:
        labels: Key -> value; a value may be empty.

    Raises:
        UsageError: A key or a value is no text of the form that labels have.
    """
    for key, value in labels.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise UsageError(f"labels has {key!r}: {value!r}. Keys and values are texts, for instance {{'team': 'a'}}.")
        if not _LABEL.fullmatch(key) or (value and not _LABEL.fullmatch(value)):
            raise UsageError(
                f"The label {key}={value} is refused. Keys and values are lower-case letters, digits, '-' and '_', "
                "63 at most."
            )
    return dict(labels)


def relabelled(labels: Mapping[str, str], changes: Mapping[str, str | None], clear: bool = False) -> dict[str, str]:
    """Return labels after a change.

    Args:
        labels: The labels so far.
        changes: Key -> value to set, or None to take the label away; one that is not there is no error.
        clear: Take all labels away first.

    Raises:
        UsageError: A new key or value is not of the form that labels have.
    """
    new = checked_labels({key: value for key, value in changes.items() if value is not None})
    kept = {} if clear else {key: value for key, value in labels.items() if key not in changes}
    return kept | new
