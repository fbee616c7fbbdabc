"""Lines of the skeleton as a napari Vectors layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.layers.points import METADATA_KEY
from napari_semimultipose.layers.style import PoseStyle, animal_colors, animal_number
from napari_semimultipose.poses import Poses

if TYPE_CHECKING:
    import pandas as pd

    from napari_semimultipose.layers.points import LayerData


def vectors_from_poses(
    poses: Poses, video: int | None = 0
) -> tuple[NDArray[np.float64], pd.DataFrame, NDArray[np.float32]]:
    """Convert the edges of all animals of one video (None: of all rows) to vectors.

    An edge is drawn where both of its keypoints are present.

    Returns
    -------
    data : array [E, 2, 3]
        Start point (frame, row, column) and direction (0, rows, columns).
    features : DataFrame with E rows
        ``frame``, ``instance``, ``track``.
    colors : array [E, 4]
        One colour an animal.
    """
    import pandas as pd

    edges = np.array(poses.skeleton.edges, np.int64).reshape(-1, 2)
    there = poses.visible > 0
    if video is not None:
        there = there & (poses.video == video)[:, None, None]
    both = there[:, :, edges[:, 0]] & there[:, :, edges[:, 1]]
    row, slot, edge = np.nonzero(both)
    start = poses.xy[row, slot, edges[edge, 0]]
    move = poses.xy[row, slot, edges[edge, 1]] - start
    frame = poses.frame[row]
    data = np.zeros((len(row), 2, 3))
    data[:, 0, 0] = frame
    data[:, 0, 1:] = start[:, ::-1]
    data[:, 1, 1:] = move[:, ::-1]
    track = poses.track[row, slot]
    features = pd.DataFrame({"frame": frame, "instance": slot, "track": track})
    return data, features, animal_colors(animal_number(track, slot))


def vectors_layer_data(
    poses: Poses, name: str = "skeleton", video: int = 0, style: PoseStyle | None = None
) -> LayerData | None:
    """Return the layer data tuple of a Vectors layer, or None when there is no edge to draw."""
    data, features, colors = vectors_from_poses(poses, video)
    if not len(data):
        return None
    style = style or PoseStyle.fitting(poses)
    look: dict[str, Any] = style.vectors_kwargs()
    look |= {"features": features, "edge_color": colors, "metadata": {METADATA_KEY: "skeleton"}}
    return data, {"name": name, **look}, "vectors"
