"""What was done to poses, step by step: to take it back, to do it again, to find the place."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import ClassVar
from weakref import WeakKeyDictionary, ref

import numpy as np

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.layers import edits
from napari_semimultipose.layers.differences import different
from napari_semimultipose.layers.skeletons import skeleton_change
from napari_semimultipose.layers.store import KEYPOINT_FIELDS, Change, PoseStore, SkeletonChange
from napari_semimultipose.poses import IntArray, Skeleton

LIMIT_STEPS = 1000
"""So many steps are kept, ..."""
LIMIT_BYTES = 2**30
"""... and fewer when they take more memory: a click takes less than 2 kB, an edit of a whole long
recording some megabytes."""


@dataclass(frozen=True, eq=False)
class Step:
    """What is undone at once.

    Parameters
    ----------
    name : str
        What was done, in words for a menu.
    parts : tuple of Change or SkeletonChange
        In the order in which they were made.
    """

    name: str
    parts: tuple[Change | SkeletonChange, ...]

    @property
    def changes(self) -> list[Change]:
        """The parts that change animals or marks of frames."""
        return [part for part in self.parts if isinstance(part, Change)]

    @property
    def changes_skeleton(self) -> bool:
        """Whether the skeleton is another one afterwards."""
        return any(isinstance(part, SkeletonChange) for part in self.parts)

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return sum(change.nbytes for change in self.changes)

    def rows(self) -> IntArray:
        """Rows of the store that the step touches, each once."""
        touched = [array for change in self.changes for array in (change.row, change.marked)]
        return np.unique(np.concatenate([np.zeros(0, np.int64), *touched]))

    def animals(self) -> IntArray:
        """Animals (row, slot) [M, 2] that the step touches, each once."""
        pairs = [np.column_stack([change.row, change.slot]) for change in self.changes]
        return np.unique(np.concatenate([np.zeros((0, 2), np.int64), *pairs]), axis=0)

    def keypoints(self) -> IntArray:
        """Keypoints (row, slot, keypoint) [P, 3] whose position or visibility changes."""
        found = [np.zeros((0, 3), np.int64)]
        for change in self.changes:
            for name in set(KEYPOINT_FIELDS) & set(change.after):
                member, keypoint = np.nonzero(different(change.before[name], change.after[name], 2))
                found.append(np.column_stack([change.row[member], change.slot[member], keypoint]))
        return np.unique(np.concatenate(found), axis=0)


class History:
    """Remembers every change of a store, whoever made it, and takes changes back one by one.

    It listens to the store: edits by clicks and keys, by napari's own tools and by other widgets
    are in it alike. A step holds the difference that it made and no copy of the table. Saving does
    not end the history; replacing animals past the changes (`PoseStore.replace`) does.

    Parameters
    ----------
    store : PoseStore
    limit_steps, limit_bytes : int
        The oldest steps are forgotten when there are more, or when all of them take more memory.
        The last step is always kept.
    """

    # A history lives as long as its store, whose listeners hold it.
    _known: ClassVar[WeakKeyDictionary[PoseStore, ref[History]]] = WeakKeyDictionary()

    @classmethod
    def of(cls, store: PoseStore) -> History:
        """Return the history of a store; it begins with the first call."""
        known = cls._known.get(store)
        history = None if known is None else known()
        return cls(store) if history is None else history

    def __init__(
        self,
        store: PoseStore,
        limit_steps: int = LIMIT_STEPS,
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        self.store = store
        self._limit_steps, self._limit_bytes = limit_steps, limit_bytes
        self._done: deque[Step] = deque()
        self._undone: list[Step] = []
        self._nbytes = 0
        self._group: list[Change | SkeletonChange] | None = None
        self._replaying = False
        self._generation = store.generation
        self._base = object()  # what the table was before the first step that is kept
        self._setting = False
        store.listeners.append(self._on_store)
        self._known[store] = ref(self)

    # ----------------------------------------------------------------- reading

    def __len__(self) -> int:
        """Return the number of steps that can be undone."""
        return len(self._done)

    @property
    def nbytes(self) -> int:
        """Memory of the steps that can be undone, in bytes."""
        return self._nbytes

    @property
    def undo_name(self) -> str | None:
        """Name of the step that `undo` takes back; None: there is none."""
        return self._done[-1].name if self._done else None

    @property
    def redo_name(self) -> str | None:
        """Name of the step that `redo` does again; None: there is none."""
        return self._undone[-1].name if self._undone else None

    @property
    def state(self) -> object:
        """What the table is now: equal to an earlier state exactly when all that came since was undone."""
        return self._done[-1] if self._done else self._base

    def last_place(self, video: int, frame: int) -> tuple[int, int] | None:
        """Where the last edit was made on another frame than this one.

        Returns
        -------
        (video, frame) or None
            The frame of the last step that did not touch the given frame; None: there is none.
        """
        for step in reversed(self._done):
            place = self.place_of(step, video, frame)
            if place is not None and place != (video, frame):
                return place
        return None

    def place_of(self, step: Step, video: int, frame: int) -> tuple[int, int] | None:
        """Return the frame (video, frame) nearest to a given one that a step touches.

        None for a step that changes the skeleton: it belongs to no frame.
        """
        rows = step.rows()
        if step.changes_skeleton or not len(rows):
            return None
        videos, frames = self.store.array("video")[rows], self.store.array("frame")[rows]
        nearest = np.lexsort([np.abs(frames - frame), videos != video])[0]
        return int(videos[nearest]), int(frames[nearest])

    # ------------------------------------------------------------------- steps

    def undo(self) -> Step:
        """Take the last step back and return it.

        Raises
        ------
        LabelsError
            When there is none.
        """
        if not self._done:
            raise LabelsError("there is nothing to undo")
        step = self._done[-1]
        self._replay([part.reversed() for part in reversed(step.parts)])
        self._undone.append(self._done.pop())
        self._nbytes -= step.nbytes
        return step

    def redo(self) -> Step:
        """Do the step again that was taken back last, and return it.

        Raises
        ------
        LabelsError
            When there is none.
        """
        if not self._undone:
            raise LabelsError("there is nothing to redo")
        step = self._undone[-1]
        self._replay(step.parts)
        self._done.append(self._undone.pop())
        self._nbytes += step.nbytes
        return step

    @contextmanager
    def group(self, name: str) -> Iterator[None]:
        """Make one step of all changes inside of the block, under a name of its own.

        What was done before an exception is a step as well. A group in a group belongs to the
        outer one.
        """
        if self._group is not None:
            yield
            return
        parts = self._group = []
        try:
            yield
        finally:
            self._group = None
            if parts:
                self._push(Step(name, tuple(parts)))

    def set_skeleton(self, skeleton: Skeleton, origin: Sequence[int | None]) -> None:
        """Give the animals another skeleton: a step like any other.

        Keypoints that the new skeleton lacks are deleted from the animals; undoing brings them back.

        Parameters
        ----------
        skeleton : Skeleton
            The new skeleton, with L keypoints.
        origin : sequence of int or None, of length L
            For each of its keypoints the index that it had before, None for a new one.

        Raises
        ------
        ValueError
            When `origin` does not have L entries, or mentions a keypoint twice.
        """
        change = skeleton_change(self.store.skeleton, skeleton, origin)
        if change is None:
            return
        with self.group(change.name):
            if change.dropped:
                with self.store.half_way():
                    edits.drop_keypoints(self.store, change.dropped)
            self._setting = True
            try:
                self.store.set_skeleton(change)
            finally:
                self._setting = False
            self._note(change)

    # ---------------------------------------------------------------- plumbing

    def _replay(self, parts: Sequence[Change | SkeletonChange]) -> None:
        self._replaying = True
        whole = any(isinstance(part, SkeletonChange) for part in parts)
        try:
            for part in parts:
                last = part is parts[-1]
                with self.store.half_way() if whole and not last else nullcontext():
                    if isinstance(part, Change):
                        self.store.apply(part)
                    else:
                        self.store.set_skeleton(part)
        finally:
            self._replaying = False

    def _on_store(self, change: Change | None) -> None:
        if self.store.generation != self._generation:
            self._generation = self.store.generation
            self._forget()
        elif change is None and not (self._replaying or self._setting):
            # Frames were added: steps stay as they are, but no earlier state comes back.
            self._base = object()
            self._done = deque(Step(step.name, step.parts) for step in self._done)
            self._undone = [Step(step.name, step.parts) for step in self._undone]
        elif change is not None and not self._replaying and not change.is_empty:
            self._note(change)

    def _note(self, part: Change | SkeletonChange) -> None:
        if self._group is not None:
            self._group.append(part)
        else:
            self._push(Step(part.name, (part,)))

    def _push(self, step: Step) -> None:
        self._undone.clear()
        self._done.append(step)
        self._nbytes += step.nbytes
        while len(self._done) > 1 and (
            len(self._done) > self._limit_steps or self._nbytes > self._limit_bytes
        ):
            self._nbytes -= self._done.popleft().nbytes
            self._base = object()

    def _forget(self) -> None:
        self._done.clear()
        self._undone.clear()
        self._base = object()
        self._nbytes = 0
        if self._group is not None:
            self._group.clear()
