"""Training data of several cameras: its sessions, and where animals are in all pictures at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.data.sessions import animals, find_sessions, frame_name, moments
from napari_semimultipose.data.split import TrainingData
from napari_semimultipose.io.camera_names import check_cameras


def with_sessions(data: TrainingData, cameras: Sequence[str]) -> TrainingData:
    """Return the data with the sessions of its recordings.

    Raises
    ------
    ConfigError
        When there are no cameras of these names, or names are ambiguous.
    FramesError
        When the cameras of a session have different numbers of frames.
    """
    rows = [ref.row for ref in data.train]
    check_cameras(
        cameras, [*(f.name for f in data.footage), *(frame_name(data.poses, r) for r in rows)]
    )
    found = find_sessions(data.footage, cameras)
    return replace(data, sessions=found, notes=(*data.notes, *found.notes))


def meetings(data: TrainingData) -> NDArray[np.float64]:
    """Centres of labelled animals in the pictures of all C cameras at once [J, C, 2], as shares of the frames."""
    cameras = data.sessions.cameras
    found: dict[tuple[int, int], NDArray[np.float64]] = {}
    if cameras:
        seen = moments(data.poses, [ref.row for ref in data.train], cameras)
        number, boxes = animals(data.poses), data.poses.boxes
        for i, ref in enumerate(data.train):
            height, width = ref.frames.frame_shape(ref.index)
            for slot in np.flatnonzero((number[ref.row] >= 0) & (seen.camera[i] >= 0)).tolist():
                key = (int(seen.moment[i]), int(number[ref.row, slot]))
                places = found.setdefault(key, np.full((len(cameras), 2), np.nan))
                box = boxes[ref.row, slot]
                places[seen.camera[i]] = (box[:2] + box[2:]) / 2 / [width, height]
    whole = [places for places in found.values() if np.isfinite(places).all()]
    return np.stack(whole) if whole else np.zeros((0, len(cameras), 2))
