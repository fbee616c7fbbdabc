"""What a person corrects while poses still come, and how it outlives their being replaced by the final ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.layers import edits
from napari_semimultipose.layers.differences import difference, different
from napari_semimultipose.layers.store import INSTANCE_FIELDS, Change, PoseStore
from napari_semimultipose.poses import FloatArray, IntArray

NAME = "corrections made meanwhile"


@dataclass(frozen=True)
class Corrected:
    """Animals that a person has changed.

    Parameters
    ----------
    video, frame : arrays [M]
        Where they are.
    came : array [M, K, 2]
        Their positions in px before they were changed; NaN for new ones.
    values : mapping of str to array [M, ...]
        What they are now, all of `INSTANCE_FIELDS`.
    empty : list of (int, int)
        Videos and frames that were marked as empty.
    """

    video: IntArray
    frame: IntArray
    came: FloatArray
    values: Mapping[str, NDArray]
    empty: list[tuple[int, int]]

    def apply_to(self, store: PoseStore) -> int:
        """Change the same animals of other poses; returns their number.

        An animal is the one with the positions that it came with. Where the poses have tracks, it keeps
        that of the poses.
        """
        n = self._change_animals(store) if len(self.frame) else 0
        for video, frame in self.empty:
            row = store.ensure_row(video, frame)
            if not store.slots(row) and not store.is_negative(row):
                edits.set_negative(store, video, frame, True)
        return n

    def _change_animals(self, store: PoseStore) -> int:
        row, slot = self._places(store)
        before = {name: store.array(name)[row, slot].copy() for name in INSTANCE_FIELDS}
        after = dict(self.values)
        there = (after["visible"] > 0).any(-1)
        if (store.array("track") >= 0).any():
            after["track"] = np.where(there, before["track"], -1)
        filled = np.unique(row[there])
        filled = filled[[store.is_negative(int(r)) for r in filled]] if len(filled) else filled
        marks = np.ones(len(filled), np.bool_)
        change = difference(NAME, row, slot, before, after, filled, marks, ~marks)
        if change.is_empty:
            return 0
        store.apply(change)
        return len(change.row)

    def _places(self, store: PoseStore) -> tuple[IntArray, IntArray]:
        """Rows and slots [M] of the animals in a store."""
        taken: dict[int, list[int]] = defaultdict(list)
        places: list[tuple[int, int]] = []
        keys = zip(self.video.tolist(), self.frame.tolist(), strict=True)
        for (video, frame), came in zip(keys, self.came, strict=True):
            row = store.ensure_row(video, frame)
            taken[row].append(_slot(store, row, came, taken[row]))
            places.append((row, taken[row][-1]))
        table = np.array(places, np.int64).reshape(-1, 2)
        return table[:, 0], table[:, 1]


def _slot(store: PoseStore, row: int, came: FloatArray, taken: list[int]) -> int:
    """Slot of the animal at some positions [K, 2], or else the first free one."""
    if np.isfinite(came).any():
        here = store.array("xy")[row]
        same = ~different(here, np.broadcast_to(came, here.shape))
        known = [int(s) for s in np.flatnonzero(same) if s not in taken]
        if known:
            return known[0]
    new = [s for s in taken if s not in store.slots(row)]
    return next(s for s in store.free_slots(row, len(new) + 1) if s not in new)


class Corrections:
    """Notes what a person changes in a store from now on.

    Parameters
    ----------
    store : PoseStore
        Frames may be added to it; animals that are there stay in their rows and slots.
    """

    def __init__(self, store: PoseStore) -> None:
        self._store = store
        self._skeleton = store.skeleton
        self._changes: list[Change] = []
        store.listeners.append(self._on_store)

    def _on_store(self, change: Change | None) -> None:
        if change is not None:
            self._changes.append(change)

    def end(self) -> Corrected:
        """Stop following the store, and return what was changed; nothing if it has another skeleton now."""
        store = self._store
        changes = self._changes if store.skeleton == self._skeleton else []
        if self._on_store in store.listeners:
            store.listeners.remove(self._on_store)
        came = store.array("xy").copy()
        for change in reversed(changes):
            if "xy" in change.before:
                came[change.row, change.slot] = change.before["xy"]
        pairs = [np.column_stack([c.row, c.slot]) for c in changes]
        row, slot = np.unique(np.concatenate([np.zeros((0, 2), np.int64), *pairs]), axis=0).T
        known = np.isfinite(came[row, slot]).any((1, 2)) | store.present()[row, slot]
        row, slot = row[known], slot[known]
        rows = {int(r) for c in changes for r in (*c.row, *c.marked)}
        video, frame = store.array("video"), store.array("frame")
        return Corrected(
            video[row],
            frame[row],
            came[row, slot],
            {name: store.array(name)[row, slot] for name in INSTANCE_FIELDS},
            [(int(video[r]), int(frame[r])) for r in sorted(rows) if store.is_negative(r)],
        )
