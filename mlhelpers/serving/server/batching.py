"""Requests for one model, joined: what arrives while it is busy goes together into its next call.

Nobody is kept waiting for company: an idle model begins at once. Each request was checked on its own before, and where
a joint call fails each is tried alone, so that one never spoils another. A very quick model is called right on the
event loop: a hop to a thread and back costs more than the call.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.serving.instances import Batch
from mlhelpers.serving.model import LoadedModel
from mlhelpers.serving.server.pace import MAX_INSTANCES, Pace

__all__ = ["BatchQueue"]

_TINY_S = 0.0002  # a call shorter than this always stays on the event loop
_SHORT_S = 0.001  # up to this it stays there while nobody else waits
_PROBE = 16  # how often it is looked whether somebody does
_LONELY = 4  # so many calls without company, and it is the event loop again

Columns = dict[str, NDArray[Any]]
_Outcome = Columns | Exception


@dataclass(slots=True)
class _Waiting:
    batch: Batch
    kind: tuple[Any, ...]  # only what has the same signature and the same shapes can be joined
    future: asyncio.Future[Columns]


class BatchQueue:
    """A model at work. To be used from one event loop."""

    def __init__(self, model: LoadedModel, threads: Executor, on_call: Callable[[int], None]) -> None:
        """Build the queue.

        Args:
            model: The model.
            threads: Where its longer calls run, one at a time.
            on_call: Told the number of instances of each call.
        """
        self.model = model
        self.pace = Pace()
        self._threads = threads
        self._on_call = on_call
        self._waiting: deque[_Waiting] = deque()
        self._busy = False
        self._turn = 0
        self._lonely = _LONELY

    def __len__(self) -> int:
        return len(self._waiting)

    async def answer(self, batch: Batch) -> Columns:
        """Return the model's outputs for one request's instances; one that is cancelled meanwhile costs no call.

        Args:
            batch: The instances, checked.

        Returns:
            By output name: array (n, …).

        Raises:
            PredictionError: The model refuses what was sent.
            ModelError: The model failed.
        """
        if not self._busy and not self._waiting and self._stays_inline(batch.size):
            start = time.perf_counter()
            columns = self.model.answer(batch)
            self.pace.note(batch.size, time.perf_counter() - start)
            self._on_call(batch.size)
            return columns
        if batch.size <= MAX_INSTANCES:
            return await self._enqueue(batch)
        # a long request takes its turn again after each part, so that the short ones behind it are not held up
        parts = [await self._enqueue(part) for part in _parts(batch)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _stays_inline(self, size: int) -> bool:
        seconds = self.pace.expected(size)
        if seconds is None or seconds > _SHORT_S:
            return False
        if seconds <= _TINY_S:
            return True
        self._turn += 1
        return self._lonely >= _LONELY and self._turn % _PROBE != 0

    async def _enqueue(self, batch: Batch) -> Columns:
        loop = asyncio.get_running_loop()
        shapes = tuple((array.dtype, array.shape[1:]) for array in batch.arrays.values())
        waiting = _Waiting(batch, (batch.signature.name, bool(batch.keys), shapes), loop.create_future())
        self._waiting.append(waiting)
        if not self._busy:
            self._start(loop)
        return await waiting.future

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        group = self._next_group()
        self._busy = bool(group)
        if group:
            batches = [waiting.batch for waiting in group]
            call = loop.run_in_executor(self._threads, _outcomes, self.model, batches)
            call.add_done_callback(lambda done: self._finish(loop, group, done))

    def _next_group(self) -> list[_Waiting]:
        """Take the first that still waits out of the queue, and what can be joined with it."""
        group: list[_Waiting] = []
        others: list[_Waiting] = []
        size = 0
        while self._waiting:
            waiting = self._waiting.popleft()
            if waiting.future.done():  # given up in the meantime
                continue
            joins = not group or (waiting.kind == group[0].kind and size + waiting.batch.size <= self.pace.limit)
            if not joins:
                others.append(waiting)
                continue
            group.append(waiting)
            size += waiting.batch.size
        self._waiting.extend(others)
        return group

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        group: list[_Waiting],
        done: asyncio.Future[tuple[list[_Outcome], float, bool]],
    ) -> None:
        self._lonely = 0 if len(group) > 1 or self._waiting else self._lonely + 1
        self.pace.rest()
        if done.cancelled() or done.exception() is not None:  # the threads are gone: the server stops
            for waiting in group:
                waiting.future.cancel()
        else:
            outcomes, seconds, joint = done.result()
            size = sum(waiting.batch.size for waiting in group)
            if joint:
                self.pace.note_joint(size, len(group), seconds)
            elif len(group) == 1:
                self.pace.note(size, seconds)
            self._on_call(size)
            for waiting, outcome in zip(group, outcomes, strict=True):
                if waiting.future.done():
                    continue
                if isinstance(outcome, Exception):
                    waiting.future.set_exception(outcome)
                else:
                    waiting.future.set_result(outcome)
        if not loop.is_closed():
            self._start(loop)


def _outcomes(model: LoadedModel, batches: list[Batch]) -> tuple[list[_Outcome], float, bool]:
    """Run a group, in a thread; return what each gets, the seconds, and whether one call did for all."""
    start = time.perf_counter()
    if len(batches) > 1:
        try:
            columns = model.answer(_joined(batches))
        # whatever it is, it may be one request's doing alone
        except Exception:
            return [_outcome(model, batch) for batch in batches], time.perf_counter() - start, False
        return _split(columns, batches), time.perf_counter() - start, True
    outcome = _outcome(model, batches[0])
    return [outcome], time.perf_counter() - start, False


def _outcome(model: LoadedModel, batch: Batch) -> _Outcome:
    try:
        return model.answer(batch)
    except Exception as error:
        return error


def _joined(batches: list[Batch]) -> Batch:
    first = batches[0]
    arrays = {name: np.concatenate([batch.arrays[name] for batch in batches]) for name in first.arrays}
    keys = tuple(key for batch in batches for key in batch.keys)
    return Batch(first.signature, sum(batch.size for batch in batches), arrays, keys)


def _split(columns: Columns, batches: list[Batch]) -> list[_Outcome]:
    outcomes: list[_Outcome] = []
    start = 0
    for batch in batches:
        end = start + batch.size
        outcomes.append({name: array[start:end] for name, array in columns.items()})
        start = end
    return outcomes


def _parts(batch: Batch) -> list[Batch]:
    return [
        Batch(
            batch.signature,
            min(MAX_INSTANCES, batch.size - start),
            {name: array[start : start + MAX_INSTANCES] for name, array in batch.arrays.items()},
            batch.keys[start : start + MAX_INSTANCES],
        )
        for start in range(0, batch.size, MAX_INSTANCES)
    ]
