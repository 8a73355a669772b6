"""`mlhelpers jobs list`, and the filters that it takes."""

from __future__ import annotations

import operator
import re
import shlex
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

import click

from mlhelpers.cli.output import echo_resource, echo_rows, format_option
from mlhelpers.errors import UsageError, unknown_name

__all__ = ["list_jobs", "parse_filter"]

_Row = Mapping[str, Any]
_KEYS = {
    "jobId": "jobId",
    "job_id": "jobId",
    "state": "state",
    "status": "state",
    "createTime": "createTime",
    "created": "createTime",
    "startTime": "startTime",
    "endTime": "endTime",
}
_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
_COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    **_SIGNS,
    ":": lambda value, pattern: fnmatchcase(value.lower(), pattern.lower()),
}
_TERM = re.compile(r"([\w.-]+)(<=|>=|!=|=|:|<|>)(.*)", re.DOTALL)


@click.command("list")
@click.option("--limit", type=click.IntRange(min=1), help="Show so many at most.  [default: all]")
@click.option("--filter", "condition", metavar="EXPRESSION", help="Show only the jobs that it holds for.")
@click.option("--backend", help="Where.  [default: local]")
@format_option()
def list_jobs(limit: int | None, condition: str | None, backend: str | None, output_format: str) -> None:
    """List the jobs, newest first.

    A filter is KEY=VALUE, KEY!=VALUE, KEY:PATTERN (in any case, * stands for anything), or KEY<VALUE and the like for
    times; several are joined with AND. Keys: jobId, state (or status), createTime, startTime, endTime, labels.NAME.

    \b
    Examples:
      mlhelpers jobs list --limit 5
      mlhelpers jobs list --filter "state=FAILED AND labels.team=blue"
      mlhelpers jobs list --filter "jobId:mnist_* AND createTime>=2030-01-31"
    """
    from mlhelpers import jobs as room

    holds = parse_filter(condition or "")
    rows = room.list_jobs(None if condition else limit, backend)
    rows = [row for row in rows if holds(row)][:limit]
    if output_format != "table":
        echo_resource(rows, output_format)
        return
    table = [{"job_id": row["jobId"], "status": row["state"], "created": row["createTime"][:19]} for row in rows]
    echo_rows(table, ["job_id", "status", "created"], output_format)


def parse_filter(text: str) -> Callable[[_Row], bool]:
    """Return the test on a job's row that a filter stands for; an empty one lets every row pass.

    Args:
        text: Terms joined by AND, for instance "state=RUNNING AND labels.team=blue".

    Raises:
        UsageError: It is no such filter, or a key or state is not known.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"The filter {text!r} cannot be read: {error}.") from None
    tests = [_test(word, text) for word in words if word != "AND"]
    return lambda row: all(test(row) for test in tests)


def _test(word: str, text: str) -> Callable[[_Row], bool]:
    from mlhelpers.jobs import JobState

    found = _TERM.fullmatch(word)
    if found is None:
        raise UsageError(
            f"The filter {text!r} cannot be read at {word!r}. Write KEY=VALUE or KEY:PATTERN without blanks, joined by "
            'AND: "state=RUNNING AND labels.team=blue".'
        )
    key, sign, value = found.groups()
    compare = _COMPARISONS[sign]
    if label := re.fullmatch(r"labels\.(.+)", key):
        return lambda row: label[1] in row["labels"] and compare(row["labels"][label[1]], value)
    if key not in _KEYS:
        raise unknown_name("key to filter by", key, [*_KEYS, "labels.NAME"])
    name = _KEYS[key]
    if name.endswith("Time") and sign != ":":
        moment = _moment(value, key)
        return lambda row: bool(row.get(name)) and _SIGNS[sign](datetime.fromisoformat(row[name]), moment)
    if name == "state" and sign != ":":
        known = [str(state) for state in JobState]
        value = value.upper()
        if value not in known:
            raise unknown_name("state", value, known)
    return lambda row: name in row and compare(row[name], value)


def _moment(text: str, key: str) -> datetime:
    """Return the moment that a time as RFC 3339 writes it stands for, or the first one of a year, month or day."""
    whole = text + "-01-01"[len(text) - 4 :] if re.fullmatch(r"\d{4}(-\d\d)?", text) else text
    try:
        if not re.match(r"\d{4}-\d\d-\d\d", whole):  # fromisoformat would read weeks too
            raise ValueError
        found = datetime.fromisoformat(whole)
    except ValueError:
        raise UsageError(
            f"{key} is compared with {text!r}, which is no time. Write it as in RFC 3339, for instance "
            "2030-01-31 or 2030-01-31T12:00:00Z; UTC is meant where no zone is said."
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
