"""The two pose types that travel through the whole program: `Skeleton` and `Poses`.

Coordinates are (x, y) in pixels, x to the right and y down, and pixel centres are integers:
the centre of the top left pixel is (0, 0).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_semimultipose.skeleton import Skeleton

__all__ = ["Poses", "Skeleton", "Source", "Video", "Visibility"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
# Default of the arrays of `Poses` that are filled in when they are not given.
_UNSET: Any = None


class Visibility(IntEnum):
    """Visibility of a keypoint, with the numbers of the COCO format."""

    ABSENT = 0
    OCCLUDED = 1
    VISIBLE = 2


class Source(IntEnum):
    """Where the coordinates of an instance come from."""

    HUMAN = 0
    PREDICTED = 1
    PROPAGATED = 2


@dataclass(frozen=True)
class Video:
    """Reference to the frames that poses belong to; it opens nothing.

    Parameters
    ----------
    path : str
        Video file, image folder, or any name when the frames live in memory.
    images : tuple of str
        For a list of images: their file names in frame order, relative to `path` or absolute.
    shape : (int, int), optional
        Height and width in pixels, when known.
    """

    path: str = ""
    images: tuple[str, ...] = ()
    shape: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """Last part of the path."""
        return PurePath(self.path).name


@dataclass(frozen=True, eq=False)
class Poses:
    """Annotations or predictions of several animals on frames of one or more videos.

    F frames, N instance slots a frame, K keypoints. A slot without any keypoint is empty. The
    order of the slots of a frame carries no meaning: identity over time is `track`.

    Parameters
    ----------
    skeleton : Skeleton
        Names of the K keypoints.
    xy : array [F, N, K, 2]
        Positions in px; NaN where the keypoint is absent.
    frame : array [F] of int
        Index of the frame in its video.
    score : array [F, N, K], optional
        Confidence of a keypoint in 0..1; 1 where present by default.
    instance_score : array [F, N], optional
        Confidence of an instance in 0..1; 1 where present by default.
    track : array [F, N] of int, optional
        Index of the animal, -1 for none (default).
    visible : array [F, N, K] of int, optional
        `Visibility`; by default VISIBLE where `xy` is finite. Where ABSENT, `xy` becomes NaN.
    source : array [F, N] of int, optional
        `Source`; HUMAN by default.
    video : array [F] of int, optional
        Index into `videos`; 0 by default.
    videos : tuple of Video
        What the frames belong to; one unnamed video by default.
    track_names : tuple of str
        Names of the tracks; may be shorter than the number of tracks.
    spread : array [F, N, K, 2], optional
        Standard deviation of a position along x and y in px: of the members of an ensemble, or what a
        smoother leaves of doubt. NaN where it is unknown; None (default) where it is unknown for all.
    """

    skeleton: Skeleton
    xy: FloatArray
    frame: IntArray
    score: FloatArray = _UNSET
    instance_score: FloatArray = _UNSET
    track: IntArray = _UNSET
    visible: NDArray[np.int8] = _UNSET
    source: NDArray[np.int8] = _UNSET
    video: IntArray = _UNSET
    videos: tuple[Video, ...] = (Video(),)
    track_names: tuple[str, ...] = ()
    spread: FloatArray | None = None

    def __post_init__(self) -> None:
        xy = np.array(self.xy, dtype=np.float64)
        if xy.ndim != 4 or xy.shape[2:] != (len(self.skeleton), 2):
            raise ValueError(
                f"xy must have the shape [frames, instances, {len(self.skeleton)}, 2], got {list(xy.shape)}"
            )
        f, n, k, _ = xy.shape
        finite = np.isfinite(xy).all(-1)
        visible = _filled(self.visible, (f, n, k), np.int8, "visible", Visibility.VISIBLE)
        visible = np.where(finite, visible, Visibility.ABSENT).astype(np.int8)
        xy[visible == Visibility.ABSENT] = np.nan
        present = (visible > 0).any(-1)
        score = _filled(self.score, (f, n, k), np.float64, "score", 1.0)
        instance_score = _filled(self.instance_score, (f, n), np.float64, "instance_score", 1.0)
        videos = tuple(self.videos) or (Video(),)
        video = _filled(self.video, (f,), np.int64, "video", 0)
        if f and not (0 <= video.min() and video.max() < len(videos)):
            raise ValueError(f"video must index the {len(videos)} videos")
        track = _filled(self.track, (f, n), np.int64, "track", -1)
        frame = _filled(self.frame, (f,), np.int64, "frame", 0)
        if f and frame.min() < 0:
            raise ValueError("frame indices must not be negative")
        values = {
            "xy": xy,
            "visible": visible,
            "score": np.where(visible > 0, score, 0.0),
            "instance_score": np.where(present, instance_score, 0.0),
            "track": np.where(present, track, -1),
            "source": _filled(self.source, (f, n), np.int8, "source", Source.HUMAN),
            "frame": frame,
            "video": video,
            "videos": videos,
            "track_names": tuple(self.track_names),
        }
        if self.spread is not None:
            spread = _filled(self.spread, (f, n, k, 2), np.float64, "spread", np.nan)
            spread[visible == Visibility.ABSENT] = np.nan
            values["spread"] = spread
        for key, value in values.items():
            object.__setattr__(self, key, value)

    # ---------------------------------------------------------------- making

    @classmethod
    def empty(cls, skeleton: Skeleton, videos: Sequence[Video] = ()) -> Poses:
        """Poses without any frame."""
        return cls(
            skeleton, np.zeros((0, 0, len(skeleton), 2)), np.zeros(0, int), videos=tuple(videos)
        )

    @classmethod
    def from_instances(
        cls,
        skeleton: Skeleton,
        frame: ArrayLike,
        xy: ArrayLike,
        *,
        video: ArrayLike | None = None,
        score: ArrayLike | None = None,
        instance_score: ArrayLike | None = None,
        track: ArrayLike | None = None,
        visible: ArrayLike | None = None,
        source: ArrayLike | None = None,
        spread: ArrayLike | None = None,
        videos: Sequence[Video] = (),
        track_names: Sequence[str] = (),
        empty_frames: Iterable[tuple[int, int]] = (),
    ) -> Poses:
        """Build the dense table from a flat list of M instances.

        Parameters
        ----------
        frame, video : arrays [M] of int
            Where each instance belongs. Frames are sorted by (video, frame) in the result; within
            a frame the instances keep their order.
        xy, spread : array [M, K, 2]
            Positions and, optional, their standard deviations in px.
        score, visible : arrays [M, K], optional
        instance_score, track, source : arrays [M], optional
            As in the class, one entry an instance.
        empty_frames : iterable of (video, frame)
            Frames that were looked at and hold no animal; they become rows without instances.
        """
        k = len(skeleton)
        points = np.asarray(xy, dtype=np.float64).reshape(-1, k, 2)
        m = len(points)
        frames = np.asarray(frame, dtype=np.int64).reshape(m)
        clips = np.zeros(m, np.int64) if video is None else np.asarray(video, np.int64).reshape(m)
        extra = np.array(sorted(set(empty_frames)), np.int64).reshape(-1, 2)
        clip_of, frame_of = np.concatenate([np.stack([clips, frames], 1), extra]).T
        if frame_of.min(initial=0) < 0:
            raise ValueError("frame indices must not be negative")
        # One number for each (video, frame): sorting pairs takes ten times as long.
        span = int(frame_of.max(initial=0)) + 1
        codes, inverse = np.unique(clip_of * span + frame_of, return_inverse=True)
        rows = np.stack(np.divmod(codes, span), 1)
        row = inverse.reshape(-1)[:m]
        order = np.argsort(row, kind="stable")
        slot = np.zeros(m, np.int64)
        first = np.searchsorted(row[order], np.arange(len(rows)))
        slot[order] = np.arange(m) - first[row[order]]
        n = int(slot.max()) + 1 if m else 0

        def spread_out(value: ArrayLike | None, tail: tuple[int, ...], fill: float) -> Any:
            if value is None:
                return _UNSET
            flat = np.asarray(value).reshape((m, *tail))
            out = np.full((len(rows), n, *tail), fill, dtype=flat.dtype)
            out[row, slot] = flat
            return out

        dense = np.full((len(rows), n, k, 2), np.nan)
        dense[row, slot] = points
        return cls(
            skeleton,
            dense,
            rows[:, 1],
            score=spread_out(score, (k,), 0),
            instance_score=spread_out(instance_score, (), 0),
            track=spread_out(track, (), -1),
            visible=spread_out(visible, (k,), 0),
            source=spread_out(source, (), 0),
            spread=None if spread is None else spread_out(spread, (k, 2), np.nan),
            video=rows[:, 0],
            videos=tuple(videos),
            track_names=tuple(track_names),
        )

    def instances(self) -> dict[str, NDArray]:
        """Flat view of the M present instances: the arguments of `from_instances`, as a dict.

        Keys: ``frame, video, track, source, instance_score`` [M], ``score, visible`` [M, K], ``xy``
        [M, K, 2], ``spread`` of the same shape where it is known, and ``row, slot`` [M], the place in the
        dense arrays.
        """
        row, slot = np.nonzero(self.present)
        names: tuple[str, ...] = ("xy", "score", "visible", "instance_score", "track", "source")
        if self.spread is not None:
            names = (*names, "spread")
        return {
            "row": row,
            "slot": slot,
            "frame": self.frame[row],
            "video": self.video[row],
            **{name: getattr(self, name)[row, slot] for name in names},
        }

    # ------------------------------------------------------------- properties

    def __len__(self) -> int:
        """Return the number of frames F."""
        return len(self.frame)

    def __repr__(self) -> str:
        return (
            f"Poses({len(self)} frames, {self.n_instances} instances, "
            f"{len(self.skeleton)} keypoints, {len(self.videos)} videos)"
        )

    @cached_property
    def present(self) -> BoolArray:
        """Which slots [F, N] hold an animal; read-only."""
        present = np.asarray((self.visible > 0).any(-1))
        present.flags.writeable = False  # everybody gets the same one
        return present

    @property
    def n_instances(self) -> int:
        """Number of animals, summed over the frames."""
        return int(self.present.sum())

    @property
    def boxes(self) -> FloatArray:
        """Boxes [F, N, 4] around the keypoints: x0, y0, x1, y1 in px, NaN for empty slots."""
        if self.xy.size == 0:
            return np.full((*self.xy.shape[:2], 4), np.nan)
        gone = np.isnan(self.xy)
        low = np.where(gone, np.inf, self.xy).min(2)
        high = np.where(gone, -np.inf, self.xy).max(2)
        box = np.concatenate([low, high], -1)
        box[~self.present] = np.nan
        return box

    @property
    def animal_size_px(self) -> float:
        """Median over the instances with two or more keypoints of the longer side of their box.

        NaN when no instance has an extent.
        """
        box = self.boxes
        side = np.maximum(box[..., 2] - box[..., 0], box[..., 3] - box[..., 1])
        side = side[(self.visible > 0).sum(-1) > 1]
        side = side[side > 0]
        return float(np.median(side)) if side.size else float("nan")

    def image_name(self, row: int) -> str | None:
        """Name of the image of a row, or None when its video is not a list of images."""
        images = self.videos[self.video[row]].images
        index = int(self.frame[row])
        return images[index] if index < len(images) else None

    def rows(self, video: int = 0) -> dict[int, int]:
        """Map from frame index to row for one video."""
        return {int(self.frame[i]): int(i) for i in np.flatnonzero(self.video == video)}

    # ------------------------------------------------------------- selections

    def select(self, rows: ArrayLike) -> Poses:
        """Return the poses of some rows (indices or a mask [F]); videos and tracks are kept."""
        index = np.asarray(rows)
        if index.dtype == bool:
            index = np.flatnonzero(index)
        index = index.astype(np.int64).reshape(-1)
        names: tuple[str, ...] = (
            "xy", "frame", "score", "instance_score", "track", "visible", "source", "video",
        )  # fmt: skip
        if self.spread is not None:
            names = (*names, "spread")
        return replace(self, **{name: getattr(self, name)[index] for name in names})

    def keep(self, mask: ArrayLike) -> Poses:
        """Return the poses with only the slots of `mask` [F, N].

        Frames without any slot left stay as empty rows; rows are sorted by video and frame, slots packed.
        """
        wanted = np.asarray(mask, bool) & self.present
        flat = self.instances()
        chosen = wanted[flat["row"], flat["slot"]]
        order = np.lexsort((self.frame, self.video))
        flat = {name: value[chosen] for name, value in flat.items() if name not in ("row", "slot")}
        return Poses.from_instances(
            self.skeleton,
            **flat,
            videos=self.videos,
            track_names=self.track_names,
            empty_frames=zip(self.video[order].tolist(), self.frame[order].tolist(), strict=True),
        )

    @property
    def predicted(self) -> BoolArray:
        """Which instances [F, N] a network made; all others count as labels."""
        return np.asarray(self.present & (self.source == Source.PREDICTED))

    def labelled_rows(self, *, chosen: bool = False) -> BoolArray:
        """Which rows [F] a person labelled, or marked as empty.

        Among predictions a frame without an animal is none that a person looked at, unless the rows were chosen.
        """
        predicted = self.predicted
        rows = np.asarray((self.present & ~predicted).any(1))
        if chosen or not predicted.any():
            rows = rows | ~self.present.any(1)
        return rows

    def accepted(self) -> Poses:
        """Return the poses with predicted instances as labels, as if someone had corrected them all."""
        predicted = self.predicted
        return replace(
            self,
            score=np.where(predicted[..., None], 1.0, self.score),
            instance_score=np.where(predicted, 1.0, self.instance_score),
            source=np.where(predicted, Source.HUMAN, self.source),
        )

    @staticmethod
    def concatenate(parts: Sequence[Poses]) -> Poses:
        """Join poses of one skeleton; equal videos are merged, rows are sorted by video and frame.

        Tracks are those of one name; where no more than one part names them, their indices are kept as they are.
        """
        if not parts:
            raise ValueError("nothing to concatenate")
        skeleton = parts[0].skeleton
        if any(p.skeleton.keypoints != skeleton.keypoints for p in parts):
            raise ValueError("poses of different skeletons cannot be concatenated")
        videos = list(dict.fromkeys(v for p in parts for v in p.videos))
        flats: list[dict[str, NDArray]] = []
        uncertain = any(p.spread is not None for p in parts)
        seen: set[tuple[int, int]] = set()
        for part in parts:
            place = np.array([videos.index(v) for v in part.videos], np.int64)
            flat = part.instances()
            flat["video"] = place[flat["video"]]
            if uncertain and part.spread is None:
                flat["spread"] = np.full_like(flat["xy"], np.nan)
            flats.append(flat)
            seen |= set(zip(place[part.video].tolist(), part.frame.tolist(), strict=True))
        track_names = max((p.track_names for p in parts), key=len)
        if len({p.track_names for p in parts if p.track_names}) > 1:
            numbers: dict[tuple[str, int], int] = {}
            for part, flat in zip(parts, flats, strict=True):
                flat["track"] = _numbered(part.track_names, flat["track"], numbers)
            track_names = tuple(name for name, _ in numbers)
        names = [key for key in flats[0] if key not in ("row", "slot")]
        return Poses.from_instances(
            skeleton,
            **{key: np.concatenate([flat[key] for flat in flats]) for key in names},
            videos=videos,
            track_names=track_names,
            empty_frames=seen,
        )


def _numbered(
    names: Sequence[str], track: NDArray, numbers: dict[tuple[str, int], int]
) -> NDArray[np.int64]:
    """Tracks in the numbering of `numbers`, which grows: by name, and which of those of one name."""
    most = max(len(names), int(track.max(initial=-1)) + 1)
    seen: Counter[str] = Counter()
    place = np.full(most + 1, -1, np.int64)  # the last one is that of no track
    for t in range(most):
        name = names[t] if t < len(names) else str(t)
        place[t] = numbers.setdefault((name, seen[name]), len(numbers))
        seen[name] += 1
    return np.asarray(place[np.maximum(track, -1)])


def _filled(
    value: ArrayLike | None, shape: tuple[int, ...], dtype: type, name: str, default: float
) -> NDArray:
    if value is None:
        return np.full(shape, default, dtype)
    array: NDArray = np.array(value, dtype=dtype)
    if array.shape != shape:
        raise ValueError(f"{name} must have the shape {list(shape)}, got {list(array.shape)}")
    return array
