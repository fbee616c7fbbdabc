"""From tables of poses to the courses of keypoints over time, and to walks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from math import gcd

import numpy as np

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.poses import BoolArray, FloatArray, IntArray, Poses


@dataclass(frozen=True)
class Courses:
    """Animals over time: each has a row for every frame between its first and its last one.

    L rows, all animals one after the other, K keypoints.

    Attributes
    ----------
    xy : array [L, K, 2]
        px; NaN where a keypoint is missing.
    score : array [L, K]
    spread : array [L, K, 2] or None
        Standard deviations, px.
    frame, video, track : arrays [L]
    begins : array [L] of bool
        First rows of animals.
    row, slot : arrays [L]
        Place in the poses, -1 where the animal is missing.
    """

    xy: FloatArray
    score: FloatArray
    spread: FloatArray | None
    frame: IntArray
    video: IntArray
    track: IntArray
    begins: BoolArray
    row: IntArray
    slot: IntArray

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def animal(self) -> IntArray:
        """Number [L] of the animal of each row, from 0."""
        return np.cumsum(self.begins) - 1

    @property
    def seen(self) -> BoolArray:
        """Which keypoints [L, K] were seen."""
        return np.isfinite(self.xy[..., 0])


def courses(poses: Poses, min_score: float = 0.0) -> Courses:
    """Lay the animals of a table out over time.

    Instances without a track are left out, unless no frame has two animals and none has a track: then
    they are one animal.

    Parameters
    ----------
    poses : Poses
    min_score : float
        Keypoints with a lower score are missing.

    Raises
    ------
    LabelsError
        When several animals of a frame have no track, or one track is on a frame twice.
    """
    flat = poses.instances()
    track = flat["track"]
    if not (track >= 0).any():
        if (poses.present.sum(1) > 1).any():
            raise LabelsError(
                "there are several animals on a frame, and nothing says who is who: track them first"
            )
        track = np.zeros_like(track)
    keep = np.flatnonzero(track >= 0)
    order = keep[np.lexsort((flat["frame"][keep], track[keep], flat["video"][keep]))]
    video, track, frame = flat["video"][order], track[order], flat["frame"][order]
    begins = np.ones(len(order), bool)
    begins[1:] = (np.diff(video) != 0) | (np.diff(track) != 0)
    steps = np.diff(frame)[~begins[1:]]
    if (steps == 0).any():
        twice = int(frame[1:][~begins[1:]][steps == 0][0])
        raise LabelsError(
            f"frame {twice} holds one animal twice (two instances of one track): repair the identities"
        )
    # Frames may be every n-th of the video, or numbered with holes.
    stride = reduce(gcd, np.unique(steps).tolist(), 0) or 1
    move = np.where(begins, 1, np.diff(frame, prepend=0) // stride)
    place = np.cumsum(move) - 1 if len(move) else move
    length = int(place[-1]) + 1 if len(place) else 0
    source = np.full(length, -1, np.int64)
    source[place] = np.arange(len(order))
    last = np.maximum.accumulate(source) if length else source
    missing = source < 0
    since = np.arange(length) - place[last] if length else last

    def spread_out(values: FloatArray) -> FloatArray:
        out = np.full((length, *values.shape[1:]), np.nan)
        out[place] = values[order]
        return out

    score = spread_out(flat["score"])
    xy = spread_out(flat["xy"])
    if min_score > 0:
        xy[score < min_score] = np.nan
    where = order[last] if length else last
    return Courses(
        xy,
        np.nan_to_num(score),
        spread_out(flat["spread"]) if "spread" in flat else None,
        frame[last] + stride * since,
        video[last],
        track[last] if (flat["track"] >= 0).any() else np.full(length, -1),
        begins[last] & ~missing,
        np.where(missing, -1, flat["row"][where]),
        np.where(missing, -1, flat["slot"][where]),
    )


def walk_rows(seen: BoolArray, begins: BoolArray, max_gap: int) -> tuple[BoolArray, BoolArray]:
    """Say which rows of S series belong to walks.

    Parameters
    ----------
    seen : array [L, S]
    begins : array [L] or [L, S] of bool
        Rows that no walk continues from the row before.
    max_gap : int
        Walks end before longer gaps.

    Returns
    -------
    inside, first : arrays [L, S] of bool
        Rows from the first to the last observation of a walk; the first of each.
    """
    rows = np.arange(len(seen))[:, None]
    begins = np.broadcast_to(begins[:, None] if begins.ndim == 1 else begins, seen.shape)
    first_of = np.maximum.accumulate(np.where(begins, rows, 0), axis=0)
    before = np.maximum.accumulate(np.where(seen, rows, -1), axis=0)
    far = len(seen)
    after = np.minimum.accumulate(np.where(seen, rows, far)[::-1], axis=0)[::-1]
    ends = np.where(np.roll(begins, -1, axis=0), rows, far)
    if len(seen):
        ends[-1] = len(seen) - 1
    end_of = np.minimum.accumulate(ends[::-1], axis=0)[::-1]
    bridged = (before >= first_of) & (after <= end_of) & (after - before - 1 <= max_gap)
    inside = seen | bridged
    again = np.zeros_like(inside)
    again[1:] = inside[:-1]
    return inside, inside & (~again | begins)


def joined(parts: Sequence[Courses]) -> Courses:
    """Put the keypoints of several views of the same rows side by side."""
    first = parts[0]
    spreads = [p.spread for p in parts if p.spread is not None]
    return replace(
        first,
        xy=np.concatenate([p.xy for p in parts], 1),
        score=np.concatenate([p.score for p in parts], 1),
        spread=np.concatenate(spreads, 1) if len(spreads) == len(parts) else None,
    )
