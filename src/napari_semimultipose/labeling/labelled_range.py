"""What labels show: in which poses animals stand, and where in the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_semimultipose.labeling.shapes import ENOUGH_POSES
from napari_semimultipose.matching import pose_centers
from napari_semimultipose.poses import BoolArray, FloatArray, IntArray

_MOST = 2000  # examples that are looked at
_FOLDS = 5
_TAIL = 0.98  # quantile of the labels' own distances that counts as the usual largest one
_NOISE = 0.02  # of a body length: labels are not more exact than that
_ROUNDS = 3  # of the alignment
_BLOCK = 50_000  # poses that are measured at once: bounds the memory


@dataclass(frozen=True)
class LabelledPoses:
    """The distribution of labelled poses of K keypoints, wherever the animals are and look.

    Poses are turned and moved onto the mean shape (generalised Procrustes analysis without scaling, Gower
    1975); of the remaining deviations, which are taken as normally distributed, the Mahalanobis distance
    counts, over the keypoints that are there.

    Attributes
    ----------
    mean : array [K, 2]
        Mean shape in px.
    covariance : array [2 K, 2 K]
        Of the deviations, px^2.
    usual : float
        Distance, a root mean square over the coordinates, that 2 % of the labels exceed when they are
        compared with the other labels.
    """

    mean: FloatArray
    covariance: FloatArray
    usual: float

    @classmethod
    def of(cls, examples: FloatArray, size_px: float) -> LabelledPoses | None:
        """Learn from poses [M, K, 2], NaN where a keypoint is missing; None when they are too few.

        Parameters
        ----------
        examples : array [M, K, 2]
            In the order of time: neighbours are left out together where labels are compared with others.
        size_px : float
            Length of an animal.
        """
        known = np.isfinite(examples[..., 0])
        enough = known.sum(1) >= _least(examples.shape[1])
        examples = examples[enough]
        if len(examples) < ENOUGH_POSES or not np.isfinite(examples[..., 0]).any(0).all():
            return None
        if len(examples) > _MOST:
            examples = examples[np.linspace(0, len(examples) - 1, _MOST).astype(np.int64)]
        fold = np.arange(len(examples)) * _FOLDS // len(examples)
        away = np.full(len(examples), np.nan)
        for number in range(_FOLDS):
            rest = cls._fitted(examples[fold != number], size_px)
            away[fold == number] = rest.distances(examples[fold == number])[0]
        usual = float(np.nanquantile(away, _TAIL))
        whole = cls._fitted(examples, size_px)
        return cls(whole.mean, whole.covariance, max(usual, 1e-6))

    @classmethod
    def _fitted(cls, examples: FloatArray, size_px: float) -> LabelledPoses:
        start = int(np.isfinite(examples[..., 0]).sum(1).argmax())
        mean = _filled(examples[start], _mean(examples - pose_centers(examples)[:, None]))
        for _ in range(_ROUNDS):
            mean = _filled(_mean(_aligned(examples, mean)), mean)
        off = np.nan_to_num(_aligned(examples, mean) - mean).reshape(len(examples), -1)
        noise = (_NOISE * size_px) ** 2 * np.eye(off.shape[1])
        return cls(mean, off.T @ off / len(off) + noise, 1.0)

    def times(self, xy: FloatArray) -> tuple[FloatArray, IntArray]:
        """How many times as far from the labels as usual poses [M, K, 2] are, and by which keypoint most.

        Returns
        -------
        times : array [M]
            0 where less than half of the keypoints, or less than three, are known.
        keypoint : array [M]
        """
        distance, keypoint = self.distances(xy)
        return np.nan_to_num(distance / self.usual), keypoint

    def distances(self, xy: FloatArray) -> tuple[FloatArray, IntArray]:
        """Distances [M] from the mean shape in standard deviations, NaN of too few keypoints; see `times`."""
        out, worst = np.full(len(xy), np.nan), np.zeros(len(xy), np.int64)
        known = np.isfinite(xy[..., 0]) & np.isfinite(self.mean[:, 0])
        judged = np.flatnonzero(known.sum(1) >= _least(xy.shape[1]))
        # Poses with the same keypoints are measured together: they share an inverse.
        code = np.packbits(known[judged], axis=1)
        _, group = np.unique(code, axis=0, return_inverse=True)
        order = np.argsort(group.reshape(-1), kind="stable")
        edges = np.flatnonzero(np.diff(group.reshape(-1)[order])) + 1
        for same in np.split(order, edges) if len(order) else []:
            rows = judged[same]
            for start in range(0, len(rows), _BLOCK):
                part = rows[start : start + _BLOCK]
                out[part], worst[part] = self._measured(xy[part], known[part[0]])
        return out, worst

    def _measured(self, xy: FloatArray, known: BoolArray) -> tuple[FloatArray, IntArray]:
        which = np.flatnonzero(known)
        place = np.column_stack([2 * which, 2 * which + 1]).reshape(-1)
        off = (_aligned(xy, self.mean) - self.mean)[:, which].reshape(len(xy), -1)
        weighed = off @ np.linalg.inv(self.covariance[np.ix_(place, place)])
        share = (off * weighed).reshape(len(xy), len(which), 2).sum(-1)
        square = np.maximum(share.sum(1), 0) / off.shape[1]
        return np.sqrt(square), which[share.argmax(1)]


@dataclass(frozen=True)
class LabelledPlaces:
    """The part of the picture in which labelled animals are: their convex hull.

    Attributes
    ----------
    normal : array [E, 2]
        Outward normals of its E sides.
    offset : array [E]
        ``normal @ (x, y) + offset`` is the distance in px beyond a side.
    """

    normal: FloatArray
    offset: FloatArray

    @classmethod
    def of(cls, centers: FloatArray) -> LabelledPlaces | None:
        """Learn from the centres [M, 2] of animals; None when they are too few, or lie on a line."""
        from scipy.spatial import ConvexHull, QhullError

        centers = centers[np.isfinite(centers).all(1)]
        if len(centers) < ENOUGH_POSES:
            return None
        try:
            hull = ConvexHull(centers)
        except QhullError:
            return None
        return cls(hull.equations[:, :2], hull.equations[:, 2])

    def beyond_px(self, centers: FloatArray) -> FloatArray:
        """How far beyond the side that they are farthest from centres [M, 2] are, px; 0 inside."""
        out = np.zeros(len(centers))
        for normal, offset in zip(self.normal, self.offset, strict=True):
            np.fmax(out, centers @ normal + offset, out=out)
        return out


def _least(n_keypoints: int) -> int:
    """Keypoints that a pose must have to be judged: half of them, and three (two always fit)."""
    return max(3, (n_keypoints + 1) // 2)


def _mean(poses: FloatArray) -> FloatArray:
    """Mean [K, 2] of poses [M, K, 2]; NaN where none has a keypoint."""
    known = np.isfinite(poses[..., :1]).sum(0)
    return np.where(known > 0, np.nansum(poses, 0) / np.maximum(known, 1), np.nan)


def _filled(shape: FloatArray, other: FloatArray) -> FloatArray:
    """Return a shape [K, 2] about its centre, with the keypoints that it lacks from another one."""
    known = np.isfinite(shape[:, 0])
    move = shape[known].mean(0) - other[known].mean(0)
    whole = np.where(known[:, None], shape, other + move)
    return np.asarray(whole - np.nanmean(whole, 0))


def _aligned(xy: FloatArray, mean: FloatArray) -> FloatArray:
    """Turn and move poses [M, K, 2] onto a shape [K, 2], by the keypoints that they have."""
    known = np.isfinite(xy[..., 0]) & np.isfinite(mean[:, 0])
    count = np.maximum(known.sum(1), 1)[:, None]
    pose = np.where(known, xy[..., 0] + 1j * xy[..., 1], 0)
    shape = np.where(known, mean[:, 0] + 1j * mean[:, 1], 0)
    pose_middle, shape_middle = pose.sum(1)[:, None] / count, shape.sum(1)[:, None] / count
    a = np.where(known, pose - pose_middle, 0)
    b = np.where(known, shape - shape_middle, 0)
    turn = (a.conj() * b).sum(1)[:, None]
    length = np.abs(turn)
    turn = np.where(length > 0, turn / np.maximum(length, 1e-12), 1)
    out = np.where(known, a * turn + shape_middle, np.nan)
    return np.stack([out.real, np.where(known, out.imag, np.nan)], -1)
