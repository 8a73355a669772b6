"""Gaussian-process regression over the unit cube, and the expected improvement of a point.

A Matérn 5/2 kernel after Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, chapters 2, 4 and 5.
Numeric columns count by their squared difference, categorical ones by whether they differ, each over its length scale.
Length scales, signal and noise are those most probable under log-normal priors (MAP); noise is always learnt, since the
objective of a training run is noisy. Small is better throughout: the sampler turns signs. NumPy and SciPy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dtrtri
from scipy.optimize import minimize
from scipy.special import erfcx, log_ndtr, ndtr

__all__ = ["GaussianProcess", "fit", "log_expected_improvement"]

Array = NDArray[np.float64]

_ROOT_5 = np.sqrt(5.0)
_JITTERS = (1e-10, 1e-8, 1e-6, 1e-4, 1e-2)  # times the signal variance, until the matrix is positive definite
_LOG_ROOT_2_PI = 0.5 * np.log(2 * np.pi)
# logarithms of length scale (of one dimension), signal variance and noise variance: mean and deviation of the prior
_PRIOR_LENGTH, _PRIOR_SIGNAL, _PRIOR_NOISE = (np.log(0.5), 0.8), (0.0, 1.0), (np.log(1e-4), 2.5)
# squared distance of two choices before anything is learnt: what holds for one is expected to hold for others too
_OTHER_CHOICE = 0.3
_BOUND = 4.0  # deviations to either side of the prior within which the search stays
# products up to which OpenBLAS keeps to one thread: others wait for threads that a machine busy training does not have
_SHARED_OUT = 200_000
_LONGEST_FIT = 60  # evaluations


@dataclass(frozen=True)
class GaussianProcess:
    """A Gaussian process of mean zero that has seen values at points.

    Args:
        points: Shape (n, d): numeric columns in 0..1, categorical ones as whole numbers.
        values: Shape (n,), standardised.
        categorical: Shape (d,), bool: the columns that only count as equal or different.
        length_scales: Shape (d,), above 0, in units of the cube's edge.
        signal: Variance of the function.
        noise: Variance of a value around the function.
    """

    points: Array
    values: Array
    categorical: NDArray[np.bool_]
    length_scales: Array
    signal: float
    noise: float

    @cached_property
    def _whitener(self) -> Array:
        """The inverse of the kernel's Cholesky factor, shape (n, n)."""
        kernel = self._kernel(self.points)[0]
        return _inverse_factor(kernel + self.noise * np.eye(len(kernel)), self.signal)[0]

    @cached_property
    def _weights(self) -> Array:
        return self._whitener.T @ (self._whitener @ self.values)

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation of the function, without noise, at points of shape (m, d): (m,) each."""
        rows = max(1, _SHARED_OUT // len(self.points) ** 2)
        parts = [self._predict(points[first : first + rows]) for first in range(0, len(points), rows)]
        mean, deviation = (np.concatenate(side) for side in zip(*parts, strict=True))
        return mean, deviation

    def _predict(self, points: Array) -> tuple[Array, Array]:
        kernel, _ = self._kernel(points)
        return kernel @ self._weights, self._deviation(kernel @ self._whitener.T)

    def gradients(self, points: Array) -> tuple[Array, Array, Array, Array]:
        """Return mean and deviation as `predict` does, and their gradients, (m, d) each; 0 in categorical columns."""
        kernel, slope = self._kernel(points)
        white = kernel @ self._whitener.T
        deviation = self._deviation(white)
        differences = np.where(self.categorical, 0.0, points[:, None] - self.points[None]) / self.length_scales**2
        steepness = 2 * slope[:, :, None] * differences
        of_mean = np.einsum("mnd,n->md", steepness, self._weights)
        of_deviation = -np.einsum("mnd,mn->md", steepness, white @ self._whitener) / deviation[:, None]
        return kernel @ self._weights, deviation, of_mean, of_deviation

    def believe(self, points: Array) -> GaussianProcess:
        """Return the process as if its own mean had been seen at points (m, d): the kriging believer of Ginsbourger.

        The mean stays everywhere as it is; the deviation shrinks around those points.
        """
        if not len(points):
            return self
        values = np.concatenate([self.values, self.predict(points)[0]])
        joined = np.vstack([self.points, points])
        return GaussianProcess(joined, values, self.categorical, self.length_scales, self.signal, self.noise)

    def _kernel(self, points: Array) -> tuple[Array, Array]:
        """Return the kernel (m, n) between points and those seen, and its slope over the squared distance."""
        squared = np.zeros((len(points), len(self.points)))
        for column, scale in enumerate(self.length_scales):
            squared += _squared(points[:, column], self.points[:, column], self.categorical[column]) / scale**2
        return _matern(squared, self.signal)

    def _deviation(self, white: Array) -> Array:
        variance = self.signal - np.einsum("mn,mn->m", white, white)
        return np.asarray(np.sqrt(np.maximum(variance, 1e-12 * self.signal)))


def _squared(left: Array, right: Array, categorical: bool) -> Array:
    difference = left[:, None] - right[None]
    return np.where(difference != 0, _OTHER_CHOICE, 0.0) if categorical else difference**2


def _matern(squared: Array, signal: float) -> tuple[Array, Array]:
    distance = _ROOT_5 * np.sqrt(squared)
    decay = signal * np.exp(-distance)
    return (1 + distance + distance**2 / 3) * decay, -5 / 6 * (1 + distance) * decay


def _inverse_factor(matrix: Array, signal: float) -> tuple[Array, float]:
    """Return the inverse of the lower Cholesky factor, and the logarithm of the determinant of that factor.

    LAPACK is called bare: SciPy's own functions spend longer on their arguments than on matrices as small as these.
    """
    for jitter in _JITTERS:
        factor, failed = dpotrf(matrix + jitter * signal * np.eye(len(matrix)), lower=1)
        if not failed:
            return dtrtri(factor, lower=1)[0], float(np.log(np.diag(factor)).sum())
    raise np.linalg.LinAlgError(f"a kernel of shape {matrix.shape} is not positive definite")


def fit(points: Array, values: Array, categorical: NDArray[np.bool_]) -> GaussianProcess:
    """Return the process whose length scales, signal and noise are the most probable, for values at points.

    Up to 2d + 2 points all columns share one length scale; from there on each has its own.

    Args:
        points: Shape (n, d), n and d at least 1: numeric columns in 0..1, categorical ones as whole numbers.
        values: Shape (n,), finite; about standardised, since the priors are for such.
        categorical: Shape (d,).
    """
    count, width = points.shape
    squared = np.stack([_squared(points[:, i], points[:, i], bool(categorical[i])) for i in range(width)])
    if count <= 2 * width + 2:
        squared = squared.sum(0, keepdims=True)
    scales = len(squared)
    center, spread = _prior(scales, width)
    bounds = list(zip(center - _BOUND * spread, center + _BOUND * spread, strict=True))
    found = []
    for shift in (0.0, -0.7):  # the likelihood may have two tops: a smooth function, and a rough one or noise
        start = center + np.concatenate([np.full(scales, shift), [0, 0]])
        given = (squared, values, center, spread)
        # TNC comes to the same place as L-BFGS-B, which calls LAPACK and on a busy machine waits for its threads
        settings = {"maxfun": _LONGEST_FIT, "ftol": 1e-5}
        found.append(minimize(_misfit, start, given, "TNC", jac=True, bounds=bounds, options=settings))
    best = np.exp(min(found, key=lambda result: float(result.fun)).x)
    lengths = np.broadcast_to(best[:scales], width).copy()
    return GaussianProcess(points, values, categorical, lengths, float(best[-2]), float(best[-1]))


def _prior(scales: int, width: int) -> tuple[Array, Array]:
    """Return mean and deviation of the logarithms. Distances in a cube grow as the root of its dimensions."""
    length = _PRIOR_LENGTH[0] + 0.5 * np.log(width)
    center = np.array([length] * scales + [_PRIOR_SIGNAL[0], _PRIOR_NOISE[0]])
    return center, np.array([_PRIOR_LENGTH[1]] * scales + [_PRIOR_SIGNAL[1], _PRIOR_NOISE[1]])


def _misfit(logs: Array, squared: Array, values: Array, center: Array, spread: Array) -> tuple[float, Array]:
    """Return the negative logarithm of posterior density, less a constant, and its gradient.

    Args:
        logs: Logarithms of the length scales, of signal and of noise: shape (s + 2,).
        squared: Squared differences for each length scale, (s, n, n).
        values: Shape (n,).
        center: Of the priors, shape of `logs`.
        spread: Of the priors, shape of `logs`.
    """
    weights, signal, noise = np.exp(-2 * logs[:-2]), np.exp(logs[-2]), np.exp(logs[-1])
    kernel, slope = _matern(np.tensordot(weights, squared, 1), signal)
    whitener, log_root = _inverse_factor(kernel + noise * np.eye(len(values)), signal)
    inverse = whitener.T @ whitener
    solved = inverse @ values
    off = (logs - center) / spread
    misfit = 0.5 * values @ solved + log_root + 0.5 * off @ off
    error = inverse - np.outer(solved, solved)
    of_lengths = -weights * np.tensordot(squared, error * slope, 2)
    gradient = np.concatenate([of_lengths, [0.5 * (error * kernel).sum(), 0.5 * noise * np.trace(error)]])
    return float(misfit), gradient + off / spread


def log_expected_improvement(mean: Array, deviation: Array, best: float) -> tuple[Array, Array, Array]:
    """Return the logarithm of how far below `best` a normal value is expected to come, and its two derivatives.

    The logarithm keeps a slope where the improvement itself is too small for a float: Ament and others, Unexpected
    improvements to expected improvement, NeurIPS 2023, whose equation 9 this is.

    Args:
        mean: Shape (m,).
        deviation: Shape (m,), above 0.
        best: The value to be improved on.

    Returns:
        The logarithm, its derivative by the mean, and by the deviation, of shape (m,) each.
    """
    score = (best - mean) / deviation
    log_density = -0.5 * score**2 - _LOG_ROOT_2_PI
    near, far = np.maximum(score, -1.0), np.minimum(score, -1.0)
    close = np.log(np.exp(-0.5 * near**2 - _LOG_ROOT_2_PI) + near * ndtr(near))
    # 1 + z Phi(z) / phi(z), whose digits cancel far out, where its series begins with 1 / z^2
    rest = 1 + far * np.sqrt(np.pi / 2) * erfcx(-far / np.sqrt(2))
    tail = np.where(far > -1e3, np.log(np.maximum(rest, 1e-12)), -2 * np.log(-far))
    log_ratio = np.where(score > -1, close, tail + log_density)
    of_mean = -np.exp(log_ndtr(score) - log_ratio) / deviation
    return np.log(deviation) + log_ratio, of_mean, np.exp(log_density - log_ratio) / deviation
