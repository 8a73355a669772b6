"""Connections that never come to their point: opened and silent, or with a head that does not end.

The HTTP server itself limits how long a connection rests between two requests, and the application how long a body may
take; what is left is the time before a request begins. Looking every few seconds costs the requests themselves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["HeadWatch"]

_ANSWER = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\ncontent-length: 56\r\nconnection: close\r\n\r\n"
    b'{"error": "No whole request came within the time limit"}'
)


class HeadWatch:
    """Closes connections that have made no step towards a request between two looks."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Any, Any]] = {}  # by id: the connection, and the last request it made

    def look(self, connections: Iterable[Any]) -> None:
        """Close what was as silent at the last look.

        Args:
            connections: uvicorn's connections (`server_state.connections`).
        """
        silent = {}
        for connection in list(connections):
            cycle = getattr(connection, "cycle", None)
            is_open = cycle is not None and not cycle.response_complete
            # a connection that rests between two requests has this timer; one that sends half a head has lost it
            if is_open or connection.timeout_keep_alive_task is not None:
                continue
            before = self._seen.get(id(connection))
            if before is not None and before[0] is connection and before[1] is cycle:
                connection.transport.write(_ANSWER)
                connection.transport.close()
            else:
                silent[id(connection)] = (connection, cycle)
        self._seen = silent
