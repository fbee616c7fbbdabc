"""One set of labels that is being worked on: its table, its layers, its file and its autosave."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, ref

from napari.layers import Image, Points

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.layers import edits
from napari_semimultipose.layers.accept import accept_predictions
from napari_semimultipose.layers.geometry import image_shape, n_frames
from napari_semimultipose.layers.labelling import LabelSession
from napari_semimultipose.layers.mouse import MouseLabelling
from napari_semimultipose.layers.points import (
    info_from_metadata,
    poses_from_layer,
)
from napari_semimultipose.layers.store import Change, PoseStore
from napari_semimultipose.layers.view import PoseView
from napari_semimultipose.poses import Poses, Skeleton
from napari_semimultipose.widgets import keys, layer_keys
from napari_semimultipose.widgets.keeping import Keeping
from napari_semimultipose.widgets.other_videos import other_videos, remove_poses
from napari_semimultipose.widgets.recordings import (
    check_labelled,
    place_of_recording,
    shows,
    video_of,
)
from napari_semimultipose.widgets.still_layers import remove_still
from napari_semimultipose.widgets.suggested import labelled_in, predictions_on, suggested_frames

if TYPE_CHECKING:
    import napari


_known: WeakKeyDictionary[Points, ref[LabelsDocument]] = WeakKeyDictionary()
_ME = "labelling"


class LabelsDocument:
    """Labels in a viewer, with everything that a key or button of the Annotate widget does.

    The commands of `widgets.keys.KEYS` are methods of this class.

    Parameters
    ----------
    viewer : napari.Viewer
    store : PoseStore
    image : Image layer
        The recording.
    video : int
        Its index in the store.
    points : Points layer, optional
        A layer of the viewer that becomes the window into the store.
    name : str
        Name of the Points layer, if a new one is made.
    path : path, optional
        The labels file, if there is one.

    Raises
    ------
    LabelsError
        When the layer of the recording is no stack of pictures.

    Attributes
    ----------
    listeners : list of callables
        Called when anything that the widget shows has changed.
    close_listeners : list of callables
        Called with the document when its Points layer has gone.
    """

    def __init__(
        self,
        viewer: napari.Viewer,
        store: PoseStore,
        image: Image,
        video: int = 0,
        *,
        points: Points | None = None,
        name: str = "labels",
        path: Path | None = None,
    ) -> None:
        check_labelled(image)
        self.viewer = viewer
        self.store = store
        self.path = path
        self.format: str | None = None
        self.listeners: list[Callable[[], None]] = []
        self.close_listeners: list[Callable[[LabelsDocument], None]] = []
        known = None if points is None else PoseView.of(points)
        self.view = known or PoseView(
            viewer, store, video=video, name=name, image=image, points=points
        )
        self.session = LabelSession(store, video, self.view.frame)
        place = place_of_recording(image)
        self.keeping = Keeping.of_store(store, place, path, str(id(viewer)))
        self.autosave, self.claim = self.keeping.autosave, self.keeping.claim
        self._saved_state: object = self.session.history.state
        self._mouse: MouseLabelling | None = None
        self._complain: Callable[[str], None] = lambda text: None
        self.session.show_place = self._show_place
        self.session.obstacle = self._obstacle
        self.show(image)
        self.view.frame_listeners.append(self.session.go_to)
        self.view.close_listeners.append(self._on_view_closed)
        self.session.listeners.append(self._on_session)
        store.listeners.append(self._on_store)  # holds the document for as long as the layer lives
        _known[self.points] = ref(self)

    # ---------------------------------------------------------------- making

    @classmethod
    def new(cls, viewer: napari.Viewer, skeleton: Skeleton, image: Image) -> LabelsDocument:
        """Begin labels of a recording."""
        store = PoseStore(Poses.empty(skeleton, [video_of(image)]))
        return cls(viewer, store, image, name=free_layer_name(viewer, "labels"))

    @classmethod
    def of_layer(
        cls, viewer: napari.Viewer, points: Points, image: Image, skeleton: Skeleton | None = None
    ) -> LabelsDocument:
        """Go on with the poses of a Points layer, whoever made it.

        If the layer shows one of several videos of a labels file, the labels of the others come along, and their
        layers go: there is one table of a file. Where other labels in the viewer have the file, these get none.

        Raises
        ------
        LabelsError
            When the points form no animals of the skeleton; see `layers.points`.
        """
        document = document_of(points)
        if document is not None:
            return document
        check_labelled(image)
        info = info_from_metadata(points.metadata)
        path = points.source.path
        file = None if path is None or document_on(viewer, Path(path)) else Path(path)
        others, layers = other_videos(viewer, points)
        if info is not None and info.store is not None and PoseView.of(points) is not None:
            if others is not None:
                info.store.add(others)
            remove_poses(viewer, layers)
            return cls(viewer, info.store, image, info.video, points=points, path=file)
        poses = poses_from_layer(points, skeleton)
        if others is not None:
            poses = Poses.concatenate([poses, others])
        remove_poses(viewer, layers)
        video = 0 if info is None else info.video
        if not poses.videos[video].path and not poses.videos[video].images:
            videos = list(poses.videos)
            videos[video] = video_of(image)
            poses = replace(poses, videos=tuple(videos))
        remove_still(viewer, points)
        if points.ndim == 3:
            return cls(viewer, PoseStore(poses), image, video, points=points, path=file)
        name = points.name  # points of a single image cannot get the axis of frames
        viewer.layers.remove(points)
        return cls(viewer, PoseStore(poses), image, video, name=name, path=file)

    # ----------------------------------------------------------------- state

    @property
    def points(self) -> Points:
        """The Points layer."""
        return self.view.points

    @property
    def image(self) -> Image | None:
        """The layer with the recording."""
        return self.view.image

    @property
    def closed(self) -> bool:
        """Whether the Points layer is gone."""
        return self.view.closed

    @property
    def skeleton(self) -> Skeleton:
        """Skeleton of the labels."""
        return self.store.skeleton

    @property
    def unsaved(self) -> bool:
        """Whether there are changes that no labels file holds."""
        return self.session.history.state is not self._saved_state

    def poses(self) -> Poses:
        """Return the labels as they are now."""
        return self.store.snapshot()

    # ---------------------------------------------------------------- files

    def save(self, path: Path, format: str | None = None) -> list[str]:
        """Write the labels file and return what the format could not hold.

        Raises
        ------
        LabelsError
            When it cannot be written, or another window has the file; the labels stay in the
            journal.
        """
        from napari_semimultipose.io.labels import write_poses

        state, revision = self.session.history.state, self.store.revision
        if path == self.path:
            self.claim.check()
        lock = self.claim.lock(path)
        try:
            lost = write_poses(self.store.snapshot(), path, format=format)
        except BaseException:
            if lock is not None:
                lock.release()
            raise
        self.keeping.saved(path, format, lock, revision)
        self.saved_as(path, format, state)
        return lost

    def saved_as(self, path: Path, format: str | None, state: object) -> None:
        """Say that the labels were written to a file, as they were in a state of the history."""
        self.path, self.format, self._saved_state = path, format, state
        self._tell()

    def restored_from(self, path: Path, format: str | None = None) -> None:
        """Say that the labels came from a journal: they count as unsaved."""
        self.autosave.adopt(path)
        self.format = self.autosave.format = format
        self._saved_state = None

    def tick(self) -> None:
        """Keep the journal and the right to the labels file; call it a few times a second."""
        self.keeping.tick()

    # ------------------------------------------------------------- recording

    def show(self, image: Image, video: int | None = None) -> bool:
        """Label another recording; False when the labels had to get a new video for it.

        Raises
        ------
        LabelsError
            When the layer is no stack of pictures.
        """
        check_labelled(image)
        video = self._video_of(image) if video is None else video
        known = video is not None
        if video is None:
            video = self.store.add_video(video_of(image))
        self.view.show_video(video, image)
        self.session.image_shape, self.session.n_frames = image_shape(image), n_frames(image)
        self.session.go_to(self.view.frame, video)
        self.autosave.place = place_of_recording(image)
        return known

    def _video_of(self, image: Image) -> int | None:
        """Index of the video that an image layer shows."""
        if image is self.view.image:
            return self.view.video
        videos = enumerate(self.store.videos)
        return next((index for index, video in videos if shows(image, video)), None)

    @property
    def has_picture(self) -> bool:
        """Whether the recording is still in the viewer."""
        return self.image in self.viewer.layers

    def find_picture(self) -> None:
        """Go on with another layer of the same recording, where that of before was removed."""
        if self.has_picture:
            return
        known = self.store.videos[self.view.video]
        images = [x for x in self.viewer.layers if isinstance(x, Image) and x.ndim < 4]
        for image in images:
            if shows(image, known) and known.shape in (None, image_shape(image)):
                self.show(image, self.view.video)
                return

    def _obstacle(self) -> str:
        """Say why nothing can be labelled now."""
        if self.image is not None and not self.has_picture:
            return (
                f"the recording of these labels is closed: open {self.image.name} again, or choose "
                "another recording above"
            )
        return ""

    def set_skeleton(self, skeleton: Skeleton, origin: Sequence[int | None]) -> None:
        """Change the skeleton; see `layers.history.History.set_skeleton`."""
        self.session.history.set_skeleton(skeleton, origin)

    def _show_place(self, video: int, frame: int) -> None:
        """Show a frame of any recording of the labels."""
        if video != self.view.video:
            images = [layer for layer in self.viewer.layers if isinstance(layer, Image)]
            known = self.store.videos[video]
            image = next((layer for layer in images if shows(layer, known)), None)
            if image is None:
                place = f"frame {frame} of {known.path or known.name or 'another recording'}"
                self._complain(f"this concerns {place}, which is not open")
                return
            self.show(image)
        self.view.go_to(frame)

    # ------------------------------------------------------------------ input

    def activate(
        self, complain: Callable[[str], None], run: Callable[[keys.KeyAction], None]
    ) -> None:
        """Take mouse and keys on the Points layer."""
        if self._mouse is None and not self.closed:
            self._complain = complain
            self.keeping.join(_ME)
            self._mouse = MouseLabelling(self.view, self.session, complain)
            layer_keys.bind(self.points, self, keys.actions(), run)
            self.viewer.layers.selection.active = self.points

    def deactivate(self) -> None:
        """Give mouse and keys back."""
        if self._mouse is not None:
            self._mouse.close()
            layer_keys.unbind(self.points, self)
            self._mouse = None
            self.view.mark(None, None)

    def take_keys(self) -> None:
        """Have the keys again that another widget has on the same layer."""
        layer_keys.to_front(self.points, self)

    @property
    def listening(self) -> bool:
        """Whether clicks and keys on the canvas reach these labels now."""
        return self._mouse is not None and self._mouse.active

    # --------------------------------------------------------------- commands

    def run(self, command: str, argument: int | None = None) -> None:
        """Do what a key or button says, and complain if it cannot be done.

        Labels that are hidden are not edited: nobody would see what happens to them.
        """
        if command in keys.EDITS and not self.points.visible:
            self._complain("the labels are hidden: show them first [V]")
            return
        method = getattr(self, command, None) or getattr(self.session, command)
        try:
            with self.view.one_refresh():
                method() if argument is None else method(argument)
        except LabelsError as error:
            self._complain(str(error))

    def step_labelled(self, direction: int) -> None:
        """Go to the next or previous labelled frame."""
        self.view.go_to(self.session.neighbour(direction))

    def copy_from(self, direction: int) -> None:
        """Copy the animals of the previous or next labelled frame."""
        self.session.copy_from_neighbour(direction)

    def step_suggestion(self, direction: int) -> None:
        """Go to the next or previous suggested frame that is not labelled yet."""
        if self.image is not None:
            found = suggested_frames(self.image).step(direction, labelled_in(self.points))
            self.view.go_to(found.frame)

    def accept_predictions(self) -> None:
        """Make the predictions on this frame labels that can be edited."""
        self.session.check_frame()
        video, frame = self.session.video, self.session.frame
        predicted = None
        if self.image is not None:
            predicted = predictions_on(self.viewer, self.image, frame, but=self.points)
        accept_predictions(self.store, video, frame, predicted)

    def delete_keypoint(self) -> None:
        """Delete what napari's select tool has selected, or else the keypoint clicked last."""
        chosen = self.view.chosen()
        if len(chosen):
            edits.remove_keypoints(self.store, *chosen.T)
        else:
            self.session.delete_keypoint()

    def toggle_colors(self) -> None:
        """Colour by keypoint or by animal."""
        self.color_by_animal(self.view.style.color_by == "keypoint")

    def color_by_animal(self, by_animal: bool) -> None:
        """Colour by animal, or else by keypoint."""
        self.view.set_look(color_by="animal" if by_animal else "keypoint")
        self._tell()

    def toggle_lines(self) -> None:
        """Show or hide the lines of the skeleton."""
        self.view.edges_shown = not self.view.edges_shown
        self._tell()

    # ----------------------------------------------------------------- events

    def _on_session(self) -> None:
        if self._mouse is not None:
            self.view.mark(self.session.selected, self.session.animal)
        self._tell()

    def _on_store(self, change: Change | None) -> None:
        self._tell()

    def _tell(self) -> None:
        for listener in list(self.listeners):
            listener()

    def _on_view_closed(self) -> None:
        self.keeping.close()
        self.deactivate()
        self.session.close()
        self.store.listeners.remove(self._on_store)
        self.view.frame_listeners.remove(self.session.go_to)
        for listener in list(self.close_listeners):
            listener(self)


