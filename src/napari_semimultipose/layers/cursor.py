"""Where labelling stands: the frame, the keypoint that the next click places, the selection."""

from __future__ import annotations

from collections.abc import Callable

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.layers.store import Change, PoseStore
from napari_semimultipose.layers.target import Animal, Key, State, Target, Walk, nearest
from napari_semimultipose.poses import Visibility


class Cursor:
    """Goes through the keypoints, animals and frames of a video; changes no poses.

    The *target* is what the next click places. The keypoint placed or clicked last is *selected*:
    that is the one that the keys change.

    Attributes
    ----------
    listeners : list of callables
        Called without arguments when target, selection or frame have changed.
    show_place : callable
        Called with (video, frame) to show another frame; has to lead to `go_to`, where that frame
        can be shown.
    n_frames : int or None
        Length of the video, if known.
    """

    def __init__(self, store: PoseStore, video: int = 0, frame: int = 0) -> None:
        self.store = store
        self.listeners: list[Callable[[], None]] = []
        self.show_place: Callable[[int, int], None] = lambda video, frame: self.go_to(frame, video)
        self.n_frames: int | None = None
        self._video = video
        self._frame = frame
        self._target = Target()
        self._selected: Key | None = None
        self._picked = False  # whether the selection was clicked, and not placed just now
        self._skipped: set[Key] = set()
        self._unfinished: dict[tuple[int, int], Target] = {}
        self._walk = Walk.KEYPOINTS
        self._walker = Animal(-1, 0)
        self._table = store.generation, store.skeleton
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
        return self._is_there(self._target.slot, self._target.keypoint)

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

    def _is_there(self, slot: int | None, keypoint: int) -> bool:
        return self._state(slot, keypoint) in (State.VISIBLE, State.OCCLUDED)

    def _is_open(self, slot: int | None, keypoint: int) -> bool:
        return self._state(slot, keypoint) == State.MISSING

    # ---------------------------------------------------------------- frames

    def go_to(self, frame: int, video: int | None = None) -> None:
        """Label another frame; an animal left half-way waits there."""
        here = self._video, self._frame
        if self._target.slot is not None:
            self._unfinished[here] = self._target
        else:
            self._unfinished.pop(here, None)
        self._video, self._frame = self._video if video is None else video, frame
        if self.walks:
            self._point_at_walker()
            return
        target = self._unfinished.get((self._video, frame), Target())
        self._set(target if target.slot in self.slots else Target(), None)

    def labelled(self) -> dict[int, int]:
        """Labelled frames of this video, with their number of animals."""
        return self.store.labelled(self._video)

    def neighbour(self, direction: int, animals: bool = False) -> int:
        """Return the next labelled frame after (+1) or before (-1) this one.

        Parameters
        ----------
        direction : {-1, +1}
        animals : bool
            Whether frames that are marked as holding no animal are passed over.

        Raises
        ------
        LabelsError
            When there is none.
        """
        frames = (f for f, n in self.labelled().items() if n or not animals)
        frame = nearest(frames, self._frame, direction)
        if frame is None:
            kind = "frame with labelled animals" if animals else "labelled frame"
            raise LabelsError(
                f"there is no {kind} {'after' if direction > 0 else 'before'} this one"
            )
        return frame

    # --------------------------------------------- one keypoint, many frames

    @property
    def walk(self) -> Walk:
        """What comes after a click: the next keypoint, or the same one on another frame."""
        return self._walk

    @property
    def walks(self) -> bool:
        """Whether the same keypoint of the same animal is placed on one frame after the other."""
        return self._walk is not Walk.KEYPOINTS

    def set_walk(self, walk: int) -> None:
        """Say what comes after a click: one of `Walk`, by its index."""
        self._walk = list(Walk)[walk]
        if self._picked and self._selected is not None:
            self.select(self._selected)  # a walk begins with the keypoint that was clicked
        else:
            self._set(self._target, self._selected)

    def toggle_walk(self, walk: int) -> None:
        """Begin a walk, or end it."""
        self.set_walk(0 if self._walk is list(Walk)[walk] else walk)

    def step_walk(self) -> None:
        """Go on to the next frame of the walk, if there is one."""
        frame: int | None = None
        if self._walk is Walk.FRAMES and self._frame + 1 != self.n_frames:
            frame = self._frame + 1
        elif self._walk is Walk.LABELLED:
            frame = nearest((f for f, n in self.labelled().items() if n), self._frame, 1)
        if frame is not None:
            self.show_place(self._video, frame)

    def _point_at_walker(self) -> None:
        """Make the keypoint and animal of the walk the target, whether they are here or not."""
        walker = self._walker
        self._point_at(Target(walker.slot(self.store, self.row), self._target.keypoint))
        self._walker = walker

    # ------------------------------------------------- keypoints and animals

    def select(self, key: Key) -> None:
        """Select a keypoint; the next click goes on with its animal, if something is missing."""
        self._set(self._after(key), key, picked=True)

    def is_target(self, key: Key) -> bool:
        """Whether a keypoint is the one that the next click would move."""
        return key == (self.row, self._target.slot, self._target.keypoint)

    def skip(self) -> None:
        """Leave the target keypoint out and go on to the next one."""
        target, row = self._target, self.row
        if target.slot is not None and row is not None and not self.moves:
            self._skipped.add(Key(row, target.slot, target.keypoint))
        self._set(self._next(target), None)
        self.step_walk()

    def step_keypoint(self, step: int) -> None:
        """Go to the next or previous keypoint of the animal, whether it is there or not."""
        self.choose_keypoint((self._target.keypoint + step) % len(self.store.skeleton))

    def choose_keypoint(self, keypoint: int) -> None:
        """Make a keypoint of the animal the target; if it is there, it is selected as well."""
        walker = self._walker
        self._point_at(Target(self._target.slot, keypoint))
        self._walker = walker

    def new_animal(self) -> None:
        """Begin a new animal, whatever the last one still lacks."""
        self._set(self._fresh(), None)

    def step_animal(self, step: int) -> None:
        """Go to the next or previous animal of the frame; a new one comes after the last."""
        animals: list[int | None] = [*self.slots, None]
        here = self.animal if self._picked else self._target.slot
        slot = animals[(animals.index(here) + step) % len(animals)]
        self._point_at(self._resume(slot))

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

    def _fresh(self) -> Target:
        """Return the target that begins a new animal."""
        return Target(None, self._target.keypoint if self.walks else 0)

    def _resume(self, slot: int | None) -> Target:
        """Return the target that goes on with an animal."""
        missing = [k for k in range(len(self.store.skeleton)) if self._is_open(slot, k)]
        stays = self.walks or not missing
        return Target(slot, self._target.keypoint if stays else missing[0])

    def _after(self, key: Key) -> Target:
        return self._next(Target(key.slot, key.keypoint))

    def _next(self, target: Target) -> Target:
        """Return the next open keypoint of the animal, or the first one of a new animal."""
        if self.walks:
            return target
        for k in range(target.keypoint + 1, len(self.store.skeleton)):
            if self._is_open(target.slot, k):
                return Target(target.slot, k)
        return Target()

    def _point_at(self, target: Target) -> None:
        row = self.row
        selected = None
        there = self._is_there(target.slot, target.keypoint)
        if there and row is not None and target.slot is not None:
            selected = Key(row, target.slot, target.keypoint)
        self._set(target, selected)

    def _set(self, target: Target, selected: Key | None, picked: bool = False) -> None:
        self._walker = Animal.of(self.store, self.row, target.slot)
        self._show(target, selected, picked)

    def _show(self, target: Target, selected: Key | None, picked: bool) -> None:
        self._target, self._selected, self._picked = target, selected, picked
        for listener in list(self.listeners):
            listener()

    def _on_store(self, change: Change | None) -> None:
        """Let go of what is no longer there."""
        before, self._table = self._table, (self.store.generation, self.store.skeleton)
        if before != self._table:  # rows, slots and keypoints mean others now
            self._skipped.clear()
            self._unfinished.clear()
            self._set(Target(), None)
            return
        target, key = self._target, self._selected
        if target.slot is not None and target.slot not in self.slots:
            target = self._fresh()
        if key is not None and self.store.array("visible")[key] == Visibility.ABSENT:
            key = None
        self._show(target, key, self._picked and key is not None)
