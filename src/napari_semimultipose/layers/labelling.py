"""The course of labelling: what clicks and keys do to the poses, and how it is taken back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.layers import edits
from napari_semimultipose.layers.cursor import Cursor
from napari_semimultipose.layers.history import History, Step
from napari_semimultipose.layers.store import PoseStore
from napari_semimultipose.layers.target import Key, Target
from napari_semimultipose.poses import Source, Visibility


class LabelSession(Cursor):
    """A person labels one frame after the other of a video.

    A click places the target keypoint; then the target is the next keypoint of the animal, and
    after the last one the first keypoint of a new animal. With another `walk` the next frame comes
    after each click, and the target stays the same keypoint of the same animal.

    Attributes
    ----------
    history : History
        What was done, for undo and redo.
    image_shape : (int, int) or None
        Height and width of the frames in px, if known.
    obstacle : callable
        Returns why nothing can be labelled now, in words for the user; "" when it can.
    """

    def __init__(self, store: PoseStore, video: int = 0, frame: int = 0) -> None:
        self.history = History.of(store)
        self.image_shape: tuple[int, int] | None = None
        self.obstacle: Callable[[], str] = str
        super().__init__(store, video, frame)

    # ------------------------------------------------------------- the mouse

    def click(
        self, xy: ArrayLike, visibility: Visibility = Visibility.VISIBLE, frame: int | None = None
    ) -> None:
        """Place (or move) the target at (x, y) in px, and go on to what is next.

        Raises
        ------
        LabelsError
            When the position lies outside of the image, or the frame after the end.
        """
        if frame is not None and frame != self._frame:
            raise LabelsError("points can only be placed on the frame that is shown")
        position = np.asarray(xy, np.float64)
        self._check_inside(position)
        key = self._place(position, visibility)
        self._skipped.discard(key)
        self._set(self._after(key), key)
        self.step_walk()

    def _place(self, xy: NDArray[np.float64], visibility: Visibility) -> Key:
        """Place or move the target, and return what it has become."""
        target, row = self._target, self.row
        if self.moves and row is not None and target.slot is not None:
            key = Key(row, target.slot, target.keypoint)
            edits.move_keypoints(self.store, [key.row], [key.slot], [key.keypoint], [xy])
            return key
        track = self._walker.track if self.walks and target.slot is None else -1
        with self.history.group(f"place {self.store.skeleton.keypoints[target.keypoint]}"):
            change = edits.place_keypoint(
                self.store, self._video, self._frame, target.slot, target.keypoint, xy, visibility
            )
            key = Key(int(change.row[0]), int(change.slot[0]), target.keypoint)
            if track >= 0:  # the animal of the frame before
                edits.set_track(self.store, key.row, key.slot, track)
        return key

    def move(self, key: Key, xy: ArrayLike) -> None:
        """Move a keypoint that was dragged.

        Raises
        ------
        LabelsError
            When the position lies outside of the image, or the frame after the end.
        """
        position = np.asarray(xy, np.float64)
        self._check_inside(position)
        edits.move_keypoints(self.store, [key.row], [key.slot], [key.keypoint], [position])
        self.select(key)

    def check_frame(self) -> None:
        """Refuse labels where there is no picture.

        Raises
        ------
        LabelsError
            When the frame lies outside of the recording, or something else is in the way.
        """
        if obstacle := self.obstacle():
            raise LabelsError(obstacle)
        if self._frame < 0:
            raise LabelsError("the recording has not begun: there is no picture on this frame")
        if self.n_frames is not None and self._frame >= self.n_frames:
            raise LabelsError("the recording has ended: there is no picture on this frame")

    def _check_inside(self, xy: ArrayLike) -> None:
        self.check_frame()
        if self.image_shape is None:
            return
        height, width = self.image_shape
        x, y = np.asarray(xy, np.float64)
        if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
            raise LabelsError("a keypoint must lie inside the image")

    # -------------------------------------------------------------- the keys

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
        self._set(self._fresh(), None)

    def swap_sides(self) -> None:
        """Exchange left and right of the animal.

        Raises
        ------
        LabelsError
            When there is no animal, or the skeleton has no mirrored pairs.
        """
        row, slot = self._need_animal()
        edits.swap_sides(self.store, row, slot)
        mirror = self.store.skeleton.mirror_index.tolist()
        self._skipped = {
            key._replace(keypoint=mirror[key.keypoint]) if key[:2] == (row, slot) else key
            for key in self._skipped
        }
        self._point_at(self._resume(slot))

    def set_track(self, track: int) -> None:
        """Give the animal an identity that holds on all frames; -1 takes it away."""
        row, slot = self._need_animal()
        edits.set_track(self.store, row, slot, track)
        if slot == self._target.slot:
            self._set(self._target, self._selected, self._picked)

    def copy_from_neighbour(self, direction: int = -1) -> None:
        """Copy the animals of the previous (-1) or next (+1) labelled frame to this one.

        On a frame with animals only those come whose track is not here yet.

        Raises
        ------
        LabelsError
            When there is nothing to copy, or no picture on this frame.
        """
        self.check_frame()
        row = self.store.row(self._video, self.neighbour(direction, animals=True))
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
        if self.walks:
            self._point_at_walker()
        else:
            self._set(Target(), None)

    def toggle_negative(self) -> None:
        """Mark the frame as holding no animal, or take the mark away.

        Raises
        ------
        LabelsError
            When the frame holds animals, or there is no picture.
        """
        if self.slots:
            raise LabelsError("this frame holds animals; delete them before marking it as empty")
        marked = self.store.is_negative(self.row)
        if not marked:
            self.check_frame()
        edits.set_negative(self.store, self._video, self._frame, not marked)

    # ------------------------------------------------------------ the history

    def undo(self) -> None:
        """Take the last edit back, show its frame and make its keypoint the target again.

        Raises
        ------
        LabelsError
            When there is nothing to undo.
        """
        self._follow(self.history.undo())

    def redo(self) -> None:
        """Do the edit again that was taken back last, and show it.

        Raises
        ------
        LabelsError
            When there is nothing to redo.
        """
        self._follow(self.history.redo())

    def go_to_last_edit(self) -> None:
        """Go to the frame that was edited last, or on that one to the frame edited before.

        Raises
        ------
        LabelsError
            When no other frame was edited.
        """
        place = self.history.last_place(self._video, self._frame)
        if place is None:
            raise LabelsError("no other frame has been edited yet")
        self.show_place(*place)

    def _follow(self, step: Step) -> None:
        """Show what a step has changed, and go on from there."""
        place = self.history.place_of(step, self._video, self._frame)
        if place is None:
            return
        if place != (self._video, self._frame):
            self.show_place(*place)
        row = self.row
        if row is None or place != (self._video, self._frame):
            return
        animals, keypoints = step.animals(), step.keypoints()
        slots = animals[animals[:, 0] == row, 1].tolist()
        changed = keypoints[keypoints[:, 0] == row, 2].tolist()
        slot = slots[0] if len(slots) == 1 and slots[0] in self.slots else None
        if len(changed) != 1:
            self._set(self._fresh() if slot is None else self._resume(slot), None)
        elif slot is not None and self._is_there(slot, changed[0]):
            self.select(Key(row, slot, changed[0]))
        else:
            self._set(Target(slot, changed[0]), None)