def document_of(points: Points) -> LabelsDocument | None:
    """Return the labels that are worked on in a Points layer, if there are any."""
    known = _known.get(points)
    document = None if known is None else known()
    return None if document is None or document.closed else document


def document_on(viewer: napari.Viewer, path: Path) -> LabelsDocument | None:
    """Return the labels in a viewer that belong to a labels file, if there are any."""
    found = (document_of(layer) for layer in viewer.layers if isinstance(layer, Points))
    real = os.path.realpath(path)
    return next((x for x in found if x and x.path and os.path.realpath(x.path) == real), None)


def keep(documents: Sequence[LabelsDocument]) -> None:
    """Write what is not written yet."""
    for document in documents:
        document.autosave.flush()


def part_from(documents: Sequence[LabelsDocument]) -> None:
    """Leave the labels to themselves, because the widget that showed them is going."""
    for document in documents:
        document.keeping.part(_ME)
        document.listeners.clear()
        document.close_listeners.clear()
        document.deactivate()


def free_layer_name(viewer: napari.Viewer, name: str) -> str:
    """Return `name`, or the first of "name 2", "name 3", ... that no layer has."""
    taken = {layer.name for layer in viewer.layers}
    names = [name, *(f"{name} {i}" for i in range(2, len(taken) + 3))]
    return next(n for n in names if n not in taken)
