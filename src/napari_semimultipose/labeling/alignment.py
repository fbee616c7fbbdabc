"""From labels and predictions of any origin to the frame numbers of one recording."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.frames import Frames
from napari_semimultipose.io.places import (
    frame_numbers,
    full_name,
    match_names,
    name_parts,
    same_place,
)
from napari_semimultipose.poses import IntArray, Poses, Source, Video


def poses_of_recording(
    poses: Poses, frames: Frames, video: int | None = None, *, by_name: bool = False
) -> Poses:
    """Poses on the frames of a recording, numbered as its frames are, sorted.

    Images are recognised by name, frames of videos by number; images that were taken from a video by the number in
    their name (`io.places.frame_numbers`).

    Parameters
    ----------
    poses : Poses
        Labels or predictions, perhaps of several videos.
    frames : Frames
        The recording.
    video : int, optional
        Index of its video in `poses`, where that is known. By default the only video, or those with the
        file name of the recording, or those that share images with it.
    by_name : bool
        Whether the only video, too, belongs to the recording only where its name does not say otherwise.

    Returns
    -------
    Poses
        Of one video; without rows when none belongs to the recording.

    Raises
    ------
    LabelsError
        When the name of an image fits several images.
    """
    number = np.full(len(poses), -1, np.int64)
    for index in _videos_of(poses, frames, by_name) if video is None else [video]:
        rows = np.flatnonzero(poses.video == index)
        place = _places(poses.videos[index], frames)
        old = poses.frame[rows]
        known = old < len(place)
        number[rows[known]] = place[old[known]]
    kept = poses.select((number >= 0) & (number < len(frames)))
    fresh = number[(number >= 0) & (number < len(frames))]
    _, first = np.unique(fresh, return_index=True)  # of a frame that is there twice, one
    reference = Video(frames.path or "", tuple(frames.names or ()))
    return replace(
        kept.select(first),
        frame=fresh[first],
        video=np.zeros(len(first), np.int64),
        videos=(reference,),
    )


def labelled_frames(labels: Poses) -> frozenset[int]:
    """Frames with an animal that a person labelled, and those that are marked as empty.

    Among predictions a frame without an animal is none that a person looked at.
    """
    human = labels.present & (labels.source == Source.HUMAN)
    known = human.any(1)
    if (human == labels.present).all():
        known = known | ~labels.present.any(1)
    return frozenset(labels.frame[known].tolist())


def with_empty_frames(poses: Poses) -> Poses:
    """Add rows for the frames between others on which nothing was found.

    Files leave such frames out. Predictions of frames far from each other stay as they are.
    """
    frame = poses.frame
    every = all_frames(frame)
    if len(every) == len(frame):
        return poses
    index = np.searchsorted(every, frame)
    n, k = poses.xy.shape[1:3]
    xy = np.full((len(every), n, k, 2), np.nan)
    xy[index] = poses.xy
    wide: dict[str, Any] = {}
    for name in ("score", "instance_score", "track", "visible", "source"):
        value = getattr(poses, name)
        wide[name] = np.zeros((len(every), *value.shape[1:]), value.dtype)
        wide[name][index] = value
    if poses.spread is not None:
        wide["spread"] = np.full_like(xy, np.nan)
        wide["spread"][index] = poses.spread
    return replace(poses, xy=xy, frame=every, video=np.zeros(len(every), np.int64), **wide)


def all_frames(frame: IntArray) -> IntArray:
    """Return sorted frames [F] with those between them that lack at the usual distance.

    Frames far from each other stay as they are.
    """
    step = usual_step(frame)
    if len(frame) < 2 or len(frame) * step < (frame[-1] - frame[0]) / 2:
        return frame
    return np.union1d(np.arange(frame[0], frame[-1], step), frame)


def usual_step(frame: IntArray) -> int:
    """Distance between neighbouring ones of sorted frames that occurs most often; 1 for a single frame."""
    steps = np.diff(frame)
    return int(np.bincount(np.minimum(steps, 10_000)).argmax()) if len(steps) else 1


def same_keypoints(first: Poses, other: Poses) -> Poses:
    """Poses with their keypoints in the order of others.

    Raises
    ------
    LabelsError
        When the names differ.
    """
    names, wanted = other.skeleton.keypoints, first.skeleton.keypoints
    if names == wanted:
        return other
    if set(names) != set(wanted):
        raise LabelsError(
            f"poses with the keypoints {', '.join(names)} cannot be compared with poses with the "
            f"keypoints {', '.join(wanted)}: give poses of one skeleton"
        )
    order = [names.index(name) for name in wanted]
    return replace(
        other,
        skeleton=first.skeleton,
        xy=other.xy[:, :, order],
        score=other.score[:, :, order],
        visible=other.visible[:, :, order],
        spread=None if other.spread is None else other.spread[:, :, order],
    )


def _videos_of(poses: Poses, frames: Frames, by_name: bool) -> list[int]:
    """Videos of poses that are the recording, as far as names tell."""
    if len(poses.videos) == 1:
        return [0] if not by_name or _may_be(poses.videos[0], frames) else []
    if frames.names:
        return _lists_of(poses, frames)
    name = name_parts(frames.path or "")[-1:]
    same = [i for i, v in enumerate(poses.videos) if name and name_parts(v.path)[-1:] == name]
    exact = [i for i in same if poses.videos[i].path == frames.path]
    if exact or len(same) < 2:
        return exact or same
    stored = [poses.videos[i].path for i in same]
    try:
        (best,) = match_names([frames.path or ""], stored)
    except LabelsError:
        raise LabelsError(
            f"the poses are of {len(same)} recordings called {name[0]} ({', '.join(stored[:4])}), and none is "
            f"more like {frames.path} than the others: save those of each in a file of its own"
        ) from None
    return [] if best is None else [same[best]]


def _may_be(video: Video, frames: Frames) -> bool:
    """Whether the names of a video and its images may be those of a recording."""
    if video.images and frames.names:
        own = {full[-1]: full for name in frames.names if (full := _full(frames.path, name))}
        theirs = [_full(video.path, name) for name in video.images]
        return any(
            same_place(full, own[full[-1]]) for full in theirs if full[-1:] and full[-1] in own
        )
    if video.images:  # taken from a video, they lie in a folder that is called as it is
        named = [*name_parts(video.path)[-1:], *_full(video.path, video.images[0])[-2:-1]]
    else:
        named = list(name_parts(video.path)[-1:])
    own_name = name_parts(frames.path or "")[-1:]
    stems = {PurePosixPath(name).stem for name in named}
    return not stems or not own_name or PurePosixPath(own_name[0]).stem in stems


def _lists_of(poses: Poses, frames: Frames) -> list[int]:
    """Videos of poses that are lists of images, perhaps of a recording of images.

    Lists that share the names of files alone with it are of other folders, where there are some that share a folder.
    """
    lists = [i for i, video in enumerate(poses.videos) if video.images]
    if len(lists) < 2:
        return lists
    own = {full[-2:] for name in frames.names or () if (full := _full(frames.path, name))}
    near = [
        i
        for i in lists
        if own & {_full(poses.videos[i].path, n)[-2:] for n in poses.videos[i].images}
    ]
    return near or lists


def _full(folder: str | None, name: str) -> tuple[str, ...]:
    return name_parts(full_name(folder or "", name))


def _places(video: Video, frames: Frames) -> np.ndarray:
    """Frame of the recording for each frame of a video; -1 where it is not there."""
    if video.images and frames.names:
        found = match_names(list(video.images), list(frames.names))
        return np.array([-1 if i is None else i for i in found], np.int64)
    numbers = frame_numbers(video.images) if video.images and frames.path else None
    return np.arange(len(frames)) if numbers is None else np.array(numbers, np.int64)
