"""What shape animals usually have: the distances between their keypoints, whichever way they look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from napari_semimultipose.poses import FloatArray, IntArray, Poses, Skeleton

ENOUGH_POSES = 20
"""From so many examples on they say what the usual shape is."""

_TAIL = 0.02  # share of the lengths of a part that may lie outside of what is usual, on either side
_KNOWN = 5  # lengths that make a deviation
_MOST = 2000  # examples that are looked at
_LEAST_DEVIATION = 0.1  # of a logarithm: differences below 10 % mean nothing


@dataclass(frozen=True)
class UsualShape:
    """The usual distances between K keypoints.

    Attributes
    ----------
    size_px : float
        Length of an animal.
    log : array [K, K]
        Median of the logarithmic distances, in lengths of an animal; NaN where too few are known.
    deviation : array [K, K]
        Their robust standard deviation.
    count : array [K, K]
        Examples that have both keypoints.
    low, high : arrays [K, K]
        Distances in px that 2 % of the examples fall below, or exceed.
    """

    size_px: float
    log: FloatArray
    deviation: FloatArray
    count: IntArray
    low: FloatArray
    high: FloatArray

    @classmethod
    def of(cls, examples: FloatArray, size_px: float) -> UsualShape:
        """Learn from poses [M, K, 2]; no more than 2000 of them are looked at, evenly spread."""
        m, k = examples.shape[:2]
        if m > _MOST:
            examples = examples[np.linspace(0, m - 1, _MOST).astype(np.int64)]
        away = _distances(examples)
        logs = _logarithms(away, size_px)
        count = np.isfinite(logs).sum(0)
        usual = nanmedian(np.moveaxis(logs, 0, -1))
        spread = 1.4826 * nanmedian(np.moveaxis(np.abs(logs - usual), 0, -1))
        usual[count < _KNOWN] = np.nan
        low, high = (
            _quantiles(away.reshape(len(away), -1), q).reshape(k, k) for q in (_TAIL, 1 - _TAIL)
        )
        return cls(size_px, usual, spread + _LEAST_DEVIATION, count, low, high)

    def deviations(self, xy: ArrayLike) -> FloatArray:
        """How far each keypoint of poses [..., K, 2] is off, in robust standard deviations [..., K].

        For each keypoint the median of its distances to the others counts, on a logarithmic scale:
        where the animal is, which way it looks and which keypoints are missing make no difference.
        NaN where nothing is known.
        """
        logs = _logarithms(_distances(np.asarray(xy, np.float64)), self.size_px)
        return nanmedian(np.abs(logs - self.log) / self.deviation)

    def usual_px(self, part: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Usual least and greatest length in px of the part between two keypoints, or of E parts [2, E]."""
        a, b = np.asarray(part, np.int64)
        return self.low[a, b], np.maximum(self.high[a, b], 0.05 * self.size_px)

    def excess(self, xy: ArrayLike, parts: IntArray) -> tuple[FloatArray, FloatArray]:
        """How many times longer or shorter than usual the parts of poses are.

        Parameters
        ----------
        xy : array [M, K, 2]
        parts : array [E, 2] of int
            Pairs of keypoints.

        Returns
        -------
        times : array [M, E]
            1 at the border of what is usual; 0 where nothing is known.
        lengths : array [M, E]
            Lengths in px.
        """
        points = np.asarray(xy, np.float64)
        a, b = parts[:, 0], parts[:, 1]
        lengths = np.asarray(np.linalg.norm(points[:, a] - points[:, b], axis=-1))
        low, high = self.usual_px(parts.T)
        with np.errstate(invalid="ignore", divide="ignore"):
            long = lengths / high
            # Parts that are short anyway vanish when an animal turns: only long ones can be too short.
            short = np.where(low > 0.15 * self.size_px, low / lengths, 0.0)
            times = np.nan_to_num(np.maximum(long, short), nan=0.0, posinf=100.0)
        times[:, self.count[a, b] < ENOUGH_POSES] = 0.0
        return times, lengths


def examples_of(poses: Poses, labels: Poses | None = None) -> FloatArray:
    """Return poses [M, K, 2] that show the usual shape: labels if there are enough, or else all."""
    if labels is not None and labels.n_instances >= ENOUGH_POSES:
        poses = labels
    return np.asarray(poses.xy[poses.present])


def parts_of(skeleton: Skeleton) -> IntArray:
    """Pairs of keypoints [E, 2] whose distance is looked at: the edges, or else all pairs."""
    if skeleton.edges:
        return np.array(skeleton.edges, np.int64).reshape(-1, 2)
    return np.column_stack(np.triu_indices(len(skeleton), 1)).astype(np.int64)


def part_name(skeleton: Skeleton, part: Sequence[int]) -> str:
    """Name a part by its two ends."""
    return " - ".join(skeleton.keypoints[int(k)] for k in part)


def body_px(poses: Poses) -> float:
    """Length of an animal in px; 1 where animals are points."""
    size = poses.animal_size_px
    return size if np.isfinite(size) else 1.0


def nanmedian(value: FloatArray) -> FloatArray:
    """Median over the last axis without NaN and without numpy's slow path; NaN where all are NaN."""
    order = np.sort(value, axis=-1)  # NaN comes last
    known = np.isfinite(value).sum(-1)
    low = np.maximum(known - 1, 0) // 2
    high = known // 2
    middle = [
        np.take_along_axis(order, np.minimum(i, value.shape[-1] - 1)[..., None], -1)[..., 0]
        for i in (low, high)
    ]
    return np.where(known > 0, (middle[0] + middle[1]) / 2, np.nan)


def _distances(xy: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.norm(xy[..., :, None, :] - xy[..., None, :, :], axis=-1))


def _logarithms(away: FloatArray, size_px: float) -> FloatArray:
    """Logarithms [..., K, K] of distances; NaN on the diagonal."""
    logs = np.log(away / size_px + 0.05)
    k = away.shape[-1]
    logs[..., np.arange(k), np.arange(k)] = np.nan
    return np.asarray(logs)


def _quantiles(values: FloatArray, quantile: float) -> FloatArray:
    """Quantile of each column; NaN where nothing is known."""
    out = np.full(values.shape[1], np.nan)
    for k in range(values.shape[1]):
        known = values[np.isfinite(values[:, k]), k]
        if len(known):
            out[k] = np.quantile(known, quantile)
    return out
