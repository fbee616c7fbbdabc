"""A known number of animals: who fills whose gaps, and which poses are surplus."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.layers.store import INSTANCE_FIELDS, Change
from napari_semimultipose.matching import pose_centers
from napari_semimultipose.poses import FloatArray, IntArray
from napari_semimultipose.tracking.repair import (
    Table,
    array_of,
    emptied,
    make_change,
    new_track,
    rows_between,
    tracks_of,
)

# A single pose without an identity fills a gap when it lies within so many body lengths of where
# the animal should be.
_REACH = 2.0


def fix_count(
    table: Table, animals: int, first: int = 0, last: int | None = None, video: int = 0
) -> Change:
    """Leave no more than a known number of animals on the frames `first` to `last`.

    The animals are the tracks with the most frames of the whole video. Other tracks, the long ones
    first, become the animal that is missing on all of their frames and was last and next seen
    nearest. Single poses that remain fill the gap of an animal that should be near. What is left has
    no identity, and on frames with too many animals the least sure of it is deleted.

    Parameters
    ----------
    table : Poses or PoseStore
    animals : int
        Number of animals, 1 or more.
    first, last : int
        Frames, both included; None is the end.
    video : int

    Raises
    ------
    LabelsError
        When the number is below 1, or nothing has to be changed.
    """
    if animals < 1:
        raise LabelsError("say how many animals there are")
    rows = rows_between(table, first, last, video)
    identity = tracks_of(table, video)[:animals]
    fresh = new_track(table) + np.arange(animals - len(identity))
    places = _Places(table, rows, np.concatenate([identity, fresh]).astype(np.int64))
    places.join_tracks()
    places.fill_gaps()
    return places.change(f"keep {animals} animal{'s' if animals > 1 else ''}")


class _Places:
    """Which slot each animal has on each row.

    Parameters
    ----------
    table : Poses or PoseStore
    rows : array [R]
        Rows to look at, in the order of their frames.
    identity : array [A]
        Tracks of the animals.
    """

    def __init__(self, table: Table, rows: IntArray, identity: IntArray) -> None:
        self._table = table
        self._rows = rows
        self._identity = identity
        self._track = array_of(table, "track")[rows]
        self._present: NDArray[np.bool_] = np.greater_equal(self._track, 0)
        row, slot = np.nonzero(~self._present)  # who has an identity is there
        self._present[row, slot] = (array_of(table, "visible")[rows[row], slot] > 0).any(-1)
        self._slot = np.full((len(identity), len(rows)), -1, np.int64)
        self._left: NDArray[np.bool_] = self._present.copy()  # not yet given to an animal
        for i, track in enumerate(identity.tolist()):
            row, slot = np.nonzero(self._track == track)
            self._slot[i, row] = slot
            there = np.flatnonzero(self._slot[i] >= 0)
            self._left[there, self._slot[i, there]] = False

    def join_tracks(self) -> None:
        """Let whole tracks be the animal that is missing while they last."""
        row, slot = np.nonzero(self._left & (self._track >= 0))
        track = self._track[row, slot]
        order = np.argsort(track, kind="stable")
        row, slot = row[order], slot[order]
        if not len(row):
            return
        starts = np.flatnonzero(np.diff(track[order], prepend=-1))
        pieces = zip(starts, np.append(starts[1:], len(row)), strict=True)
        for a, b in sorted(pieces, key=lambda piece: piece[0] - piece[1]):
            if (np.diff(row[a:b]) == 0).any():
                continue  # one track twice on a frame: its poses are looked at one by one
            free = (self._slot[:, row[a:b]] < 0).all(1)
            if free.any():
                who = np.flatnonzero(free)
                if len(who) > 1:
                    leap = [self._leap(i, row[a:b], slot[a:b]) for i in who.tolist()]
                    who = who[[int(np.argmin(leap))]]
                self._give(int(who[0]), row[a:b], slot[a:b])

    def fill_gaps(self) -> None:
        """Let single poses that are left be a missing animal that should be near."""
        missing: NDArray[np.bool_] = np.asarray((self._slot < 0).any(0))
        row, slot = np.nonzero(self._left & missing[:, None])
        if not len(row):
            return
        here = self._centers(row, slot)
        reach = _REACH * self._length()
        distance = np.full((len(self._identity), len(row)), np.inf)
        for i in range(len(self._identity)):
            gap = np.flatnonzero(self._slot[i, row] < 0)
            distance[i, gap] = np.linalg.norm(self._expected(i, row[gap]) - here[gap], axis=1)
        while True:
            # The best pair of each row; then the next best of what is left.
            distance[~(distance <= reach)] = np.inf
            who, best = distance.argmin(0), distance.min(0)
            order = np.lexsort((best, row))
            order = order[np.isfinite(best[order])]
            if not len(order):
                return
            chosen = order[np.diff(row[order], prepend=-1) > 0]
            for i in range(len(self._identity)):
                mine = chosen[who[chosen] == i]
                self._give(i, row[mine], slot[mine])
                distance[i, np.isin(row, row[mine])] = np.inf
            distance[:, chosen] = np.inf

    def change(self, name: str) -> Change:
        """Return the difference to the table: new tracks, and poses that are gone."""
        after = np.full(self._track.shape, -1, np.int64)
        who, row = np.nonzero(self._slot >= 0)
        after[row, self._slot[who, row]] = self._identity[who]
        surplus = self._surplus()
        row, slot = np.nonzero(surplus | (self._present & (after != self._track)))
        if not len(row):
            raise LabelsError(
                "there is nothing to change: no pose is too many, and none can be a missing animal; "
                "label what is missing, or call it fine"
            )
        gone = surplus[row, slot]
        place = self._rows[row]
        if not gone.any():
            old = {"track": self._track[row, slot]}
            return make_change(name, place, slot, old, {"track": after[row, slot]})
        before = {field: array_of(self._table, field)[place, slot] for field in INSTANCE_FIELDS}
        new = emptied(before, gone) | {"track": np.where(gone, -1, after[row, slot])}
        return make_change(name, place, slot, before, new)

    def _surplus(self) -> NDArray[np.bool_]:
        """Which of the poses [R, N] that are left are more than there are animals."""
        room = len(self._identity) - (self._slot >= 0).sum(0)
        out = np.zeros(self._left.shape, np.bool_)
        full = np.flatnonzero(self._left.sum(1) > room)
        left = self._left[full]
        score = array_of(self._table, "instance_score")[self._rows[full]]
        order = np.argsort(np.where(left, -score, np.inf), axis=1, kind="stable")
        rank = np.argsort(order, axis=1, kind="stable")
        out[full] = left & (rank >= room[full, None])
        return out

    # ------------------------------------------------------------------ places

    def _give(self, who: int, row: IntArray, slot: IntArray) -> None:
        self._slot[who, row] = slot
        self._left[row, slot] = False

    def _leap(self, who: int, row: IntArray, slot: IntArray) -> float:
        """How far an animal leaps to a piece and on from it, in px, where it is seen around it."""
        before, after = self._seen_before(who, int(row[0])), self._seen_after(who, int(row[-1]))
        total = 0.0
        for other, end in ((before, 0), (after, -1)):
            if other is not None:
                there = self._centers(np.array([other]), self._slot[who, [other]])
                total += float(np.linalg.norm(there - self._centers(row[[end]], slot[[end]])))
        return total

    def _seen_before(self, who: int, row: int) -> int | None:
        """Last row before `row` that has the animal; found near by mostly, so looked for there."""
        size, stop = 64, row
        while stop > 0:
            start = max(0, stop - size)
            found = np.flatnonzero(self._slot[who, start:stop] >= 0)
            if len(found):
                return start + int(found[-1])
            stop, size = start, 4 * size
        return None

    def _seen_after(self, who: int, row: int) -> int | None:
        size, start = 64, row + 1
        while start < len(self._rows):
            found = np.flatnonzero(self._slot[who, start : start + size] >= 0)
            if len(found):
                return start + int(found[0])
            start, size = start + size, 4 * size
        return None

    def _expected(self, who: int, row: IntArray) -> FloatArray:
        """Where an animal should be [M, 2]: on the line between its sights, NaN without any."""
        seen = np.flatnonzero(self._slot[who] >= 0)
        if not len(seen):
            return np.full((len(row), 2), np.nan)
        place = np.searchsorted(seen, row)
        a, b = seen[np.maximum(place - 1, 0)], seen[np.minimum(place, len(seen) - 1)]
        a = np.where(place == 0, b, a)
        from_a, from_b = (self._centers(r, self._slot[who, r]) for r in (a, b))
        share = (row - a) / np.maximum(b - a, 1)
        return np.asarray(from_a + (from_b - from_a) * share[:, None])

    def _centers(self, row: IntArray, slot: IntArray) -> FloatArray:
        return pose_centers(array_of(self._table, "xy")[self._rows[row], slot])

    def _length(self) -> float:
        """Usual longer side of the animals in px; of up to a thousand rows."""
        few = self._rows[:: max(1, len(self._rows) // 1000)]
        xy: NDArray = array_of(self._table, "xy")[few]
        known = np.isfinite(xy)
        high = np.where(known, xy, -np.inf).max(2, initial=-np.inf)
        low = np.where(known, xy, np.inf).min(2, initial=np.inf)
        side = (high - low).max(-1)
        side = side[np.isfinite(side) & (side > 0)]
        return float(np.median(side)) if len(side) else np.inf
