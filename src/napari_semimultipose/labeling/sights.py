"""Poses of one video, prepared for looking along tracks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_semimultipose.matching import pose_centers
from napari_semimultipose.poses import BoolArray, FloatArray, IntArray, Poses, Skeleton

# Animals whose steps are measured at once: bounds the memory to some 100 MB.
_BLOCK = 50_000

Place = tuple[IntArray, IntArray]


@dataclass(frozen=True)
class Sights:
    """The M animals on the R rows of a video, by track and frame.

    Attributes
    ----------
    rows : array [R]
        Rows of the table that was given, in the order of their frames.
    frame : array [R]
    track : array [R, N]
    present : array [R, N]
    row, slot : arrays [M]
        Place of each animal; rows count in `rows`.
    tracks : array [M]
    xy : array [M, K, 2]
    score : array [M, K]
    instance_score : array [M]
    length_px : float
        Usual length of an animal.
    """

    skeleton: Skeleton
    rows: IntArray
    frame: IntArray
    track: IntArray
    present: BoolArray
    row: IntArray
    slot: IntArray
    tracks: IntArray
    xy: FloatArray
    score: FloatArray
    instance_score: FloatArray
    center: FloatArray
    length_px: float
    where: IntArray

    @classmethod
    def of(cls, poses: Poses, video: int) -> Sights:
        """Take the animals of one video."""
        rows = np.flatnonzero(poses.video == video)
        rows = rows[np.argsort(poses.frame[rows], kind="stable")]
        track = poses.track[rows]
        present = poses.present[rows]
        row, slot = np.nonzero(present)
        tracks = track[row, slot]
        order = np.lexsort((row, tracks))
        row, slot, tracks = row[order], slot[order], tracks[order]
        where = np.full(track.shape, -1, np.int64)
        where[row, slot] = np.arange(len(row))
        place = rows[row]
        xy = poses.xy[place, slot]
        size = poses.animal_size_px
        return cls(
            poses.skeleton,
            rows,
            poses.frame[rows],
            track,
            present,
            row,
            slot,
            tracks,
            xy,
            poses.score[place, slot],
            poses.instance_score[place, slot],
            pose_centers(xy),
            size if np.isfinite(size) else 0.0,
            where,
        )

    @property
    def seen(self) -> BoolArray:
        """Which keypoints [M, K] are present."""
        return np.asarray(np.isfinite(self.xy[..., 0]))

    def steps(self, most_frames: int) -> Steps:
        """From each sight of a track to the next one, if it is at most so many frames later."""
        frame = self.frame[self.row]
        gap = np.diff(frame)
        a = np.flatnonzero(
            (np.diff(self.tracks) == 0) & (self.tracks[:-1] >= 0) & (gap > 0) & (gap <= most_frames)
        )
        return Steps(a, a + 1, gap[a].astype(np.float64))

    def distance(self, a: Place, b: Place) -> FloatArray:
        """Mean distance [P] of the common keypoints of animals in two places (rows, slots)."""
        move = self.xy[self.where[a]] - self.xy[self.where[b]]
        there = np.isfinite(move[..., 0])
        length = np.where(there, np.hypot(move[..., 0], move[..., 1]), 0.0).sum(1)
        count = there.sum(1, dtype=np.float64)
        return np.asarray(length / np.where(count > 0, count, np.nan))


@dataclass(frozen=True)
class Steps:
    """Movements from one sight of an animal to the next.

    Attributes
    ----------
    a, b : arrays [S]
        Animals of `Sights`, before and after.
    frames : array [S]
        Frames between.
    """

    a: IntArray
    b: IntArray
    frames: FloatArray

    def shift(self, sights: Sights) -> FloatArray:
        """Mean movement [S, 2] in px of the keypoints that are there before and after.

        That of the centres, where no keypoint is common.
        """
        return self._measure(sights)[0]

    def speeds(self, sights: Sights) -> tuple[FloatArray, FloatArray]:
        """Speeds in px a frame: of the whole animal [S], and of each keypoint against it [S, K]."""
        shift, parts = self._measure(sights)
        return np.hypot(*shift.T) / self.frames, parts / self.frames[:, None]

    def select(self, index: IntArray) -> Steps:
        """Return some of the steps."""
        return Steps(self.a[index], self.b[index], self.frames[index])

    def from_median(self, sights: Sights) -> FloatArray:
        """Distance [S, K] in px of the movement of each keypoint from the median movement of all.

        Unlike their mean, it does not follow a few keypoints of three or more that leap.
        """
        move = sights.xy[self.b] - sights.xy[self.a]
        known = np.isfinite(move[..., 0]).any(1)
        middle = np.full((len(move), 1, 2), np.nan)
        middle[known, 0] = np.nanmedian(move[known], axis=1)
        away = move - middle
        return np.asarray(np.hypot(away[..., 0], away[..., 1]))

    def _measure(self, sights: Sights) -> tuple[FloatArray, FloatArray]:
        shift = sights.center[self.b] - sights.center[self.a]
        parts = np.full((len(self.a), len(sights.skeleton)), np.nan)
        for start in range(0, len(self.a), _BLOCK):
            part = slice(start, start + _BLOCK)
            move = sights.xy[self.b[part]] - sights.xy[self.a[part]]
            mean = pose_centers(move)
            mean = np.where(np.isfinite(mean), mean, shift[part])
            shift[part] = mean
            away = move - mean[:, None]
            parts[part] = np.hypot(away[..., 0], away[..., 1])
        return shift, parts
