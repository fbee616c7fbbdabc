"""The suggestions of a recording, which the Suggest widget finds and the keys of Annotate walk through."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Points

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.labeling.alignment import labelled_frames
from napari_semimultipose.labeling.suggest import Suggestion
from napari_semimultipose.layers.points import info_from_metadata, poses_from_layer
from napari_semimultipose.layers.view import PoseView
from napari_semimultipose.poses import Poses, Source
from napari_semimultipose.widgets.recordings import shows

if TYPE_CHECKING:
    import napari
    from napari.layers import Image


class SuggestedFrames:
    """Suggestions in their order, and the one that is looked at.

    Attributes
    ----------
    listeners : list of callables
        Called when the suggestions or the current one have changed.
    """

    def __init__(self) -> None:
        self.listeners: list[Callable[[], None]] = []
        self.suggestions: tuple[Suggestion, ...] = ()
        self.current: int | None = None

    def set(self, suggestions: Sequence[Suggestion]) -> None:
        """Take new suggestions; none of them is looked at."""
        self.suggestions, self.current = tuple(suggestions), None
        self._tell()

    def go_to(self, index: int) -> Suggestion:
        """Look at a suggestion."""
        self.current = index
        self._tell()
        return self.suggestions[index]

    def step(self, direction: int, labelled: Container[int] = ()) -> Suggestion:
        """Look at the next (+1) or previous (-1) suggestion that is not labelled meanwhile.

        Raises
        ------
        LabelsError
            When there is none.
        """
        if not self.suggestions:
            raise LabelsError(
                "there are no suggestions yet: find some with Plugins > SemiMultiPose > Suggest"
            )
        start = -1 if direction > 0 else len(self.suggestions)
        index = (start if self.current is None else self.current) + direction
        while 0 <= index < len(self.suggestions):
            if self.suggestions[index].frame not in labelled:
                return self.go_to(index)
            index += direction
        where = "after" if direction > 0 else "before"
        raise LabelsError(
            f"there is no suggestion {where} this one that is not labelled: find new ones with "
            "Plugins > SemiMultiPose > Suggest"
        )

    def _tell(self) -> None:
        for listener in list(self.listeners):
            listener()


_suggested: WeakKeyDictionary[Image, SuggestedFrames] = WeakKeyDictionary()


def suggested_frames(image: Image) -> SuggestedFrames:
    """Return the suggestions of the recording that an image layer shows."""
    return _suggested.setdefault(image, SuggestedFrames())


def pose_layers(viewer: napari.Viewer, image: Image) -> list[Points]:
    """Points layers with poses of the recording that an image layer shows, the topmost first."""
    layers = (layer for layer in reversed(viewer.layers) if isinstance(layer, Points))
    return [layer for layer in layers if _lies_on(layer, image, viewer)]


def _lies_on(layer: Points, image: Image, viewer: napari.Viewer) -> bool:
    """Whether a Points layer holds poses of the recording that an image layer shows.

    Where the image of the poses was closed, and perhaps opened again, names tell.
    """
    info = info_from_metadata(layer.metadata)
    if info is None:
        return False
    view = PoseView.of(layer)
    if view is not None and view.image is not None and view.image in viewer.layers:
        return view.image is image
    video = info.videos[info.video]
    unnamed = not video.path and not video.images  # made from an array in memory
    return unnamed or shows(image, video)


def poses_of(layer: Points) -> Poses:
    """All poses of a Points layer on the recording that it shows, and on no other."""
    info = info_from_metadata(layer.metadata)
    poses = poses_from_layer(layer)
    video = 0 if info is None else info.video
    poses = poses.select(poses.video == video)
    return replace(poses, video=np.zeros(len(poses), np.int64), videos=(poses.videos[video],))


def labelled_in(layer: Points) -> frozenset[int]:
    """Frames that a person labelled in a Points layer; see `labeling.alignment.labelled_frames`."""
    info = info_from_metadata(layer.metadata)
    if info is None or info.store is None:
        return labelled_frames(poses_of(layer))
    predicted = holds_predictions(layer)  # of these, frames without animals are no labels
    counts = info.store.labelled(info.video)
    return frozenset(frame for frame, n in counts.items() if n or not predicted)


def holds_predictions(layer: Points) -> bool:
    """Whether a layer with poses holds some that no person made."""
    info = info_from_metadata(layer.metadata)
    if info is not None and info.store is not None:
        return bool((info.store.present() & (info.store.array("source") != Source.HUMAN)).any())
    return "source" in layer.features and bool((layer.features["source"] != "human").any())


def predictions_on(
    viewer: napari.Viewer, image: Image, frame: int, but: Points | None = None
) -> Poses | None:
    """Predictions on one frame: those of the topmost visible layer that has some there.

    Parameters
    ----------
    viewer : napari.Viewer
    image : Image layer
        The recording.
    frame : int
    but : Points layer, optional
        Not from this one.

    Returns
    -------
    Poses or None
        Of one row.
    """
    for layer in pose_layers(viewer, image):
        if layer is but or not layer.visible or not holds_predictions(layer):
            continue
        info = info_from_metadata(layer.metadata)
        if info is not None and info.store is not None:
            row = info.store.row(info.video, frame)
            poses = info.store.take([] if row is None else [row])
        else:
            poses = poses_of(layer)
            poses = poses.select(poses.frame == frame)
        poses = poses.keep(poses.source != Source.HUMAN)
        if poses.n_instances:
            return poses
    return None
