"""How long a model takes, measured as it works, and what follows: how many instances go into one call.

Nothing is assumed of a runtime. Measured with the shipped digit model, on two cores: TensorFlow answers 16 digits
together in the time of four single ones; LiteRT in the time of nine, and with calls of 0.07 ms that is less gain than
bringing them together costs.
"""

from __future__ import annotations

__all__ = ["MAX_INSTANCES", "Pace"]

MAX_INSTANCES = 128
_TARGET_S = 0.05  # a call that joins requests shall not take longer: all of them wait for it
_DOWN, _UP = 0.5, 0.02  # weight of a new measurement that is quicker than thought, and of one that is slower
_START = 8
_LOSS = 1.2  # a joint call this much dearer than a single one is no gain
_REST = 500  # calls before joining is tried again


class Pace:
    """Seconds that a call takes when nothing disturbs it, by size: the running lower edge of what is measured."""

    __slots__ = ("_rest", "_seconds", "limit")

    def __init__(self) -> None:
        self._seconds: list[float | None] = [None] * 12  # by the bits of the size: 1, 2 to 3, 4 to 7, …
        self._rest = 0
        self.limit = _START
        """The most instances that are joined from several requests."""

    def expected(self, size: int) -> float | None:
        """Return how long a call with so many instances will take, in seconds; None before the first."""
        place = min(size.bit_length(), len(self._seconds) - 1)
        seconds = self._seconds[place]
        if seconds is not None:
            return seconds
        for lower in range(place - 1, 0, -1):
            seconds = self._seconds[lower]
            if seconds is not None:
                return seconds * float(1 << (place - lower))
        return next((seconds for seconds in self._seconds[place:] if seconds is not None), None)

    def note(self, size: int, seconds: float) -> None:
        """Take in a measured call."""
        place = min(size.bit_length(), len(self._seconds) - 1)
        before = self._seconds[place]
        if before is None:
            self._seconds[place] = seconds
        elif seconds < before:
            self._seconds[place] = before + _DOWN * (seconds - before)
        else:  # what the system held up says little of the model: it counts little, and never as more than twice
            self._seconds[place] = before + _UP * (min(seconds, 2 * before) - before)

    def note_joint(self, size: int, requests: int, seconds: float) -> None:
        """Take in a call that joined several requests, and see whether more or fewer shall be joined."""
        alone = self.expected(max(1, size // requests))
        self.note(size, seconds)
        if seconds > _TARGET_S or (alone is not None and seconds > _LOSS * requests * alone):
            self.limit, self._rest = max(1, min(size, self.limit) // 2), _REST
        elif size >= self.limit * 3 // 4 and not self._rest:
            self.limit = min(MAX_INSTANCES, self.limit * 2)

    def rest(self) -> None:
        """Count a call towards the next try at joining more."""
        if self._rest:
            self._rest -= 1
            if not self._rest and self.limit == 1:
                self.limit = 2
