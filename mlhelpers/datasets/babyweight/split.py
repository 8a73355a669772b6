"""The repeatable split: a birth's month decides its part, through BigQuery's own FARM_FINGERPRINT.

Whole months go to one part, so that a birth never stands in two, whoever repeats the split, wherever. The price: the
shares are those of the months, 77 to 19 of the 96 from 2001 to 2008 (80.2 / 19.8 %), not the 75 / 25 that "modulo 4"
promises; notebook 03 shows why.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np

from mlhelpers.errors import DataError, MissingExtraError, UsageError

__all__ = ["MONTHS", "fingerprint", "held_out_months", "is_eval_month", "month_of_key"]

Month = tuple[int, int]

# the months that the tutorial's filter leaves of the public table, which ends with 2008
MONTHS: tuple[Month, ...] = tuple((year, month) for year in range(2001, 2009) for month in range(1, 13))


@cache
def fingerprint(year: int, month: int) -> int:
    """Return FARM_FINGERPRINT of year and month as BigQuery computes it: signed, of 64 bits.

    The text hashed is CONCAT(CAST(year AS STRING), CAST(month AS STRING)), without padding: "20011" is January 2001,
    "200111" November. FarmHash's Fingerprint64 is stable by contract (farmhash.h).

    Raises:
        MissingExtraError: pyfarmhash is not installed.

    Example:
        >>> fingerprint(2001, 1)
        -7146494315947640619
    """
    try:
        import farmhash  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtraError("pyfarmhash, which splits births by month as BigQuery does,", "data") from error
    unsigned = int(farmhash.fingerprint64(f"{year}{month}"))
    return unsigned - 2**64 if unsigned >= 2**63 else unsigned


def is_eval_month(year: int, month: int) -> bool:
    """Tell whether a month's births are evaluated on: ABS(MOD(fingerprint, 4)) = 3; all others are trained on."""
    return abs(fingerprint(year, month)) % 4 == 3


def held_out_months(months: Iterable[Month], count: int, seed: int) -> list[Month]:
    """Draw months that are held out of the training months, for choices.

    Args:
        months: The months at hand, evaluation months among them.
        count: How many, 0 to one fewer than there are training months.
        seed: Which ones; the same seed draws the same ones.

    Returns:
        The months, in order.

    Raises:
        UsageError: `count` is out of range.
    """
    train = sorted({month for month in months if not is_eval_month(*month)})
    if not 0 <= count < max(len(train), 1):
        raise UsageError(
            f"validation_months is {count!r}; allowed is 0 to {len(train) - 1}: so many of the {len(train)} training "
            "months are held out for choices."
        )
    chosen = np.random.default_rng(seed).permutation(len(train))[:count]
    return sorted(train[place] for place in chosen)


@cache
def _month_by_key() -> dict[int, Month]:
    return {abs(fingerprint(*month)): month for month in MONTHS}


def month_of_key(key: int) -> Month:
    """Return the month whose fingerprint has this absolute value: the keys of the public sample of real births.

    Raises:
        DataError: No month from 2001 to 2008 has it.
    """
    months = _month_by_key()
    if key not in months:
        raise DataError(f"The key {key!r} is no fingerprint of a month from 2001 to 2008: the file was altered.")
    return months[key]
