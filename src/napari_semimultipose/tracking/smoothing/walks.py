"""Random walks seen through noise: the Kalman filter and the Rauch-Tung-Striebel smoother.

A walk of n dimensions, x_t = x_{t-1} + w_t with w_t ~ N(0, dt_t Q), is observed with the precision
(information matrix) L_t and the information vector b_t. Given all observations the positions are normal,
with the block tridiagonal precision A: A_tt = L_t + W_t + W_{t+1} and A_{t,t-1} = -W_t, where W_t =
(dt_t Q)^{-1} couples a row to the one before it. Elimination forward in time is the information form of
the Kalman filter, back substitution is the smoother (Rauch, Tung & Striebel 1965); both are one LAPACK call
on a banded matrix, for many walks laid end to end (uncoupled where one ends). Nothing is known about the
first position of a walk unless a prior is added to the precision of its first row.

A row without an observation (L_t = 0) is a step of prediction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from napari_semimultipose.poses import FloatArray


@dataclass(frozen=True)
class Smoothed:
    """Walks given their observations; T rows of n dimensions.

    Attributes
    ----------
    mean : array [T, n]
    log_pivot : array [T]
        Sums to the log determinant of A over the rows of a walk.
    pivot : array [T, n, n]
        Schur complements of the forward elimination: filtered precision + W_{t+1}.
    """

    mean: FloatArray
    log_pivot: FloatArray
    pivot: FloatArray


def solve(
    information: FloatArray, precision: FloatArray, coupling: FloatArray, *, pivots: bool = False
) -> Smoothed:
    """Smooth walks of n dimensions.

    Parameters
    ----------
    information : array [T, n]
        b_t: C_t' R_t^{-1} y_t of the observations; 0 without one.
    precision : array [T, n, n]
        L_t: C_t' R_t^{-1} C_t; 0 without an observation.
    coupling : array [T, n, n]
        W_t; 0 in the first row of each walk.
    pivots : bool
        Return the pivots, too, which `covariance` and `predicted` need.
    """
    if information.shape[1] == 1:
        return _solve_scalar(information, precision, coupling)
    diagonal, lower = _blocks(precision, coupling)
    factor = _cholesky(diagonal, lower)
    n = information.shape[1]
    mean, info = lapack.dpbtrs(factor, information.reshape(-1, 1), lower=1)
    _check(info)
    log_pivot = 2.0 * np.log(factor[0]).reshape(-1, n).sum(1)
    found = np.zeros((0, n, n))
    if pivots:
        root = _diagonal_blocks(factor, n)
        found = root @ root.transpose(0, 2, 1)
    return Smoothed(mean.reshape(-1, n), log_pivot, found)


def covariance(precision: FloatArray, coupling: FloatArray, pivot: FloatArray) -> FloatArray:
    """Posterior covariances [T, n, n] of the rows.

    The inverse of A has, on its diagonal, the inverse of (forward pivot + backward pivot - A_tt): what
    the past and the future say together, without counting the present twice.

    Parameters
    ----------
    precision, coupling : arrays [T, n, n]
        As for `solve`.
    pivot : array [T, n, n]
        What `solve` returned.
    """
    diagonal, lower = _blocks(precision, coupling)
    n = diagonal.shape[1]
    if n == 1:
        back, _, info = lapack.dpttrf(diagonal[::-1, 0, 0], lower[:0:-1, 0, 0])
        _check(info)
        return np.asarray(1.0 / (pivot[:, 0, 0] + back[::-1] - diagonal[:, 0, 0]))[:, None, None]
    factor = _cholesky(diagonal[::-1], _reversed_lower(lower))
    root = _diagonal_blocks(factor, n)
    backward = (root @ root.transpose(0, 2, 1))[::-1]
    return np.asarray(np.linalg.inv(pivot + backward - diagonal), np.float64)


def predicted(
    smoothed: Smoothed, coupling: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return what the Kalman filter expects in each row from the rows before it.

    Returns
    -------
    mean : array [T, n]
        0 in the first row of a walk.
    covariance : array [T, n, n]
        0 in the first row of a walk.
    known : array [T] of bool
        False in the first row of a walk, and as long as nothing was observed.
    """
    n = coupling.shape[1]
    if n == 1:
        return _predicted_scalar(smoothed, coupling)
    following = np.zeros_like(coupling)
    following[:-1] = coupling[1:]
    # x_t = S_t^{-1} (h_t + W_{t+1} x_{t+1}), with h_t the information of the filter.
    h = np.einsum("tij,tj->ti", smoothed.pivot, smoothed.mean)
    h[:-1] -= np.einsum("tij,tj->ti", coupling[1:], smoothed.mean[1:])
    filtered = smoothed.pivot - following
    size = np.abs(smoothed.pivot).max(axis=(1, 2))
    some = np.linalg.det(filtered) > (1e-9 * size) ** n
    usable = np.where(some[:, None, None], filtered, np.eye(n))
    spread = np.linalg.inv(usable)
    mean, grown = np.zeros_like(h), np.zeros_like(coupling)
    known = np.zeros(len(h), bool)
    inside = np.flatnonzero(np.abs(coupling).max(axis=(1, 2)) > 0)
    mean[inside] = np.einsum("tij,tj->ti", spread[inside - 1], h[inside - 1])
    grown[inside] = spread[inside - 1] + np.linalg.inv(coupling[inside])
    known[inside] = some[inside - 1]
    return mean, grown, known


