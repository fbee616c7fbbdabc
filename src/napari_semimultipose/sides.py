"""Which side is left: how keypoints of mirrored pairs lie beside the body, against the majority."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from napari_semimultipose.poses import FloatArray, Skeleton

ENOUGH_POSES = 10
"""From so many animals on there is a majority."""

_WIDTH = 0.15  # of the kernel that smooths the density of the sines
_GRID = np.linspace(-1, 1, 81)
_PRIOR = 1.0  # examples on either side that nobody has seen: few animals make no certainty


_STEPS = 21
"""Sines for which `PairPrior` holds a value."""
_COARSE = np.linspace(-1, 1, _STEPS)
_NEAREST = 0.02
"""Share of the labelled animals whose pair may lie nearer together than `PairPrior.apart`, or beyond `reach`."""
_MOST_APART = 0.15


@dataclass(frozen=True)
class PairPrior:
    """What labelled animals tell about a mirrored pair.

    Attributes
    ----------
    pair : (int, int)
        Its left and its right keypoint.
    axis : pair of tuples of int
        Keypoints whose means are the two ends of a body axis; empty where no axis tells the sides.
    log_odds : tuple of 21 floats
        Logarithm of how many more animals have a sine (-1 to 1, see `swapped`) than have the opposite one.
    apart, reach : float
        Shares of the animal's size: hardly any labelled pair is nearer together, or farther apart, than this.
    """

    pair: tuple[int, int]
    axis: tuple[tuple[int, ...], ...]
    log_odds: tuple[float, ...]
    apart: float
    reach: float

    def sines(self, xy: FloatArray, left: FloatArray, right: FloatArray) -> FloatArray:
        """Sines [M] of the angles between the axes of poses [M, K, 2] and lines from `left` to `right`."""
        if not self.axis:
            return np.zeros(len(xy))
        p, q = (xy[:, list(end)].mean(1) for end in self.axis)
        sine = _sine(q - p, right - left)
        return np.where(np.isfinite(sine), sine, 0.0)

    def odds(self, sine: FloatArray) -> FloatArray:
        """Log-odds that a pair with this sine is the right way round."""
        if not self.axis:
            return np.zeros(len(sine))
        return np.interp(sine, _COARSE, self.log_odds)


def fit_pairs(xy: FloatArray, skeleton: Skeleton, size_px: float) -> tuple[PairPrior, ...]:
    """Learn from labelled animals how mirrored pairs lie beside the body, and how near together.

    Parameters
    ----------
    xy : array [M, K, 2]
        Poses in px.
    skeleton : Skeleton
    size_px : float
        Size of an animal, of which `PairPrior.apart` is a share.

    Returns
    -------
    tuple of PairPrior
        One for each pair that at least `ENOUGH_POSES` animals have.
    """
    ends = _ends(skeleton)
    points = [xy[:, list(end)].mean(1) for end in ends]
    axes = list(combinations(range(len(ends)), 2))
    out = []
    for left, right in skeleton.symmetry:
        across = xy[:, right] - xy[:, left]
        distance = np.hypot(*across.T)
        distance = distance[np.isfinite(distance)]
        if len(distance) < ENOUGH_POSES or not size_px > 0:
            continue
        near, far = (np.quantile(distance, (_NEAREST, 1 - _NEAREST)) / size_px).tolist()
        near = min(near, _MOST_APART)
        sines = _sines(across, points)
        known = np.isfinite(sines)
        agreement = np.abs(np.where(known, sines, 0.0).sum(0)) / np.maximum(known.sum(0), 1)
        agreement[known.sum(0) < ENOUGH_POSES] = -1.0
        if not len(agreement) or agreement.max() < 0:
            out.append(PairPrior((left, right), (), (), near, far))
            continue
        best = int(agreement.argmax())
        density = _density(sines[known[:, best], best])
        odds = np.log(density + _PRIOR) - np.log(density[::-1] + _PRIOR)
        coarse = np.interp(_COARSE, _GRID, odds)
        p, q = axes[best]
        out.append(PairPrior((left, right), (ends[p], ends[q]), tuple(coarse.tolist()), near, far))
    return tuple(out)


def swapped(xy: FloatArray, skeleton: Skeleton) -> FloatArray:
    """How likely it is that the two keypoints of a mirrored pair have each other's places.

    For each pair, the sine of the angle between the line from its left to its right keypoint and an
    axis of the body says on which side they are. The axis joins two other points: keypoints without
    a mirrored one, or middles of pairs; of all axes that an animal has, the one counts on which
    animals agree most. The animals that have this sine are compared with those that have the opposite
    one: where most are the other way round, this one is likely to be swapped. What is right is
    decided by the majority, so that it does not matter which way the picture is mirrored. Pairs
    that are seen from both sides equally often, as from the front and from behind, stay undecided.

    Parameters
    ----------
    xy : array [M, K, 2]
        Poses in px.
    skeleton : Skeleton
        With P mirrored pairs.

    Returns
    -------
    array [M, P]
        0 (right) to 1 (swapped), 0.5 where nothing tells; NaN where keypoints are missing.
    """
    out = np.full((len(xy), len(skeleton.symmetry)), np.nan)
    points = [xy[:, list(end)].mean(1) for end in _ends(skeleton)]
    for number, (left, right) in enumerate(skeleton.symmetry):
        across = xy[:, right] - xy[:, left]
        out[:, number] = _against_majority(_sines(across, points))
    return out


def _ends(skeleton: Skeleton) -> list[tuple[int, ...]]:
    """Keypoints whose means are points on the middle line of the body."""
    paired = {k for pair in skeleton.symmetry for k in pair}
    return [(k,) for k in range(len(skeleton)) if k not in paired] + list(skeleton.symmetry)


def _sines(across: FloatArray, points: list[FloatArray]) -> FloatArray:
    """Sines [M, A] of the angles between a line [M, 2] and all axes; NaN where one has no length."""
    sines = [_sine(q - p, across) for p, q in combinations(points, 2)]
    return np.stack(sines, 1) if sines else np.full((len(across), 0), np.nan)


def _sine(axis: FloatArray, across: FloatArray) -> FloatArray:
    length = np.hypot(*axis.T) * np.hypot(*across.T)
    cross = axis[:, 0] * across[:, 1] - axis[:, 1] * across[:, 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(length > 1e-6, cross / length, np.nan))


def _density(sines: FloatArray) -> FloatArray:
    """How many sines are near each one of `_GRID`."""
    density = np.zeros(len(_GRID))
    for start in range(0, len(sines), 10_000):
        part = sines[start : start + 10_000, None]
        density += np.exp(-(((_GRID - part) / _WIDTH) ** 2) / 2).sum(0)
    return density


def _against_majority(sines: FloatArray) -> FloatArray:
    """Share [M] of the animals of a sine that have the opposite one, by the best axis of each animal."""
    known = np.isfinite(sines)
    count = known.sum(0)
    mean = np.where(known, sines, 0.0).sum(0) / np.maximum(count, 1)
    agreement = np.where(count >= ENOUGH_POSES, np.abs(mean), -1.0)
    value, used = np.full(len(sines), np.nan), np.zeros(len(sines), np.bool_)
    for axis in np.argsort(-agreement, kind="stable"):
        if agreement[axis] < 0:
            break
        fresh = known[:, axis] & ~used
        value[fresh] = sines[fresh, axis] * (1.0 if mean[axis] >= 0 else -1.0)
        used |= fresh
    if used.sum() < ENOUGH_POSES:
        return np.full(len(sines), np.nan)
    value = np.clip(value, -1, 1)
    density = _density(value[np.isfinite(value)])
    at = np.where(used, value, 0.0)
    # An animal is no witness for itself.
    here = np.maximum(np.interp(at, _GRID, density) - 1.0, 0.0) + _PRIOR
    opposite = np.interp(-at, _GRID, density) - np.exp(-((2 * at / _WIDTH) ** 2) / 2)
    opposite = np.maximum(opposite, 0.0) + _PRIOR
    return np.where(used, opposite / (here + opposite), np.nan)
