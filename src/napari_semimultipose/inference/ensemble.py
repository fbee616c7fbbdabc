"""Fusing the predictions of several models of one recording: who is who, where, and how sure.

Members are compared frame by frame, before anything is tracked. Of one animal a frame the members need no
comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.numbering import numbered_alike
from napari_semimultipose.matching import assign, common_oks, pose_area
from napari_semimultipose.poses import BoolArray, FloatArray, IntArray, Poses, Source

SpreadKind = Literal["robust", "variance"]

# Two poses of a frame may be one animal above this similarity (OKS with this tolerance).
_LEAST_SIMILARITY = 0.05
_SIGMA = 0.15
# Animals of one keypoint have no size of their own.
_MARGIN_PX = 10.0


def fuse(members: Sequence[Poses], *, spread: SpreadKind = "robust", most: int = 0) -> Poses:
    """Join what the members of an ensemble found.

    Of every animal that at least half of the members see, a keypoint is at the median of the members
    that have it, where these are at least half of all; its score is the mean over all members, so
    that a keypoint that few have is unsure.

    Parameters
    ----------
    members : sequence of Poses
        Predictions of the same frames. Keypoints are paired by name and must be the same, videos and pictures as
        `io.numbering.numbered_alike` does, frames of videos by number; a frame that some members lack is fused
        from the others.
    spread : {"robust", "variance"}
        The spread of the result: the standard deviation of the members without the farthest one (of
        four or more), times sqrt(M / m) where only m of M have the keypoint; or, as published, of all.
        NaN where one member has the keypoint.
    most : int
        Most animals on a frame, those with the highest mean scores; 0: any number.

    Returns
    -------
    Poses
        With the tracks of the first member. Where it has tracks and lacks an animal, this has the track of the first
        member with which those of the others mostly go together, or a new one where they go with none. A single
        member is returned as it is.

    Raises
    ------
    LabelsError
        When members have other keypoints, or no frame in common.
    """
    if not members:
        raise LabelsError("there are no predictions to join")
    if len(members) == 1:
        return members[0]
    members = numbered_alike(members)
    stack = _Stack.of(members)
    names = members[0].track_names
    if stack.n_slots == 1:
        row = np.flatnonzero(stack.present.any((0, 2)))
        xy, score = stack.xy[:, row, 0], stack.score[:, row, 0]
        there, instance_score = stack.present[:, row, 0], stack.instance_score[:, row, 0]
        track = _one_track(members, stack, row)
    else:
        row, pick = _clusters(stack)
        m = np.arange(len(members))[:, None]
        there = pick >= 0
        slot = np.maximum(pick, 0)
        xy = np.where(there[..., None, None], stack.xy[m, row, slot], np.nan)
        score = np.where(there[..., None], stack.score[m, row, slot], 0.0)
        instance_score = np.where(there, stack.instance_score[m, row, slot], 0.0)
        track, names = _common_tracks(
            np.where(there, stack.track[m, row, slot], -1), row, [p.track_names for p in members]
        )
    center, deviation, mean = combine(xy, score, spread)
    enough = np.isfinite(center[..., 0]).any(-1)
    if most:
        enough &= _rank(row, np.where(enough, instance_score.mean(0), -np.inf)) < most
    rows, track = row[enough], track[enough]
    return Poses.from_instances(
        members[0].skeleton,
        stack.frame[rows],
        center[enough],
        video=stack.video[rows],
        score=mean[enough],
        instance_score=instance_score.mean(0)[enough],
        track=track,
        source=np.full(len(rows), Source.PREDICTED),
        spread=deviation[enough],
        videos=members[0].videos,
        track_names=names if (track >= 0).any() else (),
        empty_frames=zip(stack.video.tolist(), stack.frame.tolist(), strict=True),
    )


def _one_track(members: Sequence[Poses], stack: _Stack, row: IntArray) -> IntArray:
    """Tracks of the one animal of rows of a stack: the same on all where each member has one track."""
    if not all((p.track[p.present] >= 0).all() for p in members):
        return np.full(len(row), -1)
    mine = np.unique(members[0].track[members[0].present])
    if len(mine) > 1:
        return np.where(stack.present[0, row, 0], stack.track[0, row, 0], -1)
    return np.full(len(row), mine[0] if len(mine) else 0)


def _common_tracks(
    tracks: IntArray, row: IntArray, names: Sequence[tuple[str, ...]]
) -> tuple[IntArray, tuple[str, ...]]:
    """Tracks [C] of animals in the numbering of the first member, from those of M members [M, C].

    Parameters
    ----------
    tracks : array [M, C]
        -1 where a member lacks the animal, or its track.
    row : array [C]
        Frame of each animal.
    names : sequence of tuple of str
        Of the tracks of each member.

    Returns
    -------
    array [C]
        -1 where no member that has a track says whose it is.
    tuple of str
        The first member's names, with those of new tracks.
    """
    out = tracks[0].copy()
    said = list(names[0])
    if not (out >= 0).any():
        return out, names[0]
    fresh = max(int(out.max()) + 1, len(said))
    used = set(zip(row[out >= 0].tolist(), out[out >= 0].tolist(), strict=True))
    for theirs, called in zip(tracks[1:], names[1:], strict=True):
        for track in np.unique(theirs[(theirs >= 0) & (out < 0)]).tolist():
            mine = out[(theirs == track) & (out >= 0)]
            if len(mine):
                name = int(np.bincount(mine).argmax())
            else:
                name, fresh = fresh, fresh + 1
                if said:
                    wanted = called[track] if track < len(called) else str(name)
                    said += [str(i) for i in range(len(said), name)]
                    said.append(wanted if wanted not in said else f"{wanted} ({name})")
            for c in np.flatnonzero((theirs == track) & (out < 0)).tolist():
                place = (int(row[c]), name)
                if place not in used:
                    used.add(place)
                    out[c] = name
    return out, tuple(said)


def _rank(row: IntArray, score: FloatArray) -> IntArray:
    """Place of each score among those of its row, 0 for the highest."""
    order = np.lexsort((-score, row))
    begin = np.r_[True, np.diff(row[order]) > 0]
    first = np.maximum.accumulate(np.where(begin, np.arange(len(row)), 0))
    rank = np.empty(len(row), np.int64)
    rank[order] = np.arange(len(row)) - first
    return rank


def combine(
    xy: FloatArray, score: FloatArray, spread: SpreadKind = "robust"
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Join the members' positions of keypoints.

    Parameters
    ----------
    xy : array [M, ..., 2]
        Positions of M members in px, NaN where a member has none.
    score : array [M, ...]
    spread : {"robust", "variance"}

    Returns
    -------
    center : array [..., 2]
        Median along x and y; NaN where fewer than half of the members have the keypoint.
    deviation : array [..., 2]
        See `fuse`.
    mean_score : array [...]
    """
    members = len(xy)
    there = np.asarray(np.isfinite(xy).all(-1))
    count = there.sum(0)
    enough = 2 * count >= members
    ordered = np.sort(np.where(there[..., None], xy, np.inf), axis=0)
    low, high = (np.maximum(count - 1, 0) // 2, count // 2)
    center = 0.5 * (_pick(ordered, low) + _pick(ordered, np.minimum(high, members - 1)))
    center = np.where(enough[..., None], center, np.nan)
    used = there
    if spread == "robust":
        offset = xy - center
        distance = np.where(there, (offset * offset).sum(-1), -1.0)
        farthest = np.arange(members).reshape(-1, *[1] * (distance.ndim - 1)) == distance.argmax(0)
        used = there & ~(farthest & (count >= 4))
    n = used.sum(0)
    some = np.maximum(n, 1)[..., None]
    filled = np.where(used[..., None], xy, 0.0)
    mean = filled.sum(0) / some
    square = np.where(used[..., None], (xy - mean) ** 2, 0.0).sum(0) / some
    missing = (members / np.maximum(count, 1))[..., None] if spread == "robust" else 1.0
    known = (count > 1) & enough
    deviation = np.where(known[..., None], np.sqrt(square * missing), np.nan)
    return center, deviation, np.where(enough, np.where(there, score, 0.0).sum(0) / members, 0.0)


def _pick(ordered: FloatArray, place: IntArray) -> FloatArray:
    index = np.broadcast_to(place[None, ..., None], (1, *ordered.shape[1:]))
    return np.asarray(np.take_along_axis(ordered, index, 0)[0])


@dataclass(frozen=True)
class _Stack:
    """The members' tables on common rows: M members, F frames, N slots, K keypoints."""

    xy: FloatArray
    score: FloatArray
    instance_score: FloatArray
    present: BoolArray
    track: IntArray
    frame: IntArray
    video: IntArray

    @property
    def n_slots(self) -> int:
        return int(self.present.shape[2])

    @classmethod
    def of(cls, members: Sequence[Poses]) -> _Stack:
        first = members[0]
        keys = [_keys(member) for member in members]
        names = first.skeleton.keypoints
        for number, member in enumerate(members[1:], 2):
            if set(member.skeleton.keypoints) != set(names):
                raise LabelsError(
                    f"prediction {number} has the keypoints {', '.join(member.skeleton.keypoints)}, the "
                    f"first {', '.join(names)}: give predictions of one ensemble"
                )
        common = set(keys[0])
        for number, more in enumerate(keys[1:], 2):
            if keys[0] and more and not common & more.keys():
                raise LabelsError(
                    f"prediction {number} has no frame in common with the first: give predictions of one "
                    "recording"
                )
        place = {key: i for i, key in enumerate(sorted(set().union(*keys)))}
        f, n, k = len(place), max(m.xy.shape[1] for m in members), len(names)
        shape = (len(members), f, max(n, 1))
        out = cls(
            np.full((*shape, k, 2), np.nan),
            np.zeros((*shape, k)),
            np.zeros(shape),
            np.zeros(shape, bool),
            np.full(shape, -1, np.int64),
            np.array([key[1] for key in place], np.int64),
            np.array([key[0] for key in place], np.int64),
        )
        for i, member in enumerate(members):
            at = np.array([place[key] for key in keys[i]], np.int64)
            rows = np.array(list(keys[i].values()), np.int64)
            slots = member.xy.shape[1]
            order = [member.skeleton.keypoints.index(name) for name in names]
            out.xy[i, at, :slots] = member.xy[rows][:, :, order]
            out.score[i, at, :slots] = member.score[rows][:, :, order]
            out.instance_score[i, at, :slots] = member.instance_score[rows]
            out.present[i, at, :slots] = member.present[rows]
            out.track[i, at, :slots] = member.track[rows]
        return out


def _keys(poses: Poses) -> dict[tuple[int, int], int]:
    """Row of each (video, frame)."""
    keys = zip(poses.video.tolist(), poses.frame.tolist(), strict=True)
    return {key: i for i, key in enumerate(keys)}


def _clusters(stack: _Stack) -> tuple[IntArray, IntArray]:
    """Find the animals that at least half of the members see.

    Returns
    -------
    row : array [C]
        Row of each.
    pick : array [M, C]
        Slot of each member's pose of it, -1 for none.
    """
    members = len(stack.present)
    need = -(-members // 2)
    area = pose_area(stack.xy, _MARGIN_PX)
    rows: list[int] = []
    picks: list[IntArray] = []
    for f in np.flatnonzero(stack.present.any((0, 2))).tolist():
        free = stack.present[:, f].copy()
        while free.any(1).sum() >= need:
            found = _cluster_frame(stack.xy[:, f], area[:, f], stack.instance_score[:, f], free)
            for pick in found:
                if (pick >= 0).sum() >= need:
                    rows.append(f)
                    picks.append(pick)
    picked = np.stack(picks, 1) if picks else np.zeros((members, 0), np.int64)
    return np.array(rows, np.int64), picked


def _cluster_frame(
    xy: FloatArray, area: FloatArray, score: FloatArray, free: BoolArray
) -> list[IntArray]:
    """Match the poses of a frame that are still free [M, N] to those of the surest member.

    The poses of that member are no longer free afterwards, nor are those that were matched.
    """
    members = len(xy)
    own = np.where(free, score, 0.0)
    # Ties by position, so that the order of the members does not matter.
    tie = [tuple(np.sort(np.nan_to_num(xy[m][free[m]]).sum((1, 2)))) for m in range(members)]
    reference = max(
        np.flatnonzero(free.any(1)).tolist(),
        key=lambda m: (free[m].sum(), own[m].sum() / free[m].sum(), tie[m]),
    )
    slots = np.flatnonzero(free[reference])
    pick = np.full((members, len(slots)), -1, np.int64)
    pick[reference] = slots
    for m in range(members):
        others = np.flatnonzero(free[m])
        if m == reference or not len(others):
            continue
        like = common_oks(
            xy[reference, slots], xy[m, others], area[reference, slots], area[m, others], _SIGMA
        )
        a, b = assign(like, _LEAST_SIMILARITY)
        pick[m, a] = others[b]
    for m in range(members):
        free[m, pick[m][pick[m] >= 0]] = False
    return list(pick.T)
