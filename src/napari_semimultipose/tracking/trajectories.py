"""Courses over time: position, speed and confidence of an animal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_semimultipose.matching import pose_centers
from napari_semimultipose.poses import BoolArray, FloatArray, IntArray
from napari_semimultipose.tracking.repair import Table, array_of, rows_between

QUANTITIES = ("x", "y", "speed", "confidence")


@dataclass(frozen=True)
class Trajectory:
    """One animal on the T frames that show it, in their order.

    Attributes
    ----------
    track : int
    frame : array [T]
    x, y : arrays [T]
        px.
    speed : array [T]
        px a frame since the last frame that shows it; NaN on the first one.
    confidence : array [T]
        0..1.
    joined : array [T] of bool
        Whether the animal is on the next frame of the table as well, so that a line may be drawn.
    """

    track: int
    frame: IntArray
    x: FloatArray
    y: FloatArray
    speed: FloatArray
    confidence: FloatArray
    joined: BoolArray


def trajectory(table: Table, track: int, keypoint: int | None = None, video: int = 0) -> Trajectory:
    """Return the course of a keypoint of an animal, or of its centre.

    Parameters
    ----------
    table : Poses or PoseStore
    track : int
    keypoint : int, optional
        Index; None: the mean of the present keypoints, with the confidence of the instance.
    video : int
    """
    rows = rows_between(table, 0, None, video)
    place, slot = np.nonzero(array_of(table, "track")[rows] == track)
    first = np.diff(place, prepend=-1) > 0  # of one track twice on a frame, the first
    place, slot = place[first], slot[first]
    row = rows[place]
    if keypoint is None:
        xy = pose_centers(array_of(table, "xy")[row, slot])
        confidence = array_of(table, "instance_score")[row, slot]
    else:
        xy = array_of(table, "xy")[row, slot, keypoint]
        confidence = array_of(table, "score")[row, slot, keypoint]
        there = np.isfinite(xy[:, 0])
        place, row, xy, confidence = place[there], row[there], xy[there], confidence[there]
    frame = array_of(table, "frame")[row]
    speed = np.full(len(frame), np.nan)
    speed[1:] = np.hypot(*np.diff(xy, axis=0).T) / np.diff(frame)
    joined = np.diff(place, append=place[-1:] + 2) == 1
    return Trajectory(track, frame, xy[:, 0], xy[:, 1], speed, confidence, joined)
