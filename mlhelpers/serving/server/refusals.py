"""A request that is refused: with a status, words that say what to do, and headers."""

from __future__ import annotations

__all__ = ["RefusedError"]


class RefusedError(Exception):
    """A request that is answered with an error of its own status.

    Attributes:
        status: The HTTP status.
        headers: What the answer's head says besides, for instance Retry-After.
    """

    def __init__(self, status: int, text: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers or []