def _predicted_scalar(
    smoothed: Smoothed, coupling: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """As `predicted`, for one dimension."""
    w, pivot, x = coupling[:, 0, 0], smoothed.pivot[:, 0, 0], smoothed.mean[:, 0]
    following = np.append(w[1:], 0.0)
    h = pivot * x
    h[:-1] -= w[1:] * x[1:]
    filtered = pivot - following
    some = filtered > 1e-9 * pivot
    inverse = 1.0 / np.where(some, filtered, 1.0)
    inside = np.flatnonzero(w > 0)
    mean, grown, known = np.zeros_like(x), np.zeros_like(x), np.zeros(len(x), bool)
    mean[inside] = inverse[inside - 1] * h[inside - 1]
    grown[inside] = inverse[inside - 1] + 1.0 / w[inside]
    known[inside] = some[inside - 1]
    return mean[:, None], grown[:, None, None], known


def _solve_scalar(information: FloatArray, precision: FloatArray, coupling: FloatArray) -> Smoothed:
    w = coupling[:, 0, 0]
    diagonal = precision[:, 0, 0] + w
    diagonal[:-1] += w[1:]
    pivot, multiplier, info = lapack.dpttrf(diagonal, -w[1:])
    _check(info)
    mean, info = lapack.dpttrs(pivot, multiplier, information[:, 0])
    _check(info)
    return Smoothed(mean.reshape(-1, 1), np.log(pivot), pivot[:, None, None])


def _blocks(precision: FloatArray, coupling: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Diagonal blocks of A and those below them; the first of the latter stands for nothing."""
    diagonal = precision + coupling
    diagonal[:-1] += coupling[1:]
    return diagonal, -coupling


def _reversed_lower(lower: FloatArray) -> FloatArray:
    """Blocks below the diagonal of A with its rows of time in reverse."""
    out = np.zeros_like(lower)
    out[1:] = lower[:0:-1].transpose(0, 2, 1)
    return out


def _cholesky(diagonal: FloatArray, lower: FloatArray) -> FloatArray:
    """Cholesky factor of a block tridiagonal matrix in LAPACK's lower band form [2n, T n]."""
    rows, n = diagonal.shape[:2]
    band = np.zeros((2 * n, rows, n))
    for j in range(n):  # column j of a block: its part of the diagonal block, then the one below
        band[: n - j, :, j] = diagonal[:, j:, j].T
        band[n - j : 2 * n - j, :-1, j] = lower[1:, :, j].T
    factor, info = lapack.dpbtrf(np.asfortranarray(band.reshape(2 * n, rows * n)), lower=1)
    _check(info)
    return np.asarray(factor)


def _diagonal_blocks(factor: FloatArray, n: int) -> FloatArray:
    """Lower triangular diagonal blocks [T, n, n] of a factor in band form."""
    band = factor.reshape(2 * n, -1, n)
    out = np.zeros((band.shape[1], n, n))
    for j in range(n):
        out[:, j:, j] = band[: n - j, :, j].T
    return out


def _check(info: int) -> None:
    if info != 0:
        raise FloatingPointError(
            f"the observations do not determine the positions (LAPACK said {info}): every walk needs one"
        )
