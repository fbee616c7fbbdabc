"""One way to doubt predicted poses: what was measured on each frame, and how unusual it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from napari_semimultipose.poses import FloatArray, IntArray, Poses

BLOCK_VALUES = 2_000_000
"""Numbers that are held at once while poses are compared."""

NORMAL = 2.5
"""Up to so many deviations from the median a frame is like the others."""

HALF = 5.0
"""So many deviations more are half of the way to certainty."""

OFTEN = 5.0
"""What is as bad on every tenth frame counts as no more deviations than this: rare faults come first."""


@dataclass(frozen=True)
class Measure:
    """One way to doubt the poses of F frames.

    Attributes
    ----------
    kind : str
        Short name.
    value : array [F]
        What was measured, in its own unit.
    excess : array [F]
        By how many deviations a frame is worse than the median frame; 0 or more.
    describe : callable
        Says of a row what was found there.
    """

    kind: str
    value: FloatArray
    excess: FloatArray
    describe: Callable[[int], str]

    @property
    def doubt(self) -> FloatArray:
        """Doubt [F] from 0 (like most frames) to almost 1."""
        beyond = np.maximum(self.excess - NORMAL, 0)
        return beyond / (beyond + HALF)


def excess(value: ArrayLike, floor: float, usual: ArrayLike | None = None) -> FloatArray:
    """By how many robust standard deviations values [F] are larger than the median; 0 or more.

    Parameters
    ----------
    value : array [F]
        NaN where nothing is known, which is no reason to doubt.
    floor : float
        Least standard deviation: differences that are small against it mean nothing.
    usual : array, optional
        Values whose median and deviation are meant; by default those of `value`.
    """
    values = np.asarray(value, np.float64)
    known = np.isfinite(values)
    reference = values[known] if usual is None else np.asarray(usual, np.float64)
    reference = reference[np.isfinite(reference)]
    if not len(reference):
        return np.zeros(len(values))
    median = np.median(reference)
    often = float(np.quantile(reference, 0.9) - median) / OFTEN
    deviation = max(floor, often, 1.4826 * float(np.median(np.abs(reference - median))))
    return np.where(known, np.maximum(np.nan_to_num(values) - median, 0) / deviation, 0.0)


def largest(value: FloatArray) -> tuple[FloatArray, IntArray]:
    """Largest of values [B, N, K] of each row, NaN where there is none, and its last index."""
    flat = np.where(np.isfinite(value), value, -np.inf).reshape(len(value), -1)
    if not flat.shape[1]:
        return np.full(len(value), np.nan), np.zeros(len(value), np.int64)
    place = flat.argmax(1)
    largest = flat[np.arange(len(flat)), place]
    return np.where(np.isfinite(largest), largest, np.nan), place % value.shape[-1]


def block_of(poses: Poses, others: int) -> int:
    """Rows that are compared at once."""
    n, k = poses.xy.shape[1:3]
    return max(16, BLOCK_VALUES // int(max(1, n * k * max(1, others))))


def animals(n: int) -> str:
    """Write a number of animals in words."""
    return "no animal" if n == 0 else f"{n} animal{'s' if n > 1 else ''}"
