"""Labels from a file, in a viewer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_semimultipose.layers.predictions import PredictionLayers
from napari_semimultipose.layers.store import PoseStore
from napari_semimultipose.widgets import unsaved
from napari_semimultipose.widgets.document import LabelsDocument, free_layer_name
from napari_semimultipose.widgets.keeping import Keeping
from napari_semimultipose.widgets.recordings import choose, find_recording, place_of_recording

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Points


def open_document(viewer: napari.Viewer, path: Path, image: Image | None) -> LabelsDocument:
    """Open a labels file or project folder, with its recording if that is found.

    Parameters
    ----------
    viewer : napari.Viewer
    path : path
    image : Image layer or None
        The recording that the user has chosen; it comes first among those that fit.

    Raises
    ------
    SemiMultiPoseError
        When the labels or their recording cannot be read, or the recording is not found.
    """
    from napari_semimultipose.io.labels import read_poses

    poses, video, image = find_recording(viewer, read_poses(path), path, image)
    name = free_layer_name(viewer, path.stem)
    return LabelsDocument(viewer, PoseStore(poses), image, video, name=name, path=path)


def restore_document(
    viewer: napari.Viewer, path: Path, image: Image | None, file: Path | None
) -> LabelsDocument:
    """Go on with labels that were never saved.

    Parameters
    ----------
    viewer : napari.Viewer
    path : path
        The journal that holds them.
    image : Image layer or None
        The recording.
    file : path or None
        The labels file to which they belong, if the journal names none.

    Raises
    ------
    SemiMultiPoseError
        When the labels cannot be read, or are not those of the recording.
    """
    kept = unsaved.read(path)
    poses = kept.poses
    found = choose(poses, [image] if image is not None else [])
    if found is None and image is not None and len(poses.videos) == 1:
        place = place_of_recording(image)
        if not unsaved.is_elsewhere(poses.videos[0].path, place):
            found = poses, 0, image
    poses, video, image = found or find_recording(viewer, poses, path, image)
    name = free_layer_name(viewer, "labels")
    document = LabelsDocument(
        viewer, PoseStore(poses), image, video, name=name, path=kept.labels or file
    )
    document.restored_from(path, kept.format)
    return document


def restore_without_recording(viewer: napari.Viewer, path: Path, labels: Path) -> Points:
    """Go on with poses that were never saved and whose recording is not there.

    Parameters
    ----------
    viewer : napari.Viewer
    path : path
        The journal that holds them.
    labels : path
        The file with the poses as they were before.

    Raises
    ------
    SemiMultiPoseError
        When the poses cannot be read.
    """
    kept = unsaved.read(path)
    store = PoseStore(kept.poses)
    layers = PredictionLayers(viewer, store, name=free_layer_name(viewer, labels.stem))
    autosave = Keeping.of_store(store, labels, kept.labels or labels, str(id(viewer))).autosave
    autosave.adopt(path)
    autosave.format = kept.format
    return layers.points
