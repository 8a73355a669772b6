"""Ask a server that is busy or still loading once more, within a time limit.

A prediction changes nothing, so that asking twice does no harm.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import requests
from urllib3.exceptions import InvalidHeader, ProtocolError
from urllib3.util import Retry

__all__ = ["ask_patiently"]

_BUSY = (429, 503)
_HANG_UPS = 3  # a server that hangs up more often than that does not do it by chance
_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 5.0


def ask_patiently(send: Callable[[float], requests.Response], timeout_s: float) -> requests.Response:
    """Send a request; again while the answer is 429 or 503, or the server hangs up before it has answered.

    Waits longer each time, and as long as Retry-After says, with some chance in it, so that many clients that were
    turned away together do not come back together.

    Args:
        send: Sends the request; called with the seconds that are left.
        timeout_s: The time for all, in seconds.

    Returns:
        The answer, or the last 429 or 503 where there is no time to wait for another.

    Raises:
        requests.RequestException: No connection, no answer in time, or the server hung up too often.
    """
    deadline = time.monotonic() + timeout_s
    hang_ups = tries = 0
    while True:
        tries += 1
        answer, fault = None, None
        try:
            answer = send(max(deadline - time.monotonic(), 0.001))
            if answer.status_code not in _BUSY:
                return answer
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            hang_ups += 1
            if not _is_hang_up(error) or hang_ups > _HANG_UPS:
                raise
            fault = error
        wait = _wait(tries, answer)
        if time.monotonic() + wait >= deadline:
            if fault is not None:
                raise fault
            assert answer is not None
            return answer
        time.sleep(wait)


def _wait(tries: int, answer: requests.Response | None) -> float:
    chance = random.random()  # noqa: S311  spreads clients in time, keeps no secret
    wait = min(_FIRST_WAIT_S * 2.0 ** (tries - 1), _LONGEST_WAIT_S)
    said = 0.0
    if answer is not None and "Retry-After" in answer.headers:
        try:
            said = float(Retry().parse_retry_after(answer.headers["Retry-After"]))
        except InvalidHeader:
            said = 0.0
    return said + wait * (0.5 + chance / 2)


def _is_hang_up(error: requests.RequestException) -> bool:
    """Tell a connection that broke from one that was never made."""
    return bool(error.args) and isinstance(error.args[0], ProtocolError)
