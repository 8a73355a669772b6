"""Errors that teach: what was asked, the value given, what is allowed, what to do next.

Every error that a caller is meant to read is an `MLHelpersError`. The command line turns a `UsageError` into exit
code 2 and every other one into exit code 1; the prediction server turns them into 4xx answers. Add a child class only
where a caller would catch it differently.

Imports nothing of the project: this is the bottom floor.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "CloudError",
    "DataError",
    "JobError",
    "MLHelpersError",
    "MissingExtraError",
    "ModelError",
    "PredictionError",
    "ReplicaError",
    "UnreachableError",
    "UsageError",
    "unknown_name",
]


class MLHelpersError(Exception):
    """Base of every error that mlhelpers raises on purpose."""


class UsageError(MLHelpersError, ValueError):
    """A name or a value that is not allowed: a wrong flag, a malformed job name, a picture of the wrong shape."""


class DataError(MLHelpersError):
    """A data file that is missing, truncated, altered, or cannot be read or written."""


class MissingExtraError(MLHelpersError, ImportError):
    """A part of mlhelpers was used whose packages are not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} is not installed. Install it with:  pip install 'mlhelpers[{extra}]'")
        self.extra = extra


class CloudError(MLHelpersError):
    """Google Cloud refused, could not be reached, or does not know who asks."""


class UnreachableError(CloudError):
    """Google Cloud could not be reached, or did not answer in time: the same question may have an answer later."""


class JobError(MLHelpersError):
    """A job that failed, does not exist, or cannot be started."""


class ReplicaError(MLHelpersError):
    """Another replica of the same cluster is gone, or did not come: all started again go on together."""


class ModelError(MLHelpersError):
    """A model or version that does not exist, exists already, or cannot be loaded."""


class PredictionError(MLHelpersError):
    """An instance that the model's signature does not take, or a prediction server that refused it."""


def unknown_name(kind: str, given: object, allowed: Iterable[str], hint: str = "") -> UsageError:
    """Build the error for a name that is not known, with the nearest known name first.

    Args:
        kind: What the name stands for, in the singular, for instance "data set".
        given: The name as it was given.
        allowed: The names that exist; up to ten are listed.
        hint: One more sentence: what to do next.

    Returns:
        The error, ready to be raised.

    Example:
        >>> str(unknown_name("data set", "minst", ["iris", "mnist"]))
        "There is no data set 'minst'. Did you mean 'mnist'? Known: iris, mnist."
    """
    names = sorted(allowed)
    by_form = {_form(name): name for name in names}  # "standrd-1" is near to "STANDARD_1"
    near = difflib.get_close_matches(_form(given), by_form, n=1)
    parts = [f"There is no {kind} {str(given)!r}."]
    if near:
        parts.append(f"Did you mean {by_form[near[0]]!r}?")
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    parts.append(f"Known: {shown}." if names else f"No {kind} exists yet.")
    if hint:
        parts.append(hint)
    return UsageError(" ".join(parts))


def _form(name: object) -> str:
    return str(name).lower().replace("-", "_")
