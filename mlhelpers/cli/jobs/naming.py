"""The argument that names a job, completed in the shell from the jobs there are; and where the job is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from mlhelpers.errors import MLHelpersError

__all__ = ["backend_option", "job_argument"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def job_argument(command: _Command) -> _Command:
    """Add the argument JOB, the name or handle of a job that is there, and the option that says where."""
    return click.argument("job", shell_complete=_complete)(backend_option(command))


def backend_option(command: _Command) -> _Command:
    """Add the option `--backend`."""
    return click.option("--backend", metavar="local|vertex", help="Where the job is.  [default: local]")(command)


def _complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from mlhelpers import jobs as room

    with suppress(MLHelpersError):  # a shell that completes has no place for a message
        rows = room.list_jobs(backend=ctx.params.get("backend"))
        return [CompletionItem(row["jobId"], help=row["state"]) for row in rows if row["jobId"].startswith(incomplete)]
    return []
