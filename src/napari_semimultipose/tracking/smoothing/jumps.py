"""Sudden jumps of whole animals: exchanged identities, or poses that are wrong for a moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_semimultipose.matching import pose_centers
from napari_semimultipose.poses import BoolArray, FloatArray, IntArray
from napari_semimultipose.tracking.smoothing.courses import Courses
from napari_semimultipose.tracking.smoothing.scalar import Estimate

# A keypoint that moves as it usually does surprises the filter as much with the probability 1e-4: the upper
# quantile of the chi-squared distribution with two degrees of freedom.
_SURPRISING = -2.0 * np.log(1e-4)
# An animal jumps when more than this share of its keypoints do, by this share of its size.
_SHARE, _DISTANCE = 0.5, 0.25
# One that is back after at most so many frames was not elsewhere, but wrongly predicted.
_MOMENT = 3


@dataclass(frozen=True)
class Jump:
    """An animal that is suddenly somewhere else.

    Attributes
    ----------
    video, frame, track : int
        First frame after the jump.
    kind : {"swap", "jump", "moment"}
        It is where another animal was; it is elsewhere; it is back after a few frames.
    other : int
        Track of the other animal, for "swap"; else -1.
    """

    video: int
    frame: int
    track: int
    kind: Literal["swap", "jump", "moment"]
    other: int = -1

    def text(self, names: Sequence[str] = ()) -> str:
        """Say in words what happened; `names` are those of the tracks."""

        def name(track: int) -> str:
            return names[track] if track < len(names) else f"animal {track}"

        if self.kind == "swap":
            return f"{name(self.track)} and {name(self.other)} probably exchange their identities"
        if self.kind == "moment":
            return f"{name(self.track)} is elsewhere for a moment, which was replaced"
        return f"{name(self.track)} jumps"


def find_jumps(courses: Courses, estimate: Estimate) -> tuple[list[Jump], BoolArray, BoolArray]:
    """Find the jumps of recordings with several animals.

    Returns
    -------
    list of Jump
    begins : array [L] of bool
        Rows at which animals begin, or jump and stay: nothing is smoothed across these.
    wrong : array [L] of bool
        Rows between a jump and the return: their positions are not to be used.
    """
    begins, wrong = courses.begins.copy(), np.zeros(len(courses), bool)
    animal = courses.animal
    if not len(animal) or animal[-1] == 0:
        return [], begins, wrong
    judged = np.isfinite(estimate.surprise)
    shocked = judged & (np.nan_to_num(estimate.surprise) > _SURPRISING)
    rows = np.flatnonzero(shocked.sum(1) > _SHARE * np.maximum(judged.sum(1), 1))
    center = pose_centers(courses.xy)
    size = _sizes(courses)
    before = _last_known(center, animal)
    jumps: list[Jump] = []
    rows = rows[_distance(center[rows], center[before[rows]]) > _DISTANCE * size[animal[rows]]]
    i = 0
    while i < len(rows):
        row, last = int(rows[i]), int(before[rows[i]])
        following = int(rows[i + 1]) if i + 1 < len(rows) else -1
        track = int(courses.track[row])
        place = (int(courses.video[row]), int(courses.frame[row]), track)
        if (
            0 < following - row <= _MOMENT
            and animal[following] == animal[row]
            and _distance(center[following], center[last])
            < 0.5 * _distance(center[row], center[last])
        ):
            wrong[row:following] = True
            jumps.append(Jump(*place, "moment"))
            i += 2
            continue
        begins[row] = True
        other = _who_was_here(courses, center, before, row)
        jumps.append(Jump(*place, "jump" if other < 0 else "swap", other))
        i += 1
    return sorted(jumps, key=lambda j: (j.video, j.frame, j.track)), begins, wrong


def _distance(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.norm(a - b, axis=-1))


def _sizes(courses: Courses) -> FloatArray:
    """Median over time of the longer side of the box of each animal, px."""
    gone = np.isnan(courses.xy)
    high = np.where(gone, -np.inf, courses.xy).max(1)
    low = np.where(gone, np.inf, courses.xy).min(1)
    side = np.where((~gone[..., 0]).any(1), (high - low).max(1), np.nan)
    animal = courses.animal
    return np.array([np.nanmedian(side[animal == a]) for a in range(animal[-1] + 1)])


def _last_known(center: FloatArray, animal: IntArray) -> IntArray:
    """Return, for each row, the row before it on which the same animal was seen; else itself."""
    rows = np.arange(len(center))
    known = np.maximum.accumulate(np.where(np.isfinite(center[:, 0]), rows, -1))
    before = np.concatenate([[-1], known[:-1]])
    same = (before >= 0) & (animal[before] == animal)
    return np.where(same, before, rows)


def _who_was_here(courses: Courses, center: FloatArray, before: IntArray, row: int) -> int:
    """Track of another animal that was nearer to this place a frame before than this animal; or -1."""
    now = np.flatnonzero(
        (courses.frame == courses.frame[row]) & (courses.video == courses.video[row])
    )
    now = now[(now != row) & ~courses.begins[now]]
    if not len(now):
        return -1
    away = _distance(center[before[now]], center[row])
    away = np.where(np.isfinite(away), away, np.inf)
    nearest = int(away.argmin())
    own = _distance(center[before[row]], center[row])
    return int(courses.track[now[nearest]]) if away[nearest] < 0.5 * own else -1
