"""Repair of identities: swap, assign, merge, split and delete tracks, fill gaps.

Each function looks at a table of poses, changes nothing, and returns the difference as a `Change`:
`PoseStore.apply` applies it, and ``change.reversed()`` undoes it. All are whole-array operations,
quick for recordings of hours. Frames are frame indices of one video; ``last`` is included, and None
stands for the end of the recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.layers.differences import difference
from napari_semimultipose.layers.store import INSTANCE_FIELDS, KEYPOINT_FIELDS, Change, PoseStore
from napari_semimultipose.poses import IntArray, Poses, Source, Visibility

Table = Poses | PoseStore


def array_of(table: Table, name: str) -> NDArray:
    """Return one array of `Poses` of a table; not to be written to."""
    values = table.array(name) if isinstance(table, PoseStore) else getattr(table, name)
    return cast(NDArray, values)


def track_name(table: Table, track: int) -> str:
    """Return what people call an animal: its name, or its number counted from 1."""
    if track < 0:
        return "without identity"
    names = table.track_names
    return (names[track] if track < len(names) else "") or str(track + 1)


def new_track(table: Table) -> int:
    """Return the first number after those of all tracks."""
    track = array_of(table, "track")
    return max(int(track.max(initial=-1)) + 1, len(table.track_names))


def tracks_of(table: Table, video: int = 0) -> IntArray:
    """Return the tracks of a video, those with the most frames first."""
    track = array_of(table, "track")[array_of(table, "video") == video]
    counts = np.bincount(track[track >= 0])
    order = np.argsort(-counts, kind="stable")
    return np.asarray(order[counts[order] > 0], np.int64)


# ------------------------------------------------------------------- identities


def swap(
    table: Table, a: int, b: int, first: int = 0, last: int | None = None, video: int = 0
) -> Change:
    """Exchange two animals on the frames `first` to `last`.

    Where only one of the two is seen it takes the identity of the other.

    Raises
    ------
    LabelsError
        When they are the same animal, or neither is on these frames.
    """
    if a == b or min(a, b) < 0:
        raise LabelsError("choose two different animals with identities to swap")
    row, slot, track = _find(table, (a, b), first, last, video)
    if not len(row):
        raise LabelsError(f"neither animal {_two(table, a, b)} is on these frames")
    return _retrack(
        table, f"swap animals {_two(table, a, b)}", row, slot, np.where(track == a, b, a)
    )


def assign(table: Table, row: int, slot: int, track: int, *, onward: bool = True) -> Change:
    """Say who the animal in a row and slot is.

    Parameters
    ----------
    row, slot : int
        Place of the animal in the table.
    track : int
        Its identity; -1: none.
    onward : bool
        From this frame to the end: then all that has the animal's former track goes along. An
        animal without a track is only known on its own frame. Who had the new identity takes the
        former one in exchange.

    Raises
    ------
    LabelsError
        When there is no animal, or it has this identity already.
    """
    old = int(array_of(table, "track")[row, slot])
    if not (array_of(table, "visible")[row, slot] > 0).any():
        raise LabelsError("there is no such animal on this frame")
    if old == track:
        raise LabelsError(f"it is animal {track_name(table, track)} already")
    name = f"call animal {track_name(table, old)} {track_name(table, track)}"
    frame, video = int(array_of(table, "frame")[row]), int(array_of(table, "video")[row])
    if onward and old >= 0:
        affected = (old, track) if track >= 0 else (old,)
        rows, slots, tracks = _find(table, affected, frame, None, video)
        return _retrack(table, name, rows, slots, np.where(tracks == old, track, old))
    others = np.zeros(0, np.int64)
    if track >= 0:
        others = np.flatnonzero(array_of(table, "track")[row] == track)
    slots = np.append(others, slot)
    after = np.append(np.full(len(others), old), track)
    return _retrack(table, name, np.full(len(slots), row), slots, after)


def unassign(
    table: Table, track: int, first: int = 0, last: int | None = None, video: int = 0
) -> Change:
    """Take the identity of an animal away on the frames `first` to `last`.

    Raises
    ------
    LabelsError
        When it is on none of these frames.
    """
    row, slot = _seen(table, track, first, last, video)
    name = f"call animal {track_name(table, track)} {track_name(table, -1)}"
    return _retrack(table, name, row, slot, np.full(len(row), -1))


def merge(table: Table, keep: int, other: int, video: int = 0) -> Change:
    """Make two tracks one animal, `keep`.

    On frames that have both, the one with the higher instance score is the animal (of equals, that
    of `keep`), and the other one loses its identity.

    Raises
    ------
    LabelsError
        When they are the same, or `other` is on no frame.
    """
    if keep == other or min(keep, other) < 0:
        raise LabelsError("choose two different animals with identities to merge")
    row, slot, track = _find(table, (keep, other), 0, None, video)
    joining = track == other
    if not joining.any():
        raise LabelsError(f"animal {track_name(table, other)} is on no frame")
    score = array_of(table, "instance_score")[row, slot]
    length = len(array_of(table, "frame"))
    best = np.full((2, length), -np.inf)  # of the one that stays, of the one that joins
    best[joining.astype(np.int64), row] = score
    stays, joins = best[:, row]
    after = np.where(joining, joins > stays, stays >= joins)
    return _retrack(
        table,
        f"merge animal {track_name(table, other)} into {track_name(table, keep)}",
        row,
        slot,
        np.where(after, keep, -1),
    )


def split(table: Table, track: int, frame: int, video: int = 0) -> Change:
    """Let an animal be a new one from a frame on.

    Raises
    ------
    LabelsError
        When it is not both before the frame and from there on.
    """
    row, slot, _ = _find(table, (track,), frame, None, video)
    n_before = len(_find(table, (track,), 0, frame - 1, video)[0])
    if track < 0 or not len(row) or not n_before:
        raise LabelsError(
            f"animal {track_name(table, track)} can only be split on a frame between its first and "
            "its last one"
        )
    new = new_track(table)
    name = f"split animal {track_name(table, track)}"
    return _retrack(table, name, row, slot, np.full(len(row), new))


# ------------------------------------------------------------------------ poses


def delete(
    table: Table, track: int, first: int = 0, last: int | None = None, video: int = 0
) -> Change:
    """Delete the poses of an animal on the frames `first` to `last`.

    Raises
    ------
    LabelsError
        When it is on none of these frames.
    """
    row, slot = _seen(table, track, first, last, video)
    before = _values(table, row, slot)
    name = f"delete animal {track_name(table, track)}"
    return make_change(name, row, slot, before, emptied(before, np.ones(len(row), bool)))


def delete_pose(table: Table, row: int, slot: int) -> Change:
    """Delete one pose, that of the animal in a row and slot, whether it has an identity or not.

    Raises
    ------
    LabelsError
        When there is no animal.
    """
    if not (array_of(table, "visible")[row, slot] > 0).any():
        raise LabelsError("there is no such animal on this frame")
    rows, slots = np.array([row]), np.array([slot])
    before = _values(table, rows, slots)
    return make_change("delete a pose", rows, slots, before, emptied(before, np.ones(1, bool)))


def exchange_keypoints(
    table: Table, row: int, slot: int, pairs: Sequence[tuple[int, int]]
) -> Change:
    """Let pairs of keypoints of one animal trade places, such as left and right.

    Raises
    ------
    LabelsError
        When there is no animal.
    """
    rows, slots, before, after = _one(table, row, slot)
    for a, b in pairs:
        for name in KEYPOINT_FIELDS:
            after[name][0, [a, b]] = before[name][0, [b, a]]
    return make_change("swap left and right", rows, slots, before, after)


def move_keypoints(
    table: Table, row: int, slot: int, positions: Sequence[tuple[int, float, float]]
) -> Change:
    """Move keypoints (index, x, y) of one animal; they count as a label from now on.

    Raises
    ------
    LabelsError
        When there is no animal.
    """
    rows, slots, before, after = _one(table, row, slot)
    for keypoint, x, y in positions:
        after["xy"][0, keypoint] = x, y
        after["score"][0, keypoint] = 1.0
        after["visible"][0, keypoint] = max(
            int(before["visible"][0, keypoint]), Visibility.OCCLUDED
        )
    return make_change("move keypoints", rows, slots, before, after)


def _one(
    table: Table, row: int, slot: int
) -> tuple[IntArray, IntArray, dict[str, NDArray], dict[str, NDArray]]:
    """Address of one animal, its values, and a copy of them."""
    if not (array_of(table, "visible")[row, slot] > 0).any():
        raise LabelsError("there is no such animal on this frame")
    rows, slots = np.array([row]), np.array([slot])
    before = _values(table, rows, slots)
    return rows, slots, before, {name: value.copy() for name, value in before.items()}


def interpolate(table: Table, track: int, first: int, last: int, video: int = 0) -> Change:
    """Replace the poses of an animal on some frames by lines between those before and after.

    Keypoints that are missing on the last frame before or the first one after become missing. The
    new poses count as propagated.

    Raises
    ------
    LabelsError
        When the animal is not on these frames, or is not seen before and after them.
    """
    row, slot, _ = _find(table, (track,), first, last, video)
    name = track_name(table, track)
    if track < 0 or not len(row):
        raise LabelsError(f"animal {name} is not on these frames")
    frame = array_of(table, "frame")
    ends = []
    sides: tuple[tuple[int, int | None], ...] = ((0, first - 1), (last + 1, None))
    for begin, end in sides:
        there, where, _ = _find(table, (track,), begin, end, video)
        if not len(there):
            raise LabelsError(f"animal {name} must be seen before and after the frames to fill")
        nearest = int(np.abs(frame[there] - first).argmin())
        ends.append((there[[nearest]], where[[nearest]]))
    (row_a, slot_a), (row_b, slot_b) = ends
    before = _values(table, row, slot)
    a, b = _values(table, row_a, slot_a), _values(table, row_b, slot_b)
    share = (frame[row] - frame[row_a]) / (frame[row_b] - frame[row_a])
    after = {key: value.copy() for key, value in before.items()}
    after["xy"] = a["xy"] + (b["xy"] - a["xy"]) * share[:, None, None]
    both = np.isfinite(after["xy"]).all(-1)
    after["visible"] = np.where(both, np.minimum(a["visible"], b["visible"]), Visibility.ABSENT)
    after["visible"] = after["visible"].astype(np.int8)
    score = a["score"] + (b["score"] - a["score"]) * share[:, None]
    after["score"] = np.where(both, score, 0.0)
    grade = a["instance_score"] + (b["instance_score"] - a["instance_score"]) * share
    after["instance_score"] = grade
    after["source"][:] = Source.PROPAGATED
    return make_change(
        f"interpolate animal {name}", row, slot, before, emptied(after, ~both.any(1))
    )


def interpolate_keypoints(
    table: Table,
    track: int,
    keypoints: Sequence[int],
    first: int,
    last: int,
    video: int = 0,
) -> Change:
    """Replace some keypoints of an animal on some frames by lines between those before and after.

    The other keypoints stay. Where a line begins and ends is where the keypoint was seen last before and
    first after the frames; its score is interpolated, too.

    Raises
    ------
    LabelsError
        When the animal is not on these frames, or a keypoint is not seen before and after them.
    """
    row, slot, _ = _find(table, (track,), first, last, video)
    name = track_name(table, track)
    if track < 0 or not len(row):
        raise LabelsError(f"animal {name} is not on these frames")
    frame, visible = array_of(table, "frame"), array_of(table, "visible")
    xy, scores = array_of(table, "xy"), array_of(table, "score")
    fields = ("xy", "visible", "score")
    before = {key: array_of(table, key)[row, slot] for key in fields}
    after = {key: value.copy() for key, value in before.items()}
    earlier = _find(table, (track,), 0, first - 1, video)[:2]
    later = _find(table, (track,), last + 1, None, video)[:2]
    for k in keypoints:
        ends = []
        for (there, where), nearest in ((earlier, -1), (later, 0)):
            seen = np.flatnonzero(visible[there, where, k] > 0)
            if not len(seen):
                raise LabelsError(
                    f"keypoint {k + 1} of animal {name} must be seen before and after the frames"
                )
            ends.append((there[seen[nearest]], where[seen[nearest]], k))
        a, b = ends
        share = (frame[row] - frame[a[0]]) / (frame[b[0]] - frame[a[0]])
        after["xy"][:, k] = xy[a] + (xy[b] - xy[a]) * share[:, None]
        after["score"][:, k] = scores[a] + (scores[b] - scores[a]) * share
        after["visible"][:, k] = min(visible[a], visible[b])
    what = "a keypoint" if len(keypoints) == 1 else f"{len(keypoints)} keypoints"
    return make_change(f"interpolate {what} of animal {name}", row, slot, before, after)


# --------------------------------------------------------------------- plumbing


def rows_between(table: Table, first: int, last: int | None, video: int) -> IntArray:
    """Rows of the frames `first` to `last` of a video, in the order of the frames."""
    frame = array_of(table, "frame")
    inside = (array_of(table, "video") == video) & (frame >= first)
    if last is not None:
        inside &= frame <= last
    rows = np.flatnonzero(inside)
    if (np.diff(frame[rows]) < 0).any():
        rows = rows[np.argsort(frame[rows], kind="stable")]
    return rows


def _seen(
    table: Table, track: int, first: int, last: int | None, video: int
) -> tuple[IntArray, IntArray]:
    """Rows and slots [M] of an animal with an identity on some frames, of which it is on one at least."""
    row, slot, _ = _find(table, (track,), first, last, video)
    if track < 0 or not len(row):
        raise LabelsError(f"animal {track_name(table, track)} is not on these frames")
    return row, slot


def _find(
    table: Table, tracks: tuple[int, ...], first: int, last: int | None, video: int
) -> tuple[IntArray, IntArray, IntArray]:
    """Rows, slots and tracks [M] of the instances of some tracks."""
    rows = rows_between(table, first, last, video)
    track = array_of(table, "track")[rows]
    chosen = track == tracks[0]
    for other in tracks[1:]:
        chosen |= track == other
    row, slot = np.nonzero(chosen)
    return rows[row], slot, track[row, slot]


def _two(table: Table, a: int, b: int) -> str:
    return f"{track_name(table, a)} and {track_name(table, b)}"


def _retrack(table: Table, name: str, row: IntArray, slot: IntArray, after: ArrayLike) -> Change:
    """Return the change of the tracks of M instances; those that stay are left out."""
    before = array_of(table, "track")[row, slot]
    new = np.asarray(after, np.int64)
    moved = before != new
    return make_change(
        name, row[moved], slot[moved], {"track": before[moved]}, {"track": new[moved]}
    )


def _values(table: Table, row: IntArray, slot: IntArray) -> dict[str, NDArray]:
    """All arrays of M instances."""
    return {name: array_of(table, name)[row, slot] for name in INSTANCE_FIELDS}


def emptied(values: dict[str, NDArray], gone: NDArray[np.bool_]) -> dict[str, NDArray]:
    """Return the values of M instances with those that are `gone` [M] emptied."""
    out = {}
    for name, empty in INSTANCE_FIELDS.items():
        value = values[name]
        if gone.all():  # a track that is deleted needs no memory for what is left of it
            out[name] = np.broadcast_to(np.array(empty, value.dtype), value.shape)
        else:
            out[name] = value.copy()
            out[name][gone] = empty
    return out


def make_change(
    name: str,
    row: IntArray,
    slot: IntArray,
    before: dict[str, NDArray],
    after: dict[str, NDArray],
) -> Change:
    """Make a change whose numbers are small: many of them are kept, to be undone."""
    if not len(row):
        raise LabelsError("there is nothing to change on these frames")

    def small(values: dict[str, NDArray]) -> dict[str, NDArray]:
        return {k: v.astype(np.int32) if k == "track" else v for k, v in values.items()}

    return difference(
        name,
        cast(IntArray, row.astype(np.int32)),
        cast(IntArray, slot.astype(np.int16)),
        small(before),
        small(after),
    )
