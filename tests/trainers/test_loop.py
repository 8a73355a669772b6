from __future__ import annotations

import itertools

import numpy as np
import pytest

from mlhelpers.trainers.loop import epochs_of_indices


def batches(first_step: int, count: int, seed: int = 0, n: int = 23, size: int = 5) -> list[tuple[int, list[int]]]:
    dataset = epochs_of_indices(n, size, seed, first_step).as_numpy_iterator()
    return [(int(step), indices.tolist()) for step, indices in itertools.islice(dataset, count)]


@pytest.mark.parametrize("first_step", [1, 3, 4, 5, 9])
def test_starting_at_a_step_gives_the_batches_of_that_step(first_step: int) -> None:
    assert batches(0, 14)[first_step:] == batches(first_step, 14 - first_step)


def test_no_example_comes_twice_in_an_epoch_and_epochs_differ() -> None:
    first, second = (list(itertools.chain(*(batch for _, batch in batches(start, 4)))) for start in (0, 4))

    assert 20 == len(set(first)) == len(set(second))
    assert first != second


def test_every_example_comes_in_some_epoch() -> None:
    seen = np.concatenate([batch for _, batch in batches(0, 80)])

    assert set(range(23)) == set(seen.tolist())


def test_another_seed_gives_another_order() -> None:
    assert batches(0, 4, seed=0) != batches(0, 4, seed=1)
