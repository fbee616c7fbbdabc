"""Which animal of one frame is which of another, for many pairs of frames at once."""

from __future__ import annotations

import numpy as np

from napari_semimultipose.matching import squared_distances
from napari_semimultipose.poses import FloatArray, IntArray, Poses


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


def positions_on(poses: Poses, rows: IntArray, other: IntArray, step: int) -> FloatArray:
    """Positions [B, N, K, 2] of the same animals on other rows; NaN where there are none.

    Animals are the same when they have the same track or, where no animal has one, when they are nearest.

    Parameters
    ----------
    poses : Poses
        Of one recording, sorted.
    rows, other : arrays [B] of int
        Rows, and for each another one.
    step : int
        Number of frames from a row to its other one; where they are otherwise apart, there is no animal.
    """
    here, there = poses.xy[rows], poses.xy[other]
    a, b = poses.track[rows], poses.track[other]
    if (a >= 0).any():
        same = (a[:, :, None] == b[:, None, :]) & (a >= 0)[:, :, None]
        place = np.where(same.any(2), same.argmax(2), -1)
    else:
        place = paired(pairwise_distances(here, there))
    found = np.take_along_axis(there, np.maximum(place, 0)[..., None, None], axis=1)
    known = (place >= 0) & (poses.frame[other] - poses.frame[rows] == step)[:, None]
    return np.where(known[..., None, None], found, np.nan)
