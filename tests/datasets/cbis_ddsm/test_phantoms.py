from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from mlhelpers.datasets.cbis_ddsm import phantoms
from mlhelpers.errors import UsageError

BI_RADS = ((0, 0.25), (0.25, 0.50), (0.51, 0.75), (0.75, 1))  # share of tissue, 4th edition
CASE = re.compile(r"Phantom-(Training|Test)_P_(\d{5})_(LEFT|RIGHT)_(CC|MLO)")


@pytest.fixture(scope="module")
def parts() -> dict[str, tuple[Any, ...]]:
    return {part: phantoms.arrays(part) for part in phantoms.PARTS}


def test_there_are_400_to_train_on_and_120_to_test_as_many_of_each_density(parts: dict[str, tuple[Any, ...]]) -> None:
    for part, n in (("train", 400), ("test", 120)):
        images, labels, cases, patients = parts[part]
        assert images.shape == (n, 128, 95)
        assert images.dtype == np.uint16
        assert labels.dtype == np.int64
        assert np.bincount(labels).tolist() == [n // 4] * 4
        assert len(set(cases)) == len(patients) == n


def test_no_patient_is_in_both_parts_and_each_has_one_density_and_up_to_four_views(
    parts: dict[str, tuple[Any, ...]],
) -> None:
    densities, views = defaultdict(set), defaultdict(list)
    for _, labels, cases, patients in parts.values():
        for label, case, patient in zip(labels.tolist(), cases, patients, strict=True):
            densities[patient].add(label)
            views[patient].append(case)

    assert set(parts["train"][3]).isdisjoint(parts["test"][3])
    assert all(len(of_one) == 1 for of_one in densities.values())
    assert {len(set(of_one)) for of_one in views.values()} == {1, 2, 4}


def test_every_name_says_that_nobody_is_shown(parts: dict[str, tuple[Any, ...]]) -> None:
    for part, word in phantoms.PARTS.items():
        for case, patient in zip(parts[part][2], parts[part][3], strict=True):
            match = CASE.fullmatch(case)
            assert match is not None, case
            assert match[1] == word
            assert patient == f"Phantom_P_{match[2]}"


def test_densities_are_mixed_so_that_no_part_begins_with_one_class(parts: dict[str, tuple[Any, ...]]) -> None:
    assert set(parts["train"][1][:40].tolist()) == {0, 1, 2, 3}


def test_the_same_seed_draws_the_same_and_another_seed_other_patients(parts: dict[str, tuple[Any, ...]]) -> None:
    view, other = phantoms.views("test")[0], phantoms.views("test", seed=1)[0]

    np.testing.assert_array_equal(parts["test"][0][0], phantoms.draw(view).image)
    assert not np.array_equal(phantoms.draw(view).image, phantoms.draw(view, seed=1).image)
    assert [view.density for view in phantoms.views("test")] != [v.density for v in phantoms.views("test", seed=1)]
    assert other.patient == view.patient


@pytest.mark.parametrize("density", [1, 2, 3, 4])
def test_the_share_of_tissue_is_in_the_range_of_its_density(density: int) -> None:
    low, high = BI_RADS[density - 1]
    views = [view for view in phantoms.views("train") if view.density == density][:25]

    shares = [phantoms.draw(view).share for view in views]

    assert low < min(shares)
    assert max(shares) < high
    assert np.ptp(shares) > 0.05


@pytest.mark.parametrize(("side", "wall"), [("LEFT", slice(0, 3)), ("RIGHT", slice(-3, None))])
@pytest.mark.parametrize("projection", ["CC", "MLO"])
def test_the_chest_wall_is_on_its_side_and_the_muscle_on_oblique_views_alone(
    side: str, wall: slice, projection: str
) -> None:
    drawn = phantoms.draw(phantoms.View(7, 2, side, projection))

    far = slice(-3, None) if side == "LEFT" else slice(0, 3)
    assert drawn.breast[:, wall].sum() > drawn.breast[:, far].sum()
    assert drawn.muscle.any() == (projection == "MLO")
    if projection == "MLO":
        assert drawn.muscle[:40, wall].mean() > drawn.muscle[-40:, wall].mean()
    assert not (drawn.muscle & drawn.breast).any()
    assert not (drawn.tissue & ~drawn.breast).any()


def test_tissue_is_brighter_than_the_fat_beside_it() -> None:
    for view in phantoms.views("train")[:12]:
        drawn = phantoms.draw(view)
        inner = drawn.breast & (drawn.image > np.median(drawn.image[drawn.breast]) / 2)
        fat = inner & ~drawn.tissue
        assert np.median(drawn.image[drawn.tissue & inner]) > np.median(drawn.image[fat])


@pytest.mark.parametrize("beta", [2.0, 3.0])
def test_the_power_of_the_texture_falls_with_frequency_by_the_exponent(beta: float) -> None:
    rng = np.random.default_rng(0)
    power = np.mean([np.abs(np.fft.fft2(phantoms.power_law(rng, beta))) ** 2 for _ in range(20)], axis=0)

    frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(95)[None, :])
    band = (frequency > 0.03) & (frequency < 0.4)
    slope = np.polyfit(np.log(frequency[band]), np.log(power[band]), 1)[0]
    assert slope == pytest.approx(-beta, abs=0.1)


def test_a_blur_keeps_the_sum_and_spreads_by_its_sigma() -> None:
    picture = np.zeros((41, 41))
    picture[20, 20] = 1.0

    blurred = phantoms.blur(picture, 1.0)

    y, x = np.mgrid[-20:21, -20:21]
    gauss = np.exp(-(x**2 + y**2) / 2) / (2 * np.pi)
    np.testing.assert_allclose(blurred, gauss, atol=2e-3)


def test_an_unknown_part_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"no part of the phantoms 'eval'.*Known: test, train"):
        phantoms.arrays("eval")


def brightness(images: np.ndarray, own_range: bool) -> np.ndarray:
    """Return mean, spread and 32 bins of the histogram of each picture: all that brightness can tell."""
    rows = []
    for image in images:
        span = (image.min(), image.max()) if own_range else (0, 65535)
        bins = np.histogram(image, 32, span)[0] / image.size
        rows.append([image.mean() / 65535, image.std() / 65535, *bins])
    return np.array(rows)


@pytest.mark.parametrize("own_range", [False, True], ids=["grey levels", "stretched"])
def test_brightness_alone_does_not_give_the_density_away(parts: dict[str, tuple[Any, ...]], own_range: bool) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    (images, labels, _, patients), (test_images, test_labels, _, _) = parts["train"], parts["test"]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    search = GridSearchCV(model, {"logisticregression__C": np.logspace(-2, 2, 5)}, cv=GroupKFold(4))

    search.fit(brightness(images, own_range), labels, groups=patients)
    accuracy = search.score(brightness(test_images, own_range), test_labels)

    majority = np.bincount(test_labels).max() / len(test_labels)
    assert majority == 0.25
    assert accuracy <= 0.70
