"""Bodies that an answer does not need, read on before it goes out: a sender still at it would get a reset in its place.

Nothing of them is kept. Reading on has an end in bytes and in seconds, for one sender and for all that are listened to
at once: a flood of long bodies that are refused anyway costs no more than reading some of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

__all__ = ["DRAINED_BYTES", "Drain", "Incoming"]

DRAINED_BYTES = 32_000_000
_DRAINED_S = 10.0
_AT_ONCE_BYTES = 64_000_000  # announced by all together: reading what comes as fast as it can keeps others waiting

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Incoming:
    """ASGI's receive for one request, which knows what has come of the body.

    Attributes:
        size: Bytes so far.
        is_over: Nothing more will come: the body has ended, or the caller is gone.
    """

    __slots__ = ("_receive", "is_over", "size")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.size = 0
        self.is_over = False

    async def __call__(self) -> MutableMapping[str, Any]:
        """Return the next message."""
        message = await self._receive()
        self.size += len(message.get("body", b""))
        if not message.get("more_body"):
            self.is_over = True
        return message


class Drain:
    """Listens to senders whose bodies are not needed, as many as announce no more than a limit together."""

    def __init__(self) -> None:
        self._announced = 0

    async def read_on(self, incoming: Incoming, headers: Mapping[bytes, bytes]) -> bool:
        """Read the rest of a body.

        Args:
            incoming: The request's; where its body is over this returns at once.
            headers: The request's.

        Returns:
            Whether the connection can take another request; else the answer has to say that it closes.
        """
        if incoming.is_over:
            return True
        announced = int(headers.get(b"content-length", b"0"))
        if b"transfer-encoding" in headers:
            announced = DRAINED_BYTES  # it may become that much
        if not announced:
            return True
        if announced > DRAINED_BYTES or self._announced + announced > _AT_ONCE_BYTES:
            return False
        if b"expect" in headers and not incoming.size:  # it waits to be asked for the body, which nobody wants
            return False
        self._announced += announced
        try:
            async with asyncio.timeout(_DRAINED_S):
                while not incoming.is_over and incoming.size <= DRAINED_BYTES:
                    await incoming()
        except (TimeoutError, asyncio.CancelledError):  # too slow; or the grace of a stopping server is over
            return False
        finally:
            self._announced -= announced
        return incoming.is_over
