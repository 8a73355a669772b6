"""The synthetic births beside the published figures they were drawn from; with a mirror, beside real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mlhelpers.datasets import babyweight
from mlhelpers.datasets.babyweight import synthetic

GRAMS_PER_POUND = 453.592


@pytest.fixture(scope="module")
def births() -> dict[str, NDArray[np.generic]]:
    return synthetic.draw_births(200_000, seed=1)


def test_the_shipped_file_is_what_the_generator_writes_byte_for_byte(tmp_path: Path, repository: Path) -> None:
    synthetic.write_births(tmp_path / "again.csv.gz")

    shipped = repository / "data" / "babyweight" / babyweight.FILES["births"].name
    assert shipped.read_bytes() == (tmp_path / "again.csv.gz").read_bytes()
    assert shipped.stat().st_size < 1_000_000
    assert "synthetic" in shipped.name


def test_another_seed_draws_other_births() -> None:
    one, other = synthetic.draw_births(100, 1), synthetic.draw_births(100, 2)

    assert not np.array_equal(one["weight_pounds"], other["weight_pounds"])


# National Vital Statistics Reports 52(10): mean grams, share under 2,500 g; MMWR 57(9): mean weeks
@pytest.mark.parametrize(
    ("plurality", "grams", "low_weight", "weeks"), [(1, 3332, 0.061, 38.7), (2, 2347, 0.554, 35.2)]
)
def test_weight_and_weeks_are_the_published_ones(
    births: dict[str, NDArray], plurality: int, grams: float, low_weight: float, weeks: float
) -> None:
    here = births["plurality"] == plurality
    weight = births["weight_pounds"][here] * GRAMS_PER_POUND

    assert abs(weight.mean() - grams) < 30
    assert abs((weight < 2500).mean() - low_weight) < 0.03
    assert abs(births["gestation_weeks"][here].mean() - weeks) < 0.5


def test_triplets_are_as_light_as_published(births: dict[str, NDArray]) -> None:
    weight = births["weight_pounds"][births["plurality"] == 3] * GRAMS_PER_POUND

    assert abs(weight.mean() - 1687) < 120  # about 280 births: deviation of the mean 40 g


def test_shares_are_the_published_ones(births: dict[str, NDArray]) -> None:
    single = births["plurality"] == 1
    weeks = births["gestation_weeks"][single]

    assert abs((births["plurality"] == 2).mean() - 0.032) < 0.002  # twins, 2006
    assert abs((weeks < 37).mean() - 0.110) < 0.005  # preterm single births, 2005
    assert abs(((weeks >= 34) & (weeks < 37)).mean() - 0.081) < 0.005
    assert abs(births["is_male"].mean() - 0.512) < 0.005
    assert abs((births["mother_age"] < 20).mean() - 0.1035) < 0.005


def test_boys_are_a_quarter_of_a_pound_heavier(births: dict[str, NDArray]) -> None:
    boys, girls = (births["weight_pounds"][births["is_male"] == is_male].mean() for is_male in (True, False))

    assert 0.2 < boys - girls < 0.32


def test_values_stay_in_the_ranges_that_certificates_have(births: dict[str, NDArray]) -> None:
    for name, low, high in [
        ("weight_pounds", 0.5, 18.01),
        ("mother_age", 12, 50),
        ("gestation_weeks", 17, 47),
        ("plurality", 1, 5),
        ("year", 2001, 2008),
        ("month", 1, 12),
    ]:
        assert low <= births[name].min()
        assert births[name].max() <= high


@pytest.mark.mirror
def test_a_model_that_has_seen_synthetic_births_alone_is_of_use_on_real_ones(mirror: Path, tmp_path: Path) -> None:
    """The promise: at most 1.10 lb on the real evaluation file, where always answering the mean gives 1.302."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    def split(files: list[Path]) -> tuple[NDArray, NDArray]:
        columns = babyweight.read_csv(files)
        return np.stack([columns[name] for name in babyweight.FEATURES], axis=1), columns["weight_pounds"]

    babyweight.prepare(tmp_path, source="shipped")
    features, weight = split(babyweight.find_shards(tmp_path, "train"))
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), Ridge()).fit(features, weight)

    real_features, real_weight = split([mirror / "babyweight" / "eval.csv"])
    error = np.sqrt(np.mean((model.predict(real_features) - real_weight) ** 2))
    assert error <= 1.10
