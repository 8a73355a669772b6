"""The argument that names a job, completed in the shell from the jobs there are; and labels."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from mlhelpers.errors import MLHelpersError, UsageError

__all__ = ["job_argument", "parse_labels"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def job_argument(command: _Command) -> _Command:
    """Add the argument JOB, the name of a job that is there."""
    return click.argument("job", shell_complete=_complete)(command)


def parse_labels(text: str, flag: str = "--labels") -> dict[str, str]:
    """Return the labels of a text such as "team=blue,n=1".

    Args:
        text: Pairs KEY=VALUE with commas between them; may be empty.
        flag: The option that it was given to, for the message.

    Raises:
        UsageError: A label has no value.
    """
    labels = {}
    for pair in filter(None, text.split(",")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"The label {pair!r} has no value. Write {flag} KEY=VALUE,KEY=VALUE.")
        labels[key.strip()] = value.strip()
    return labels


def _complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from mlhelpers import jobs as room

    with suppress(MLHelpersError):  # a shell that completes has no place for a message
        rows = room.list_jobs()
        return [CompletionItem(row["jobId"], help=row["state"]) for row in rows if row["jobId"].startswith(incomplete)]
    return []
