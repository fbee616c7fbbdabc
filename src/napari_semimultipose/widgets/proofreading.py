"""Poses that are being reviewed: their table, their layers, and what was done to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari.layers import Points
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget

from napari_semimultipose.layers.geometry import n_frames
from napari_semimultipose.layers.points import info_from_metadata, poses_from_layer
from napari_semimultipose.layers.predictions import PredictionLayers
from napari_semimultipose.layers.store import PoseStore
from napari_semimultipose.layers.view import PoseView
from napari_semimultipose.poses import Poses
from napari_semimultipose.widgets.document import document_of
from napari_semimultipose.widgets.layer_frames import holds_poses, is_frames, is_points
from napari_semimultipose.widgets.recordings import image_of
from napari_semimultipose.widgets.still_layers import remove_still

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Layer


def can_be_reviewed(layer: Layer) -> bool:
    """Whether a layer holds poses."""
    return is_points(layer) and holds_poses(layer)


def layer_to_review(viewer: napari.Viewer) -> Points | None:
    """Return the layer that the user looks at, or else the topmost one with poses."""
    active = viewer.layers.selection.active
    known = [layer for layer in viewer.layers if can_be_reviewed(layer)]
    return (active if active in known else known[-1]) if known else None


def later(action: Callable[[], None], parent: QWidget) -> QTimer:
    """Return a timer that does something once what is happening now is over.

    A layer that has just come may still be on its way to become a window into a table.
    """
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(0)
    timer.timeout.connect(action)
    return timer


def layers_of(viewer: napari.Viewer, points: Points) -> PredictionLayers:
    """Return the layers that show the poses of a Points layer, made to follow edits if need be.

    A layer that holds all its points becomes a window that shows those near the current frame.

    Raises
    ------
    LabelsError
        When the points form no animals.
    """
    known = PredictionLayers.of(points)
    if known is not None:
        return known
    info = info_from_metadata(points.metadata)
    view = PoseView.of(points)
    video = 0 if info is None else info.video
    if info is not None and info.store is not None and view is not None:
        return PredictionLayers(viewer, info.store, video=video, image=view.image, points=points)
    poses = poses_from_layer(points)
    remove_still(viewer, points)
    return PredictionLayers(
        viewer, poses, video=video, image=_recording_of(viewer, points), points=points
    )


def show_place(layers: PredictionLayers, video: int, frame: int) -> str:
    """Show a frame of any recording of some poses; say where it is, if that cannot be shown."""
    view = layers.view
    document = document_of(layers.points)
    if video != view.video and document is not None:
        document.session.show_place(video, frame)
    if video != view.video:
        name = layers.store.videos[video].name or "another recording"
        return f", on frame {frame} of {name}, which is not shown"
    if frame != view.frame:
        view.go_to(frame)
    return ""


def other_labels(viewer: napari.Viewer, store: PoseStore) -> list[Poses | PoseStore]:
    """Return copies of the poses in other layers that have the keypoints of a store."""
    out: list[Poses | PoseStore] = []
    for layer in viewer.layers:
        info = info_from_metadata(layer.metadata) if can_be_reviewed(layer) else None
        if info is None or info.skeleton.keypoints != store.skeleton.keypoints:
            continue
        if info.store is None:
            out.append(poses_from_layer(layer))
        elif info.store is not store:
            out.append(info.store.copy())
    return out


def _recording_of(viewer: napari.Viewer, points: Points) -> Image | None:
    """Return the recording of poses; the only stack there is, when none has the right name."""
    image = image_of(viewer, points)
    if image is not None:
        return image
    stacks = [layer for layer in viewer.layers if is_frames(layer) and n_frames(layer) > 1]
    return stacks[0] if len(stacks) == 1 else None
