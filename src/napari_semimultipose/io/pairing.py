"""Which frame, and which keypoint, of the predictions belongs to which of the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.places import frame_numbers, full_name, match_names, name_parts
from napari_semimultipose.poses import IntArray, Poses, Video


def pair_frames(prediction: Poses, truth: Poses) -> IntArray:
    """Find for every row of the truth the row of the predictions that shows the same frame.

    Images are matched by name: those whose paths share the longest tail, at least the file name
    (`match_names`), each one once. Frames of videos are matched by number; their videos by path in the same manner, or,
    when both sides have a single video, whatever its path. An image against the frames of a video file is the
    one that its name says (``img0042.png``: frame 42), unless its list is a recording itself (`frame_numbers`);
    then, and against arrays, it is the one at its place in the list.

    Parameters
    ----------
    prediction, truth : Poses

    Returns
    -------
    array [F] of int
        Row in `prediction` for each row of `truth`, -1 where it has none.

    Raises
    ------
    LabelsError
        When a frame occurs twice, when a name fits several images, or when nothing fits.
    """
    _refuse_repeated_frames(prediction, "predictions")
    _refuse_repeated_frames(truth, "truth")
    found = np.full(len(truth), -1, np.int64)
    names_p, names_t = _image_names(prediction), _image_names(truth)
    named_p = [row for row, name in enumerate(names_p) if name is not None]
    named_t = [row for row, name in enumerate(names_t) if name is not None]
    for t, p in _pair_names(
        [name for name in names_t if name is not None],
        [name for name in names_p if name is not None],
    ).items():
        found[named_t[t]] = named_p[p]
    if len(named_p) < len(prediction) or len(named_t) < len(truth):
        for t, p in enumerate(_pair_by_index(prediction, truth)):
            # Where both sides have a name, the names have decided.
            if found[t] < 0 and p >= 0 and (names_t[t] is None or names_p[p] is None):
                found[t] = p
    if len(prediction) and len(truth) and (found < 0).all():
        raise LabelsError(
            "no frame of the predictions is a frame of the truth: "
            f"{_describe(prediction)} against {_describe(truth)}. "
            "Predict the labelled frames, or check that the names agree."
        )
    return found


def keypoint_index(prediction: Poses, truth: Poses) -> IntArray:
    """Index [K] of each keypoint of the truth in the predictions, by name; -1 where it is lacking.

    Raises
    ------
    LabelsError
        When no name is common.
    """
    where = {name: i for i, name in enumerate(prediction.skeleton.keypoints)}
    index = np.array([where.get(name, -1) for name in truth.skeleton.keypoints], np.int64)
    if (index < 0).all():
        raise LabelsError(
            "the predictions and the truth have no keypoint in common: "
            f"{', '.join(prediction.skeleton.keypoints)} against "
            f"{', '.join(truth.skeleton.keypoints)}. Rename the keypoints of one of them."
        )
    return index


def _image_names(poses: Poses) -> list[str | None]:
    """Path of the image of each row; None for frames of a video."""
    names = [poses.image_name(row) for row in range(len(poses))]
    # The folder in front tells images of several folders apart; an absolute name has its own.
    return [
        None if name is None else full_name(poses.videos[video].path, name)
        for name, video in zip(names, poses.video.tolist(), strict=True)
    ]


def _pair_names(truth: Sequence[str], prediction: Sequence[str]) -> dict[int, int]:
    """Positions of names that are each other's best match."""
    forth, back = match_names(truth, prediction), match_names(prediction, truth)
    return {t: p for t, p in enumerate(forth) if p is not None and back[p] == t}


def _pair_by_index(prediction: Poses, truth: Poses) -> list[int]:
    """Row of the predictions with the same frame index of the same video, or -1."""
    clips: dict[int, int] = {}
    if len(truth.videos) == len(prediction.videos) == 1:
        clips = {0: 0}
    elif truth.videos == prediction.videos:
        clips = {v: v for v in range(len(truth.videos))}
    else:
        have = [v for v, video in enumerate(prediction.videos) if name_parts(video.path)]
        wanted = [v for v, video in enumerate(truth.videos) if name_parts(video.path)]
        pairs = _pair_names(
            [truth.videos[v].path for v in wanted], [prediction.videos[v].path for v in have]
        )
        clips = {wanted[t]: have[p] for t, p in pairs.items()}
    partner = {p: t for t, p in clips.items()}
    mine = {t: _numbering(truth.videos[t], prediction.videos[p]) for t, p in clips.items()}
    other = {p: _numbering(prediction.videos[p], truth.videos[t]) for p, t in partner.items()}
    place = {
        (v, other.get(v, _same)(f)): row
        for row, (v, f) in enumerate(
            zip(prediction.video.tolist(), prediction.frame.tolist(), strict=True)
        )
    }
    return [
        place.get((clips.get(v, -1), mine.get(v, _same)(f)), -1)
        for v, f in zip(truth.video.tolist(), truth.frame.tolist(), strict=True)
    ]


def _numbering(video: Video, other: Video) -> Callable[[int], int]:
    """Return what the frames of a video are called in another one."""
    numbers = frame_numbers(video.images) if video.images and other.path else None
    if numbers is None or other.images:
        return _same
    known = dict(enumerate(numbers))
    return lambda frame: known.get(frame, -1)


def _same(frame: int) -> int:
    return frame


def _refuse_repeated_frames(poses: Poses, what: str) -> None:
    keys, count = np.unique(np.stack([poses.video, poses.frame], 1), axis=0, return_counts=True)
    if (count > 1).any():
        video, frame = keys[count > 1][0].tolist()
        raise LabelsError(
            f"frame {frame} of video {poses.videos[video].name or video} occurs twice in the "
            f"{what}: merge its rows"
        )


def _describe(poses: Poses) -> str:
    name = poses.image_name(0)
    return name or f"frame {poses.frame[0]} of {poses.videos[poses.video[0]].name or 'a video'}"
