"""What a batch prediction tells while it runs: a line in its log, and the file that every view of a job reads."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlhelpers.serving.batch.shards import Shard
from mlhelpers.serving.batch.state import Counts
from mlhelpers.storage import write_aside

__all__ = ["Progress"]

_LINE_EVERY_S = 2.0
_FILE_EVERY_S = 0.5


class Progress:
    """How far a batch is.

    Args:
        shards: All shards.
        finished: Those that were finished before, by number.
    """

    def __init__(self, shards: Sequence[Shard], finished: Mapping[int, Counts]) -> None:
        self._shards = shards
        self._finished = dict(finished)
        self._under_way: dict[int, tuple[float, int]] = {}
        self._before = self.total.predictions + self.total.errors
        self._began: float | None = None
        self._line_at = self._file_at = float("-inf")

    @property
    def total(self) -> Counts:
        """What came of the finished shards."""
        return sum(self._finished.values(), Counts())

    def heard(self, message: Mapping[str, Any] | None) -> None:
        """Take in what a worker says, and tell of it where it is time."""
        if message and "ready" in message and self._began is None:
            self._began = time.monotonic()  # what the model's loading takes says nothing of the speed
        if message and "shard" in message:
            self._under_way[message["shard"]] = message["share"], message["done"]
        if message and "finished" in message:
            self._under_way.pop(message["finished"], None)
            self._finished[message["finished"]] = Counts(**message["counts"])
        now = time.monotonic()
        if now - self._file_at >= _FILE_EVERY_S:
            self._file_at = now
            self._write("predicting")
        if self._began is not None and now - max(self._line_at, self._began) >= _LINE_EVERY_S:
            self._line_at = now
            print(self.line(), flush=True)

    def close(self) -> None:
        """Tell that all is done."""
        self._write("done")

    def figures(self) -> dict[str, Any]:
        """Return what the progress file holds: instances done, of how many, how many a second, seconds left."""
        total = self.total
        done = total.predictions + total.errors + sum(count for _, count in self._under_way.values())
        size = sum(shard.size for shard in self._shards)
        read: float = sum(self._shards[number].size for number in self._finished)
        read += sum(self._shards[number].size * share for number, (share, _) in self._under_way.items())
        counts = [shard.count for shard in self._shards]
        of = sum(count or 0 for count in counts)
        if None in counts:  # a compressed file is not counted beforehand: as many as there would be if it goes on so
            of = round(done * size / read) if read else 0
        seconds = 0.0 if self._began is None else time.monotonic() - self._began
        speed = (done - self._before) / seconds if seconds else 0.0
        return {
            "step": done,
            "total_steps": of,
            "steps_per_second": round(speed, 1),
            "seconds_left": round((of - done) / speed, 1) if speed else 0.0,
            "unit": "instances",
            "metrics": {"errors": total.errors} if total.errors else {},
        }

    def line(self) -> str:
        """Return a line for the log."""
        values = self.figures()
        count = self.total.errors
        errors = f", {count:,} error{'' if count == 1 else 's'}" if count else ""
        return (
            f"{values['step']:,} of {values['total_steps']:,} instances{errors}, "
            f"{values['steps_per_second']:,.0f} instances/s, {values['seconds_left']:.0f} s left"
        )

    def _write(self, phase: str) -> None:
        if path := os.environ.get("MLHELPERS_PROGRESS_FILE"):
            with write_aside(Path(path)) as aside:
                aside.write_text(json.dumps({**self.figures(), "phase": phase}), encoding="utf-8")
