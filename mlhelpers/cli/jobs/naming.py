"""The argument that names a job, completed in the shell from the jobs there are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from mlhelpers.errors import MLHelpersError

__all__ = ["job_argument"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def job_argument(command: _Command) -> _Command:
    """Add the argument JOB, the name of a job that is there."""
    return click.argument("job", shell_complete=_complete)(command)


def _complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from mlhelpers import jobs as room

    with suppress(MLHelpersError):  # a shell that completes has no place for a message
        rows = room.list_jobs()
        return [CompletionItem(row["jobId"], help=row["state"]) for row in rows if row["jobId"].startswith(incomplete)]
    return []
