from __future__ import annotations

import numpy as np
import pytest

from mlhelpers.datasets.cbis_ddsm.splitting import split_by_patient


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_no_patient_is_on_both_sides_and_each_density_keeps_its_share(share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    own = rng.choice([1, 2, 3, 4], 400, p=[0.14, 0.39, 0.3, 0.17])
    who = rng.integers(0, 400, 1500)
    patients, densities = [f"P_{k:05d}" for k in who], own[who].tolist()

    aside = split_by_patient(patients, densities, share, rng)

    inside, outside = ({p for p, a in zip(patients, aside, strict=True) if a == side} for side in (True, False))
    assert not inside & outside
    for density in (1, 2, 3, 4):
        people = [p for p in inside | outside if own[int(p[2:])] == density]
        assert abs(sum(p in inside for p in people) - share * len(people)) <= 1


def test_a_patient_with_two_densities_counts_once_with_the_higher() -> None:
    patients = ["a", "a", "b", "c", "d"]

    aside = split_by_patient(patients, [1, 4, 4, 1, 1], 0.5, np.random.default_rng(0))

    assert aside[0] == aside[1]
    assert aside[[0, 2]].sum() == 1
    assert aside[[3, 4]].sum() == 1


def test_the_same_generator_draws_the_same_patients_whatever_the_order_of_pictures() -> None:
    patients, densities = list("aabbccddeeff"), [1] * 12

    one = split_by_patient(patients, densities, 0.3, np.random.default_rng(1))
    other = split_by_patient(patients[::-1], densities, 0.3, np.random.default_rng(1))

    np.testing.assert_array_equal(one, other[::-1])


def test_two_patients_of_different_density_are_still_split_and_one_alone_is_not() -> None:
    rng = np.random.default_rng(0)

    assert split_by_patient(["a", "b"], [1, 2], 0.2, rng).sum() == 1
    assert split_by_patient(["a", "a"], [1, 1], 0.2, rng).sum() == 0
