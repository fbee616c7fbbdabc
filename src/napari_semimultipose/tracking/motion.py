"""The animals that are being followed: where they are expected, and how well a detection fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from napari_semimultipose.poses import FloatArray, IntArray

# A lost animal is expected to slow down: its speed falls by this factor each step.
_DAMPING = 0.9
# Weight of the newest displacement in the speed.
_SPEED_GAIN = 0.5
# The tolerance in px grows by this share of itself with each step that an animal is not seen.
_GROWTH = 0.15
# An animal may be as far from where it was expected as this many times the usual surprise: the
# quantile of the distances so far, found by small steps (Robbins & Monro 1951) of this relative size.
_REACH = 3.0
_SURPRISE_QUANTILE = 0.9
_SURPRISE_STEP = 0.05
# A speed is trusted after this many sights.
_SETTLED = 4

Index = IntArray | slice


def coasting(steps: FloatArray) -> FloatArray:
    """Distance, in units of the speed, that an animal covers in `steps` while it slows down."""
    return np.asarray((1.0 - _DAMPING**steps) / (1.0 - _DAMPING))


def widening(steps: FloatArray) -> FloatArray:
    """Factor on the tolerance in px when the last sight is `steps` old."""
    return np.asarray(1.0 + _GROWTH * np.maximum(steps - 1.0, 0.0))


@dataclass(slots=True)
class Shapes:
    """Poses of M animals as planes: absent keypoints have any position, and 0 in `seen`."""

    x: FloatArray  # [M, K], px
    y: FloatArray  # [M, K], px
    seen: FloatArray  # [M, K], 1 or 0

    @classmethod
    def of(cls, xy: FloatArray) -> Shapes:
        """From poses [M, K, 2] with NaN where a keypoint is absent."""
        seen = np.isfinite(xy).all(-1)
        return cls(
            np.where(seen, xy[..., 0], 0.0), np.where(seen, xy[..., 1], 0.0), seen.astype(float)
        )

    def __len__(self) -> int:
        return len(self.x)

    def take(self, index: Index) -> Shapes:
        """Return some of them."""
        return Shapes(self.x[index], self.y[index], self.seen[index])

    def moved(self, dx: FloatArray, dy: FloatArray) -> Shapes:
        """Return them moved by dx, dy [M]."""
        return Shapes(self.x + dx[:, None], self.y + dy[:, None], self.seen)

    @staticmethod
    def concatenate(parts: Sequence[Shapes]) -> Shapes:
        """Join several."""
        return Shapes(
            np.concatenate([p.x for p in parts]),
            np.concatenate([p.y for p in parts]),
            np.concatenate([p.seen for p in parts]),
        )


def similarity(a: Shapes, b: Shapes, tolerance_px2: FloatArray | float) -> FloatArray:
    """Pose similarity [A, B]: the mean of exp(-d^2 / tolerance) over the common keypoints.

    This is the symmetric OKS (`matching.common_oks`) for a known denominator (scalar or [A, 1, 1]),
    written for a few poses at a time; 0 where no keypoint is common.
    """
    dx = a.x[:, None] - b.x
    dy = a.y[:, None] - b.y
    dx *= dx
    dy *= dy
    dx += dy
    dx /= -tolerance_px2
    np.exp(dx, out=dx)
    dx *= b.seen
    dx *= a.seen[:, None]
    common = a.seen @ b.seen.T
    return np.asarray(dx.sum(-1) / np.maximum(common, 1.0))


def paired_similarity(a: Shapes, b: Shapes, tolerance_px2: FloatArray) -> FloatArray:
    """Similarity [P] of P pairs, as in `similarity`; the tolerances are [P]."""
    both = a.seen * b.seen
    square = np.square(a.x - b.x) + np.square(a.y - b.y)
    likeness = np.exp(-square / tolerance_px2[:, None]) * both
    return np.asarray(likeness.sum(1) / np.maximum(both.sum(1), 1.0))


def displacement(a: Shapes, b: Shapes) -> tuple[FloatArray, FloatArray]:
    """Mean x and y [P] in px from a to b over the common keypoints of P pairs."""
    both = a.seen * b.seen
    count = np.maximum(both.sum(1), 1.0)
    return ((b.x - a.x) * both).sum(1) / count, ((b.y - a.y) * both).sum(1) / count


@dataclass(slots=True)
class Animals:
    """M animals that are, or were, followed: their last and first sight, and their speeds.

    A keypoint that was seen before and is absent now is carried along in `now`.
    """

    track: IntArray  # [M], provisional
    host: IntArray  # the track in whose hole this one lies, or -1
    video: IntArray
    begin: IntArray  # frame of the first sight
    end: IntArray  # frame of the last sight
    sights: IntArray
    weight: FloatArray  # sum of the scores
    now: Shapes
    vx: FloatArray  # px a step
    vy: FloatArray
    first: Shapes
    first_vx: FloatArray
    first_vy: FloatArray

    @classmethod
    def born(
        cls, track: IntArray, video: int, frame: int, shapes: Shapes, score: FloatArray
    ) -> Animals:
        """Make animals at rest that are seen for the first time."""
        m = len(track)
        copy = Shapes(shapes.x.copy(), shapes.y.copy(), shapes.seen.copy())
        return cls(
            track,
            np.full(m, -1),
            np.full(m, video),
            np.full(m, frame),
            np.full(m, frame),
            np.ones(m, np.int64),
            score.astype(float),
            shapes,
            np.zeros(m),
            np.zeros(m),
            copy,
            np.zeros(m),
            np.zeros(m),
        )

    def __len__(self) -> int:
        return len(self.track)

    def take(self, index: Index) -> Animals:
        """Return some of them."""
        values: list[Any] = [getattr(self, f.name) for f in fields(self)]
        some: list[Any] = [v.take(index) if isinstance(v, Shapes) else v[index] for v in values]
        return Animals(*some)

    @staticmethod
    def concatenate(parts: Sequence[Animals]) -> Animals:
        """Join several."""
        columns: list[list[Any]] = [[getattr(p, f.name) for p in parts] for f in fields(Animals)]
        joined: list[Any] = [
            Shapes.concatenate(c) if isinstance(c[0], Shapes) else np.concatenate(c)
            for c in columns
        ]
        return Animals(*joined)

    def expected(self, steps: FloatArray) -> Shapes:
        """Where they are `steps` [M] after their last sight."""
        distance = coasting(steps)
        return self.now.moved(self.vx * distance, self.vy * distance)

    def expected_before(self, steps: FloatArray) -> Shapes:
        """Where they were `steps` [M] before their first sight."""
        distance = -coasting(steps)
        return self.first.moved(self.first_vx * distance, self.first_vy * distance)

    def sight(
        self, index: IntArray, frame: int, found: Shapes, score: FloatArray, steps: FloatArray
    ) -> FloatArray:
        """Put the animals `index` [n] where they were found, `steps` [n] after their last sight.

        Returns
        -------
        array [n]
            Distances in px from where they were expected.
        """
        now = self.now
        old = now.take(index)
        mx, my = displacement(old, found)
        vx, vy = self.vx[index], self.vy[index]
        distance = coasting(steps)
        surprise = np.hypot(mx - vx * distance, my - vy * distance)
        self.vx[index] = vx + _SPEED_GAIN * (mx / steps - vx)
        self.vy[index] = vy + _SPEED_GAIN * (my / steps - vy)
        here = found.seen > 0
        now.x[index] = np.where(here, found.x, old.x + mx[:, None])
        now.y[index] = np.where(here, found.y, old.y + my[:, None])
        now.seen[index] = np.maximum(old.seen, found.seen)
        self.end[index] = frame
        self.weight[index] += score
        sights = self.sights[index] + 1
        self.sights[index] = sights
        early = sights <= _SETTLED
        if early.any():
            young = index[early]
            self.first_vx[young], self.first_vy[young] = self.vx[young], self.vy[young]
        return np.asarray(surprise)


@dataclass(slots=True)
class LengthScale:
    """Size of an animal, learnt from the frames so far; the tolerance of the similarity is a share.

    Animals of one keypoint have no extent: their size is half of the mean distance to the nearest
    neighbour. Either is widened for animals that move far between two frames, by how far they
    usually are from where they were expected.
    """

    extent_px2: float = 0.0
    n_extent: int = 0
    neighbor_px: float = 0.0
    n_neighbor: int = 0
    surprise_px: float = 0.0

    def see(self, extent_px2: float, count: int, neighbor_px: float) -> None:
        """Take a frame: summed extents of `count` animals, and mean nearest distance (or NaN)."""
        if count:
            self.n_extent += count
            self.extent_px2 += (extent_px2 - count * self.extent_px2) / self.n_extent
        if neighbor_px == neighbor_px:
            self.n_neighbor += 1
            self.neighbor_px += (neighbor_px - self.neighbor_px) / self.n_neighbor

    def surprised(self, distance_px: FloatArray) -> None:
        """Take the distances [n] of animals from where they were expected."""
        if not self.surprise_px:
            self.surprise_px = float(distance_px.max())
        above = int((distance_px > self.surprise_px).sum())
        excess = above - (1.0 - _SURPRISE_QUANTILE) * len(distance_px)
        self.surprise_px *= float(np.exp(_SURPRISE_STEP * excess))

    @property
    def px2(self) -> float:
        """Square of the size in px^2; infinite as long as nothing is known."""
        size = self.extent_px2
        if size <= 0:
            size = (self.neighbor_px / 2) ** 2 if self.n_neighbor else np.inf
        return max(size, (_REACH * self.surprise_px) ** 2)
