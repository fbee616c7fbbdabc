"""The course of labelling: which keypoint the next click places, and what the keys do to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.layers import edits
from napari_semimultipose.layers.store import Change, PoseStore
from napari_semimultipose.layers.view import Key
from napari_semimultipose.poses import Source, Visibility


class State(Enum):
    """What is known of one keypoint of one animal."""

    MISSING = "missing"
    SKIPPED = "skipped"
    OCCLUDED = "occluded"
    VISIBLE = "visible"


@dataclass(frozen=True)
class Target:
    """What the next click places.

    Parameters
    ----------
    slot : int or None
        The animal; None: a new one.
    keypoint : int
        Index of the keypoint.
    """

    slot: int | None = None
    keypoint: int = 0


class LabelSession:
    """A person labels one frame after the other of a video.

    A click places the target keypoint; then the target is the next keypoint of the animal, and
    after the last one the first keypoint of a new animal. The keypoint placed or clicked last is
    *selected*: that is the one that the keys change.

    Attributes
    ----------
    listeners : list of callables
        Called without arguments when target, selection or frame have changed.
    """

    def __init__(self, store: PoseStore, video: int = 0, frame: int = 0) -> None:
        self.store = store
        self.listeners: list[Callable[[], None]] = []
        self._video = video
        self._frame = frame
        self._target = Target()
        self._selected: Key | None = None
        self._picked = False  # whether the selection was clicked, and not placed just now
        self._skipped: set[Key] = set()
        self._unfinished: dict[tuple[int, int], Target] = {}
        self.image_shape: tuple[int, int] | None = None
        self.n_frames: int | None = None
        store.listeners.append(self._on_store)

    def close(self) -> None:
        """Stop following the store."""
        self.store.listeners.remove(self._on_store)

    # ----------------------------------------------------------------- state

    @property
    def video(self) -> int:
        """Index of the video that is labelled."""
        return self._video

    @property
    def frame(self) -> int:
        """Index of the frame that is labelled."""
        return self._frame

    @property
    def row(self) -> int | None:
        """Row of the frame in the store, if it has one."""
        return self.store.row(self._video, self._frame)

    @property
    def target(self) -> Target:
        """What the next click places."""
        return self._target

    @property
    def selected(self) -> Key | None:
        """The keypoint that the keys change."""
        return self._selected

    @property
    def slots(self) -> list[int]:
        """Slots of the animals on this frame."""
        return self.store.slots(self.row)

    @property
    def moves(self) -> bool:
        """Whether the target is there already, so that the next click moves it."""
        return self._state(self._target.slot, self._target.keypoint) in (
            State.VISIBLE,
            State.OCCLUDED,
        )

    @property
    def animal(self) -> int | None:
        """Slot of the animal that the keys change: that of the selection, or else of the target."""
        return self._selected.slot if self._selected is not None else self._target.slot

    def states(self) -> list[State]:
        """State of each keypoint [K] of the target animal."""
        return [self._state(self._target.slot, k) for k in range(len(self.store.skeleton))]

    def _state(self, slot: int | None, keypoint: int) -> State:
        row = self.row
        if slot is None or row is None:
            return State.MISSING
        visible = self.store.array("visible")[row, slot, keypoint]
        if visible == Visibility.ABSENT:
            key = Key(row, slot, keypoint)
            return State.SKIPPED if key in self._skipped else State.MISSING
        return State.OCCLUDED if visible == Visibility.OCCLUDED else State.VISIBLE

    # ---------------------------------------------------------------- frames

    def go_to(self, frame: int, video: int | None = None) -> None:
        """Label another frame; an animal left half-way waits there."""
        here = self._video, self._frame
        if self._target.slot is not None:
            self._unfinished[here] = self._target
        else:
            self._unfinished.pop(here, None)
        self._video, self._frame = self._video if video is None else video, frame
        target = self._unfinished.get((self._video, frame), Target())
        self._set(target if target.slot in self.slots else Target(), None)

    def labelled(self) -> dict[int, int]:
        """Labelled frames of this video, with their number of animals."""
        return self.store.labelled(self._video)

    def neighbour(self, direction: int) -> int:
        """Return the next labelled frame after (+1) or before (-1) this one.

        Raises
        ------
        LabelsError
            When there is none.
        """
        frames = list(self.labelled())
        ahead = [f for f in frames if (f - self._frame) * direction > 0]
        if not ahead:
            side = "after" if direction > 0 else "before"
            raise LabelsError(f"there is no labelled frame {side} this one")
        return min(ahead, key=lambda f: abs(f - self._frame))

    # ------------------------------------------------------------- the mouse

    def click(
        self, xy: ArrayLike, visibility: Visibility = Visibility.VISIBLE, frame: int | None = None
    ) -> None:
        """Place (or move) the target at (x, y) in px, and go on to the next keypoint.

        Raises
        ------
        LabelsError
            When the position lies outside of the image, or the frame after the end.
        """
        if frame is not None and frame != self._frame:
            raise LabelsError("points can only be placed on the frame that is shown")
        position = np.asarray(xy, np.float64)
        self._check_inside(position)
        target = self._target
        if self.moves and self.row is not None and target.slot is not None:
            key = Key(self.row, target.slot, target.keypoint)
            edits.move_keypoints(self.store, [key.row], [key.slot], [key.keypoint], [position])
        else:
            change = edits.place_keypoint(
                self.store,
                self._video,
                self._frame,
                target.slot,
                target.keypoint,
                position,
                visibility,
            )
            key = Key(int(change.row[0]), int(change.slot[0]), target.keypoint)
        self._skipped.discard(key)
        self._set(self._after(key), key)

    def select(self, key: Key) -> None:
        """Select a keypoint; the next click goes on with its animal, if something is missing."""
        self._set(self._after(key), key, picked=True)

    def move(self, key: Key, xy: ArrayLike) -> None:
        """Move a keypoint that was dragged."""
        position = np.asarray(xy, np.float64)
        self._check_inside(position)
        edits.move_keypoints(self.store, [key.row], [key.slot], [key.keypoint], [position])
        self.select(key)

    def _check_inside(self, xy: ArrayLike) -> None:
        if self.n_frames is not None and self._frame >= self.n_frames:
            raise LabelsError("the recording has ended: there is no picture on this frame")
        if self.image_shape is None:
            return
        height, width = self.image_shape
        x, y = np.asarray(xy, np.float64)
        if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
            raise LabelsError("a keypoint must lie inside the image")

    # -------------------------------------------------------------- the keys

    def skip(self) -> None:
        """Leave the target keypoint out and go on to the next one."""
        target, row = self._target, self.row
        if target.slot is not None and row is not None and not self.moves:
            self._skipped.add(Key(row, target.slot, target.keypoint))
        self._set(self._next(target), None)

    def step_keypoint(self, step: int) -> None:
        """Go to the next or previous keypoint of the animal, whether it is there or not."""
        self.choose_keypoint((self._target.keypoint + step) % len(self.store.skeleton))

    def choose_keypoint(self, keypoint: int) -> None:
        """Make a keypoint of the animal the target; if it is there, it is selected as well."""
        self._point_at(Target(self._target.slot, keypoint))

    def new_animal(self) -> None:
        """Begin a new animal, whatever the last one still lacks."""
        self._set(Target(), None)

    def step_animal(self, step: int) -> None:
        """Go to the next or previous animal of the frame; a new one comes after the last."""
        animals: list[int | None] = [*self.slots, None]
        here = self.animal if self._picked else self._target.slot
        slot = animals[(animals.index(here) + step) % len(animals)]
        missing = [k for k in range(len(self.store.skeleton)) if self._is_open(slot, k)]
        self._point_at(Target(slot, missing[0] if missing else self._target.keypoint))

    def toggle_occluded(self) -> None:
        """Say of the selected keypoint that it is hidden, or that it can be seen after all."""
        key = self._need_selection()
        hidden = self.store.array("visible")[key] == Visibility.OCCLUDED
        edits.set_visibility(
            self.store,
            [key.row],
            [key.slot],
            [key.keypoint],
            Visibility.VISIBLE if hidden else Visibility.OCCLUDED,
        )

    def delete_keypoint(self) -> None:
        """Delete the selected keypoint; the next click places it anew."""
        key = self._need_selection()
        edits.remove_keypoints(self.store, [key.row], [key.slot], [key.keypoint])
        slot = key.slot if key.slot in self.slots else None
        self._set(Target(slot, key.keypoint), None)

    def delete_animal(self) -> None:
        """Delete the animal of the selected keypoint, or else the target's."""
        row, slot = self._need_animal()
        edits.remove_animals(self.store, [row], [slot])
        self._skipped = {key for key in self._skipped if key[:2] != (row, slot)}
        self._set(Target(), None)

    def set_track(self, track: int) -> None:
        """Give the animal an identity that holds on all frames; -1 takes it away."""
        row, slot = self._need_animal()
        edits.set_track(self.store, row, slot, track)

    def copy_from_neighbour(self, direction: int = -1) -> None:
        """Copy the animals of the previous (-1) or next (+1) labelled frame to this one.

        On a frame with animals only those come whose track is not here yet.

        Raises
        ------
        LabelsError
            When there is nothing to copy.
        """
        counts = {f: n for f, n in self.labelled().items() if n}
        ahead = [f for f in counts if (f - self._frame) * direction > 0]
        if not ahead:
            side = "after" if direction > 0 else "before"
            raise LabelsError(f"there is no frame with labelled animals {side} this one")
        frame = min(ahead, key=lambda f: abs(f - self._frame))
        row = self.store.row(self._video, frame)
        assert row is not None
        track, source = self.store.array("track"), self.store.array("source")
        slots = [s for s in self.store.slots(row) if source[row, s] == Source.HUMAN]
        if self.slots:
            here = {int(track[self.row, s]) for s in self.slots}
            slots = [s for s in slots if track[row, s] >= 0 and int(track[row, s]) not in here]
            if not slots:
                raise LabelsError(
                    "this frame has its animals already; delete them first to copy others here"
                )
        edits.copy_animals(self.store, row, slots, self._video, self._frame)
        self._set(Target(), None)

    def toggle_negative(self) -> None:
        """Mark the frame as holding no animal, or take the mark away.

        Raises
        ------
        LabelsError
            When the frame holds animals.
        """
        if self.slots:
            raise LabelsError("this frame holds animals; delete them before marking it as empty")
        marked = self.store.is_negative(self.row)
        edits.set_negative(self.store, self._video, self._frame, not marked)

    # -------------------------------------------------------------- plumbing

    def _need_selection(self) -> Key:
        if self._selected is None:
            raise LabelsError("click on a keypoint first")
        return self._selected

    def _need_animal(self) -> tuple[int, int]:
        row, slot = self.row, self.animal
        if row is None or slot is None:
            raise LabelsError("click on an animal first")
        return row, slot

    def _is_open(self, slot: int | None, keypoint: int) -> bool:
        return self._state(slot, keypoint) == State.MISSING

    def _after(self, key: Key) -> Target:
        return self._next(Target(key.slot, key.keypoint))

    def _next(self, target: Target) -> Target:
        """Return the next open keypoint of the animal, or the first one of a new animal."""
        for k in range(target.keypoint + 1, len(self.store.skeleton)):
            if self._is_open(target.slot, k):
                return Target(target.slot, k)
        return Target()

    def _point_at(self, target: Target) -> None:
        row = self.row
        there = self._state(target.slot, target.keypoint) in (State.VISIBLE, State.OCCLUDED)
        selected = None
        if there and row is not None and target.slot is not None:
            selected = Key(row, target.slot, target.keypoint)
        self._set(target, selected)

    def _set(self, target: Target, selected: Key | None, picked: bool = False) -> None:
        self._target, self._selected, self._picked = target, selected, picked
        for listener in list(self.listeners):
            listener()

    def _on_store(self, change: Change | None) -> None:
        """Let go of what is no longer there."""
        if change is None:
            self._skipped.clear()
            self._unfinished.clear()
            self._set(Target(), None)
            return
        target, key = self._target, self._selected
        if target.slot is not None and target.slot not in self.slots:
            target = Target()
        if key is not None and self.store.array("visible")[key] == Visibility.ABSENT:
            key = None
        self._set(target, key, self._picked and key is not None)
