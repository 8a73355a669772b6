"""How much may be in the house: pictures that have come and are not answered yet, in number and in bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mlhelpers import settings
from mlhelpers.detection.intake import MAX_BYTES, MAX_PIXELS
from mlhelpers.errors import UsageError
from mlhelpers.serving.server.refusals import RefusedError

__all__ = ["Capacity", "Limits"]

_MOST_WORKERS = 4  # each holds a decoded picture; a detector uses the cores by itself
_RETRY = [(b"retry-after", b"1")]


@dataclass(frozen=True)
class Limits:
    """What a request may cost.

    Attributes:
        max_bytes: The largest picture file taken.
        max_pixels: The most pixels that a picture may have.
        max_waiting: How many pictures may be in the house.
        max_waiting_bytes: How many bytes of picture files may be in the house.
        body_s: How long a body may take to arrive, in seconds.
        workers: How many pictures are worked on at once; None takes one per core, up to four.

    Raises:
        UsageError: A limit below 1.
    """

    max_bytes: int = MAX_BYTES
    max_pixels: int = MAX_PIXELS
    max_waiting: int = 32
    max_waiting_bytes: int = 200_000_000
    body_s: float = 30.0
    workers: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_pixels", "max_waiting", "max_waiting_bytes", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}; it should be 1 or more.")

    @property
    def at_once(self) -> int:
        """How many pictures are worked on at once."""
        return self.workers or min(settings.cores(), _MOST_WORKERS)


class Capacity:
    """Counts pictures in and out."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.pictures = 0
        self.bytes = 0

    @contextmanager
    def room_for(self, size: int) -> Iterator[None]:
        """Keep room for a picture while the block runs.

        Args:
            size: How many bytes it may have.

        Raises:
            RefusedError: 429, the house is full.
        """
        limits = self._limits
        if self.pictures >= limits.max_waiting or (self.pictures and self.bytes + size > limits.max_waiting_bytes):
            raise RefusedError(
                429,
                f"{self.pictures} pictures are being looked at or wait already, as many as this server keeps. Try "
                "again in a second.",
                _RETRY,
            )
        self.pictures += 1
        self.bytes += size
        try:
            yield
        finally:
            self.pictures -= 1
            self.bytes -= size
