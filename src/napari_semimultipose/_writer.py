"""napari's writer hook: Points layers with poses to every labels format that can be written."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_semimultipose.poses import Poses

if TYPE_CHECKING:
    from napari_semimultipose.layers.points import LayerData


def write_points(path: str, layers: Sequence[LayerData]) -> list[str]:
    """Write the poses of one or more Points layers into one file.

    Tracks and Vectors layers may be among the layers; they show the same poses and add nothing.
    What the format cannot hold is named in a warning.

    Raises
    ------
    LabelsError
        When a layer holds no poses, the skeletons differ, or the format cannot hold them.
    """
    from napari_semimultipose.errors import LabelsError
    from napari_semimultipose.io.labels import write_poses
    from napari_semimultipose.layers.points import poses_from_layer_data

    parts = [
        poses_from_layer_data(data, attributes)
        for data, attributes, kind in layers
        if kind == "points"
    ]
    if len({part.skeleton.keypoints for part in parts}) > 1:
        raise LabelsError("the layers have different skeletons: save them in different files")
    lost = write_poses(parts[0] if len(parts) == 1 else Poses.concatenate(parts), path)
    if lost:
        warnings.warn(f"{path} cannot hold: {'; '.join(lost)}", stacklevel=2)
    return [path]
