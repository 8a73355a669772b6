"""Requests joined: nobody waits for company, nobody suffers from another, nothing is mixed up."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlhelpers.errors import ModelError
from mlhelpers.serving.model import LoadedModel
from mlhelpers.serving.server.batching import BatchQueue
from mlhelpers.serving.server.pace import MAX_INSTANCES, Pace
from mlhelpers.serving.signature import ModelSignature, parse_signature

Arrays = dict[str, np.ndarray]


def _signature(shape: list[int | None]) -> ModelSignature:
    tensor = {"dtype": "float32", "shape": shape}
    entry = {"inputs": {"x": tensor}, "outputs": {"y": {"dtype": "float32", "shape": [None]}}}
    return parse_signature({"format": 1, "signatures": {"a": entry, "b": entry}})


class _Model:
    """Doubles numbers, one by one or many at once, and remembers the sizes and threads of its calls."""

    def __init__(self, seconds: float, shape: list[int | None] | None = None) -> None:
        self.seconds = seconds
        self.sizes: list[int] = []
        self.threads: list[str] = []
        self.model = LoadedModel(Path("."), "test", _signature(shape or [None]), self.run)

    def run(self, name: str, arrays: Mapping[str, np.ndarray]) -> Arrays:
        x = arrays["x"]
        self.sizes.append(len(x))
        self.threads.append(threading.current_thread().name)
        time.sleep(self.seconds)
        if (x == 13).any():
            raise ValueError("13 brings bad luck")
        return {"y": (2 if name == "a" else 3) * x.reshape(len(x), -1).sum(axis=1)}


def _work(model: _Model, job: Callable[[BatchQueue], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        with ThreadPoolExecutor(2, "predict") as threads:
            return await job(BatchQueue(model.model, threads, lambda size: None))

    return asyncio.run(main())


async def _ask(queue: BatchQueue, instances: list[Any], name: str | None = None) -> list[float]:
    columns = await queue.answer(queue.model.check(instances, name))
    return [float(value) for value in columns["y"]]


def test_what_comes_while_the_model_is_busy_goes_together_and_comes_back_apart() -> None:
    model = _Model(0.02)

    async def job(queue: BatchQueue) -> Any:
        return await asyncio.gather(*(_ask(queue, [float(n), float(100 + n)]) for n in range(5)))

    assert _work(model, job) == [[2.0 * n, 200.0 + 2 * n] for n in range(5)]
    assert model.sizes == [2, 8]  # the first did not wait for the others


def test_one_request_that_breaks_the_model_leaves_the_others_their_answers() -> None:
    model = _Model(0.01)

    async def job(queue: BatchQueue) -> Any:
        return await asyncio.gather(*(_ask(queue, [n]) for n in (1, 2, 13, 4)), return_exceptions=True)

    first, second, third, fourth = _work(model, job)
    assert (first, second, fourth) == ([2.0], [4.0], [8.0])
    assert isinstance(third, ModelError)
    assert "13 brings bad luck" in str(third)


def test_other_signatures_and_other_shapes_are_not_mixed() -> None:
    model = _Model(0.01, [None, None])

    async def job(queue: BatchQueue) -> Any:
        sent = [([[1.0]], "a"), ([[1.0]], "b"), ([[1.0, 1.0]], "a"), ([[2.0]], "a"), ([[2.0, 2.0]], "a")]
        return await asyncio.gather(*(_ask(queue, *one) for one in sent))

    assert _work(model, job) == [[2.0], [3.0], [4.0], [4.0], [8.0]]


def test_keyed_requests_keep_their_keys_beside_unkeyed_ones() -> None:
    model = _Model(0.01)

    async def job(queue: BatchQueue) -> Any:
        sent: list[list[Any]] = [[5.0], [{"x": 1.0, "key": "one"}], [2.0], [{"x": 3.0, "key": ["three"]}]]
        return await asyncio.gather(*(queue.answer(queue.model.check(one)) for one in sent))

    answers = _work(model, job)
    assert [one["key"].tolist() if "key" in one else None for one in answers] == [None, ["one"], None, [["three"]]]
    assert [one["y"].tolist() for one in answers] == [[10.0], [2.0], [4.0], [6.0]]


def test_a_quick_model_answers_on_the_event_loop_itself() -> None:
    model = _Model(0.0)

    async def job(queue: BatchQueue) -> None:
        for _ in range(50):
            await _ask(queue, [1.0])

    _work(model, job)
    assert model.threads[0].startswith("predict")  # how quick it is was not known yet
    assert set(model.threads[20:]) == {"MainThread"}


def test_a_slow_model_does_not_hold_up_the_event_loop() -> None:
    model = _Model(0.05)

    async def job(queue: BatchQueue) -> int:
        task = asyncio.create_task(_ask(queue, [1.0]))
        turns = 0
        while not task.done():
            await asyncio.sleep(0.001)
            turns += 1
        return turns

    assert _work(model, job) > 10
    assert not {"MainThread"} & set(model.threads)


def test_a_long_request_lets_short_ones_in_between() -> None:
    model = _Model(0.01)
    order = []

    async def job(queue: BatchQueue) -> Any:
        async def note(name: str, instances: list[Any]) -> list[float]:
            answer = await _ask(queue, instances)
            order.append(name)
            return answer

        return await asyncio.gather(
            note("long", [float(n % 7) for n in range(5 * MAX_INSTANCES)]), note("short", [1.0])
        )

    long, short = _work(model, job)
    assert order == ["short", "long"]
    assert short == [2.0]
    assert long == [2.0 * (n % 7) for n in range(5 * MAX_INSTANCES)]


def test_a_request_that_was_given_up_costs_no_call() -> None:
    model = _Model(0.05)

    async def job(queue: BatchQueue) -> None:
        first = asyncio.create_task(_ask(queue, [1.0]))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(_ask(queue, [2.0]))
        await asyncio.sleep(0.01)
        second.cancel()
        await first
        assert len(queue) <= 1
        await _ask(queue, [3.0])

    _work(model, job)
    assert model.sizes == [1, 1]


def test_more_are_joined_while_that_pays_and_up_to_a_limit() -> None:
    pace = Pace()
    pace.note(1, 0.001)
    for _ in range(20):
        pace.note_joint(pace.limit, pace.limit, 0.002)

    assert pace.limit == MAX_INSTANCES


@pytest.mark.parametrize("seconds", [0.2, 0.01])  # over the target; dearer than eight single calls
def test_fewer_are_joined_where_it_takes_too_long_or_does_not_pay(seconds: float) -> None:
    pace = Pace()
    pace.note(1, 0.001)
    pace.note_joint(8, 8, seconds)

    assert pace.limit == 4
    for _ in range(10):
        pace.note_joint(pace.limit, 4, seconds)
    assert pace.limit == 1
    for _ in range(600):
        pace.rest()
    assert pace.limit == 2  # tried again, for models and machines change


def test_one_call_that_the_system_held_up_says_little_of_the_model() -> None:
    pace = Pace()
    for seconds in (0.001, 0.001, 5.0):
        pace.note(1, seconds)

    expected = pace.expected(1)
    assert expected is not None
    assert 0.001 <= expected < 0.0011
    assert pace.expected(4) == pytest.approx(4 * expected)
