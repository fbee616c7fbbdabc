"""Which animal of one frame is which of another, for many pairs of frames at once."""

from __future__ import annotations

import numpy as np

from napari_semimultipose.matching import squared_distances
from napari_semimultipose.poses import FloatArray, IntArray


def pairwise_distances(a: FloatArray, b: FloatArray) -> FloatArray:
    """Mean distance in px [B, N, M] over the common keypoints of animals [B, N, K, 2] and [B, M, K, 2].

    Infinite where no keypoint is common.
    """
    squared = squared_distances(a, b)
    known = np.isfinite(squared)
    total = np.sqrt(np.where(known, squared, 0.0)).sum(-1)
    common = known.sum(-1)
    return np.where(common > 0, total / np.maximum(common, 1), np.inf)


def paired(distance: FloatArray) -> IntArray:
    """Pair rows and columns so that the summed distance is smallest, in each of B matrices.

    Parameters
    ----------
    distance : array [B, N, M]
        Infinite where a pair cannot be.

    Returns
    -------
    array [B, N]
        The column of each row; -1 without a partner.
    """
    _, n, m = distance.shape
    if not m or not n:
        return np.full(distance.shape[:2], -1, np.int64)
    possible = np.isfinite(distance)
    nearest = np.where(possible.any(2), distance.argmin(2), -1)
    # Where every row has a nearest column of its own, no assignment is better.
    order = np.sort(nearest, axis=1)
    clash = ((np.diff(order, axis=1) == 0) & (order[:, 1:] >= 0)).any(1)
    if clash.any():
        from scipy.optimize import linear_sum_assignment

        far = 1e9  # beyond any distance in a picture, and small enough to be added exactly
        cost = np.where(possible, distance, far)
        for b in np.flatnonzero(clash):
            rows, columns = linear_sum_assignment(cost[b])
            nearest[b] = -1
            nearest[b, rows] = np.where(possible[b, rows, columns], columns, -1)
    return nearest.astype(np.int64)
