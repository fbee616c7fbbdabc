"""Pictures of animals in a report: parts of frames, enlarged, with poses drawn into them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_semimultipose.errors import FramesError
from napari_semimultipose.io.drawing import Colour, distinct_colour, draw_lines, draw_points
from napari_semimultipose.io.frames import Frames, Picture
from napari_semimultipose.poses import FloatArray, Poses, Visibility

SIDE_PX = 448
"""Longer side of the pictures in a report."""

TRUE_COLOUR: Colour = (64, 224, 255)
PREDICTED_COLOUR: Colour = (255, 150, 30)
ERROR_COLOUR: Colour = (255, 40, 90)
COLOURS = {
    "true": "rgb(64,224,255)",
    "predicted": "rgb(255,150,30)",
    "from true to predicted": "rgb(255,40,90)",
}
"""What the colours of pictures against the truth mean, as CSS."""

_MARGIN = 0.35  # of the animal's size, around it
_LARGEST_SCALE = 6.0
_MOST_WIDE = 1.5  # longer side of a picture against the shorter one


class FrameReader:
    """Reads frames of the recordings of some poses, each once.

    Parameters
    ----------
    frames : mapping of int to Frames
        The recording of each index into the videos of the poses.
    missing : collection of (video, frame)
        Frames whose pictures are not there.
    """

    def __init__(
        self, frames: Mapping[int, Frames], missing: Iterable[tuple[int, int]] = ()
    ) -> None:
        self._frames = dict(frames)
        self._missing = set(missing)
        self._kept: tuple[tuple[int, int], Picture] | None = None

    def __bool__(self) -> bool:
        """Whether there is any recording."""
        return bool(self._frames)

    def frames(self, video: int) -> Frames | None:
        """Return the recording of a video, if there is one."""
        return self._frames.get(video)

    def read(self, video: int, frame: int) -> Picture | None:
        """Return a frame as RGB [H, W, 3]; None where it cannot be read."""
        key = (video, frame)
        if self._kept is not None and self._kept[0] == key:
            return self._kept[1]
        recording = self._frames.get(video)
        if recording is None or key in self._missing or not 0 <= frame < len(recording):
            return None
        try:
            picture = recording[frame]
        except FramesError:
            return None
        if picture.shape[2] == 1:
            picture = np.repeat(picture, 3, -1)
        self._kept = (key, picture)
        return picture


@dataclass(frozen=True)
class View:
    """A part of a frame and its enlargement.

    Attributes
    ----------
    left, top, width, height : int
        The part in px of the frame.
    scale : float
    """

    left: int
    top: int
    width: int
    height: int
    scale: float

    @classmethod
    def around(cls, xy: FloatArray, shape: tuple[int, ...], animal_px: float) -> View:
        """Return the view of points [..., 2] with a margin, inside a frame; the whole without points.

        Parameters
        ----------
        xy : array [..., 2]
            Points in px, NaN where there is none.
        shape : (int, int, ...)
            Height and width of the frame.
        animal_px : float
            Size of an animal, which says how much is shown around it.
        """
        height, width = shape[:2]
        points = xy.reshape(-1, 2)
        points = points[np.isfinite(points).all(-1)]
        if not len(points):
            return cls(0, 0, width, height, SIDE_PX / max(height, width))
        extent = animal_px if np.isfinite(animal_px) and animal_px > 0 else 0.1 * max(shape[:2])
        low, high = points.min(0) - _MARGIN * extent, points.max(0) + _MARGIN * extent
        side = np.maximum(high - low, (1 + 2 * _MARGIN) * extent)
        side = np.maximum(side, side.max() / _MOST_WIDE)
        limits = np.array([width, height])
        size = np.minimum(np.ceil(side), limits).astype(int)
        start = np.clip(np.rint((low + high - size) / 2), 0, limits - size).astype(int)
        scale = min(SIDE_PX / int(size.max()), _LARGEST_SCALE)
        return cls(int(start[0]), int(start[1]), int(size[0]), int(size[1]), scale)

    def cut(self, picture: Picture) -> Picture:
        """Return the part of a picture [H, W, 3], enlarged."""
        from PIL import Image

        part = picture[self.top : self.top + self.height, self.left : self.left + self.width]
        size = (
            max(1, round(self.scale * part.shape[1])),
            max(1, round(self.scale * part.shape[0])),
        )
        return np.array(Image.fromarray(part).resize(size, Image.Resampling.BICUBIC))

    def points(self, xy: FloatArray) -> FloatArray:
        """Return where points [..., 2] of the frame are in the part (pixel centres are integers)."""
        origin = np.array([self.left, self.top])
        return np.asarray(self.scale * (xy - origin + 0.5) - 0.5)


def draw_pose(
    picture: Picture,
    xy: FloatArray,
    poses: Poses,
    colour: Colour,
    style: Literal["true", "predicted"],
    visible: np.ndarray | None = None,
) -> None:
    """Draw an animal into a picture of a report.

    Parameters
    ----------
    picture : array uint8 [H, W, 3]
        Is changed.
    xy : array [K, 2]
        Keypoints in px of the picture.
    poses : Poses
        Whose skeleton says which lines to draw.
    colour : (int, int, int)
    style : {"true", "predicted"}
        True animals are rings, predicted ones discs.
    visible : array [K], optional
        Keypoints that are occluded are drawn as rings, too.
    """
    edges = np.array(poses.skeleton.edges, int).reshape(-1, 2)
    width = 4.0 if style == "true" else 2.4
    draw_lines(picture, xy[edges], width + 1.4, (0, 0, 0), 0.45)
    draw_lines(picture, xy[edges], width, colour, 0.75 if style == "true" else 0.95)
    hollow = np.full(len(xy), style == "true")
    if visible is not None:
        hollow |= visible == Visibility.OCCLUDED
    radius = 7.5 if style == "true" else 4.5
    draw_points(picture, xy, radius, np.tile(np.array(colour), (len(xy), 1)), hollow)


def comparison(
    picture: Picture,
    truth: Poses,
    prediction: Poses,
    rows: tuple[int, int],
    slots: tuple[int, int],
    keypoints: np.ndarray,
) -> Picture:
    """Show an animal and its detection, and the others around them.

    Parameters
    ----------
    picture : array uint8 [H, W, 3]
        The frame.
    truth, prediction : Poses
    rows, slots : (int, int)
        Of the truth and of the prediction; a slot of -1 where one of the two is lacking, a row of -1 for a
        frame without predictions.
    keypoints : array [K]
        Index of each keypoint of the truth in the prediction, -1 where it is lacking.
    """
    (row, other), (animal, detection) = rows, slots
    shown = [truth.xy[row, animal]] if animal >= 0 else []
    if detection >= 0:
        shown.append(prediction.xy[other, detection])
    view = View.around(np.concatenate(shown), picture.shape, truth.animal_size_px)
    out = view.cut(picture)
    for n in np.flatnonzero(truth.present[row]).tolist():
        xy = view.points(truth.xy[row, n])
        draw_pose(out, xy, truth, TRUE_COLOUR, "true")
    if other >= 0:
        for n in np.flatnonzero(prediction.present[other]).tolist():
            draw_pose(
                out, view.points(prediction.xy[other, n]), prediction, PREDICTED_COLOUR, "predicted"
            )
    if animal >= 0 and detection >= 0:
        true = view.points(truth.xy[row, animal])
        seen = np.full_like(true, np.nan)
        known = keypoints >= 0
        seen[known] = view.points(prediction.xy[other, detection])[keypoints[known]]
        draw_lines(out, np.stack([true, seen], 1), 2.4, ERROR_COLOUR)
    return out


def animals_on(
    picture: Picture, poses: Poses, row: int, slots: Iterable[int] | None = None
) -> Picture:
    """Show the animals of a row in the colours of their tracks; some of them fill the picture."""
    present = np.flatnonzero(poses.present[row])
    chosen = np.array(list(present if slots is None else slots), int)
    view = View.around(poses.xy[row, chosen], picture.shape, poses.animal_size_px)
    out = view.cut(picture)
    for n in present.tolist():
        track = int(poses.track[row, n])
        colour = distinct_colour(track) if track >= 0 else (255, 255, 255)
        draw_pose(
            out, view.points(poses.xy[row, n]), poses, colour, "predicted", poses.visible[row, n]
        )
    return out
