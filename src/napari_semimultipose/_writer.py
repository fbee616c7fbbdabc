"""napari's writer hook: Points layers with poses to every labels format that can be written."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
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
    lost = write_poses(parts[0] if len(parts) == 1 else Poses.concatenate(_apart(parts)), path)
    if lost:
        warnings.warn(f"{path} cannot hold: {'; '.join(lost)}", stacklevel=2)
    return [path]


def _apart(parts: Sequence[Poses]) -> list[Poses]:
    """Poses whose tracks have one name only where they can be one animal.

    Layers number their tracks for themselves: tracks without names are one in different videos alone, and no
    animal is on a frame twice.
    """
    if not any(part.track_names for part in parts) and not any(
        set(a.videos) & set(b.videos) for i, a in enumerate(parts) for b in parts[:i]
    ):
        return list(parts)
    number = {video: i for i, video in enumerate(v for part in parts for v in part.videos)}
    taken: dict[str, set[object]] = {}
    out = []
    for part in parts:
        flat, of = part.instances(), [number[video] for video in part.videos]
        named = []
        for t in range(max(len(part.track_names), int(flat["track"].max(initial=-1)) + 1)):
            known = t < len(part.track_names)
            here = flat["track"] == t
            videos = [of[v] for v in flat["video"][here].tolist()]
            places: set[object] = set(zip(videos, flat["frame"][here].tolist(), strict=True))
            name = wanted = part.track_names[t] if known else str(t)
            n = 1
            while taken.get(name, set()) & (places if known else places | set(videos)):
                n += 1
                name = f"{wanted} ({n})"
            taken.setdefault(name, set()).update(places, videos if not known else ())
            named.append(name)
        out.append(replace(part, track_names=tuple(named)))
    return out
