"""Who is who over time: instances are joined to tracks by pose similarity and motion.

Frame by frame, every animal that is being followed is moved on by its speed and compared with the
detections; the one-to-one assignment with the largest summed similarity is taken, first with the
sure detections, then with the weak ones (as ByteTrack does: Zhang et al. 2022). The pieces of tracks
that result are joined afterwards, all at once (`tracklets`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_semimultipose.config import TrackConfig
from napari_semimultipose.matching import assign
from napari_semimultipose.poses import BoolArray, FloatArray, IntArray, Poses
from napari_semimultipose.tracking.motion import (
    Animals,
    LengthScale,
    Shapes,
    displacement,
    similarity,
    widening,
)
from napari_semimultipose.tracking.tracklets import Scale, final_tracks

# COCO form of the OKS: exp(-d^2 / (8 size^2 sigma^2)).
_FORM = 8.0
# Two detections of a frame that are more alike than this are one animal.
_DUPLICATE = 0.95
# A detection that fits less well than this begins a new piece of a track: whether the animal has
# leapt or somebody else is there is decided when the pieces are joined.
_CERTAIN = 0.7
# Most missed frames within a piece; what happened in longer gaps is decided at the end.
_PATIENCE = 3
# Tolerance, in multiples, of what counts as a leap rather than as somebody else.
_LEAP = 4.0
# Lists of animals that are out of view before they are put together.
_MOST_PARTS = 200
# Frames times squared instances that are prepared at once: bounds the memory to some 50 MB.
_BLOCK = 500_000


def track(poses: Poses, config: TrackConfig | None = None) -> Poses:
    """Give every instance the track of its animal; former tracks are forgotten.

    Parameters
    ----------
    poses : Poses
        Detections of one or more videos, in any order. Tracks never cross videos.
    config : TrackConfig, optional
        With a fixed number of animals N there are at most N tracks a video, chosen so that they
        hold as many sure detections as possible with as few and small leaps as possible.

    Returns
    -------
    Poses
        The same poses with tracks 0, 1, ... by first appearance (then from left to right). Surplus
        detections - duplicates, weak ones that continue nothing, tracks that are too short, and
        what does not fit into N animals - stay in the poses without a track (-1).
    """
    tracker = IdentityTracker(config)
    order = np.lexsort((poses.frame, poses.video))
    slots = poses.xy.shape[1]
    size = max(_BLOCK // max(slots * slots, 1), 1)
    provisional = np.full((len(poses), slots), -1, np.int64)
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        provisional[rows] = tracker.update(poses.select(rows)).track
    return relabel(replace(poses, track=provisional), tracker.finish())


def relabel(poses: Poses, final: IntArray) -> Poses:
    """Replace the provisional tracks that `IdentityTracker.update` gave by the final ones.

    Parameters
    ----------
    poses : Poses
        What `update` returned, or several of these put together.
    final : array [T] of int
        What `IdentityTracker.finish` returned.
    """
    table = np.append(final, -1)  # no track, -1, stays -1
    return replace(poses, track=table[poses.track], track_names=())


class IdentityTracker:
    """Follows animals through a stream of poses, in memory that does not grow with its frames.

    Call `update` with the poses of consecutive runs of frames, and `finish` at the end. How the
    stream is cut does not change the result. What stays in memory are the animals in view and a
    few numbers of each piece of a track.

    Parameters
    ----------
    config : TrackConfig, optional
    """

    def __init__(self, config: TrackConfig | None = None) -> None:
        self.config = config or TrackConfig()
        self._ended: list[Animals] = []
        self._scales: dict[int, Scale] = {}
        self._least_fit = max(_CERTAIN, self.config.min_similarity)
        self._n_tracks = 0
        self._video = -1
        self._begin_video(-1)

    def update(self, poses: Poses) -> Poses:
        """Track the next frames.

        Parameters
        ----------
        poses : Poses
            Frames in order of (video, frame), all after those of the last call.

        Returns
        -------
        Poses
            With provisional tracks: pieces that `finish` may join or drop.

        Raises
        ------
        ValueError
            When a frame is not after the one before it.
        """
        tracks = np.full(poses.xy.shape[:2], -1, np.int64)
        row, slot = np.nonzero(poses.present)
        xy, score = poses.xy[row, slot], poses.instance_score[row, slot]
        found = Shapes.of(xy)
        first = np.searchsorted(row, np.arange(len(poses) + 1)).tolist()
        extent, complete = _extents(xy)
        neighbor, nearest = _neighbors(poses)
        for i, (video, frame) in enumerate(
            zip(poses.video.tolist(), poses.frame.tolist(), strict=True)
        ):
            self._turn_to(video, frame)
            a, b = first[i], first[i + 1]
            if a == b:
                continue
            usable = extent[a:b][complete[a:b]]
            self._scale.see(float(usable.sum()), len(usable), neighbor[i])
            tracks[row[a:b], slot[a:b]] = self._advance(
                found.take(slice(a, b)), score[a:b], nearest[i]
            )
        return replace(poses, track=tracks, track_names=())

    def finish(self) -> IntArray:
        """Join the pieces to tracks.

        Returns
        -------
        array [T] of int
            Final track of each provisional one, -1 where it is dropped; see `relabel`.
        """
        self._end_video()
        if not self._ended:
            return np.zeros(0, np.int64)
        return final_tracks(Animals.concatenate(self._ended), self._scales, self.config)

    # ------------------------------------------------------------------ one frame

    def _begin_video(self, video: int) -> None:
        self._video = video
        self._frame = -1
        self._step = 0  # frames from one row to the next, at least
        self._scale = LengthScale()
        self._mean_score = 0.0
        self._n_scores = 0
        self._alive: Animals | None = None

    def _end_video(self) -> None:
        if self._alive is not None and len(self._alive):
            self._ended.append(self._alive)
        self._alive = None
        tolerance = _FORM * self.config.sigma**2 * self._scale.px2
        self._scales[self._video] = Scale(max(self._step, 1), tolerance)

    def _turn_to(self, video: int, frame: int) -> None:
        """Go on to the next frame, and let go of the animals that are lost for too long."""
        if video < self._video or (video == self._video and frame <= self._frame):
            raise ValueError(
                f"frame {frame} of video {video} comes after frame {self._frame} of video "
                f"{self._video}; give the frames in order"
            )
        if video != self._video:
            self._end_video()
            self._begin_video(video)
        elif self._frame >= 0:
            gap = frame - self._frame
            self._step = min(self._step or gap, gap)
        self._frame = frame
        alive = self._alive
        if alive is not None and len(alive):
            # A row next to the last sight is one step away: then no frame is missing.
            patience = min(_PATIENCE, self.config.max_gap_frames) + 1
            self._part_from((alive.host >= 0) | (alive.end < frame - patience * max(self._step, 1)))

    def _advance(self, found: Shapes, score: FloatArray, nearest_px: float) -> IntArray:
        """Take the detections of this frame; return their provisional tracks."""
        tracks = np.full(len(found), -1, np.int64)
        size = self._scale.px2
        tolerance = _FORM * self.config.sigma**2 * size
        single = np.arange(len(found))
        if nearest_px * nearest_px < size / 4:
            single = _without_duplicates(found, score, tolerance)
        sure = score[single] >= self.config.weak_score * self._mean_score
        stages = [single] if sure.all() else [single[sure], single[~sure]]
        alive = self._alive
        if alive is not None and len(alive):
            steps = (self._frame - alive.end) / self._step
            wide = widening(steps)
            expected = alive.expected(steps)
            fit = similarity(expected, found, (tolerance * wide * wide)[:, None, None])
            # A wide tolerance makes everything alike: count as much less as a density would.
            gain = np.where(fit < self._least_fit, 0.0, fit / wide[:, None])
            for stage in stages:
                rows, columns = assign(gain[:, stage])
                if len(rows):
                    columns = stage[columns]
                    if (steps[rows] > 1).any():
                        self._fill_holes(alive, rows, found.take(columns), tolerance)
                        # A piece that lies in a hole has come to its end.
                        gain[alive.host >= 0] = 0.0
                    surprise = alive.sight(
                        rows, self._frame, found.take(columns), score[columns], steps[rows]
                    )
                    self._scale.surprised(surprise)
                    self._n_scores += len(rows)
                    share = len(rows) / self._n_scores
                    self._mean_score += share * (float(score[columns].mean()) - self._mean_score)
                    tracks[columns] = alive.track[rows]
                    gain[rows] = 0.0
        new = stages[0][tracks[stages[0]] < 0]
        if len(new) and alive is not None and len(alive):
            self._learn_from_leaps(alive, expected, found.take(new), _LEAP * tolerance)
        if len(new):
            tracks[new] = np.arange(self._n_tracks, self._n_tracks + len(new))
            self._n_tracks += len(new)
            born = Animals.born(tracks[new], self._video, self._frame, found.take(new), score[new])
            self._alive = born if alive is None else Animals.concatenate([alive, born])
        return tracks

    def _part_from(self, gone: BoolArray) -> None:
        """Set the animals in view that are `gone` aside."""
        if self._alive is None or not gone.any():
            return
        self._ended.append(self._alive.take(np.flatnonzero(gone)))
        self._alive = self._alive.take(np.flatnonzero(~gone))
        if len(self._ended) > _MOST_PARTS:
            self._ended = [Animals.concatenate(self._ended)]

    def _learn_from_leaps(
        self, alive: Animals, expected: Shapes, found: Shapes, tolerance_px2: float
    ) -> None:
        """Let animals that were not found, and detections that nobody is, widen the usual surprise.

        Where animals always move far from one frame to the next, nothing is certain at first.
        """
        missing = np.flatnonzero(alive.end < self._frame)
        if not len(missing):
            return
        expected = expected.take(missing)
        fit = similarity(expected, found, tolerance_px2)
        rows, columns = assign(fit, self.config.min_similarity)
        if len(rows):
            leap = displacement(expected.take(rows), found.take(columns))
            self._scale.surprised(np.hypot(*leap))

    def _fill_holes(
        self, alive: Animals, rows: IntArray, found: Shapes, tolerance_px2: float
    ) -> None:
        """Mark the short pieces that lie in the hole of an animal that is `found` again.

        An animal that leapt off and back, or whose pose was wrong for a frame or two, has left
        pieces that begin after its last sight and have ended. They are its own when it fits, and
        nobody else who was missing fits better.
        """
        ended = (alive.end < self._frame) & (alive.host < 0)
        ended[rows] = False
        until = alive.end.copy()
        for other in np.flatnonzero(ended).tolist():
            piece = alive.take(slice(other, other + 1))
            missing = np.flatnonzero(until < piece.begin[0])
            fit = similarity(alive.now.take(missing), piece.first, tolerance_px2)[:, 0]
            best = int(fit.argmax()) if len(missing) else -1
            host = missing[best] if len(missing) else -1
            where = np.flatnonzero(rows == host)
            if not len(where):
                continue
            after = similarity(piece.now, found.take(where), tolerance_px2).item()
            if (fit[best] + after) / 2 >= self.config.min_similarity:
                alive.host[other] = alive.track[host]
                until[host] = until[other]


def _without_duplicates(found: Shapes, score: FloatArray, tolerance_px2: float) -> IntArray:
    """Rising indices of the detections that are not a weaker double of another one."""
    alike = similarity(found, found, tolerance_px2) > _DUPLICATE
    order = np.argsort(-score, kind="stable")
    kept: list[int] = []
    for i in order.tolist():
        if not alike[i, kept].any():
            kept.append(i)
    return np.array(sorted(kept), np.int64)


def _extents(xy: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Mean squared side of the keypoint boxes [M], and which show at least half of the animal."""
    seen = np.isfinite(xy[..., 0])
    high = np.where(seen[..., None], xy, -np.inf).max(1, initial=-np.inf)
    low = np.where(seen[..., None], xy, np.inf).min(1, initial=np.inf)
    complete = seen.sum(1) * 2 >= max(xy.shape[1], 4)
    return np.square(high - low).mean(1), complete


def _neighbors(poses: Poses) -> tuple[list[float], list[float]]:
    """Mean and least distance [F] in px of the instances of a frame to the nearest other one.

    NaN and infinity where there are less than two.
    """
    present = poses.present
    frames, slots = present.shape
    if slots < 2:
        return [np.nan] * frames, [np.inf] * frames
    seen = poses.visible > 0
    total = np.where(seen[..., None], poses.xy, 0.0).sum(2)
    center = total / np.maximum(seen.sum(2), 1)[..., None]
    dx, dy = (center[:, :, None, i] - center[:, None, :, i] for i in (0, 1))
    distance = np.sqrt(dx * dx + dy * dy)
    distance[~(present[:, :, None] & present[:, None, :])] = np.inf
    distance[:, np.arange(slots), np.arange(slots)] = np.inf
    nearest = distance.min(2)
    known = np.isfinite(nearest)
    count = known.sum(1)
    mean = np.where(known, nearest, 0.0).sum(1) / np.maximum(count, 1)
    return np.where(count > 0, mean, np.nan).tolist(), nearest.min(1).tolist()
