"""Paths of the animals as a napari Tracks layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.layers.points import METADATA_KEY
from napari_semimultipose.layers.style import ANIMAL_PALETTE, PoseStyle
from napari_semimultipose.poses import Poses

if TYPE_CHECKING:
    import pandas as pd

    from napari_semimultipose.layers.points import LayerData


def tracks_from_poses(poses: Poses, video: int = 0) -> tuple[NDArray[np.float64], pd.DataFrame]:
    """Convert the tracked animals of one video to the content of a Tracks layer.

    The path is that of the mean of the present keypoints. napari joins all points of one id by
    lines and cannot hold NaN, so a track that is interrupted becomes several ids, one a piece
    without a gap; the feature ``track`` keeps the animal. An animal without a track is left out. Of
    two instances with one track in one frame the one with the higher score is taken.

    Returns
    -------
    data : array [P, 4]
        (id, frame, row, column), sorted by id and frame; may be empty, which napari refuses.
    features : DataFrame with P rows
        ``track``, ``score``.
    """
    import pandas as pd

    wanted = poses.present & (poses.track >= 0) & (poses.video == video)[:, None]
    row, slot = np.nonzero(wanted)
    order = np.lexsort((-poses.instance_score[row, slot], poses.frame[row], poses.track[row, slot]))
    row, slot = row[order], slot[order]
    same = (np.diff(poses.track[row, slot]) == 0) & (np.diff(poses.frame[row]) == 0)
    weaker = np.flatnonzero(same) + 1
    row, slot = np.delete(row, weaker), np.delete(slot, weaker)
    track, frame = poses.track[row, slot], poses.frame[row]
    xy = poses.xy[row, slot]
    there = np.isfinite(xy[..., 0])
    count = there.sum(1)
    center = np.where(there[..., None], xy, 0.0).sum(1) / np.maximum(count, 1)[:, None]
    new = np.ones(len(row), bool)
    new[1:] = (np.diff(track) != 0) | (np.diff(frame) > 1)
    piece = np.cumsum(new) - 1
    data = np.column_stack([piece, frame, center[:, 1], center[:, 0]]).astype(np.float64)
    return data, pd.DataFrame({"track": track, "score": poses.instance_score[row, slot]})


def tracks_layer_data(
    poses: Poses, name: str = "tracks", video: int = 0, style: PoseStyle | None = None
) -> LayerData | None:
    """Return the layer data tuple of a Tracks layer, or None when no animal has a track."""
    data, features = tracks_from_poses(poses, video)
    if not len(data):
        return None
    style = style or PoseStyle.fitting(poses)
    look = {**tracks_look(features, style), "metadata": {METADATA_KEY: "tracks"}}
    return data, {"name": name, **look}, "tracks"


def tracks_look(features: pd.DataFrame, style: PoseStyle) -> dict[str, Any]:
    """Arguments of a Tracks layer that colour each path like its animal."""
    from napari.utils import Colormap

    # napari looks the values up as they are, so they must lie in the colormap's range 0..1.
    n = len(ANIMAL_PALETTE)
    place = (features["track"].to_numpy() % n + 0.5) / n
    colormap = Colormap(ANIMAL_PALETTE, name="animals", interpolation="zero")
    return {
        "features": features.assign(color=place),
        "color_by": "color",
        "colormaps_dict": {"color": colormap},
        **style.tracks_kwargs(),
    }
