"""What Google's errors mean, said as ours; and how a lost answer is dealt with."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from mlhelpers.cloud.access import LOG_IN
from mlhelpers.errors import CloudError, UnreachableError

__all__ = ["asking", "create_once", "retrying"]

_Made = TypeVar("_Made")
_PERMISSION = re.compile(r"[Pp]ermission '?([a-z]+\.[A-Za-z]+\.[A-Za-z]+)'?")
_FIRST_WAIT_S, _LONGEST_WAIT_S, _FACTOR = 0.5, 30.0, 2.0


def _transient() -> tuple[type[Exception], ...]:
    """Return the errors after which the same question may have an answer."""
    import requests
    from google.api_core import exceptions
    from google.auth.exceptions import TransportError

    return (
        exceptions.ServiceUnavailable,
        exceptions.GatewayTimeout,  # DEADLINE_EXCEEDED
        exceptions.TooManyRequests,  # RESOURCE_EXHAUSTED
        exceptions.InternalServerError,
        exceptions.BadGateway,
        requests.exceptions.ConnectionError,
        requests.exceptions.Timeout,
        requests.exceptions.ChunkedEncodingError,  # the connection was lost in the middle of the answer
        TransportError,
    )


def retrying(patience_s: float = 120.0) -> Any:
    """Return the policy with which a question that changes nothing is asked again.

    Args:
        patience_s: Give up after so long, in seconds.

    Returns:
        A `google.api_core.retry.Retry`, to be passed as `retry=` to a client's method.
    """
    from google.api_core.retry import Retry

    transient = _transient()
    return Retry(
        predicate=lambda error: isinstance(error, transient),
        initial=_FIRST_WAIT_S,
        maximum=_LONGEST_WAIT_S,
        multiplier=_FACTOR,
        timeout=patience_s,
    )


@contextmanager
def asking(what: str, role: str = "roles/aiplatform.user") -> Iterator[None]:
    """Turn Google's errors inside the block into a `CloudError` that says what to do.

    Args:
        what: What is being asked, to complete "Vertex AI refused to …", for instance "start the job 'first'".
        role: The role that holds the permission, named where permission is refused.

    Raises:
        CloudError: Google's service refused.
        UnreachableError: It could not be reached, or did not answer.
    """
    import requests
    from google.api_core import exceptions
    from google.auth import exceptions as auth

    try:
        yield
    except (exceptions.ServiceUnavailable, exceptions.GatewayTimeout, exceptions.BadGateway) as error:
        raise UnreachableError(f"Google Cloud is not there to {what} at the moment: {_said(error)}") from error
    except exceptions.GoogleAPICallError as error:
        raise CloudError(_sentence(what, role, error)) from error
    except exceptions.RetryError as error:
        raise UnreachableError(f"Google Cloud did not answer in time when asked to {what}: {error.cause}") from error
    except auth.RefreshError as error:
        raise CloudError(f"The credentials for Google Cloud have expired or were withdrawn. {LOG_IN}") from error
    except (requests.exceptions.RequestException, auth.TransportError) as error:
        raise UnreachableError(
            f"Google Cloud cannot be reached to {what}. Look at your connection and try again."
        ) from error


def _said(error: Any) -> str:
    return str(error.message or error).strip()


def _sentence(what: str, role: str, error: Any) -> str:
    from google.api_core import exceptions

    said = _said(error)
    if isinstance(error, exceptions.Unauthorized):
        return f"Google Cloud does not know who asks to {what}. {LOG_IN}"
    if isinstance(error, exceptions.Forbidden):
        found = _PERMISSION.search(said)
        missing = f" The permission {found[1]} is missing: ask" if found else " Ask"
        ask = f" the project's owner for the role {role} (which has it)."
        return f"You may not {what}.{missing}{ask} Google says: {said}"
    if isinstance(error, exceptions.TooManyRequests):
        return f"The project's quota does not suffice to {what}. Ask for more, or take another region. {said}"
    if isinstance(error, exceptions.NotFound):
        return f"Google Cloud knows nothing of that name, when asked to {what}. Look at project and region. {said}"
    if isinstance(error, exceptions.AlreadyExists | exceptions.Conflict):
        return f"There is one of that name already, when asked to {what}: choose another. {said}"
    return f"Google Cloud refused to {what}: {said}"


def create_once(create: Callable[[], _Made], find: Callable[[], _Made | None], patience_s: float = 120.0) -> _Made:
    """Create something that must not be there twice, also where the answer to the first request is lost.

    Before it is asked a second time, what carries this submission's own mark is looked for.

    Args:
        create: Asks once.
        find: Returns what an earlier attempt has made, or None.
        patience_s: Give up after so long, in seconds.

    Raises:
        Exception: What `create` raised last.
    """
    transient = _transient()
    deadline = time.monotonic() + patience_s
    wait = _FIRST_WAIT_S
    while True:
        try:
            return create()
        except transient:
            if (found := find()) is not None:
                return found
            if time.monotonic() + wait > deadline:
                raise
        time.sleep(wait)
        wait = min(wait * _FACTOR, _LONGEST_WAIT_S)
        if (found := find()) is not None:  # it may have taken its time
            return found
