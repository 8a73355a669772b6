"""Who is let in: the token, how much may wait for a model, and how long a caller is willing to."""

from __future__ import annotations

import asyncio
import hmac
import math
from collections.abc import Mapping
from dataclasses import dataclass

from mlhelpers.serving.server.refusals import RefusedError

__all__ = ["Admission", "Deadline", "Deadlines", "Door", "Limits", "time_limit"]

_WAITING_BYTES = 64_000_000  # a model's, whatever their number: what waits is held in memory
_RETRY_S = b"1"
_LOOK_S = 0.05


@dataclass(frozen=True)
class Limits:
    """What a request may cost.

    Attributes:
        max_bytes: The longest body taken, packed and unpacked.
        timeout_s: The longest that an answer may take, in seconds.
        max_waiting: How many requests may be in the house for one model.
        body_s: How long a body may take to arrive, in seconds.
        load_s: How long a request waits for a model to load before it is told to come again, in seconds.
    """

    max_bytes: int = 1_500_000  # what the cloud takes
    timeout_s: float = 60.0
    max_waiting: int = 256
    body_s: float = 30.0
    load_s: float = 20.0


class Door:
    """What is in the house for one model: requests that have come and are not answered yet."""

    __slots__ = ("bytes", "requests")

    def __init__(self) -> None:
        self.requests = 0
        self.bytes = 0

    def leave(self, size: int) -> None:
        """Count a request out again."""
        self.requests -= 1
        self.bytes -= size


class Deadline:
    """When a request's task is cancelled."""

    __slots__ = ("_task", "at", "began", "is_over")

    def __init__(self, began: float, seconds: float) -> None:
        self.began = began
        self.at = began + seconds
        self.is_over = False
        self._task = asyncio.current_task()

    def extend(self, seconds: float) -> None:
        """Set another time, counted from the start."""
        self.at = self.began + seconds

    def strike(self) -> None:
        """Cancel the task."""
        self.is_over = True
        if self._task is not None:
            self._task.cancel()


class Deadlines:
    """The deadlines of all open requests, looked at twenty times a second.

    A timer of its own for each request (`asyncio.timeout`) would cost every one of them what this costs all together.
    """

    def __init__(self) -> None:
        self._open: set[Deadline] = set()
        self._is_looking = False

    def start(self, seconds: float) -> Deadline:
        """Set the current task a time; `end` it when the request is answered."""
        loop = asyncio.get_running_loop()
        deadline = Deadline(loop.time(), seconds)
        self._open.add(deadline)
        if not self._is_looking:
            self._is_looking = True
            loop.call_later(_LOOK_S, self._look, loop)
        return deadline

    def end(self, deadline: Deadline) -> None:
        """Forget a deadline."""
        self._open.discard(deadline)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for deadline in [one for one in self._open if one.at < now and not one.is_over]:
            deadline.strike()
        self._is_looking = bool(self._open)
        if self._is_looking:
            loop.call_later(_LOOK_S, self._look, loop)


class Admission:
    """Lets requests in, up to a number and a size for each model."""

    def __init__(self, limits: Limits, token: str | None = None) -> None:
        """Set the rules.

        Args:
            limits: What may wait.
            token: The word that `Authorization: Bearer` has to bring; None lets everybody in.
        """
        self._limits = limits
        self._bearer = None if token is None else f"bearer {token}".encode()
        self.doors: dict[str, Door] = {}

    def check_token(self, headers: Mapping[bytes, bytes]) -> None:
        """Refuse who does not bring the token.

        Raises:
            RefusedError: 401.
        """
        if self._bearer is None:
            return
        kind, _, word = headers.get(b"authorization", b"").partition(b" ")
        if not hmac.compare_digest(kind.lower() + b" " + word.strip(), self._bearer):
            raise RefusedError(
                401,
                "This server wants the token it was started with: send the header 'Authorization: Bearer TOKEN'.",
                [(b"www-authenticate", b"Bearer")],
            )

    def enter(self, model: str, size: int) -> Door:
        """Count a request in.

        Args:
            model: The name of a model that exists.
            size: How long its body may be, in bytes.

        Returns:
            The model's door; `leave` it with the same size when the request is answered.

        Raises:
            RefusedError: 429, the house is full.
        """
        door = self.doors.get(model)
        if door is None:
            door = self.doors[model] = Door()
        if door.requests >= self._limits.max_waiting or (door.requests and door.bytes + size > _WAITING_BYTES):
            raise RefusedError(
                429,
                f"{door.requests} requests already wait for {model!r}, as many as this server keeps. Try again in a "
                "second, or send several instances in one request.",
                [(b"retry-after", _RETRY_S)],
            )
        door.requests += 1
        door.bytes += size
        return door


def time_limit(headers: Mapping[bytes, bytes], longest_s: float) -> float:
    """Return how long the answer may take, in seconds: what the header X-Server-Timeout asks for, up to the server's.

    The header is Google's own system parameter (https://cloud.google.com/apis/docs/system-parameters).

    Raises:
        RefusedError: 400, the header is no number of seconds.
    """
    text = headers.get(b"x-server-timeout")
    if text is None:
        return longest_s
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        shown = text[:40].decode("latin-1")
        raise RefusedError(400, f"The header X-Server-Timeout is {shown!r}; it takes a number of seconds above 0.")
    return min(seconds, longest_s)
