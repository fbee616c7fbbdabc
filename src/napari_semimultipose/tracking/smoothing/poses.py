"""Tables of poses in, smoothed tables out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from napari_semimultipose.config import SmoothConfig
from napari_semimultipose.errors import LabelsError
from napari_semimultipose.poses import BoolArray, FloatArray, IntArray, Poses, Skeleton, Source
from napari_semimultipose.tracking.cameras import Camera
from napari_semimultipose.tracking.smoothing.calibrated import locatable, smooth_calibrated
from napari_semimultipose.tracking.smoothing.courses import Courses, courses
from napari_semimultipose.tracking.smoothing.jumps import Jump, find_jumps
from napari_semimultipose.tracking.smoothing.scalar import Estimate, resmooth, smooth_courses
from napari_semimultipose.tracking.smoothing.views import comparable, smooth_views


@dataclass(frozen=True)
class Points3D:
    """Body parts in the room, on L frames of animals.

    Attributes
    ----------
    names : tuple of str
        Of K body parts.
    frame, track : arrays [L]
    xyz : array [L, K, 3]
        In the unit of the calibration; NaN where unknown.
    variance : array [L, K, 3]
    """

    names: tuple[str, ...]
    frame: IntArray
    track: IntArray
    xyz: FloatArray
    variance: FloatArray


@dataclass(frozen=True)
class Smoothing:
    """What smoothing returns.

    Attributes
    ----------
    poses : list of Poses
        One a camera. `spread` is the standard deviation that is left of doubt; positions on frames on
        which a keypoint was not seen have the score 0.
    jumps : list of Jump
        Probably exchanged identities; only with several animals.
    smoothness : mapping of str to float
        Variance of the movement of each keypoint from one frame to the next, px^2 (several views: in units
        of the usual one).
    points : Points3D or None
        With calibrated cameras.
    alone : tuple of str
        Body parts that are hardly ever seen in all views, each view of which was smoothed by itself.
    """

    poses: list[Poses]
    jumps: list[Jump]
    smoothness: Mapping[str, float]
    points: Points3D | None = field(default=None)
    alone: tuple[str, ...] = ()


def smooth(
    poses: Poses, config: SmoothConfig | None = None, *, mirrored: Sequence[str] = ()
) -> Smoothing:
    """Smooth the poses of one camera over time.

    Parameters
    ----------
    poses : Poses
        Of one or more videos, tracked if there are several animals. With `spread` (of an ensemble) this
        says how far each position is to be trusted, otherwise its score does. Instances without a track
        are left out where others have one.
    config : SmoothConfig, optional
    mirrored : sequence of str
        Endings of the names of keypoints that are views of the same body parts in mirrors, for
        example ``("_top", "_bot")``: these are smoothed together.

    Raises
    ------
    LabelsError
        When several animals have no tracks, or the views do not fit together.
    """
    config = config or SmoothConfig()
    found = courses(poses, config.min_score)
    jumps: list[Jump] = []
    alone: tuple[str, ...] = ()
    if mirrored:
        views = mirrored_views(poses.skeleton, mirrored)
        together = _any_of(comparable(found, views))
        estimate = _with_rest(
            found, smooth_views(found, views[together], config), views[together], config
        )
        alone = tuple(poses.skeleton.keypoints[i] for i in views[~together].reshape(-1).tolist())
    else:
        estimate = smooth_courses(found, config)
        jumps, begins, wrong = find_jumps(found, estimate)
        if jumps:
            clean = replace(found, xy=np.where(wrong[:, None, None], np.nan, found.xy))
            estimate = resmooth(clean, config, begins, estimate)
    names = poses.skeleton.keypoints
    smoothness = dict(zip(names, estimate.smoothness.tolist(), strict=True))
    return Smoothing([_table(poses, found, estimate, config)], jumps, smoothness, alone=alone)


def smooth_cameras(
    poses: Sequence[Poses],
    config: SmoothConfig | None = None,
    *,
    cameras: Sequence[Camera] = (),
) -> Smoothing:
    """Smooth the poses that several synchronous cameras see together.

    Parameters
    ----------
    poses : sequence of Poses
        One a camera, with the same keypoints and frame numbers. Several animals need tracks with the same
        names (or numbers) in all of them.
    config : SmoothConfig, optional
    cameras : sequence of Camera
        Their calibration, in the same order; without it the views are related linearly, as seen from far
        away.

    Raises
    ------
    LabelsError
        When the tables do not belong together, or too little is seen by several cameras.
    """
    config = config or SmoothConfig()
    if len(poses) < 2:
        raise LabelsError("several views need the predictions of two cameras or more")
    together = side_by_side(poses)
    found = courses(together, config.min_score)
    names = poses[0].skeleton.keypoints
    k = len(names)
    views = np.arange(k * len(poses)).reshape(len(poses), k).T
    points = None
    usable = _any_of((locatable if cameras else comparable)(found, views))
    if cameras:
        estimate, room = smooth_calibrated(found, views[usable], cameras, config)
        xyz, variance = np.full((2, len(found), k, 3), np.nan)
        xyz[:, usable] = room.xyz
        variance[:, usable] = np.diagonal(room.covariance, axis1=-2, axis2=-1)
        points = Points3D(names, found.frame, found.track, xyz, variance)
    else:
        estimate = smooth_views(found, views[usable], config)
    estimate = _with_rest(found, estimate, views[usable], config)
    smoothness = dict(zip(names, estimate.smoothness[:k].tolist(), strict=True))
    whole = _table(together, found, estimate, config)
    return Smoothing(
        [_one_camera(whole, p, i) for i, p in enumerate(poses)],
        [],
        smoothness,
        points,
        tuple(name for name, ok in zip(names, usable.tolist(), strict=True) if not ok),
    )


def mirrored_views(skeleton: Skeleton, endings: Sequence[str]) -> IntArray:
    """Return the indices [B, V] of the body parts that have a keypoint with each of the endings.

    Raises
    ------
    LabelsError
        When there is no such body part.
    """
    names = skeleton.keypoints
    if len(endings) < 2 or len(set(endings)) < len(endings):
        raise LabelsError(
            "mirrored views need two different endings or more, for example _top and _bot"
        )
    first = endings[0]
    parts = [name[: len(name) - len(first)] for name in names if name.endswith(first)]
    parts = [part for part in parts if all(part + ending in names for ending in endings)]
    if not parts:
        raise LabelsError(
            f"no body part has keypoints with all of the endings {', '.join(endings)}; the keypoints are "
            f"{', '.join(names)}"
        )
    return np.array([[names.index(part + ending) for ending in endings] for part in parts])


def _any_of(usable: BoolArray) -> BoolArray:
    """Take all where none is usable: the smoother then says what is missing."""
    return usable if usable.any() else np.ones_like(usable)


def _with_rest(
    found: Courses, estimate: Estimate, views: IntArray, config: SmoothConfig
) -> Estimate:
    """Smooth keypoints that are in none of the views by themselves, and add them to the others."""
    rest = np.setdiff1d(np.arange(found.xy.shape[1]), views.reshape(-1))
    if not len(rest):
        return estimate
    part = replace(
        found,
        xy=found.xy[:, rest],
        score=found.score[:, rest],
        spread=None if found.spread is None else found.spread[:, rest],
    )
    alone = smooth_courses(part, config)
    for name in ("xy", "variance", "surprise"):
        getattr(estimate, name)[:, rest] = getattr(alone, name)
    estimate.smoothness[rest] = alone.smoothness
    return estimate


def _table(poses: Poses, found: Courses, estimate: Estimate, config: SmoothConfig) -> Poses:
    """Poses of the rows of courses that have a position."""
    xy, seen = estimate.xy, found.seen
    known = np.isfinite(xy[..., 0])
    if not config.fill:
        known = known & seen
    xy = np.where(known[..., None], xy, np.nan)
    rows = np.flatnonzero(known.any(1))
    source = np.maximum(found.row[rows], 0), np.maximum(found.slot[rows], 0)
    there = found.row[rows] >= 0
    instance_score = np.zeros(len(rows))
    if len(poses):
        instance_score = np.where(there, poses.instance_score[source], 0.0)
    return Poses.from_instances(
        poses.skeleton,
        found.frame[rows],
        xy[rows],
        video=found.video[rows],
        score=np.where(seen, found.score, 0.0)[rows],
        instance_score=instance_score,
        track=found.track[rows],
        source=np.full(len(rows), Source.PREDICTED),
        spread=np.sqrt(np.maximum(estimate.variance[rows], 0.0)),
        videos=poses.videos,
        track_names=poses.track_names,
        empty_frames=zip(poses.video.tolist(), poses.frame.tolist(), strict=True),
    )


def side_by_side(poses: Sequence[Poses]) -> Poses:
    """Join the views of several cameras to one table, with the keypoints of one after those of the other.

    Raises
    ------
    LabelsError
        When the keypoints differ, or several animals cannot be paired.
    """
    names = poses[0].skeleton.keypoints
    k, n = len(names), len(poses)
    single = all((p.present.sum(1) <= 1).all() for p in poses)
    everybody: dict[str, int] = {}
    place: dict[tuple[int, int], int] = {}
    flats = []
    for number, part in enumerate(poses):
        if set(part.skeleton.keypoints) != set(names):
            raise LabelsError(
                f"camera {number + 1} has the keypoints {', '.join(part.skeleton.keypoints)}, the first "
                f"{', '.join(names)}"
            )
        if len(set(part.video[part.present.any(1)].tolist())) > 1:
            raise LabelsError(f"the table of camera {number + 1} is of several videos: give one")
        images = len(_images_of(part))
        if images != len(_images_of(poses[0])):
            raise LabelsError(
                f"the table of camera {number + 1} is of {images} pictures, that of the first of "
                f"{len(_images_of(poses[0]))}: pictures of cameras are paired in their order, so give predictions of "
                "the same moments"
            )
        flat = part.instances()
        if single:
            flat["track"] = np.zeros_like(flat["track"])
        elif len(flat["track"]) and (flat["track"] < 0).all():
            raise LabelsError(
                f"camera {number + 1} sees several animals without tracks: track them first, and give "
                "each animal the same name in every camera"
            )
        else:
            flat = {name: value[flat["track"] >= 0] for name, value in flat.items()}
            known = [
                part.track_names[t] if t < len(part.track_names) else str(t)
                for t in range(int(flat["track"].max(initial=-1)) + 1)
            ]
            number_of = [everybody.setdefault(name, len(everybody)) for name in known]
            flat["track"] = np.array(number_of, np.int64)[flat["track"]]
        for key in zip(flat["frame"].tolist(), flat["track"].tolist(), strict=True):
            place.setdefault(key, len(place))
        flats.append(flat)
    m = len(place)
    xy, score = np.full((m, n * k, 2), np.nan), np.zeros((m, n * k))
    spread = np.full((m, n * k, 2), np.nan)
    instance_score = np.zeros(m)
    for v, (part, flat) in enumerate(zip(poses, flats, strict=True)):
        keys = zip(flat["frame"].tolist(), flat["track"].tolist(), strict=True)
        at = np.array([place[key] for key in keys], np.int64)
        order = [part.skeleton.keypoints.index(name) for name in names]
        columns = slice(v * k, (v + 1) * k)
        xy[at, columns] = flat["xy"][:, order]
        score[at, columns] = flat["score"][:, order]
        if "spread" in flat:
            spread[at, columns] = flat["spread"][:, order]
        instance_score[at] = np.maximum(instance_score[at], flat["instance_score"])
    every = {int(f) for p in poses for f in p.frame.tolist()}
    keys_of = np.array(list(place), np.int64).reshape(-1, 2)
    return Poses.from_instances(
        Skeleton(tuple(f"{name}@{v}" for v in range(n) for name in names)),
        keys_of[:, 0],
        xy,
        score=score,
        instance_score=instance_score,
        track=np.full(m, -1) if single else keys_of[:, 1],
        source=np.full(m, Source.PREDICTED),
        spread=spread if any(p.spread is not None for p in poses) else None,
        track_names=tuple(everybody),
        empty_frames=[(0, f) for f in every],
    )


def _images_of(poses: Poses) -> tuple[str, ...]:
    used: list[int] = sorted(set(poses.video.tolist())) or [0]
    images: tuple[str, ...] = poses.videos[used[0]].images
    return images


def _one_camera(whole: Poses, own: Poses, view: int) -> Poses:
    """Take the keypoints of one camera out of a table of all of them."""
    k = len(own.skeleton)
    columns = slice(view * k, (view + 1) * k)
    assert whole.spread is not None
    used = sorted(set(own.video.tolist())) or [0]
    single = (whole.track < 0).all()
    track = whole.track
    names = whole.track_names
    tracked = own.track[own.track >= 0]
    if single and tracked.size:  # of one animal, under the number that it has most often here
        track, names = np.full_like(track, np.bincount(tracked).argmax()), own.track_names
    parts = Poses(
        own.skeleton if own.skeleton.keypoints == _names(whole, k) else Skeleton(_names(whole, k)),
        whole.xy[:, :, columns],
        whole.frame,
        score=whole.score[:, :, columns],
        instance_score=whole.instance_score,
        track=track,
        source=whole.source,
        spread=whole.spread[:, :, columns],
        video=np.full(len(whole), used[0]),
        videos=own.videos,
        track_names=names,
    )
    return parts.keep(parts.present)


def _names(whole: Poses, k: int) -> tuple[str, ...]:
    return tuple(name.rsplit("@", 1)[0] for name in whole.skeleton.keypoints[:k])
