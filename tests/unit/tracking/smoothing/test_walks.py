"""The banded solver against the textbook's Kalman filter and Rauch-Tung-Striebel smoother."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_semimultipose.tracking.smoothing import walks
from napari_semimultipose.tracking.smoothing.model import Observed, Parameters


@dataclass
class Textbook:
    """Frame by frame, with explicit covariances."""

    filtered: NDArray
    expected: NDArray
    expected_cov: NDArray
    smoothed: NDArray
    smoothed_cov: NDArray
    log_likelihood: float


def kalman(y: NDArray, c: NDArray, r: NDArray, q: NDArray, p0: NDArray) -> Textbook:
    n = len(q)
    mean, cov, total = np.zeros(n), p0, 0.0
    means, covs, expected, expected_cov = [], [], [], []
    for t in range(len(y)):
        if t:
            cov = cov + q
        expected.append(mean)
        expected_cov.append(cov)
        seen = np.isfinite(y[t])
        if seen.any():
            ct = c[seen]
            s = ct @ cov @ ct.T + np.diag(r[t, seen])
            gain = cov @ ct.T @ np.linalg.inv(s)
            error = y[t, seen] - ct @ mean
            total -= 0.5 * (error @ np.linalg.solve(s, error) + np.linalg.slogdet(2 * np.pi * s)[1])
            mean, cov = mean + gain @ error, cov - gain @ s @ gain.T
        means.append(mean)
        covs.append(cov)
    smoothed, smoothed_cov = [means[-1]], [covs[-1]]
    for t in range(len(y) - 2, -1, -1):
        g = covs[t] @ np.linalg.inv(expected_cov[t + 1])
        smoothed.append(means[t] + g @ (smoothed[-1] - expected[t + 1]))
        smoothed_cov.append(covs[t] + g @ (smoothed_cov[-1] - expected_cov[t + 1]) @ g.T)
    return Textbook(
        np.array(means), np.array(expected), np.array(expected_cov),
        np.array(smoothed[::-1]), np.array(smoothed_cov[::-1]), total,
    )  # fmt: skip


def simulate(n: int, d: int, frames: int = 120) -> tuple[NDArray, ...]:
    rng = np.random.default_rng(n)
    c = np.eye(1) if n == 1 else rng.normal(size=(d, n))
    root = rng.normal(size=(n, n))
    q = 0.2 * root @ root.T + 0.05 * np.eye(n)
    r = rng.uniform(0.5, 3.0, (frames, len(c)))
    x = np.cumsum(rng.multivariate_normal(np.zeros(n), q, frames), 0)
    y = x @ c.T + rng.normal(size=r.shape) * np.sqrt(r)
    y[rng.random(y.shape) < 0.2] = np.nan
    y[50:60] = np.nan
    return y, c, r, q


@pytest.mark.parametrize(("n", "d"), [(1, 1), (3, 4), (3, 6)])
def test_agrees_with_the_textbook(n: int, d: int) -> None:
    y, c, r, q = simulate(n, d)
    p0 = 5.0 * np.eye(n)
    book = kalman(y, c, r, q, p0)
    weight = np.where(np.isfinite(y), 1 / r, 0.0)
    precision = np.einsum("td,di,dj->tij", weight, c, c)
    precision[0] += np.linalg.inv(p0)
    information = np.einsum("td,di,td->ti", weight, c, np.nan_to_num(y))
    coupling = np.tile(np.linalg.inv(q), (len(y), 1, 1))
    coupling[0] = 0
    found = walks.solve(information, precision, coupling, pivots=True)
    np.testing.assert_allclose(found.mean, book.smoothed, atol=1e-9)
    covariance = walks.covariance(precision, coupling, found.pivot)
    np.testing.assert_allclose(covariance, book.smoothed_cov, atol=1e-9)
    mean, cov, known = walks.predicted(found, coupling)
    np.testing.assert_allclose(mean[1:], book.expected[1:], atol=1e-9)
    np.testing.assert_allclose(cov[1:], book.expected_cov[1:], atol=1e-9)
    assert known[1:].all()
    assert not known[0]


@pytest.mark.parametrize(("n", "d"), [(1, 1), (3, 4)])
def test_likelihoods_differ_as_those_of_the_textbook(n: int, d: int) -> None:
    y, c, r, q = simulate(n, d)
    p0 = 5.0 * np.eye(n)
    prior = np.zeros((len(y), n, n))
    prior[0] = np.linalg.inv(p0)
    step = np.ones(len(y))
    step[0] = 0
    observed = Observed(
        y, r, step, np.zeros(len(y), np.int64), 1,
        loading=None if n == 1 else np.tile(c, (len(y), 1, 1)), shape=q[None], prior=prior,
    )  # fmt: skip

    def ours(s: float, alpha: float, beta: float) -> float:
        return float(
            observed.negative_log_likelihood(
                Parameters(np.array([s]), np.array([alpha]), np.array([beta]))
            )[0]
        )

    def theirs(s: float, alpha: float, beta: float) -> float:
        return -kalman(y, c, alpha * r + beta, s * q, p0).log_likelihood

    trials = [(1.0, 1.0, 0.0), (0.1, 1.0, 0.0), (1.0, 3.0, 0.5), (20.0, 0.3, 0.1)]
    differences = [ours(*t) - theirs(*t) for t in trials]
    np.testing.assert_allclose(differences, differences[0], atol=1e-8)


def test_walks_laid_end_to_end_do_not_touch() -> None:
    rng = np.random.default_rng(0)
    step = np.array([0, 1, 1, 0, 1, 2.0])
    y = rng.normal(size=(6, 1))
    whole = Observed(y, np.ones((6, 1)), step, np.array([0, 0, 0, 1, 1, 1]), 2)
    parameters = Parameters(np.array([0.5, 2.0]), np.ones(2), np.zeros(2))
    mean, covariance = whole.smooth(parameters)
    for g, rows in enumerate((slice(0, 3), slice(3, 6))):
        alone = Observed(y[rows], np.ones((3, 1)), step[rows], np.zeros(3, np.int64), 1)
        m, v = alone.smooth(parameters.of(np.array([g])))
        np.testing.assert_allclose(mean[rows], m)
        np.testing.assert_allclose(covariance[rows], v)


def test_a_walk_without_observations_is_refused() -> None:
    empty = np.full((3, 1), np.nan)
    observed = Observed(empty, empty, np.array([0, 1, 1.0]), np.zeros(3, np.int64), 1)
    with pytest.raises(FloatingPointError, match="every walk needs one"):
        observed.smooth(Parameters(np.ones(1), np.ones(1), np.zeros(1)))
