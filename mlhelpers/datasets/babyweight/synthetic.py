"""Synthetic births: drawn from tables of published figures, never from records of real people.

Nothing here was fitted to the real births that the models are later tried on. The figures, and where they stand:

[A] Indiana Natality Report 2007, table 19: per cent of live births by birth weight and weeks of gestation, all races.
[B] Births: Final Data for 2002, National Vital Statistics Reports 52(10), 2003: mean weight, mean weeks and share of
    preterm births by plurality.
[C] K.S. Joseph and others, BMC Pregnancy and Childbirth 5:3, 2005, table 2: live births of single girls in the United
    States 1997 and 1998 by completed week.
[D] QuickStats, MMWR 56(2), 2007 and 58(51), 2010: preterm births among single births 2005, late preterm births by
    plurality 2006. Mean weeks by plurality 2005: QuickStats, MMWR 57(9), 2008.
[E] B. Luke and others, "Fetal growth and birth weight references for twins", American Journal of Obstetrics and
    Gynecology 182, 2000 (abstract): how much lighter twins are than single births, by week.
[F] Indiana Natality Report 2015, table 17: per cent of live births by birth weight and age of mother, all races.
[G] Births: Final Data for 2006, National Vital Statistics Reports 57(7), 2009: births by age of mother, twin rate by
    age of mother, triplets, sex ratio; rounded here. Births by year: Final Data for 2008, 59(1), 2010.
[H] National Center for Health Statistics: births in July, August and February 2003 (364,266, 360,103 and 307,248).
[I] J. Currie and H. Schwandt, PNAS 110, 2013, table 1: single births of New Jersey, New York City and Pennsylvania:
    weight 3,335 g, standard deviation 565 g; weeks 38.8, standard deviation 2.0.

Where a table has wide classes (weeks 37 to 39, 42 and more), the share within a class is an assumption and said so.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhelpers.datasets.babyweight.births import RAW_COLUMNS
from mlhelpers.storage import write_aside

__all__ = ["draw_births", "write_births"]

Floats = NDArray[np.float64]

_POUNDS_PER_GRAM = 0.00220462262
_WEEKS: NDArray[np.int64] = np.arange(17, 48)

# [A] upper ends of the weight classes, grams. The outer ends (230, 5,800) are an assumption.
_GRAMS = np.array([230, 500, 750, 1000, 1500, 2000, 2500, 3000, 3500, 4000, 4500, 5000, 5800], float)
# [A] per cent of births in each class, for these weeks; a class of several weeks stands at its mean week
_CLASS_WEEKS = np.array([25.0, 29.8, 34.1, 36.0, 38.2, 40.0, 41.0, 42.6])
_CLASS_SHARES = np.array(
    [
        [22.5, 31.2, 27.0, 12.2, 1.4, 1.3, 0.6, 1.2, 0.0, 0.0, 0.0, 0.0],  # under 28 weeks
        [0.3, 2.1, 9.1, 44.9, 31.9, 5.5, 2.5, 2.1, 1.0, 0.1, 0.1, 0.0],  # 28 to 31
        [0.0, 0.1, 0.3, 3.0, 19.8, 39.3, 25.1, 9.1, 2.5, 0.7, 0.2, 0.0],  # 32 to 35
        [0.1, 0.1, 0.1, 0.3, 2.7, 22.8, 40.9, 24.4, 7.1, 1.3, 0.3, 0.0],  # 36
        [0.0, 0.0, 0.0, 0.0, 0.2, 3.7, 20.9, 43.2, 25.7, 5.3, 0.7, 0.1],  # 37 to 39
        [0.0, 0.0, 0.0, 0.0, 0.1, 1.3, 10.5, 39.4, 36.7, 10.3, 1.4, 0.2],  # 40
        [0.0, 0.0, 0.0, 0.0, 0.1, 0.8, 7.6, 34.8, 38.7, 15.1, 2.6, 0.3],  # 41
        [0.0, 0.0, 0.0, 0.0, 0.1, 1.9, 10.9, 36.0, 35.3, 13.4, 2.1, 0.3],  # 42 and more
    ]
)

# [C] single births by completed week from 28 to 41, then 42 and more
_SINGLES = np.array(
    [5838, 7000, 9742, 12493, 17168, 25282, 44275, 75238, 133386, 267501, 563676, 885523, 851848, 455313, 300234], float
)
_SINGLE_MEAN_WEEKS = 38.7  # [D] 2005
# [D] per cent of single births 2005: under 34 weeks, 34 to 36 weeks
_SINGLE_EARLY, _SINGLE_LATE_PRETERM = 2.9, 8.1
# per cent of twins under 28, 28 to 31, 32 to 33, 34 to 36, 37 and more: under 32 [B], 34 to 36 [D], preterm [B];
# the cut at 28 weeks is an assumption
_TWIN_SHARES = {(23, 27): 4.0, (28, 31): 7.9, (32, 33): 8.2, (34, 36): 38.1, (37, 41): 41.8}
# [B] share under 32 and under 37 weeks give mean and deviation of a normal curve; of quintuplets [B] and [D] give the
# mean, the deviation is an assumption
_HIGHER = {3: (33.0, 2.8), 4: (30.4, 3.1), 5: (28.5, 3.5)}

# [E] grams that twins are lighter; at 26 weeks nothing, an assumption ("diverge from about 28 weeks")
_TWIN_WEEKS = np.array([26, 30, 32, 34, 36, 38, 40], float)
_TWIN_LIGHTER = np.array([0, 147, 242, 347, 450, 579, 772], float)
# how much more than twins the others are lighter: chosen so that their mean weights are those of [B]
_LIGHTER_TIMES = {2: 1.0, 3: 1.6, 4: 2.0, 5: 2.4}
# taken as they are, these tables of several sources make single births scatter by 641 g and weigh 3,279 g on average;
# scaled within each week and shifted so that they have the deviation of [I], 565 g, and the mean of [B], 3,332 g.
# The price: within a week the births scatter less than in [A], so that they are easier to predict than real ones
_SPREAD, _HEAVIER = 0.8, 58.0

# grams at term (0.26 lb), before term in proportion to the weight; rounded: references give 110 to 140 g
_BOYS_HEAVIER = 118.0
_BOYS = 0.512  # [G] 1,049 boys for 1,000 girls

# [G] mother's age: class, per cent of births, twins per 1,000 births, all rounded
_AGES = [(10, 14), (15, 19), (20, 24), (25, 29), (30, 34), (35, 39), (40, 44), (45, 50)]
_AGE_SHARES = np.array([0.15, 10.2, 25.3, 27.7, 22.3, 11.7, 2.5, 0.16])
_TWIN_RATES = np.array([13, 16, 23, 30, 39, 47, 56, 200], float) / 1000
# triplets and more per 100,000 births: together about the 153 of [G]; by age, and how many are four and five, assumed
_TRIPLET_RATES = np.array([5, 20, 40, 140, 250, 260, 230, 2000], float) / 100_000
_FOUR, _FIVE = 0.05, 0.01

# [F] mother's age and the mean weight less that of all births, grams: the table's classes at their middles, less what
# the twin rates of [G] make of it at 970 g a twin
_AGE_KNOTS = np.array([14, 16.5, 18.5, 22.5, 27.5, 32.5, 37.5, 42.5, 46], float)
_AGE_HEAVIER = np.array([-118, -165, -102, -55, 20, 51, 51, 7, 7], float)

# [G] births a year, thousands; births a day in a month, against the year's mean: July, August and February about as
# in [H], the months between assumed
_YEARS = {2001: 4026, 2002: 4022, 2003: 4090, 2004: 4112, 2005: 4138, 2006: 4266, 2007: 4316, 2008: 4248}
_SEASON = np.array([0.97, 0.98, 0.98, 0.98, 0.99, 1.01, 1.05, 1.04, 1.04, 0.99, 0.98, 0.98])
_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


def draw_births(n: int, seed: int) -> dict[str, NDArray[Any]]:
    """Draw synthetic births.

    The weight: the table of [A] gives for each week the whole distribution of weights, skewed and wide as certificates
    have it (dates of last menses are often wrong); what single births and multiple births, boys and girls, younger and
    older mothers differ by is added on top.

    Args:
        n: How many.
        seed: The same seed draws the same births.

    Returns:
        The columns of `births.RAW_COLUMNS`, each (n,): `year`, `month`, `mother_age` (years), `plurality` (1 to 5) and
        `gestation_weeks` int64, `weight_pounds` float64, `is_male` bool.
    """
    generator = np.random.default_rng(seed)
    year, month = _draw_months(generator, n)
    age, plurality = _draw_mothers(generator, n)
    weeks = _draw_weeks(generator, plurality)
    is_male = generator.random(n) < _BOYS
    grams = _grams(weeks, plurality, is_male, age, generator.standard_normal(n))
    columns = (year, month, np.round(grams) * _POUNDS_PER_GRAM, is_male, age, plurality, weeks)
    return dict(zip(RAW_COLUMNS, columns, strict=True))


def write_births(path: Path, n: int = 25_000, seed: int = 20) -> None:
    """Write synthetic births as gzipped CSV, the same bytes for the same arguments: so the shipped file was made.

    Args:
        path: Where to, ending in .csv.gz.
        n: How many births.
        seed: Which ones.

    Raises:
        DataError: The file cannot be written.
    """
    births = draw_births(n, seed)
    order = np.lexsort((births["month"], births["year"]))
    lines = [",".join(RAW_COLUMNS)]
    for row in zip(*(births[name][order].tolist() for name in RAW_COLUMNS), strict=True):
        year, month, pounds, is_male, age, plurality, weeks = row
        lines.append(f"{year},{month},{round(pounds, 6)},{str(is_male).lower()},{age},{plurality},{weeks}")
    content = gzip.compress(("\n".join(lines) + "\n").encode(), 9, mtime=0)
    with write_aside(path) as aside:
        aside.write_bytes(content)


def _draw_months(generator: np.random.Generator, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    shares = np.outer(list(_YEARS.values()), _SEASON * _DAYS).ravel()
    month = generator.choice(len(shares), size=n, p=shares / shares.sum())
    return month // 12 + min(_YEARS), month % 12 + 1


def _draw_mothers(generator: np.random.Generator, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw mothers' ages, and how many children each birth is one of."""
    ages = np.arange(12, 51)
    group = np.searchsorted([low for low, _ in _AGES], ages, side="right") - 1
    # within a class the shares lean towards its more frequent neighbour, so that the curve has no steps
    density = _AGE_SHARES / np.array([3, 5, 5, 5, 5, 5, 5, 6])
    middles = [13.7, *[(low + high) / 2 for low, high in _AGES[1:-1]], 45.6]
    smooth = np.exp(np.interp(ages, middles, np.log(density)))
    for number, share in enumerate(_AGE_SHARES):
        smooth[group == number] *= share / smooth[group == number].sum()
    place = generator.choice(len(ages), size=n, p=smooth / smooth.sum())
    chance, more = generator.random(n), generator.random(n)
    twins, triplets = _TWIN_RATES[group[place]], _TRIPLET_RATES[group[place]]
    higher = np.where(more < _FIVE, 5, np.where(more < _FIVE + _FOUR, 4, 3))
    plurality = np.where(chance < triplets, higher, np.where(chance < triplets + twins, 2, 1))
    return ages[place], plurality


