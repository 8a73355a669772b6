"""Labels on the command line: `--labels K=V,…`, and the options with which a resource's labels are changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from mlhelpers.errors import UsageError

__all__ = ["label_changes", "label_options", "labels_option", "parse_labels"]

_Command = TypeVar("_Command", bound=Callable[..., Any])

labels_option = click.option("--labels", metavar="K=V,…", help="Your own marks.")


def label_options(command: _Command) -> _Command:
    """Add the options that `label_changes` reads."""
    for option in (
        click.option("--clear-labels", is_flag=True, help="Take all labels away, before --update-labels sets some."),
        click.option("--remove-labels", metavar="K,…", help="Take these labels away."),
        click.option("--update-labels", metavar="K=V,…", help="Set these labels, and keep the others."),
    ):
        command = option(command)
    return command


def label_changes(
    update_labels: str | None, remove_labels: str | None, clear_labels: bool, description: str | None = None
) -> dict[str, str | None]:
    """Return what the options of `label_options` change: key -> new value, or None where the label goes.

    Args:
        update_labels: Pairs KEY=VALUE with commas between them.
        remove_labels: Keys with commas between them.
        clear_labels: Whether all labels go first; that is left to the caller.
        description: A new description, where the command takes one: then no label has to change.

    Raises:
        UsageError: The options contradict one another, or say nothing.
    """
    if remove_labels and clear_labels:
        raise UsageError("--clear-labels takes all labels away: leave --remove-labels out.")
    if description is None and not (update_labels or remove_labels or clear_labels):
        raise UsageError("Say what to change: --update-labels K=V,…, --remove-labels K,… or --clear-labels.")
    return {
        **{key.strip(): None for key in filter(None, (remove_labels or "").split(","))},
        **parse_labels(update_labels or "", "--update-labels"),
    }


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
