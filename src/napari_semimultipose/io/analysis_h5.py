"""SLEAP analysis files (``.analysis.h5``): dense arrays of the tracks of one video.

Read and written here rather than through sleap-io, whose reader needs datasets that older files do
not have and builds an object for each instance.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_semimultipose import __version__
from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io import lost
from napari_semimultipose.io.tracks import all_track_names, give_columns
from napari_semimultipose.poses import FloatArray, Poses, Skeleton, Source, Video

_DIMS = {
    "tracks": ("track", "xy", "node", "frame"),
    "track_occupancy": ("frame", "track"),
    "point_scores": ("track", "node", "frame"),
    "instance_scores": ("track", "frame"),
    "tracking_scores": ("track", "frame"),
}
_ORDER = ("frame", "track", "node", "xy")


def read(path: Path, frames_root: Path | None = None) -> Poses:
    """Read a SLEAP analysis file.

    Instances without a score are human, the others predicted, as SLEAP writes them; a file
    without scores holds predictions. Frames are counted from the first frame of the video, unless
    the file was made for labelled frames only: then SLEAP counts from the first of these.

    Parameters
    ----------
    path : path
        The file.
    frames_root : path, optional
        Not needed: the file names its video.
    """
    with h5py.File(path, "r") as file:
        if not {"tracks", "track_occupancy", "node_names"} <= file.keys():
            raise LabelsError(f"{path} is no SLEAP analysis file")
        names = _texts(file["node_names"])
        xy = _array(file, "tracks")
        k = xy.shape[2]
        if k != len(names):
            raise LabelsError(f"{path} has {len(names)} keypoint names, but {k} keypoints")
        point_scores = _array(file, "point_scores") if "point_scores" in file else None
        scores = _array(file, "instance_scores") if "instance_scores" in file else None
        tracks = _texts(file["track_names"]) if "track_names" in file else []
        edges = file["edge_inds"][()] if "edge_inds" in file else np.zeros((0, 2), int)
        attributes = dict(file.attrs)
        stored = _text(file["video_path"][()]) if "video_path" in file else ""
    here = np.isfinite(xy).all(-1).any(-1)
    row, slot = np.nonzero(here)
    human = np.zeros(len(row), bool) if scores is None else np.isnan(scores[row, slot])
    score = np.ones((len(row), k)) if point_scores is None else point_scores[row, slot]
    instance_score = np.ones(len(row)) if scores is None else scores[row, slot]
    where = {name: i for i, name in enumerate(names)}
    pairs = json.loads(_text(attributes.get("skeleton_symmetries", "[]")))
    skeleton = Skeleton(
        tuple(names),
        tuple((int(a), int(b)) for a, b in edges.reshape(-1, 2)),
        tuple((where[a], where[b]) for a, b in pairs if a in where and b in where),
        _text(attributes.get("skeleton_name", "")) or "animal",
    ).with_guessed_symmetry()
    return Poses.from_instances(
        skeleton,
        row,
        xy[row, slot],
        score=np.where(human[:, None], 1.0, np.nan_to_num(score)),
        instance_score=np.where(human, 1.0, np.nan_to_num(instance_score)),
        track=slot if tracks else np.full(len(slot), -1),
        source=np.where(human, Source.HUMAN, Source.PREDICTED),
        videos=[_video(stored, attributes)],
        track_names=tracks if len(tracks) == xy.shape[1] else [],
    )


def is_analysis(path: Path) -> bool:
    """Whether an HDF5 file is a SLEAP analysis file."""
    with h5py.File(path, "r") as file:
        return all(name in file for name in ("tracks", "track_occupancy", "node_names"))


def _array(file: Any, name: str) -> FloatArray:
    """Return one of the arrays with its axes in the order frame, track, node, xy."""
    data = file[name]
    dims = _DIMS[name]
    if "dims" in data.attrs:
        dims = tuple(json.loads(_text(data.attrs["dims"])))
    elif not file.attrs.get("transpose", True) and name == "tracks":
        dims = ("frame", "node", "xy", "track")
    array: FloatArray = data[()].astype(np.float64)
    if len(dims) != array.ndim:
        raise LabelsError(f"the dataset {name} has {array.ndim} axes instead of {len(dims)}")
    order = [dims.index(d) for d in _ORDER if d in dims]
    return array.transpose(order)


def _video(stored: str, attributes: dict[str, Any]) -> Video:
    meta = json.loads(_text(attributes.get("video_backend_metadata", "{}")))
    shape = meta.get("shape")
    size = (int(shape[1]), int(shape[2])) if shape and len(shape) == 4 else None
    return Video(stored.replace("\\", "/"), tuple(meta.get("filenames", ())), size)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _texts(data: Any) -> list[str]:
    return [_text(value) for value in data[()]]


def _bytes(texts: Sequence[str]) -> NDArray[np.bytes_]:
    return np.array([text.encode() for text in texts], np.bytes_)


# ---------------------------------------------------------------------------------------- writing


def write(poses: Poses, path: Path) -> list[str]:
    """Write a SLEAP analysis file, in the order of axes that SLEAP itself uses.

    Human instances have no score. Animals without a track get columns of their own.

    Returns
    -------
    list of str
        What the format could not hold.

    Raises
    ------
    LabelsError
        For labels of several videos.
    """
    used = sorted(set(poses.video.tolist())) or [0]
    if len(used) > 1:
        names = ", ".join(poses.videos[v].name or f"video {v}" for v in used)
        raise LabelsError(
            f"an analysis file holds one video, and these labels belong to {len(used)} ({names}): "
            "write a SLEAP file, or one analysis file a video"
        )
    video, skeleton = poses.videos[used[0]], poses.skeleton
    flat = poses.instances()
    tracks = all_track_names(poses)
    column = give_columns("a SLEAP analysis file", flat, tracks)
    more = int(column.max(initial=-1)) + 1 - len(tracks)
    if tracks or more > 1:  # one animal without a track has a column without a name
        tracks += [f"untracked_{i}" for i in range(more)]
    f, t, k = int(poses.frame.max(initial=-1)) + 1, max(len(tracks), 1), len(skeleton)
    at = flat["frame"], column
    human = flat["source"] == Source.HUMAN
    here = flat["visible"] > 0
    arrays: dict[str, Any] = {
        "tracks": np.full((f, t, k, 2), np.nan),
        "track_occupancy": np.zeros((f, t), np.uint8),
        "point_scores": np.full((f, t, k), np.nan),
        "instance_scores": np.full((f, t), np.nan),
        "tracking_scores": np.full((f, t), np.nan),
    }
    arrays["tracks"][at] = flat["xy"]
    arrays["track_occupancy"][at] = 1
    arrays["point_scores"][at] = np.where(human[:, None] | ~here, np.nan, flat["score"])
    arrays["instance_scores"][at] = np.where(human, np.nan, flat["instance_score"])
    keypoints = skeleton.keypoints
    texts = h5py.string_dtype()
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            axes = [d for d in _ORDER if d in _DIMS[name]]
            data = array.transpose([axes.index(d) for d in _DIMS[name]])
            dataset = file.create_dataset(name, data=data, compression="gzip")
            dataset.attrs["dims"] = json.dumps(_DIMS[name])
        file["node_names"], file["track_names"] = _bytes(keypoints), _bytes(tracks)
        ends = [keypoints[i] for edge in skeleton.edges for i in edge]
        file["edge_names"] = _bytes(ends).reshape(-1, 2)
        file["edge_inds"] = np.array(skeleton.edges, np.int64).reshape(-1, 2)
        file["video_ind"] = 0
        for name, text in (
            ("video_path", video.path),
            ("labels_path", ""),
            ("provenance", json.dumps({"writer": f"napari-semimultipose {__version__}"})),
        ):
            file.create_dataset(name, data=text, dtype=texts)
        shape = None if video.shape is None else [max(f, len(video.images)), *video.shape, 3]
        meta = {"shape": shape} if shape else {}
        if video.images:
            meta["filenames"] = list(video.images)
        file.attrs["format"], file.attrs["preset"] = "analysis", "matlab"
        file.attrs["skeleton_name"] = skeleton.name
        pairs = [[keypoints[a], keypoints[b]] for a, b in skeleton.symmetry]
        file.attrs["skeleton_symmetries"] = json.dumps(pairs)
        file.attrs["video_backend_metadata"] = json.dumps(meta)
    return _lost(poses, flat, tracks)


def _lost(poses: Poses, flat: dict[str, Any], tracks: list[str]) -> list[str]:
    title = "SLEAP analysis"
    said = [*lost.occluded(title, flat), *lost.propagated(title, flat)]
    said += lost.human_scores(title, flat)
    empty = int((~poses.present.any(1)).sum())
    if empty:
        said.append(f"{title} files do not list frames without animals: {empty} frames")
    loose = int((flat["track"] < 0).sum())
    if loose and tracks:
        said.append(
            f"{title} files have a column for every animal: {loose} animals without a track were "
            "given columns"
        )
    return said