def _draw_weeks(generator: np.random.Generator, plurality: NDArray[np.int64]) -> NDArray[np.int64]:
    weeks = np.zeros(len(plurality), np.int64)
    for number in range(1, 6):
        here = plurality == number
        weeks[here] = generator.choice(_WEEKS, size=here.sum(), p=_week_shares(number))
    return weeks


def _week_shares(plurality: int) -> Floats:
    """Return the share of each week from 17 to 47."""
    if plurality == 1:
        shares = _single_week_shares()
    elif plurality == 2:
        shares = np.zeros(len(_WEEKS))
        for (low, high), share in _TWIN_SHARES.items():
            inside = (low <= _WEEKS) & (high >= _WEEKS)
            # within a class: rising towards 37 weeks and falling from there, an assumption
            shape = np.exp(-0.5 * ((_WEEKS[inside] - 37) / 1.9) ** 2)
            shares[inside] = share * shape / shape.sum()
    else:
        curve = NormalDist(*_HIGHER[plurality])
        shares = np.array([curve.cdf(week + 1) - curve.cdf(week) for week in _WEEKS.tolist()])
        shares[(_WEEKS < 20) | (_WEEKS > 40)] = 0
    return np.asarray(shares / shares.sum())


def _single_week_shares() -> Floats:
    shares = np.zeros(len(_WEEKS))
    shares[(_WEEKS >= 28) & (_WEEKS <= 41)] = _SINGLES[:-1]
    # 42 and more: how they thin out is an assumption; under 28 weeks: as many as at 28 to 30, thinning downwards
    shares[_WEEKS >= 42] = _SINGLES[-1] * np.array([0.60, 0.25, 0.11, 0.03, 0.008, 0.002])
    before = _WEEKS < 28
    shares[before] = _SINGLES[:3].sum() * 0.8 ** (28 - _WEEKS[before]) / 4
    early, late, term = _WEEKS < 34, (_WEEKS >= 34) & (_WEEKS <= 36), _WEEKS >= 37
    shares[early] *= _SINGLE_EARLY / shares[early].sum()
    shares[late] *= _SINGLE_LATE_PRETERM / shares[late].sum()
    # between 1998 and 2005 births came earlier: tilt the weeks at term until the mean is the published one
    low, high, tilted = 0.0, 1.0, shares
    for _ in range(40):
        tilt = (low + high) / 2
        tilted = shares * np.where(term, np.exp(-tilt * (_WEEKS - 39)), 1)
        tilted[term] *= (100 - _SINGLE_EARLY - _SINGLE_LATE_PRETERM) / tilted[term].sum()
        low, high = (tilt, high) if tilted @ _WEEKS / 100 > _SINGLE_MEAN_WEEKS else (low, tilt)
    return tilted


