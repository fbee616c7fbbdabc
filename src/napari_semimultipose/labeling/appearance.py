"""What frames look like, in a thousand numbers, and a bounded choice of frames that stands for all."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_semimultipose.io.frames import Picture

Features = NDArray[np.float32]

GRID = 32
"""Cells along the longer side of a picture."""

BRIGHTNESS = 0.3
"""Weight of a change of brightness of the whole picture: flicker is no new sight, another lamp is."""

SAME = 0.1
"""Pictures that differ by less, in grey levels, are one sight from the start."""

READ_PX = 8 * GRID
"""Longer sides are read with steps, so that large pictures take no longer than small ones."""

BATCH = 64


def grid_of(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of cells for pictures of a size in px."""
    longer = max(height, width, 1)
    return (
        max(1, min(height, round(GRID * height / longer))),
        max(1, min(width, round(GRID * width / longer))),
    )


def frame_features(picture: Picture, grid: tuple[int, int]) -> Features:
    """Describe a picture by the mean grey levels of its cells.

    Parameters
    ----------
    picture : array [H, W, C] of uint8
    grid : (int, int)
        Rows and columns of cells.

    Returns
    -------
    array [rows * columns + 1]
        The Euclidean distance of two such vectors is the root mean square difference of their cells
        in grey levels, where a difference that all cells share counts only `BRIGHTNESS` times.
    """
    step = max(1, min(picture.shape[:2]) // READ_PX)
    coarse = picture[::step, ::step]
    cells = coarse[..., 0].astype(np.float32)
    for channel in range(
        1, coarse.shape[2]
    ):  # several times quicker than a mean over the last axis
        cells += coarse[..., channel]
    cells /= coarse.shape[2]
    for axis, n in enumerate(grid):
        length = cells.shape[axis]
        start = np.minimum(np.arange(n) * length // n, length - 1)
        size = np.maximum(np.diff(np.append(start, length)), 1).astype(np.float32)
        shape = (-1, 1) if axis == 0 else (1, -1)
        cells = np.asarray(np.add.reduceat(cells, start, axis=axis) / size.reshape(shape))
    mean = cells.mean()
    out = np.empty(cells.size + 1, np.float32)
    out[:-1] = (cells - mean).ravel() / np.sqrt(cells.size)
    out[-1] = BRIGHTNESS * mean
    return out


class FrameCover:
    """Frames of a stream, at most `size`, of which one is like each frame that has passed.

    The doubling algorithm for clustering a stream (Charikar, Chekuri, Feder & Motwani, "Incremental
    clustering and dynamic information retrieval", SIAM J. Comput. 33, 2004, section 3): a frame that
    lies farther than a radius from all that are kept is kept as well; when there is no room left, the
    radius grows and those that lie within it become one. A sight that lasted for a few frames only is
    thus not lost, as it would be in a random sample. Memory depends on `size` alone.

    Parameters
    ----------
    size : int
        Largest number of frames kept, 2 or more.
    """

    def __init__(self, size: int = 1000) -> None:
        self._size = max(2, size)
        self._radius = SAME
        self._n = 0
        self._frames = np.zeros(self._size, np.int64)
        self._counts = np.zeros(self._size, np.int64)
        self._features: Features = np.zeros((0, 0), np.float32)
        self._origin: Features = np.zeros(0, np.float32)
        self._waiting: list[tuple[int, Features]] = []

    def add(self, frame: int, features: Features) -> None:
        """Take the next frame and its features [D]."""
        if not self._features.size:
            self._features = np.zeros((self._size, len(features)), np.float32)
            # Distances are exact to more digits when the still background is left out.
            self._origin = features.copy()
        self._waiting.append((frame, features - self._origin))
        if len(self._waiting) >= BATCH:
            self._flush()

    def result(self) -> tuple[NDArray[np.int64], Features, NDArray[np.int64]]:
        """Return the kept frames [M], their features [M, D], and how many each stands for [M]."""
        self._flush()
        n = self._n
        return (
            self._frames[:n].copy(),
            self._features[:n] + self._origin if n else np.zeros((0, 1), np.float32),
            self._counts[:n].copy(),
        )

    def _flush(self) -> None:
        if not self._waiting:
            return
        frames = np.array([frame for frame, _ in self._waiting], np.int64)
        points = np.stack([features for _, features in self._waiting])
        self._waiting = []
        distance, nearest = self._nearest(points)
        within = np.sqrt(squared_distances(points, points))
        fresh: dict[int, int] = {}  # frames of this batch that are kept, and their places
        i = 0
        while i < len(points):
            if fresh and distance[i] > self._radius:
                alike = min(fresh, key=within[i].__getitem__)
                if within[i, alike] < distance[i]:
                    distance[i], nearest[i] = within[i, alike], fresh[alike]
            if distance[i] <= self._radius:
                self._counts[nearest[i]] += 1
            elif self._n < self._size:
                self._frames[self._n], self._features[self._n] = frames[i], points[i]
                self._counts[self._n] = 1
                fresh[i] = self._n
                self._n += 1
            else:
                self._merge()
                fresh = {}
                distance[i:], nearest[i:] = self._nearest(points[i:])
                continue  # look at this one again
            i += 1

    def _nearest(self, points: Features) -> tuple[NDArray, NDArray]:
        """Distance to the nearest kept frame and its place, for each point."""
        if not self._n:
            return np.full(len(points), np.inf), np.zeros(len(points), np.int64)
        squared = squared_distances(points, self._features[: self._n])
        nearest = squared.argmin(1)
        return np.sqrt(squared[np.arange(len(points)), nearest]), nearest

    def _merge(self) -> None:
        """Let the radius grow until a quarter of the places is free."""
        squared = self._mutual()
        self._radius = max(self._radius, float(np.sqrt(np.median(squared.min(1)))) / 1.5)
        while self._n > self._size * 3 // 4:
            self._radius *= 1.5
            self._n = self._merge_within(squared)
            squared = self._mutual()

    def _mutual(self) -> NDArray[np.float32]:
        """Squared distances [n, n] of the kept frames from each other."""
        kept = self._features[: self._n]
        squared = squared_distances(kept, kept)
        np.fill_diagonal(squared, np.inf)
        return squared

    def _merge_within(self, squared: NDArray) -> int:
        n = self._n
        alive = np.ones(n, bool)
        for i in range(n):
            if alive[i]:
                gone = alive & (squared[i] <= self._radius**2)
                gone[:i] = False
                self._counts[i] += self._counts[:n][gone].sum()
                alive &= ~gone
        kept = np.flatnonzero(alive)
        for array in (self._frames, self._counts, self._features):
            array[: len(kept)] = array[kept]
        return len(kept)


def squared_distances(a: ArrayLike, b: ArrayLike) -> NDArray[np.float32]:
    """Squared Euclidean distances [A, B] of points [A, D] and [B, D]."""
    p, q = np.asarray(a, np.float32), np.asarray(b, np.float32)
    squared = (p * p).sum(1)[:, None] - 2 * p @ q.T + (q * q).sum(1)
    return np.asarray(np.maximum(squared, 0))


def cluster(
    points: Features,
    weights: ArrayLike,
    k: int,
    rng: np.random.Generator,
    fixed: Features | None = None,
) -> tuple[Features, NDArray[np.int64]]:
    """k-means of weighted points, beside centres that do not move.

    Centres start as in the greedy variant of k-means++ (Arthur & Vassilvitskii 2007, section 2.2 and
    the conclusion); then Lloyd's iterations.

    Parameters
    ----------
    points : array [M, D]
    weights : array [M]
        How much each point counts.
    k : int
        Number of clusters; fewer come back when fewer points differ.
    rng : numpy Generator
    fixed : array [L, D], optional
        Centres that take points away from the others: sights that are known already.

    Returns
    -------
    centres : array [k, D]
    member : array [M]
        The cluster of each point; -1 for points of a fixed centre.
    """
    weight = np.asarray(weights, np.float64)
    still = np.zeros((0, points.shape[1]), np.float32) if fixed is None else fixed
    centres = _seeds(points, weight, k, rng, still)
    member = np.full(len(points), -1, np.int64)
    for _ in range(50):
        squared = squared_distances(points, np.concatenate([still, centres]))
        fresh = squared.argmin(1) - len(still)
        if (fresh == member).all():
            break
        member = fresh
        gap = weight * squared.min(1)
        for c in range(len(centres)):
            mine = member == c
            if mine.any():
                share = weight[mine] / weight[mine].sum()
                centres[c] = share @ points[mine]
            else:  # its points have gone to others: begin anew where points fit worst
                centres[c] = points[gap.argmax()]
                gap[gap.argmax()] = 0
    return centres, np.maximum(member, -1)


def _seeds(
    points: Features, weight: NDArray, k: int, rng: np.random.Generator, fixed: Features
) -> Features:
    """First centres: points far from each other and from the fixed ones."""
    chosen: list[int] = []
    gap = squared_distances(points, fixed).min(1) if len(fixed) else np.full(len(points), np.inf)
    trials = 2 + int(np.log(max(k, 1)))
    while len(chosen) < min(k, len(points)):
        chance = weight * (np.ones(len(points)) if np.isinf(gap).all() else gap)
        total = chance.sum()
        if total <= 0:
            break
        tried = rng.choice(len(points), size=trials, p=chance / total)
        gaps = np.minimum(gap, squared_distances(points[tried], points))
        best = int((gaps @ weight).argmin())
        chosen.append(int(tried[best]))
        gap = gaps[best]
        gap[chosen[-1]] = 0
    return points[chosen].copy()
