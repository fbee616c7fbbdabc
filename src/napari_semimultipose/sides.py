"""Which side is left: how keypoints of mirrored pairs lie beside the body, against the majority."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from napari_semimultipose.poses import FloatArray, Skeleton

ENOUGH_POSES = 10
"""From so many animals on there is a majority."""

_WIDTH = 0.15  # of the kernel that smooths the density of the sines
_GRID = np.linspace(-1, 1, 81)
_PRIOR = 1.0  # examples on either side that nobody has seen: few animals make no certainty


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
    points = _body_points(xy, skeleton)
    for number, (left, right) in enumerate(skeleton.symmetry):
        across = xy[:, right] - xy[:, left]
        out[:, number] = _against_majority(_sines(across, points))
    return out


def _body_points(xy: FloatArray, skeleton: Skeleton) -> list[FloatArray]:
    """Points [M, 2] on the middle line of the body."""
    paired = {k for pair in skeleton.symmetry for k in pair}
    single = [xy[:, k] for k in range(len(skeleton)) if k not in paired]
    return single + [(xy[:, a] + xy[:, b]) / 2 for a, b in skeleton.symmetry]


def _sines(across: FloatArray, points: list[FloatArray]) -> FloatArray:
    """Sines [M, A] of the angles between a line [M, 2] and all axes; NaN where one has no length."""
    sines = []
    for p, q in combinations(points, 2):
        axis = q - p
        length = np.hypot(*axis.T) * np.hypot(*across.T)
        cross = axis[:, 0] * across[:, 1] - axis[:, 1] * across[:, 0]
        with np.errstate(invalid="ignore", divide="ignore"):
            sines.append(np.where(length > 1e-6, cross / length, np.nan))
    return np.stack(sines, 1) if sines else np.full((len(across), 0), np.nan)


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
    density = np.zeros(len(_GRID))
    for start in range(0, len(value), 10_000):
        part = value[start : start + 10_000]
        part = part[np.isfinite(part), None]
        density += np.exp(-(((_GRID - part) / _WIDTH) ** 2) / 2).sum(0)
    at = np.where(used, value, 0.0)
    # An animal is no witness for itself.
    here = np.maximum(np.interp(at, _GRID, density) - 1.0, 0.0) + _PRIOR
    opposite = np.interp(-at, _GRID, density) - np.exp(-((2 * at / _WIDTH) ** 2) / 2)
    opposite = np.maximum(opposite, 0.0) + _PRIOR
    return np.where(used, opposite / (here + opposite), np.nan)
