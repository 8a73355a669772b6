"""What a request asks beside its picture: which model, from which score on, how many objects at most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mlhelpers.errors import UsageError, unknown_name

__all__ = ["DEFAULT_LIMIT", "DEFAULT_THRESHOLD", "Question", "read_question"]

DEFAULT_THRESHOLD = 0.5
DEFAULT_LIMIT = 100
_MOST = 300


class Question(NamedTuple):
    """What is asked; a model of None is the server's own choice."""

    model: str | None = None
    threshold: float = DEFAULT_THRESHOLD
    limit: int = DEFAULT_LIMIT


def read_question(words: Mapping[str, str]) -> Question:
    """Read the words of a query or a form.

    Args:
        words: Name -> text: model, threshold, limit; each may be left out.

    Raises:
        UsageError: Another name, or a value out of its range.

    Example:
        >>> read_question({"threshold": "0.7"})
        Question(model=None, threshold=0.7, limit=100)
    """
    for name in words:
        if name not in Question._fields:
            raise unknown_name("parameter", name[:60], Question._fields)
    threshold, limit = DEFAULT_THRESHOLD, DEFAULT_LIMIT
    if text := words.get("threshold"):
        threshold = _number("threshold", text, 0, 1)
    if text := words.get("limit"):
        limit = int(_number("limit", text, 1, _MOST, whole=True))
    return Question(words.get("model") or None, threshold, limit)


def _number(name: str, text: str, low: int, high: int, whole: bool = False) -> float:
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        kind = "a whole number" if whole else "a number"
        raise UsageError(f"{name} is {text[:40]!r}; it should be {kind} from {low} to {high}.")
    return value