def _grams(
    weeks: NDArray[np.int64],
    plurality: NDArray[np.int64],
    is_male: NDArray[np.bool_],
    age: NDArray[np.int64],
    rank: Floats,
) -> Floats:
    """Return the weights in grams; `rank` is a standard normal number: how heavy a birth is among its like."""
    share = np.array([NormalDist().cdf(value) for value in rank.tolist()])
    half = _quantiles(weeks, np.full(len(weeks), 0.5))
    grams = half + _SPREAD * (_quantiles(weeks, share) - half)
    lighter = np.interp(weeks, _TWIN_WEEKS, _TWIN_LIGHTER)
    multiple = np.array([_LIGHTER_TIMES.get(number, 0.0) for number in range(6)])[plurality]
    # the table's births are single and multiple ones together: what they differ by is added around their mean
    grams += lighter * (_multiples_among(weeks) - multiple)
    middle = np.minimum(half / 3350, 1.0)  # before term everything is smaller
    grams += _HEAVIER * middle
    grams += _BOYS_HEAVIER * middle * (is_male - _BOYS)
    grams += np.interp(age, _AGE_KNOTS, _AGE_HEAVIER) * middle
    return np.asarray(np.clip(grams, 227, 8165))


def _quantiles(weeks: NDArray[np.int64], share: Floats) -> Floats:
    """Return the weight below which this share of the week's births lies, read from [A] and between its classes."""
    knots = np.linspace(0, 1, 401)
    table = np.empty((len(_CLASS_WEEKS), len(knots)))
    for row, shares in enumerate(_CLASS_SHARES):
        below = np.concatenate([[0], np.cumsum(shares)]) / shares.sum()
        rising = np.concatenate([[True], np.diff(below) > 0])
        table[row] = np.interp(knots, below[rising], _GRAMS[rising])
    by_week = np.stack([[np.interp(week, _CLASS_WEEKS, column) for column in table.T] for week in _WEEKS])
    place = share * (len(knots) - 1)
    left = np.minimum(place.astype(int), len(knots) - 2)
    row = weeks - _WEEKS[0]
    return np.asarray(by_week[row, left] + (place - left) * (by_week[row, left + 1] - by_week[row, left]))


def _multiples_among(weeks: NDArray[np.int64]) -> Floats:
    """Return the share of multiple births among all births of a week."""
    twins = _TWIN_RATES @ _AGE_SHARES / _AGE_SHARES.sum()
    of_singles, of_twins = _week_shares(1) * (1 - twins), _week_shares(2) * twins
    return np.asarray((of_twins / (of_singles + of_twins))[weeks - _WEEKS[0]])
