"""JABS pose files (``*_pose_est_v2.h5`` for one mouse, up to ``v6`` for several)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from sleap_io.io import jabs

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io import lost
from napari_semimultipose.io.tracks import all_track_names, give_columns
from napari_semimultipose.poses import Poses, Skeleton, Source, Video, Visibility

_NAME = re.compile(r"_pose_est_v(\d+)\.h5$", re.IGNORECASE)
_LIMIT = np.iinfo(np.uint16).max


def skeleton() -> Skeleton:
    """Return the mouse with twelve keypoints, the only animal of the format."""
    mouse = jabs.JABS_DEFAULT_SKELETON
    symmetry = sorted({tuple(sorted(int(i) for i in pair)) for pair in mouse.symmetry_inds})
    return Skeleton(
        tuple(mouse.node_names),
        tuple((int(a), int(b)) for a, b in mouse.edge_inds),
        tuple((a, b) for a, b in symmetry),
        mouse.name,
    )


def read(path: Path, frames_root: Path | None = None) -> Poses:
    """Read a JABS pose file.

    All frames of the video are rows. A keypoint with the confidence 0 is absent. The identities of
    version 4 and later, or the tracklets of version 3, become tracks that are named by their
    number; mice without an identity are left out, as JABS does. Static objects are not read.

    Parameters
    ----------
    path : path
        The file.
    frames_root : path, optional
        Not needed: the name of the file is that of its video.
    """
    with h5py.File(path, "r") as file:
        if "poseest/points" not in file or "poseest/confidence" not in file:
            raise LabelsError(f"{path} is no JABS pose file")
        group = file["poseest"]
        version = int(np.ravel(group.attrs.get("version", [2]))[0])
        points, confidence = group["points"][()], group["confidence"][()].astype(np.float64)
        if version > 2:
            key = "instance_track_id" if version == 3 else "instance_embed_id"
            ids = group[key][()].astype(np.int64)
            count = group["instance_count"][()].astype(np.int64)
    if version == 2:
        points, confidence = points[:, None], confidence[:, None]
        here = np.ones(confidence.shape[:2], bool)
        ids = np.full(here.shape, -1)
    elif version == 3:
        here = np.arange(confidence.shape[1]) < count[:, None]
    else:
        here = ids > 0
    mouse = skeleton()
    if points.shape[2:] != (len(mouse), 2) or confidence.shape != points.shape[:3]:
        raise LabelsError(
            f"{path} has points of the shape {list(points.shape)}; JABS mice have {len(mouse)} "
            "keypoints"
        )
    row, slot = np.nonzero(here & (confidence > 0).any(-1))
    score = confidence[row, slot]
    seen = score > 0
    used = np.unique(ids[row, slot])
    used = used[used >= 0]
    track = ids[row, slot]
    return Poses.from_instances(
        mouse,
        row,
        points[row, slot][..., ::-1].astype(np.float64),  # stored as (y, x)
        score=score,
        instance_score=score.sum(1) / np.maximum(seen.sum(1), 1),
        track=np.where(track >= 0, np.searchsorted(used, track), -1),
        visible=np.where(seen, Visibility.VISIBLE, Visibility.ABSENT),
        source=np.full(len(row), Source.PREDICTED),
        videos=[Video(_NAME.sub("", path.name).removesuffix(".h5") + ".avi")],
        track_names=[str(i) for i in used],
        empty_frames=((0, i) for i in range(len(confidence))),
    )


def is_jabs(path: Path) -> bool:
    """Whether an HDF5 file is a JABS pose file."""
    with h5py.File(path, "r") as file:
        return "poseest/points" in file


def write(poses: Poses, path: Path) -> list[str]:
    """Write a JABS pose file, of version 2 or 5 as its name says.

    Returns
    -------
    list of str
        What the format could not hold.

    Raises
    ------
    LabelsError
        When the animals do not have the twelve keypoints of JABS, for labels of several videos, or
        for several mice in version 2.
    """
    mouse = skeleton()
    if set(poses.skeleton.keypoints) != set(mouse.keypoints):
        raise LabelsError(
            f"JABS knows mice with the keypoints {', '.join(mouse.keypoints)} only: rename yours, "
            "or write another format"
        )
    if len(set(poses.video.tolist())) > 1:
        raise LabelsError("a JABS file holds one video: write one file a video, or a SLEAP file")
    match = _NAME.search(path.name)
    single = match is not None and match[1] == "2"
    flat = poses.instances()
    order = [poses.skeleton.keypoints.index(name) for name in mouse.keypoints]
    xy, visible = flat["xy"][:, order], flat["visible"][:, order]
    f = int(poses.frame.max(initial=-1)) + 1
    slots = _slots(flat["frame"])
    n = int(slots.max(initial=0)) + 1
    if single and n > 1:
        raise LabelsError(
            f"version 2 of JABS holds one mouse, and a frame has {n}: name the file "
            f"{_NAME.sub('_pose_est_v5.h5', path.name)}"
        )
    at = flat["frame"], slots
    seen = visible > 0
    whole = np.nan_to_num(np.clip(np.rint(xy), 0, _LIMIT))
    data: dict[str, Any] = {
        "keypoints": np.zeros((f, n, len(mouse), 2), np.uint16),
        "confidence": np.zeros((f, n, len(mouse)), np.float32),
        "identity": np.zeros((f, n), np.uint32),
        "num_identities": np.bincount(flat["frame"], minlength=f).astype(np.uint16),
        "static_objects": {},
    }
    score = np.where(seen, flat["score"][:, order], 0.0)
    data["keypoints"][at] = whole[..., ::-1]
    # A confidence of 0 would make a keypoint absent.
    data["confidence"][at] = np.where(seen, np.maximum(score, np.finfo(np.float32).tiny), 0)
    data["identity"][at] = give_columns("a JABS file", flat, all_track_names(poses)) + 1
    (jabs.write_jabs_v2 if single else jabs.write_jabs_v5)(data, str(path))
    return _lost(poses, flat, xy, single)


def _slots(frame: Any) -> Any:
    """Return the number of each instance within its frame."""
    slots = np.zeros(len(frame), np.int64)
    taken: dict[int, int] = {}
    for i, key in enumerate(frame.tolist()):
        slots[i] = taken.get(key, 0)
        taken[key] = slots[i] + 1
    return slots


def _lost(poses: Poses, flat: dict[str, Any], xy: Any, single: bool) -> list[str]:
    said = [*lost.occluded("JABS", flat), *lost.animal_scores("JABS", flat)]
    broken = int((np.isfinite(xy) & (xy != np.rint(xy))).any(-1).sum())
    if broken:
        said.append(f"JABS holds whole pixels: {broken} keypoints were rounded")
    outside = int(((xy < -0.5) | (xy > _LIMIT)).any(-1).sum())
    if outside:
        said.append(f"JABS holds no negative positions: {outside} keypoints were moved to 0")
    other = int((flat["source"] != Source.PREDICTED).sum())
    if other:
        said.append(f"JABS holds predictions: {other} human or propagated animals count as such")
    loose = int((flat["track"] < 0).sum())
    if single and loose < len(flat["track"]):
        said.append("version 2 of JABS holds no tracks")
    elif not single and loose:
        said.append(f"JABS gives every animal a number: {loose} animals without a track got one")
    named = [n for i, n in enumerate(poses.track_names) if n != str(i + 1)]
    if named and not single:
        said.append(f"JABS numbers the animals: the names {', '.join(named[:5])} were not written")
    if poses.videos[int(poses.video[0]) if len(poses) else 0].images:
        said.append("JABS holds no names of images: they became frame numbers")
    gaps = int(poses.frame.max(initial=-1)) + 1 - len(np.unique(poses.frame))
    if gaps:
        said.append(f"JABS lists every frame: {gaps} frames without labels count as empty")
    return said
