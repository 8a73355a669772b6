"""The regression against scikit-learn's, gradients against finite differences, improvement against quadrature."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.optimize import approx_fprime

from mlhelpers.tuning import gaussian_process
from mlhelpers.tuning.gaussian_process import GaussianProcess, fit, log_expected_improvement

Array = NDArray[np.float64]
NUMERIC = np.array([False, False])
MIXED = np.array([False, True, False])
LENGTHS = np.array([0.3, 1.4, 0.8])


def _points(count: int, seed: int) -> Array:
    """Return points of a number, one of three choices, and a number."""
    generator = np.random.default_rng(seed)
    points = generator.random((count, 3))
    points[:, 1] = generator.integers(0, 3, count)
    return points


def _one_hot(points: Array) -> Array:
    return np.column_stack([points[:, 0], *(points[:, 1] == choice for choice in range(3)), points[:, 2]])


def _process(noise: float = 0.04) -> GaussianProcess:
    values = np.random.default_rng(1).normal(size=12)
    return GaussianProcess(_points(12, 0), values, MIXED, LENGTHS, 1.7, noise)


def test_mean_and_deviation_are_those_of_scikit_learn() -> None:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern

    # the squared distance of two choices is 2 as one-hot columns and 0.3 in ours
    wide = LENGTHS[1] * math.sqrt(2 / 0.3)
    kernel = ConstantKernel(1.7) * Matern([LENGTHS[0], wide, wide, wide, LENGTHS[2]], nu=2.5)
    process, points = _process(), _points(50, 2)
    peer = GaussianProcessRegressor(kernel, alpha=0.04, optimizer=None)
    peer.fit(_one_hot(process.points), process.values)

    mean, deviation = process.predict(points)

    expected_mean, expected_deviation = peer.predict(_one_hot(points), return_std=True)
    np.testing.assert_allclose(mean, expected_mean, atol=1e-7)
    np.testing.assert_allclose(deviation, expected_deviation, atol=1e-7)


def test_gradients_of_mean_and_deviation_are_the_finite_differences() -> None:
    process, points = _process(), _points(6, 3)

    mean, deviation, of_mean, of_deviation = process.gradients(points)

    np.testing.assert_allclose(np.array([mean, deviation]), process.predict(points))
    for point, by_mean, by_deviation in zip(points, of_mean, of_deviation, strict=True):
        for column in (0, 2):
            step = np.eye(3)[column] * 1e-6
            (low, high), (narrow, wide) = process.predict(np.array([point - step, point + step]))
            assert by_mean[column] == pytest.approx((high - low) / 2e-6, rel=1e-4, abs=1e-6)
            assert by_deviation[column] == pytest.approx((wide - narrow) / 2e-6, rel=1e-4, abs=1e-6)
    assert not of_mean[:, 1].any(), "a choice has no slope"


@pytest.mark.parametrize("scales", [1, 3])
def test_the_gradient_of_the_fit_is_the_finite_difference(scales: int) -> None:
    process = _process()
    squared = np.stack([gaussian_process._squared(*[process.points[:, i]] * 2, bool(MIXED[i])) for i in range(3)])
    squared = squared.sum(0, keepdims=True) if scales == 1 else squared
    given = (squared, process.values, *gaussian_process._prior(scales, 3))
    logs = np.array([*[-0.9, 0.3, 0.1][:scales], 0.4, -3.0])

    _, gradient = gaussian_process._misfit(logs, *given)

    differences = approx_fprime(logs, lambda at: gaussian_process._misfit(at, *given)[0], 1e-6)
    np.testing.assert_allclose(gradient, differences, rtol=1e-4, atol=1e-5)


def test_the_misfit_is_scikit_learn_s_likelihood_and_the_priors() -> None:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    points, values = np.random.default_rng(4).random((9, 2)), np.random.default_rng(5).normal(size=9)
    squared = np.stack([gaussian_process._squared(*[points[:, i]] * 2, False) for i in range(2)])
    center, spread = gaussian_process._prior(2, 2)
    first, second = np.array([-1.0, 0.2, 0.3, -2.0]), np.array([-0.1, -0.4, -0.5, -5.0])

    found = [gaussian_process._misfit(logs, squared, values, center, spread)[0] for logs in (first, second)]

    expected = []
    for lengths, signal, noise in ((np.exp(logs[:2]), *np.exp(logs[2:])) for logs in (first, second)):
        kernel = ConstantKernel(signal) * Matern(lengths, nu=2.5) + WhiteKernel(noise)
        peer = GaussianProcessRegressor(kernel, alpha=1e-10, optimizer=None).fit(points, values)
        expected.append(-peer.log_marginal_likelihood_value_)
    expected = [
        value + 0.5 * (((at - center) / spread) ** 2).sum() for value, at in zip(expected, (first, second), strict=True)
    ]
    assert found[1] - found[0] == pytest.approx(expected[1] - expected[0], abs=1e-6)


def test_the_fit_finds_which_column_matters() -> None:
    generator = np.random.default_rng(6)
    points = generator.random((40, 2))
    values = np.sin(6 * points[:, 0])

    process = fit(points, (values - values.mean()) / values.std(), NUMERIC)

    assert process.length_scales[0] < 0.5 * process.length_scales[1]
    assert process.noise < 1e-2


def test_the_fit_has_one_length_scale_until_there_are_points_enough() -> None:
    points, values = np.random.default_rng(7).random((7, 2)), np.random.default_rng(8).normal(size=7)

    few, more = fit(points[:6], values[:6], NUMERIC), fit(points, values, NUMERIC)

    assert few.length_scales[0] == few.length_scales[1]
    assert more.length_scales[0] != more.length_scales[1]


def test_the_fit_learns_the_noise() -> None:
    generator = np.random.default_rng(9)
    points = generator.random((60, 2))
    values = np.sin(3 * points[:, 0]) + 0.3 * generator.normal(size=60)
    scale = values.std()

    process = fit(points, (values - values.mean()) / scale, NUMERIC)

    assert math.sqrt(process.noise) * scale == pytest.approx(0.3, rel=0.25)


def test_a_categorical_column_carries_over_from_choice_to_choice() -> None:
    generator = np.random.default_rng(10)
    points = np.column_stack([generator.random(30), generator.integers(0, 2, 30)]).astype(float)
    values = np.sin(4 * points[:, 0]) + 0.8 * points[:, 1]
    process = fit(points, (values - values.mean()) / values.std(), np.array([False, True]))
    line = np.linspace(0.1, 0.9, 20)

    means = [process.predict(np.column_stack([line, np.full(20, choice)]))[0] for choice in (0.0, 1.0)]

    np.testing.assert_allclose(means[1] - means[0], 0.8 / values.std(), rtol=0.1)


def test_believing_leaves_the_mean_and_narrows_the_deviation() -> None:
    process, points = _process(), _points(30, 11)
    believed = points[:2]

    after = process.believe(believed)

    np.testing.assert_allclose(after.predict(points)[0], process.predict(points)[0], atol=1e-8)
    before_deviation, after_deviation = process.predict(points)[1], after.predict(points)[1]
    assert (after_deviation <= before_deviation + 1e-9).all()
    assert (before_deviation[:2] > 1.3 * after_deviation[:2]).all()
    assert (after_deviation[:2] < math.sqrt(process.noise)).all()
    assert process.believe(np.empty((0, 3))) is process


def test_the_same_point_twice_and_no_noise_is_no_failure() -> None:
    points = np.array([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]])
    process = GaussianProcess(points, np.array([1.0, 1.0, 1.0]), NUMERIC, np.array([1.0, 1.0]), 1.0, 0.0)

    mean, deviation = process.predict(points)

    np.testing.assert_allclose(mean, 1.0, atol=1e-4)
    assert np.isfinite(deviation).all()
    assert (deviation < 1e-2).all()


@pytest.mark.parametrize("score", [-1e5, -300.0, -40.0, -8.0, -1.001, -0.999, 0.0, 2.0, 9.0])
def test_log_expected_improvement_is_the_integral(score: float) -> None:
    """E[max(best - X, 0)] with the density's peak taken out, so that the integral is no zero far out."""
    deviation, best = 0.7, 0.3
    mean = best - score * deviation
    peak = max(score, 0.0)
    reach = max(1.0, -score)

    def integrand(distance: float) -> float:
        gain = distance / reach  # above 0: how far below best, in deviations
        return gain * math.exp(gain * score - 0.5 * gain**2 - peak * score + 0.5 * peak**2) / reach

    integral = quad(integrand, 0, 60, points=[1.0, max(1.0, peak)], epsabs=0, epsrel=1e-12, limit=500)[0]
    expected = math.log(deviation * integral) - 0.5 * score**2 - 0.5 * math.log(2 * math.pi)
    expected += peak * score - 0.5 * peak**2

    found = log_expected_improvement(np.array([mean]), np.array([deviation]), best)[0][0]

    assert found == pytest.approx(expected, rel=1e-14, abs=1e-7)


@pytest.mark.parametrize("mean", [-2.0, 0.0, 0.9, 1.1, 5.0, 20.0])
def test_derivatives_of_log_expected_improvement_are_the_finite_differences(mean: float) -> None:
    given = np.array([mean, 0.8])

    _, of_mean, of_deviation = log_expected_improvement(given[:1], given[1:], 0.2)

    differences = approx_fprime(given, lambda at: log_expected_improvement(at[:1], at[1:], 0.2)[0][0], 1e-7)
    np.testing.assert_allclose([of_mean[0], of_deviation[0]], differences, rtol=1e-4)


def test_a_certain_loss_still_has_a_slope() -> None:
    value, of_mean, of_deviation = log_expected_improvement(np.array([1e4]), np.array([1e-3]), 0.0)

    assert np.isfinite([value, of_mean, of_deviation]).all()
    assert of_mean[0] < 0 < of_deviation[0]
