"""Writing SLEAP labels files (``.slp``): sleap-io writes the header, the tables are written here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import sleap_io
from sleap_io.io import slp

from napari_semimultipose import __version__
from napari_semimultipose.io import lost
from napari_semimultipose.io.places import split_embedded
from napari_semimultipose.io.sleap import (
    OCCLUDED_KEY,
    OCCLUDED_MEANS,
    PROPAGATED,
    SPREAD,
    UNNAMED,
)
from napari_semimultipose.io.tracks import all_track_names
from napari_semimultipose.poses import Poses, Skeleton, Source, Video, Visibility

_FRAMES = np.dtype(
    [
        ("frame_id", "u8"),
        ("video", "u4"),
        ("frame_idx", "u8"),
        ("instance_id_start", "u8"),
        ("instance_id_end", "u8"),
    ]
)
_INSTANCES = np.dtype(
    [
        ("instance_id", "i8"),
        ("instance_type", "u1"),
        ("frame_id", "u8"),
        ("skeleton", "u4"),
        ("track", "i4"),
        ("from_predicted", "i8"),
        ("score", "f4"),
        ("point_id_start", "u8"),
        ("point_id_end", "u8"),
        ("tracking_score", "f4"),
    ]
)
_POINTS = np.dtype([("x", "f8"), ("y", "f8"), ("visible", "?"), ("complete", "?")])
_LINKS = np.dtype(
    [("owner_type", "u1"), ("owner_id", "i8"), ("category_idx", "i4"), ("category_score", "f4")]
)
_PREDICTED_POINTS = np.dtype([*_POINTS.descr, ("score", "f8")])


def write(poses: Poses, path: Path, target: Path | None = None) -> list[str]:
    """Write a SLEAP file.

    Human instances become user instances, the others predicted ones; propagated ones get the
    category ``propagated``. In files with human labels, frames without an animal are negative.
    Images embedded in `target`, the file that is to be replaced, are copied along. The spread of predicted
    points is kept in a dataset that other programs pass over.

    Parameters
    ----------
    poses : Poses
    path : path
        The file to create.
    target : path, optional
        The file that `path` will replace.

    Returns
    -------
    list of str
        What the format could not hold.
    """
    flat = poses.instances()
    keys = np.stack([poses.video, poses.frame], 1)
    rows, inverse = np.unique(keys, axis=0, return_inverse=True)
    row = inverse.reshape(-1)[flat["row"]]
    order = np.argsort(row, kind="stable")
    row = row[order]
    flat = {key: value[order] for key, value in flat.items()}
    human = flat["source"] == Source.HUMAN
    propagated = np.flatnonzero(flat["source"] == Source.PROPAGATED)

    labels = sleap_io.Labels(
        videos=[_sleap_video(v, target) for v in poses.videos],
        skeletons=[_sleap_skeleton(poses.skeleton)],
        tracks=[sleap_io.Track(name) for name in all_track_names(poses)],
        categories=[sleap_io.Category(PROPAGATED)] if len(propagated) else [],
        provenance={
            "writer": f"napari-semimultipose {__version__}",
            OCCLUDED_KEY: OCCLUDED_MEANS,
        },
    )
    # PRESERVE_SOURCE: or sleap-io would copy the images embedded in other files.
    slp.write_labels(str(path), labels, embed=False, restore_original_videos=False, verbose=False)

    m, k = flat["visible"].shape
    counts = np.bincount(row, minlength=len(rows))
    ends = np.cumsum(counts)
    frames = np.zeros(len(rows), _FRAMES)
    frames["frame_id"] = np.arange(len(rows))
    frames["video"], frames["frame_idx"] = rows[:, 0], rows[:, 1]
    frames["instance_id_start"], frames["instance_id_end"] = ends - counts, ends
    instances = np.zeros(m, _INSTANCES)
    instances["instance_id"] = np.arange(m)
    instances["instance_type"] = ~human
    instances["frame_id"] = row
    instances["track"] = flat["track"]
    instances["from_predicted"] = -1
    instances["score"] = np.where(human, 0.0, flat["instance_score"])
    place = np.where(human, np.cumsum(human), np.cumsum(~human)) - 1
    instances["point_id_start"], instances["point_id_end"] = place * k, (place + 1) * k
    tables = {"frames": frames, "instances": instances}
    for key, mine, kind in (("points", human, _POINTS), ("pred_points", ~human, _PREDICTED_POINTS)):
        visible = flat["visible"][mine].reshape(-1)
        points = np.zeros(len(visible), kind)
        points["x"], points["y"] = flat["xy"][mine].reshape(-1, 2).T
        points["visible"] = visible != Visibility.OCCLUDED
        # SLEAP calls a keypoint complete when a person has confirmed it.
        points["complete"] = (visible == Visibility.OCCLUDED) | (
            (visible == Visibility.VISIBLE) & (key == "points")
        )
        if key == "pred_points":
            points["score"] = flat["score"][mine].reshape(-1)
        tables[key] = points
    with h5py.File(path, "r+") as file:
        for key, table in tables.items():
            if key in file:
                del file[key]
            file.create_dataset(
                key, data=table, maxshape=(None,), compression="gzip", compression_opts=1
            )
        empty = rows[counts == 0]
        if len(empty) and (human.any() or not m):
            negative = np.zeros(len(empty), [("video_id", "u4"), ("frame_idx", "u8")])
            negative["video_id"], negative["frame_idx"] = empty.T
            file.create_dataset("negative_frames", data=negative)
        if "spread" in flat:
            spread = flat["spread"][~human].reshape(-1, 2).astype(np.float32)
            file.create_dataset(SPREAD, data=spread, compression="gzip", compression_opts=1)
        if len(propagated):
            links = np.zeros(len(propagated), _LINKS)
            links["owner_type"], links["owner_id"] = slp.OWNER_INSTANCE, propagated
            links["category_score"] = np.nan
            file["categories"].create_dataset("links", data=links, maxshape=(None,))
    said = lost.human_scores("SLEAP", flat)
    if target is not None:
        _copy_embedded(poses, path, target)
        said += _other_content(target)
    return said


def _sleap_skeleton(skeleton: Skeleton) -> Any:
    nodes = [sleap_io.Node(name) for name in skeleton.keypoints]
    return sleap_io.Skeleton(
        nodes,
        edges=[sleap_io.Edge(nodes[a], nodes[b]) for a, b in skeleton.edges],
        symmetries=[sleap_io.Symmetry({nodes[a], nodes[b]}) for a, b in skeleton.symmetry],
        name=skeleton.name,
    )


def _sleap_video(video: Video, target: Path | None) -> Any:
    shape = None if video.shape is None else [max(len(video.images), 1), *video.shape, 3]
    meta: dict[str, Any] = {"shape": shape} if shape and video.images else {}
    name: str | list[str] = video.path or UNNAMED
    if video.images:
        name = [str(Path(video.path, image)) if video.path else image for image in video.images]
        meta |= {
            "type": "ImageVideo",
            "filename": name[0],
            "filenames": name,
            "image_folder": video.path,
            "image_names": list(video.images),
        }
    elif embedded := split_embedded(video.path):
        name, dataset = embedded
        own = target is not None and _same_file(Path(name), target)
        meta |= {
            "type": "HDF5Video",
            "filename": "." if own else name,
            "dataset": dataset,
            "input_format": "channels_last",
            "convert_range": False,
            "has_embedded_images": True,
        }
    else:
        if name == ".":  # would mean: embedded in this file
            name = str(Path.cwd())
        if shape:
            meta["shape"] = shape
    return sleap_io.Video(
        filename=name, backend=None, backend_metadata=meta, source_video=None, open_backend=False
    )


def _copy_embedded(poses: Poses, path: Path, target: Path) -> None:
    """Copy the images that are embedded in `target` to the file that will take its place."""
    for video in poses.videos:
        embedded = split_embedded(video.path)
        if embedded and _same_file(Path(embedded[0]), target):
            group = embedded[1].split("/")[0]
            with h5py.File(target, "r") as old, h5py.File(path, "r+") as new:
                if group not in new:
                    old.copy(group, new)


def _other_content(target: Path) -> list[str]:
    """Say what else the file that is to be replaced holds: things that poses do not have."""
    kinds = {"suggested frames": "suggestions_json", "multi-view sessions": "sessions_json"}
    try:
        with h5py.File(target, "r") as file:
            counts = {kind: len(file[key]) for kind, key in kinds.items() if key in file}
    except OSError:  # not a SLEAP file, or a broken one: nothing to keep
        return []
    return [
        f"the old file held {number} {kind}, which the new one does not"
        for kind, number in counts.items()
        if number
    ]


def _same_file(a: Path, b: Path) -> bool:
    return a.exists() and b.exists() and a.samefile(b)
