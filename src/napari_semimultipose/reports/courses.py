"""What the poses of a recording add up to: counts, tracks, speeds and confidences over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_semimultipose.labeling.sights import Sights
from napari_semimultipose.poses import BoolArray, FloatArray, IntArray, Poses

BINS = 600
"""Pieces that a recording is cut into, where it is long: no plot shows more."""

_LONGEST_GAP = 5  # strides from one sight to the next that a speed is taken over


@dataclass(frozen=True)
class Track:
    """One animal over time.

    Attributes
    ----------
    number : int
        Its track.
    name : str
    first, last : int
        First and last frame that show it.
    frames : int
        Frames that show it.
    pieces : int
        Runs of consecutive frames that show it.
    path_px : float
        Length of the path of its keypoints' mean, without long gaps.
    speed_px, fast_px : float
        Median and 95th percentile of its speed in px a frame; NaN without any movement.
    confidence : float
        Median confidence.
    """

    number: int
    name: str
    first: int
    last: int
    frames: int
    pieces: int
    path_px: float
    speed_px: float
    fast_px: float
    confidence: float


@dataclass(frozen=True)
class Courses:
    """The animals of one video over time.

    Attributes
    ----------
    sights : Sights
        All M animals, by track and frame.
    stride : int
        Frames from one row to the next, usually 1.
    moved : array [S]
        Animals of `sights` after each of their movements.
    way_px, speed_px : arrays [S]
        Length of these movements, and the same in px a frame.
    tracks : list of Track
        The ones that are seen longest first.
    """

    sights: Sights
    stride: int
    moved: IntArray
    way_px: FloatArray
    speed_px: FloatArray
    tracks: list[Track]

    @classmethod
    def of(cls, poses: Poses, video: int = 0) -> Courses:
        """Measure the poses of a video."""
        sights = Sights.of(poses, video)
        gaps = np.diff(sights.frame)
        stride = int(np.median(gaps[gaps > 0])) if (gaps > 0).any() else 1
        steps = sights.steps(_LONGEST_GAP * stride)
        way = np.hypot(*steps.shift(sights).T) if len(steps.a) else np.zeros(0)
        speed = way / steps.frames
        return cls(
            sights, stride, steps.b, way, speed, _tracks(sights, poses, steps.b, way, speed, stride)
        )

    @property
    def judged(self) -> bool:
        """Whether the animals have confidences: those of people, and of some files, are all 1."""
        sights = self.sights
        return bool((sights.instance_score != 1).any() or (sights.score[sights.seen] != 1).any())

    @property
    def frame(self) -> IntArray:
        """Frame [R] of each row, ascending."""
        return self.sights.frame

    @property
    def count(self) -> IntArray:
        """Number of animals [R] on each row."""
        return np.asarray(self.sights.present.sum(1))

    @property
    def at(self) -> IntArray:
        """Frame [M] of each animal."""
        return self.sights.frame[self.sights.row]

    @property
    def edges(self) -> FloatArray:
        """Limits [B + 1] of the pieces that plots over time are made of, in frames."""
        first, last = int(self.frame[0]), int(self.frame[-1]) + self.stride
        pieces = min(BINS, max((last - first) // self.stride, 1))
        return np.linspace(first, last, pieces + 1)

    def row_confidence(self) -> tuple[FloatArray, FloatArray]:
        """Lowest and mean confidence [R] of the animals of each row; NaN without any."""
        lowest = np.full(len(self.frame), np.inf)
        np.minimum.at(lowest, self.sights.row, self.sights.instance_score)
        total = np.bincount(self.sights.row, self.sights.instance_score, len(self.frame))
        count = self.count
        known = count > 0
        mean = np.divide(total, count, out=np.full(len(count), np.nan), where=known)
        return np.where(known, lowest, np.nan), mean


def _tracks(
    sights: Sights, poses: Poses, moved: IntArray, way: FloatArray, speed: FloatArray, stride: int
) -> list[Track]:
    known = np.flatnonzero(sights.tracks >= 0)
    if not len(known):
        return []
    numbers, starts = np.unique(sights.tracks[known], return_index=True)
    stops = np.append(starts[1:], len(known))
    of_move = sights.tracks[moved]  # ascending, as the sights are
    found = []
    for number, start, stop in zip(numbers.tolist(), starts.tolist(), stops.tolist(), strict=True):
        here = known[start:stop]
        frame = np.unique(sights.frame[sights.row[here]])
        a, b = np.searchsorted(of_move, (number, number + 1))
        fast = speed[a:b]
        name = poses.track_names[number] if number < len(poses.track_names) else str(number)
        found.append(
            Track(
                number,
                name,
                int(frame[0]),
                int(frame[-1]),
                len(frame),
                1 + int((np.diff(frame) > stride).sum()),
                float(way[a:b].sum()),
                float(np.median(fast)) if len(fast) else float("nan"),
                float(np.quantile(fast, 0.95)) if len(fast) else float("nan"),
                float(np.median(sights.instance_score[here])),
            )
        )
    return sorted(found, key=lambda t: (-t.frames, t.number))


def in_pieces(
    at: IntArray, value: FloatArray, edges: FloatArray, quantiles: Sequence[float]
) -> FloatArray:
    """Quantiles of values over pieces of a recording.

    Parameters
    ----------
    at : array [n]
        Frame of each value.
    value : array [n]
        NaN is left out.
    edges : array [B + 1]
        Limits of the pieces.
    quantiles : sequence of float

    Returns
    -------
    array [len(quantiles), B]
        NaN where a piece has no value.
    """
    known = np.isfinite(value)
    at, value = at[known], value[known]
    order = np.argsort(at, kind="stable")
    at, value = at[order], value[order]
    limits = np.searchsorted(at, edges[1:-1], side="left")
    out = np.full((len(quantiles), len(edges) - 1), np.nan)
    for i, part in enumerate(np.split(value, limits)):
        if len(part):
            out[:, i] = np.quantile(part, quantiles)
    return out


def coverage(courses: Courses, tracks: Sequence[Track]) -> FloatArray:
    """Share [T, B] of the rows of each piece of the recording that show a track."""
    edges = courses.edges
    pieces = len(edges) - 1
    place = np.clip(np.searchsorted(edges, courses.frame, side="right") - 1, 0, pieces - 1)
    rows = np.maximum(np.bincount(place, minlength=pieces), 1)
    sights = courses.sights
    out = np.zeros((len(tracks), pieces))
    for i, track in enumerate(tracks):
        a, b = np.searchsorted(sights.tracks, (track.number, track.number + 1))
        here = np.unique(sights.row[a:b])
        out[i] = np.bincount(place[here], minlength=pieces) / rows
    return out


def spaced(order: IntArray, frame: IntArray, count: int) -> list[int]:
    """Return the first rows of an order that are not close to each other in time.

    Parameters
    ----------
    order : array
        Rows, the most wanted first.
    frame : array [R]
        Frame of each row.
    count : int
        How many at most; the least distance is the length of the recording over four times that.
    """
    if not len(order):
        return []
    least = (int(frame.max()) - int(frame.min())) / (4 * max(count, 1))
    chosen: list[int] = []
    free: BoolArray = np.ones(len(frame), bool)
    for row in order.tolist():
        if free[row]:
            chosen.append(row)
            free &= np.abs(frame - frame[row]) > least
        if len(chosen) == count:
            break
    return chosen
