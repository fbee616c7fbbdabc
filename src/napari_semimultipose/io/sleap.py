"""SLEAP labels files (``.slp``, also with embedded images ``.pkg.slp``).

sleap-io reads the header (skeletons, videos, tracks); the tables of frames, instances and points
are read here as whole arrays, which is what makes long recordings quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from sleap_io.io import slp
from sleap_io.io.utils import read_hdf5_dataset

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.places import embedded_place
from napari_semimultipose.io.skeletons import union_skeleton
from napari_semimultipose.poses import Poses, Skeleton, Source, Video, Visibility

# SLEAP itself gives keypoints that it never saw a made-up position and calls them not visible, so
# a hidden keypoint with a position counts as occluded only in files that say so.
OCCLUDED_KEY, OCCLUDED_MEANS = "occluded_keypoints", "not visible, complete, with a position"
PROPAGATED = "propagated"
# Dataset of our own beside the predicted points: their standard deviations along x and y, px.
SPREAD = "pred_points_spread"
UNNAMED = "unnamed video"  # SLEAP takes an empty name for images embedded in the labels file


def read(path: Path, frames_root: Path | None = None) -> Poses:
    """Read a SLEAP file.

    Where a frame holds a user instance and the predicted instance it was made from (or one of the
    same track), the user instance is kept. Keypoints that are not visible are absent, except in
    files written by `sleap_writer`, which keep the position of occluded ones. Scores are as written:
    SLEAP's instance scores may exceed 1. Frames without instances are kept.

    Parameters
    ----------
    path : path
        The ``.slp`` file.
    frames_root : path, optional
        Not needed: a SLEAP file names its videos.
    """
    name = str(path.absolute())
    with h5py.File(path, "r") as file:
        if "metadata" not in file or "instances" not in file:
            raise LabelsError(f"{path} is an HDF5 file, but no SLEAP labels file")
        format_id = float(file["metadata"].attrs.get("format_id", 1.0))
        metadata = slp.read_metadata(name, _hdf5_file=file)
        provenance = slp.read_provenance(name, metadata, _hdf5_file=file)
        skeletons = [_skeleton(s) for s in slp.read_skeletons(name, _hdf5_file=file)]
        tracks = tuple(t.name for t in slp.read_tracks(name, _hdf5_file=file))
        sleap_videos = slp.read_videos(name, open_backend=False, _hdf5_file=file)
        negative = slp.read_negative_frames(name, _hdf5_file=file)
        tables = {
            key: read_hdf5_dataset(name, key, _hdf5_file=file)
            for key in ("frames", "instances", "points", "pred_points")
        }
        propagated = _propagated(name, file)
        spread = _spread(file, tables)
    if not skeletons:
        raise LabelsError(f"{path} holds no skeleton, so its points have no names")
    ours = OCCLUDED_KEY in provenance
    places = _video_places(sleap_videos, tables["frames"], negative, ours=ours)
    frames, instances = tables["frames"], tables["instances"]
    used = sorted(set(instances["skeleton"].astype(int).tolist())) or [0]
    skeleton, where = union_skeleton([skeletons[i] for i in used])
    xy, score, visible = _keypoints(
        tables, {i: where[n] for n, i in enumerate(used)}, len(skeleton), occlusion=ours
    )
    spread = _spread_of_instances(spread, tables["instances"], len(skeleton)) if ours else None
    if format_id < 1.1:  # the centre of the top left pixel was (0.5, 0.5)
        xy -= 0.5

    start = frames["instance_id_start"].astype(np.int64)
    counts = frames["instance_id_end"].astype(np.int64) - start
    order = np.repeat(start - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
    row = np.repeat(np.arange(len(frames)), counts)
    video = np.array([places[int(v)] for v in frames["video"]], np.int64)
    frame = frames["frame_idx"].astype(np.int64)

    human = instances["instance_type"][order] == 0
    source = np.where(human, Source.HUMAN, Source.PREDICTED)
    ids = instances["instance_id"][order].astype(np.int64)
    source[np.isin(ids, propagated)] = Source.PROPAGATED
    track = instances["track"][order].astype(np.int64)
    keep = ~_replaced(instances["from_predicted"][order].astype(np.int64), ids, human, row, track)
    score = np.where(human[:, None], 1.0, np.nan_to_num(score[order]))
    instance_score = np.where(human, 1.0, np.nan_to_num(instances["score"][order]))
    looked_at = {*zip(video.tolist(), frame.tolist(), strict=True)}
    looked_at |= {(places[v], f) for v, f in negative}
    return Poses.from_instances(
        skeleton.with_guessed_symmetry(),
        frame[row][keep],
        xy[order][keep],
        video=video[row][keep],
        score=score[keep],
        instance_score=instance_score[keep],
        track=track[keep],
        visible=visible[order][keep],
        source=source[keep],
        spread=None if spread is None else spread[order][keep],
        videos=[_video(v) for v in sleap_videos],
        track_names=tracks,
        empty_frames=looked_at,
    )


def _keypoints(
    tables: dict[str, NDArray], where: dict[int, NDArray], k: int, *, occlusion: bool
) -> tuple[NDArray, NDArray, NDArray]:
    """Spread the point tables into xy [M, K, 2], score [M, K], visible [M, K] of M instances."""
    instances = tables["instances"]
    m = len(instances)
    xy = np.full((m, k, 2), np.nan)
    score = np.ones((m, k))
    visible = np.zeros((m, k), np.int8)
    for kind, key in ((0, "points"), (1, "pred_points")):
        points = tables[key]
        for index, place in where.items():
            chosen = np.flatnonzero(
                (instances["instance_type"] == kind) & (instances["skeleton"] == index)
            )
            first = instances["point_id_start"][chosen].astype(np.int64)
            last = instances["point_id_end"][chosen].astype(np.int64)
            if (last - first != len(place)).any() or (last > len(points)).any():
                raise LabelsError("an instance does not have the points of its skeleton")
            block = points[first[:, None] + np.arange(len(place))]
            at = chosen[:, None], place
            xy[at] = np.stack([block["x"], block["y"]], -1)
            seen = block["visible"].astype(bool)
            hidden = ~seen & block["complete"].astype(bool) & occlusion
            visible[at] = np.select(
                [seen, hidden], [Visibility.VISIBLE, Visibility.OCCLUDED], Visibility.ABSENT
            )
            if kind == 1:
                score[at] = block["score"]
    return xy, score, visible


def _spread(file: Any, tables: dict[str, NDArray]) -> NDArray | None:
    """Read the standard deviations [P, 2] of the predicted points, if the file has them."""
    if SPREAD not in file:
        return None
    spread: NDArray = file[SPREAD][()]
    return spread if spread.shape == (len(tables["pred_points"]), 2) else None


def _spread_of_instances(spread: NDArray | None, instances: NDArray, k: int) -> NDArray | None:
    """Spread them [M, K, 2] over the instances; files of ours have one skeleton."""
    if spread is None:
        return None
    out = np.full((len(instances), k, 2), np.nan)
    chosen = np.flatnonzero(instances["instance_type"] == 1)
    first = instances["point_id_start"][chosen].astype(np.int64)
    out[chosen] = spread[first[:, None] + np.arange(k)]
    return out


def _replaced(
    parent: NDArray, ids: NDArray, human: NDArray, row: NDArray, track: NDArray
) -> NDArray:
    """Mark the predicted instances that a user instance of the same frame stands for."""
    replaced = np.isin(ids, parent[human & (parent >= 0)])
    named = human & (track >= 0)
    corrected = set(zip(row[named].tolist(), track[named].tolist(), strict=True))
    if corrected:
        pairs = zip(row.tolist(), track.tolist(), strict=True)
        replaced |= np.fromiter((pair in corrected for pair in pairs), bool, len(row))
    result: NDArray = replaced & ~human
    return result


def _skeleton(skeleton: Any) -> Skeleton:
    names = [node.name for node in skeleton.nodes]
    symmetry = {tuple(sorted(int(i) for i in pair)) for pair in skeleton.symmetry_inds}
    return Skeleton(
        tuple(names),
        tuple((int(a), int(b)) for a, b in skeleton.edge_inds),
        tuple((a, b) for a, b in sorted(symmetry)),
        skeleton.name or "animal",
    )


def _video(video: Any) -> Video:
    meta = video.backend_metadata
    size = meta.get("shape")
    shape = (int(size[1]), int(size[2])) if size is not None and len(size) == 4 else None
    if isinstance(video.filename, list):
        images = tuple(str(name) for name in video.filename)
        folder = str(meta.get("image_folder", ""))
        names = tuple(str(name) for name in meta.get("image_names", ()))
        return (
            Video(folder, names, shape) if len(names) == len(images) else Video("", images, shape)
        )
    path = "" if video.filename == UNNAMED else str(video.filename)
    return Video(embedded_place(path, meta["dataset"]) if meta.get("dataset") else path, (), shape)


def _video_places(
    videos: list[Any], frames: NDArray, negative: set[tuple[int, int]], *, ours: bool
) -> dict[int, int]:
    """Map the video numbers of the frames table to positions in the list of videos.

    They are these positions, except in packages of SLEAP that hold only some of the videos of a
    project: there they are the numbers of the datasets (``video15/video``).
    """
    used = {int(v) for v in frames["video"]} | {v for v, _ in negative}
    numbers = {i: i for i in range(len(videos))}
    if not ours and used != numbers.keys():
        for i, video in enumerate(videos):
            group = str(video.backend_metadata.get("dataset") or "").split("/")[0]
            if group.startswith("video") and group[5:].isdigit():
                numbers[int(group[5:])] = i
    if not used <= numbers.keys():
        raise LabelsError(f"frames belong to video {max(used)}, but the file lists {len(videos)}")
    return numbers


def _propagated(name: str, file: Any) -> list[int]:
    """Ids of the instances whose category says that they were propagated."""
    kinds = [c.name for c in slp.read_categories(name, _hdf5_file=file)]
    links = slp.read_category_links(name, _hdf5_file=file).get(slp.OWNER_INSTANCE, {})
    return [i for i, (kind, _) in links.items() if kinds[kind] == PROPAGATED]
