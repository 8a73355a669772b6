from __future__ import annotations

import numpy as np
import pytest

from mlhelpers.datasets.babyweight import split
from mlhelpers.datasets.babyweight.split import MONTHS
from mlhelpers.errors import DataError, UsageError

# taken from the tutorial's query, independently of this code
EVAL_MONTHS = {
    2001: [1, 4, 5, 8], 2002: [10], 2003: [4], 2004: [2, 6, 7, 10], 2005: [7, 12], 2006: [3, 9],
    2007: [2, 3, 10, 11], 2008: [12],
}  # fmt: skip


def test_the_evaluation_months_are_those_of_the_tutorials_query() -> None:
    expected = [(year, month) for year, months in EVAL_MONTHS.items() for month in months]

    assert expected == [month for month in MONTHS if split.is_eval_month(*month)]


def test_modulo_four_leaves_77_months_to_train_and_19_to_evaluate() -> None:
    remainders = np.bincount([abs(split.fingerprint(*month)) % 4 for month in MONTHS])

    assert remainders.tolist() == [30, 26, 21, 19]


def test_the_fingerprint_is_the_one_that_bigquerys_reference_shows() -> None:
    # BigQuery's documentation of FARM_FINGERPRINT hashes CONCAT('1', 'foo', 'true') and two more
    import farmhash

    shown = {"1footrue": -1541654101129638711, "2applefalse": 2794438866806483259, "3true": -4880158226897771312}

    assert shown == {text: farmhash.fingerprint64(text) - 2**64 * (value < 0) for text, value in shown.items()}
    assert split.fingerprint(2001, 1) == farmhash.fingerprint64("20011") - 2**64


def test_held_out_months_are_training_months_and_the_same_for_the_same_seed() -> None:
    once = split.held_out_months(MONTHS, 15, seed=3)

    assert once == split.held_out_months(MONTHS, 15, seed=3) != split.held_out_months(MONTHS, 15, seed=4)
    assert len(set(once)) == 15
    assert not any(split.is_eval_month(*month) for month in once)


@pytest.mark.parametrize("count", [-1, 77])
def test_holding_out_every_training_month_is_refused(count: int) -> None:
    with pytest.raises(UsageError, match=f"validation_months is {count}; allowed is 0 to 76"):
        split.held_out_months(MONTHS, count, seed=0)


def test_a_key_of_the_real_sample_gives_its_month_back() -> None:
    assert [split.month_of_key(abs(split.fingerprint(*month))) for month in MONTHS] == list(MONTHS)

    with pytest.raises(DataError, match="The key 7 is no fingerprint of a month from 2001 to 2008"):
        split.month_of_key(7)
