"""Which frames train, which validate, which are unlabelled; checks of the labels on the way."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_semimultipose.config import DataConfig
from napari_semimultipose.data.clips import Footage, footage_of
from napari_semimultipose.data.frames import FrameRef, spread_evenly
from napari_semimultipose.data.sessions import Sessions, moments
from napari_semimultipose.errors import FramesError, LabelsError, TrainingError
from napari_semimultipose.poses import Poses

if TYPE_CHECKING:
    from napari_semimultipose.io.video import Frames

_LOOKED_AT, _DARK = 3, 24
"""Frames whose brightness is looked at; 12 of 16 bits give values up to 15."""


@dataclass(frozen=True)
class TrainingData:
    """Everything that training reads.

    Attributes
    ----------
    poses : Poses
        All labels; the `FrameRef.row` of the labelled frames points into it.
    train, validation, unlabeled : list of FrameRef
    scale : float
        Scale at which the network sees the frames; 0: by the shorter side (`DataConfig.short_px`).
    notes : tuple of str
        What the user should know about the labels.
    footage : tuple of Footage
        The recordings whose frames follow each other.
    sessions : Sessions
        Which recordings were made together (see `data.sessions`).
    neighbours : mapping of hashable to tuple of FrameRef
        The two frames before and the two after each labelled frame, by its `FrameRef.key`; empty where
        they are not asked for (see `data.neighbours`).
    """

    poses: Poses
    train: list[FrameRef]
    validation: list[FrameRef]
    unlabeled: list[FrameRef]
    scale: float
    notes: tuple[str, ...] = ()
    footage: tuple[Footage, ...] = ()
    sessions: Sessions = field(default_factory=Sessions)
    neighbours: Mapping[Hashable, tuple[FrameRef, ...]] = field(default_factory=dict)

    def split(self) -> dict[str, Any]:
        """Content of ``split.json``: names or indices of the frames of each part."""

        def name(ref: FrameRef) -> list[Any]:
            row = self.poses.image_name(ref.row)
            return [int(self.poses.video[ref.row]), row if row is not None else ref.index]

        return {
            "videos": [v.path for v in self.poses.videos],
            "train": [name(r) for r in self.train],
            "validation": [name(r) for r in self.validation],
            "unlabeled": len(self.unlabeled),
            "scale": self.scale,
        }


def working_scale(animal_size_px: float, config: DataConfig) -> float:
    """Scale that brings the median animal to ``data.animal_px``; 0 when scaling by the shorter side."""
    if config.animal_px == 0:
        return 0.0
    if not np.isfinite(animal_size_px):
        return 1.0  # one keypoint an animal: nothing tells its size
    return float(min(config.animal_px / animal_size_px, config.max_scale))


def prepare(
    poses: Poses,
    frames: Mapping[int, Frames],
    config: DataConfig,
    *,
    unlabeled: Sequence[Frames] = (),
    labeled_rows: Sequence[int] | None = None,
    exclude: Collection[tuple[int, int]] = (),
    seed: int = 0,
    validation_keys: Collection[tuple[int, int]] | None = None,
    cameras: Sequence[str] = (),
    scale: float | None = None,
) -> TrainingData:
    """Sort all frames into labelled, validation and unlabelled ones.

    Parameters
    ----------
    poses : Poses
        The labels. Predicted instances are no labels and are left out; frames that hold nothing else are unlabelled.
    frames : mapping of int to Frames
        The recording of each index into ``poses.videos``.
    unlabeled : sequence of Frames
        Further recordings without labels.
    labeled_rows : sequence of int, optional
        Rows whose labels may be used; the other rows are unlabelled frames. All by default.
    exclude : collection of (video, frame)
        Frames that training must not see.
    validation_keys : collection of (video, frame), optional
        The validation frames, when resuming; drawn with `seed` otherwise.
    cameras : sequence of str
        Names of synchronous cameras: what they saw at one moment trains or validates together.
    scale : float, optional
        The working scale, when resuming; by the size of the labelled animals otherwise.

    Raises
    ------
    LabelsError
        If no label is left, or labels lie outside their image.
    TrainingError
        If a recording is missing.
    """
    rows = range(len(poses)) if labeled_rows is None else labeled_rows
    are_labels = poses.labelled_rows(chosen=labeled_rows is not None)
    unlabelled = sum(not are_labels[r] and bool(poses.present[r].any()) for r in rows)
    rows = [r for r in rows if are_labels[r]]
    # Frames, not rows: the rows get another order in the next line.
    wanted = {(int(poses.video[r]), int(poses.frame[r])) for r in rows}
    given, unlearned = poses, int(poses.predicted[rows].sum())
    poses = poses.keep(~poses.predicted)
    excluded = set(exclude)
    missing = sorted({video for video, _ in wanted} - set(frames))
    if missing:
        names = ", ".join(poses.videos[v].path or f"video {v}" for v in missing)
        raise TrainingError(f"the frames of {names} were not found; say where they are (--frames)")
    labelled: list[FrameRef] = []
    free: list[FrameRef] = []
    known: set[tuple[int, int]] = set()
    for row in range(len(poses)):
        key = (int(poses.video[row]), int(poses.frame[row]))
        if key in excluded or key[0] not in frames:
            continue
        known.add(key)
        if key in wanted:
            if key[1] >= len(frames[key[0]]):
                raise LabelsError(
                    f"frame {key[1]} is labelled, but {poses.videos[key[0]].path or 'its video'} "
                    f"has {len(frames[key[0]])} frames: are these the frames of these labels?"
                )
            labelled.append(FrameRef(frames[key[0]], key[1], key, row))
        elif key[1] < len(frames[key[0]]):
            free.append(FrameRef(frames[key[0]], key[1], key))
    used = poses.select([r.row for r in labelled])
    if used.n_instances == 0:
        raise LabelsError(
            "there is no labelled animal to learn from: label at least one frame with one animal"
            + _only_predicted(given)
        )
    notes = (*_check_positions(poses, labelled), *_check_brightness(labelled))
    if unlabelled:
        notes = (*notes, f"{unlabelled} frames with predicted animals alone count as unlabelled")
    if unlearned:
        notes = (
            *notes,
            f"{unlearned} predicted animals on labelled frames are no labels and count as background: accept those "
            "that are right, and delete the others",
        )
    for video, recording in frames.items():
        free += [
            FrameRef(recording, i, (video, i))
            for i in _readable(recording)
            if (video, i) not in known and (video, i) not in excluded
        ]
    for number, recording in enumerate(unlabeled):
        free += [FrameRef(recording, i, ("unlabeled", number, i)) for i in _readable(recording)]
    free = [free[i] for i in spread_evenly(len(free), config.max_unlabeled)]
    rng = np.random.default_rng([seed, 1])
    if validation_keys is None:
        chosen = _drawn(poses, labelled, config.validation_fraction, cameras, rng)
    else:
        chosen = set(validation_keys)
    train = [r for r in labelled if r.key not in chosen]
    validation = [r for r in labelled if r.key in chosen]
    if poses.select([r.row for r in train]).n_instances == 0:
        train, validation = labelled, []
    size = used.animal_size_px
    if scale is None:
        scale = working_scale(size, config)
    if not np.isfinite(size) and scale:
        notes = (
            *notes,
            "the animals have one keypoint, so their size is unknown: frames keep their scale",
        )
    footage = [
        footage_of(
            recording,
            (video,),
            [f for v, f in excluded if v == video],
            poses.videos[video].path,
        )
        for video, recording in frames.items()
    ]
    footage += [footage_of(r, ("unlabeled", number)) for number, r in enumerate(unlabeled)]
    return TrainingData(
        poses, train, validation, free, scale, notes, tuple(f for f in footage if f is not None)
    )


def _drawn(
    poses: Poses,
    labelled: Sequence[FrameRef],
    fraction: float,
    cameras: Sequence[str],
    rng: np.random.Generator,
) -> set[Hashable]:
    """Draw the keys of validation frames; the pictures of one moment stay together."""
    group = np.arange(len(labelled))
    if cameras:
        seen = moments(poses, [ref.row for ref in labelled], cameras)
        group = np.where(seen.camera >= 0, seen.moment, seen.moment.max(initial=-1) + 1 + group)
    members = [np.flatnonzero(group == g) for g in dict.fromkeys(group.tolist())]
    chosen: set[Hashable] = set()
    for g in rng.permutation(len(members)).tolist():
        if len(chosen) + len(members[g]) > int(len(labelled) * fraction):
            break
        chosen |= {labelled[i].key for i in members[g].tolist()}
    return chosen


def _readable(recording: Frames) -> Sequence[int]:
    """Return the frames that can be read: labels with embedded images hold some only."""
    return range(len(recording)) if recording.stored is None else list(recording.stored)


def _check_brightness(labelled: Sequence[FrameRef]) -> tuple[str, ...]:
    """Tell of frames with hardly any grey levels, as those of cameras that use a part of 16 bits."""
    some = [labelled[i] for i in spread_evenly(len(labelled), _LOOKED_AT)]
    try:
        brightest = max(int(ref.frames[ref.index].max()) for ref in some)
    except FramesError:
        return ()  # training will say it, if it needs that frame
    if not 0 < brightest < _DARK:
        return ()
    return (
        f"the frames are nearly black for the network: their brightest value is {brightest} of 255. Pictures of 10 "
        "or 12 bits that are stored as 16 must be stretched first (12 bits: times 16), for training and prediction alike",
    )


def _check_positions(poses: Poses, labelled: Sequence[FrameRef]) -> tuple[str, ...]:
    """Refuse labels that are mostly outside their images; count the few that lie just outside."""
    outside = total = 0
    worst = ""
    for ref in labelled:
        height, width = ref.frames.frame_shape(ref.index)
        xy = poses.xy[ref.row][poses.visible[ref.row] > 0]
        out = (xy < -0.5).any(-1) | (xy[:, 0] > width - 0.5) | (xy[:, 1] > height - 0.5)
        outside, total = outside + int(out.sum()), total + len(xy)
        if out.any() and not worst:
            x, y = xy[out][0]
            name = poses.image_name(ref.row) or f"frame {ref.index}"
            worst = f"({x:.0f}, {y:.0f}) in {name}, which is {width} x {height} px"
    if outside > 0.1 * total:
        raise LabelsError(
            f"{outside} of {total} labelled keypoints lie outside their image, for example {worst}: "
            "do the labels belong to these frames, at this resolution?"
        )
    if outside:
        return (
            f"{outside} of {total} labelled keypoints lie outside their image ({worst}); they are ignored",
        )
    return ()


def with_frame_sizes(poses: Poses, refs: Sequence[FrameRef]) -> Poses:
    """Return the poses with the sizes of their videos, where all frames of a video have the same."""
    sizes: dict[int, set[tuple[int, int]]] = {}
    for ref in refs:
        sizes.setdefault(int(poses.video[ref.row]), set()).add(ref.frames.frame_shape(ref.index))
    videos = [
        replace(video, shape=next(iter(sizes[i]))) if len(sizes.get(i, ())) == 1 else video
        for i, video in enumerate(poses.videos)
    ]
    return replace(poses, videos=tuple(videos))


def with_points_inside(poses: Poses, refs: Sequence[FrameRef]) -> Poses:
    """Return the poses without the keypoints that lie outside their image, for scoring."""
    visible = poses.visible.copy()
    for ref in refs:
        height, width = ref.frames.frame_shape(ref.index)
        xy = poses.xy[ref.row]
        with np.errstate(invalid="ignore"):
            out = (xy < -0.5).any(-1) | (xy[..., 0] > width - 0.5) | (xy[..., 1] > height - 0.5)
        visible[ref.row][out] = 0
    return replace(poses, visible=visible)


def _only_predicted(poses: Poses) -> str:
    """Say what to do with poses that are predictions and no labels."""
    count = int(poses.predicted.sum())
    if not count:
        return ""
    return (
        f"; the {count} predicted animals of these labels teach nothing. If they were proofread, make them "
        "labels: `semimultipose convert IN OUT --accept`, or `Poses.accepted()`"
    )
