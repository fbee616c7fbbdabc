"""Affine subspaces of vectors with missing entries: fitted by expectation maximisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]

FOLDS = 5
"""Parts of the labels, each of which tells the tolerance of a subspace fitted to the others."""
PERCENTILE = 99.0
_EM_STEPS = 20
_FLOOR = 1e-3  # of the covariance
_RIDGE = 1e-4  # of the latent: small, for it draws towards the mean


@dataclass(frozen=True)
class Subspace:
    """An affine subspace: points ``mean + basis @ a``.

    Attributes
    ----------
    mean : array [D]
    basis : array [D, r]
        Orthonormal columns.
    """

    mean: Array
    basis: Array

    def numbers(self) -> dict[str, Any]:
        """Return both as lists of plain numbers."""
        return {"mean": self.mean.tolist(), "basis": self.basis.tolist()}

    @classmethod
    def of_numbers(cls, numbers: Mapping[str, Any]) -> Subspace:
        """Make one from its `numbers`."""
        mean = np.array(numbers["mean"], np.float64)
        return cls(mean, np.array(numbers["basis"], np.float64).reshape(len(mean), -1))


def fit_gaussian(rows: Array) -> tuple[Array, Array]:
    """Mean [D] and covariance [D, D] of rows [N, D] with missing entries (NaN), by EM.

    A thousandth of the mean variance is added to the diagonal, which keeps the covariance definite.
    """
    known = np.isfinite(rows)
    n, d = rows.shape
    counts = known.sum(0)
    mean = np.where(known, rows, 0).sum(0) / np.maximum(counts, 1)
    variance = np.where(known, (rows - mean) ** 2, 0).sum(0) / np.maximum(counts, 1)
    floor = _FLOOR * max(float(variance.mean()), 1e-12)
    covariance = np.diag(variance + floor)
    patterns, which = np.unique(known, axis=0, return_inverse=True)
    which = which.reshape(-1)
    for _ in range(_EM_STEPS if not known.all() else 1):
        filled = np.where(known, rows, 0.0)
        spread = np.zeros((d, d))
        for p, seen in enumerate(patterns):
            here = np.flatnonzero(which == p)
            gap = ~seen
            if not gap.any():
                continue
            if not seen.any():
                filled[here] = mean
                spread += len(here) * covariance
                continue
            gain = np.linalg.solve(covariance[np.ix_(seen, seen)], covariance[np.ix_(seen, gap)]).T
            filled[np.ix_(here, gap)] = mean[gap] + (rows[np.ix_(here, seen)] - mean[seen]) @ gain.T
            rest = covariance[np.ix_(gap, gap)] - gain @ covariance[np.ix_(seen, gap)]
            spread[np.ix_(gap, gap)] += len(here) * rest
        mean = filled.mean(0)
        centered = filled - mean
        covariance = (centered.T @ centered + spread) / n + floor * np.eye(d)
    return mean, covariance


def fit_subspace(rows: Array, keep: float | int, most: int | None = None) -> Subspace:
    """Fit a subspace to rows [N, D] with missing entries (NaN).

    Parameters
    ----------
    keep : float or int
        Share of the variance that the subspace has at least, or its dimension.
    most : int, optional
        Largest dimension.
    """
    mean, covariance = fit_gaussian(rows)
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = np.clip(values[::-1], 0, None), vectors[:, ::-1]
    if isinstance(keep, int):
        rank = keep
    else:
        share = np.cumsum(values) / max(values.sum(), 1e-12)
        rank = int(np.searchsorted(share, keep - 1e-9)) + 1
    rank = max(1, min(rank, most if most is not None else len(mean), len(mean)))
    return Subspace(mean, np.ascontiguousarray(vectors[:, :rank]))


def nearest(x: Tensor, weight: Tensor, mean: Tensor, basis: Tensor) -> Tensor:
    """Points of a subspace [M, D] closest to `x` [M, D], with a weight [M, D] for each coordinate."""
    weighted = weight[..., None] * basis
    system = basis.T @ weighted
    scale = weight.mean(1).clamp(min=1e-6)[:, None, None]
    eye = torch.eye(basis.shape[1], dtype=x.dtype, device=x.device)
    right = (weighted * (x - mean)[..., None]).sum(1)
    latent: Tensor = torch.linalg.solve(system + _RIDGE * scale * eye, right)
    close: Tensor = mean + latent @ basis.T
    return close


def tolerances(distances: Array) -> Array:
    """99th percentile of each column [K]; infinite where a column is empty, so that it is never in excess."""
    out = np.full(distances.shape[1], np.inf)
    for k, column in enumerate(distances.T):
        some = column[np.isfinite(column)]
        if len(some):
            out[k] = np.percentile(some, PERCENTILE)
    return np.asarray(np.maximum(out, 1e-6))
