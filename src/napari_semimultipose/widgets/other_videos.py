"""Labels files of several videos, which a reader opens as one Points layer a video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Points

from napari_semimultipose.layers.points import info_from_metadata, poses_from_layer
from napari_semimultipose.poses import Poses

if TYPE_CHECKING:
    import napari


def other_videos(viewer: napari.Viewer, points: Points) -> tuple[Poses | None, list[Points]]:
    """Return what the file of a layer holds of the videos that the layer does not show.

    Parameters
    ----------
    viewer : napari.Viewer
    points : Points layer

    Returns
    -------
    Poses or None
        As other layers of the viewer have them, or else the file; None when the layer has all labels of its file.
    list of Points layers
        Those layers.

    Raises
    ------
    LabelsError
        When the file cannot be read any more.
    """
    info, path = info_from_metadata(points.metadata), points.source.path
    if info is None or path is None or len(info.videos) < 2:
        return None, []
    mine = poses_from_layer(points)
    layers: list[Points] = []
    parts: list[Poses] = []
    for layer in viewer.layers:
        other = info_from_metadata(layer.metadata) if isinstance(layer, Points) else None
        if layer is points or other is None or layer.source.path != path:
            continue
        if other.videos == info.videos and other.skeleton.keypoints == info.skeleton.keypoints:
            layers.append(layer)
            parts.append(_without(poses_from_layer(layer), [mine, *parts]))
    parts.append(_missing(Path(path), [mine, *parts]))
    parts = [part for part in parts if len(part)]
    return (Poses.concatenate(parts) if parts else None), layers


def with_other_videos(poses: Poses, path: Path) -> Poses:
    """Return poses together with what their file holds of the videos of which they have no frame.

    Parameters
    ----------
    poses : Poses
        Of one of several videos of the file, or of all.
    path : path
        A labels file; poses come back as they are where there is none.

    Raises
    ------
    LabelsError
        When the file cannot be read, or holds other keypoints.
    """
    if len(poses.videos) < 2 or not path.exists():
        return poses
    missing = _missing(path, [poses])
    return Poses.concatenate([poses, missing]) if len(missing) else poses


def remove_poses(viewer: napari.Viewer, layers: Sequence[Points]) -> None:
    """Remove Points layers and the skeletons and tracks that belong to them."""
    for points in layers:
        for name in (f"{points.name} tracks", f"{points.name} skeleton", points.name):
            if name in viewer.layers:
                viewer.layers.remove(name)


def _missing(path: Path, known: Sequence[Poses]) -> Poses:
    """Return the rows of a file of those videos that none of the poses has a row of."""
    from napari_semimultipose.errors import LabelsError
    from napari_semimultipose.io.labels import read_poses

    filed = read_poses(path)
    mine = _without(filed, known)
    listed = [mine.videos.index(v) for v in known[0].videos if v in mine.videos]
    mine = mine.select(np.isin(mine.video, listed))
    if len(mine) and mine.skeleton.keypoints != known[0].skeleton.keypoints:
        raise LabelsError(
            f"{path.name} holds labels of other videos with other keypoints: save these under another name"
        )
    return mine


def _without(poses: Poses, known: Sequence[Poses]) -> Poses:
    """Leave out the videos that some of the poses have rows of."""
    there = {part.videos[video] for part in known for video in set(part.video.tolist())}
    index = [i for i, video in enumerate(poses.videos) if video not in there]
    return poses.select(np.isin(poses.video, index))
