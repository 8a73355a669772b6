"""Things made once, on the ledger before they are asked for; and the operations that take their time.

Whatever is made carries the mark of its ledger entry as the label `mlhelpers_mark`, and an id that is known before. So
an answer that is lost is found again, and what is sent a second time is refused by the service, not made twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from mlhelpers.cloud import ledger
from mlhelpers.cloud.place import Place
from mlhelpers.cloud.refusals import asking, create_once, retrying
from mlhelpers.errors import CloudError

__all__ = ["PATIENCE_S", "ROLE", "look", "make", "wait_for"]

ROLE = "roles/aiplatform.user"
PATIENCE_S = 3600.0  # a deployment takes ten minutes, and more where machines are rare
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 10.0


def look(what: str, ask: Callable[..., Any]) -> Any:
    """Ask for something that may not be there; a question that changes nothing is asked again after a fault.

    Args:
        what: What is asked, to complete "Google Cloud refused to …".
        ask: Asks; called with `retry=`.

    Returns:
        What was found, or None.

    Raises:
        CloudError: The service refused, or did not answer.
    """
    from google.api_core.exceptions import NotFound

    with asking(what, ROLE):
        try:
            return ask(retry=retrying())
        except NotFound:
            return None


def wait_for(what: str, operation: Any, timeout_s: float = PATIENCE_S) -> Any:
    """Wait for a long-running operation, also through a connection that is lost and comes back.

    Args:
        what: What it does, to complete "Google Cloud refused to …".
        operation: A `google.api_core.operation.Operation`.
        timeout_s: Give up waiting after so long, in seconds; the operation goes on.

    Returns:
        What it gave.

    Raises:
        CloudError: It failed, or did not end in time.
    """
    deadline, wait = time.monotonic() + timeout_s, _FIRST_WAIT_S
    with asking(what, ROLE):
        while not operation.done(retry=retrying()):
            if time.monotonic() > deadline:
                raise CloudError(
                    f"Google Cloud was asked to {what} and is still at it after {timeout_s:g} s. It goes on: look at "
                    f"{operation.operation.name} in the console."
                )
            time.sleep(wait)
            wait = min(wait * 1.5, _LONGEST_WAIT_S)
        return operation.result(timeout=1.0)


def make(
    what: str,
    kind: str,
    place: Place,
    title: str,
    send: Callable[[str], Any],
    find: Callable[[str], Any],
    labels: Mapping[str, str] | None = None,
    name_of: Callable[[Any], str] = lambda found: str(found.name),
) -> Any:
    """Make one thing, note it in the ledger, and wait until it is there.

    Args:
        what: What is done, to complete "Google Cloud refused to …".
        kind: The ledger's word for the thing.
        place: Where.
        title: What a person calls it.
        send: Asks once, with the mark; returns the operation, or the thing itself.
        find: Returns what carries the mark, or None.
        labels: As they were asked for.
        name_of: Returns the thing's full name.

    Returns:
        The thing, as `find` sees it.

    Raises:
        CloudError: The service refused, or did not answer; what may have been made stays on the ledger.
    """
    from google.api_core.exceptions import AlreadyExists, ClientError

    entry = ledger.intend(kind, place.project, place.region, title, place.endpoint, labels)
    tries = 0

    def create() -> Any:
        nonlocal tries
        tries += 1
        try:
            return send(entry.mark)
        except AlreadyExists:
            if tries == 1:
                raise
            return _await(lambda: find(entry.mark))  # the first request had come through, and is being worked on

    try:
        with asking(what, ROLE):
            sent = create_once(create, lambda: find(entry.mark))
        if hasattr(sent, "operation"):
            wait_for(what, sent)
        found = find(entry.mark)
    except CloudError as error:
        if isinstance(error.__cause__, ClientError):  # refused: nothing was made
            ledger.forget(entry)
        raise
    if found is None:
        raise CloudError(f"Google Cloud was asked to {what}, said that it had, and does not show it. Look again later.")
    ledger.made(entry, name_of(found))
    return found


def _await(find: Callable[[], Any]) -> Any:
    deadline, wait = time.monotonic() + PATIENCE_S, _FIRST_WAIT_S
    while (found := find()) is None and time.monotonic() < deadline:
        time.sleep(wait)
        wait = min(wait * 1.5, _LONGEST_WAIT_S)
    return found
