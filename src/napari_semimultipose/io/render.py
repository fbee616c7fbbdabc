"""Labelled videos: a recording with poses drawn into it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.errors import FramesError
from napari_semimultipose.io.drawing import (
    WHITE,
    Colour,
    distinct_colour,
    draw_lines,
    draw_name,
    draw_points,
)
from napari_semimultipose.io.frames import Frames, Picture
from napari_semimultipose.poses import Poses, Visibility

ColourBy = Literal["track", "keypoint"]


class _StopError(Exception):
    """The caller wants no video any more."""


@dataclass(frozen=True)
class _Style:
    """Sizes in px and colours of one rendering."""

    radius: float
    width: float
    text: int
    by: ColourBy

    @classmethod
    def fitting(cls, poses: Poses, height: int, by: ColourBy) -> _Style:
        """Choose sizes from the size of the animals and of the picture."""
        animal = poses.animal_size_px
        if not np.isfinite(animal):
            animal = height / 8
        radius = float(np.clip(0.035 * animal, 1.5, 0.015 * height + 1))
        return cls(radius, max(1.0, 0.7 * radius), int(np.clip(0.2 * animal, 10, 24)), by)

    def animal(self, track: int) -> Colour:
        return WHITE if track < 0 else distinct_colour(track)


class PoseRenderer:
    """Draws the poses of one video into its frames.

    Keypoints are discs, occluded ones rings; skeleton edges are lines. Animals with a track have
    its colour and its name.

    Parameters
    ----------
    poses : Poses
    height : int
        Height of the frames in px; sizes follow from it and from the size of the animals.
    video : int
        Index into `poses.videos`.
    colour_by : {"track", "keypoint"}
        What colours mean.
    trail : int
        Draw the path of each track over so many frames back; 0 for none. It follows the keypoint
        in the middle of the animal.
    names : bool
        Write the name of each track.
    """

    def __init__(
        self,
        poses: Poses,
        height: int,
        *,
        video: int = 0,
        colour_by: ColourBy = "track",
        trail: int = 0,
        names: bool = True,
    ) -> None:
        self._poses = poses
        self._rows = poses.rows(video)
        self._style = _Style.fitting(poses, height, colour_by)
        self._trail = trail
        self._names = names
        self._middle = _middle_keypoint(poses)
        self._edges = np.array(poses.skeleton.edges, int).reshape(-1, 2)
        self._keypoint_colours = np.array(
            [distinct_colour(k) for k in range(len(poses.skeleton))], np.int64
        )

    @property
    def frames(self) -> list[int]:
        """Frames that have poses, in order."""
        return sorted(self._rows)

    def draw(self, picture: Picture, i: int) -> Picture:
        """Return frame `i` [H, W, 1 or 3] as RGB [H, W, 3] with its poses drawn."""
        out = np.repeat(picture, 3, -1) if picture.shape[2] == 1 else picture.copy()
        row = self._rows.get(i)
        if self._trail:
            self._draw_trails(out, i)
        if row is None:
            return out
        slots = np.flatnonzero(self._poses.present[row])
        for n in slots.tolist():
            self._draw_animal(out, row, n)
        if self._names:
            for n in slots.tolist():
                self._draw_name(out, row, n)
        return out

    def _draw_animal(self, out: Picture, row: int, n: int) -> None:
        style, xy = self._style, self._poses.xy[row, n]
        colour = style.animal(int(self._poses.track[row, n]))
        by_track = style.by == "track"
        lines = xy[self._edges]
        draw_lines(out, lines, style.width + 1.6, (0, 0, 0), 0.5)
        draw_lines(out, lines, style.width, colour if by_track else (235, 235, 235), 0.9)
        colours = np.tile(np.array(colour), (len(xy), 1)) if by_track else self._keypoint_colours
        hollow = self._poses.visible[row, n] == Visibility.OCCLUDED
        draw_points(out, xy, style.radius, colours, hollow)

    def _draw_name(self, out: Picture, row: int, n: int) -> None:
        track = int(self._poses.track[row, n])
        if track < 0:
            return
        known = track < len(self._poses.track_names)
        name = self._poses.track_names[track] if known else str(track)
        xy = self._poses.xy[row, n]
        place = float(np.nanmean(xy[:, 0])), float(np.nanmin(xy[:, 1]) - 2 * self._style.radius)
        draw_name(out, name, place, self._style.text, self._style.animal(track))

    def _draw_trails(self, out: Picture, i: int) -> None:
        rows = [(t, self._rows[t]) for t in range(i - self._trail, i + 1) if t in self._rows]
        paths: dict[int, list[tuple[int, NDArray[np.float64]]]] = {}
        for t, row in rows:
            for n in np.flatnonzero(self._poses.track[row] >= 0):
                point = self._poses.xy[row, n, self._middle]
                if np.isfinite(point).all():
                    paths.setdefault(int(self._poses.track[row, n]), []).append((t, point))
        for track, path in paths.items():
            times = np.array([t for t, _ in path])
            points = np.array([point for _, point in path])
            ends = np.stack([points[:-1], points[1:]], 1)
            fading = 1 - (i - times[1:]) / (self._trail + 1)
            draw_lines(out, ends, self._style.width, self._style.animal(track), 0.8 * fading)


def _middle_keypoint(poses: Poses) -> int:
    """Index of the keypoint nearest to the mean of an animal, of those that are seldom missing."""
    xy = poses.xy[poses.present]
    known = poses.visible[poses.present] > Visibility.ABSENT
    if not known.any():
        return 0
    count = np.maximum(known.sum(1), 1)[:, None]
    middle = np.where(known[..., None], xy, 0).sum(1) / count
    distance = np.where(known, np.linalg.norm(xy - middle[:, None], axis=-1), 0)
    seen = known.sum(0)
    mean = distance.sum(0) / np.maximum(seen, 1)
    return int(np.argmin(np.where(seen >= 0.8 * seen.max(), mean, np.inf)))


def render_video(
    frames: Frames,
    poses: Poses,
    out: str | os.PathLike[str],
    *,
    video: int = 0,
    frame_range: range | None = None,
    colour_by: ColourBy = "track",
    trail: int = 0,
    names: bool = True,
    fps: float | None = None,
    quality: int = 20,
    on_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> bool:
    """Write a recording with its poses drawn into it; memory does not grow with its length.

    Parameters
    ----------
    frames : Frames
        The recording.
    poses : Poses
    out : path
        The video to write, H.264 in ``.mp4``. It appears when it is complete.
    video : int
        Index into `poses.videos` of the recording.
    frame_range : range, optional
        Frames to write; from the first to the last frame with poses by default.
    colour_by, trail, names
        See `PoseRenderer`.
    fps : float, optional
        Frames a second; those of the recording, or 25, by default.
    quality : int
        Constant rate factor of H.264: lower is better and larger.
    on_progress : callable, optional
        Called with the number of frames done and of all.
    should_stop : callable, optional
        Asked at each frame; when it says yes, nothing is written.

    Returns
    -------
    bool
        False when it was stopped.

    Raises
    ------
    FramesError
        When there is no frame to write, or the file cannot be written.
    """
    from napari_semimultipose.io.video_writer import write_video

    renderer = PoseRenderer(
        poses, frames.shape[1], video=video, colour_by=colour_by, trail=trail, names=names
    )
    wanted = frame_range
    if wanted is None:
        known = renderer.frames
        wanted = range(known[0], known[-1] + 1) if known else range(0)
    wanted = range(wanted.start, min(wanted.stop, len(frames)), wanted.step)
    if not wanted:
        raise FramesError(
            f"{out}: there is no frame to write; the recording has {len(frames)} frames and the "
            f"poses belong to {len(renderer.frames)} frames"
        )
    height, width = frames.shape[1:3]
    try:
        with write_video(out, (height, width), fps or frames.fps or 25.0, quality) as writer:
            span = frames.iterate(wanted.start, wanted.stop, wanted.step)
            for done, (i, picture) in enumerate(span, 1):
                if should_stop is not None and should_stop():
                    raise _StopError
                if picture.shape[:2] != (height, width):
                    below, beside = height - picture.shape[0], width - picture.shape[1]
                    picture = np.pad(picture, ((0, below), (0, beside), (0, 0)))
                writer.write(renderer.draw(picture, i))
                if on_progress is not None:
                    on_progress(done, len(wanted))
    except _StopError:
        return False
    return True
