"""Choose places on a line of frames that keep their distance."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.poses import FloatArray, IntArray

REPEATED = 0.7
"""Factor on the weight of a row for each chosen one that it repeats."""

LITTLE = 0.01
"""Rows of less weight are as good as any other."""


@dataclass
class _Gap:
    """Free places start..stop - 1, and how many of them get a point."""

    start: int
    stop: int
    open_start: bool  # nothing lies before: the first point keeps half of the spacing
    open_stop: bool
    added: int = 0

    @property
    def closed(self) -> float:
        return 1.0 - (self.open_start + self.open_stop) / 2

    @property
    def spacing(self) -> float:
        """Distance of neighbouring points."""
        return (self.stop - self.start + self.closed) / max(self.added + self.closed, 0.25)

    def places(self) -> list[int]:
        first = self.start - (0.5 if self.open_start else 1.0)
        ahead = 0.5 if self.open_start else 1.0
        exact = first + (np.arange(self.added) + ahead) * self.spacing
        out = np.clip(np.ceil(exact - 0.5).astype(np.int64), self.start, self.stop - 1)
        for i in range(1, len(out)):
            out[i] = max(out[i], out[i - 1] + 1)
        for i in range(len(out)):
            out[i] = min(out[i], self.stop - len(out) + i)
        return [int(place) for place in out]


def fill_gaps(n: int, known: Sequence[int], count: int) -> list[int]:
    """Add places to a line so that, with those that are taken, all lie as evenly as they can.

    Parameters
    ----------
    n : int
        Places on the line.
    known : sorted sequence of int
        Places that are taken.
    count : int
        Places to add; fewer are added when fewer are free.

    Returns
    -------
    list of int
        Rising.
    """
    ends = [-1, *known, n]
    last = len(ends) - 2
    gaps = [
        _Gap(a + 1, b, i == 0, i == last) for i, (a, b) in enumerate(pairwise(ends)) if b - a > 1
    ]
    heap = [(-gap.spacing, i) for i, gap in enumerate(gaps)]
    heapq.heapify(heap)
    for _ in range(min(count, n - len(known))):
        _, i = heapq.heappop(heap)
        gap = gaps[i]
        gap.added += 1
        if gap.added < gap.stop - gap.start:
            heapq.heappush(heap, (-gap.spacing, i))
    return [place for gap in gaps for place in gap.places()]


def time_bins(frame: IntArray, count: int) -> IntArray:
    """Part [F] of the span of frames, of `count` equal ones, in which each frame lies."""
    span = int(frame.max() - frame.min()) + 1
    return np.asarray((frame - frame.min()) * count // span)


def spread(
    weight: FloatArray,
    frame: IntArray,
    count: int,
    known: IntArray,
    parts: IntArray,
    features: NDArray[np.float32] | None = None,
) -> IntArray:
    """Rows of much weight that differ in time and in looks.

    Greedy: the largest weight comes next, where each row before it in the same part of the recording
    costs the factor `REPEATED`, and each that looks the same once more. Frames close to a chosen or known one wait; where no weight is left among the others, the
    distance shrinks to a quarter, and only then come the rows of little weight.

    Parameters
    ----------
    weight : array [F]
        Rows with a negative weight are never chosen.
    frame : array [F]
        Frame numbers.
    count : int
        Number of rows; fewer come back when there are fewer.
    known : array of int
        Frames that are taken already.
    parts : array [F]
        In which part of the recording each row lies.
    features : array [F, D], optional
        What the frames look like.

    Returns
    -------
    array
        Rows in the order in which they were chosen.
    """
    wanted = min(count, int((weight >= 0).sum()))
    if not wanted:
        return np.zeros(0, np.int64)
    gap = max(1, (int(frame.max() - frame.min()) + 1) // (4 * count))
    least = max(1, gap // 4)
    alike = None if features is None else _Likeness(features)
    left = np.array(weight, np.float64)
    chosen: list[int] = []
    near = _near(frame, known, gap)
    while len(chosen) < wanted:
        value = np.where(near, -1.0, left)
        row = int(value.argmax())
        if value[row] < 0 or (value[row] < LITTLE and gap > least):
            gap //= 2
            near = _near(frame, np.concatenate([known, frame[chosen]]), gap)
            continue
        chosen.append(row)
        left[parts == parts[row]] *= REPEATED
        if alike is not None:
            left *= 1 - (1 - REPEATED) * alike.to(row)
        left[row] = -1.0
        near |= np.abs(frame - frame[row]) <= gap
    return np.array(chosen, np.int64)


class _Likeness:
    """How alike rows look: 1 for equal features, 0 for those as different as two usually are."""

    def __init__(self, features: NDArray[np.float32]) -> None:
        self._features = features - features.mean(0)
        # The mean squared distance of two rows is twice their variance.
        self._usual = max(1e-6, float(np.sqrt(2 * (self._features**2).sum(1).mean())))

    def to(self, row: int) -> FloatArray:
        distance = np.linalg.norm(self._features - self._features[row], axis=1)
        return np.asarray(np.maximum(0.0, 1 - distance.astype(np.float64) / self._usual))


def _near(frame: IntArray, known: IntArray, gap: int) -> NDArray[np.bool_]:
    """Which frames lie within `gap` of a known one; none when `gap` is 0."""
    if not len(known) or not gap:
        return np.zeros(len(frame), np.bool_)
    ordered = np.sort(known)
    place = np.searchsorted(ordered, frame)
    below = np.abs(frame - ordered[np.maximum(place - 1, 0)])
    above = np.abs(ordered[np.minimum(place, len(ordered) - 1)] - frame)
    return np.asarray(np.minimum(below, above) <= gap)
