"""Poses in NWB files, as the extension ndx-pose stores them.

``PoseTraining`` holds labels of people, ``PoseEstimation`` predictions, one for each animal. They
are read here from the HDF5 file: sleap-io's reader numbers the frames anew and drops the names of
tracks, and its writer opens the videos.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.skeletons import union_skeleton
from napari_semimultipose.poses import (
    FloatArray,
    IntArray,
    Poses,
    Skeleton,
    Source,
    Video,
    Visibility,
)

TRACK, UNTRACKED = "track=", "untracked"
SLEAP_MODULE = "SLEAP_VIDEO_"
_PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif"}


@dataclass
class _Found:
    """What was found so far: flat lists of instances, with their own skeletons."""

    folder: str
    videos: dict[tuple[str, ...], int] = field(default_factory=dict)
    shapes: dict[int, tuple[int, int]] = field(default_factory=dict)
    tracks: dict[str, int] = field(default_factory=dict)
    skeletons: list[Skeleton] = field(default_factory=list)
    flat: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    looked_at: set[tuple[int, int]] = field(default_factory=set)

    def video(self, files: Sequence[str]) -> int:
        """Index of the video with these files."""
        return self.videos.setdefault(tuple(files), len(self.videos))

    def skeleton(self, skeleton: Skeleton) -> int:
        """Index of a skeleton."""
        if skeleton not in self.skeletons:
            self.skeletons.append(skeleton)
        return self.skeletons.index(skeleton)

    def track(self, name: str | None) -> int:
        """Index of a track; -1 for none."""
        return -1 if name is None else self.tracks.setdefault(name, len(self.tracks))


def read(path: Path, frames_root: Path | None = None) -> Poses:
    """Read the poses of an NWB file.

    Labels: a keypoint with a position that is not visible is occluded. Predictions: the mean
    confidence of its keypoints is the score of an instance, and its container names its track.
    Frames are numbered by the time stamps: whole numbers in files of SLEAP and of ours,
    otherwise multiples of the time between two frames since the first one.

    Parameters
    ----------
    path : path
        The ``.nwb`` file.
    frames_root : path, optional
        Folder that the names of images start from; the folder of the file by default.
    """
    found = _Found(str(frames_root or path.absolute().parent))
    with h5py.File(path, "r") as file:
        estimations: dict[int, list[Any]] = defaultdict(list)
        for module in file.get("processing", {}).values():
            for group in _typed(module, "PoseTraining"):
                _read_training(group, found)
        for module in file.get("processing", {}).values():
            for group in _typed(module, "PoseEstimation"):
                estimations[found.video(_files_of(group, module))].append(group)
        for video, groups in estimations.items():
            _read_estimations(groups, video, found)
        if found.videos and not found.skeletons:  # labels without any animal
            found.skeletons += _listed_skeletons(file)
    if not found.skeletons:
        raise LabelsError(
            f"{path} holds no poses: it has neither PoseTraining nor PoseEstimation in its "
            "processing modules"
        )
    return _joined(found)


def _joined(found: _Found) -> Poses:
    skeleton, places = union_skeleton(found.skeletons)
    m, k = len(found.flat["frame"]), len(skeleton)
    xy, score = np.full((m, k, 2), np.nan), np.ones((m, k))
    visible = np.zeros((m, k), np.int8)
    for i, kind in enumerate(found.flat["skeleton"]):
        for whole, key in ((xy, "xy"), (score, "score"), (visible, "visible")):
            whole[i, places[kind]] = found.flat[key][i]
    return Poses.from_instances(
        skeleton.with_guessed_symmetry(),
        found.flat["frame"],
        xy,
        score=score,
        visible=visible,
        **{key: found.flat[key] for key in ("video", "instance_score", "track", "source")},
        videos=[_as_video(files, found, i) for files, i in found.videos.items()],
        track_names=list(found.tracks),
        empty_frames=found.looked_at,
    )


def _as_video(files: tuple[str, ...], found: _Found, index: int) -> Video:
    shape = found.shapes.get(index)
    pictures = all(PurePosixPath(f).suffix.lower() in _PICTURES for f in files)
    frames = zip(found.flat["video"], found.flat["frame"], strict=True)
    last = max((frame for video, frame in [*found.looked_at, *frames] if video == index), default=0)
    if files and pictures and last < len(files):  # otherwise one file holds all: a stack
        return Video(found.folder, files, shape)
    return Video(files[0] if files else "", (), shape)


def _typed(group: Any, kind: str) -> Iterator[Any]:
    """Children of a group that are of a neurodata type."""
    for child in group.values():
        if isinstance(child, h5py.Group) and child.attrs.get("neurodata_type") == kind:
            yield child


def _listed_skeletons(file: Any) -> list[Skeleton]:
    return [
        _as_skeleton(group)
        for module in file["processing"].values()
        for container in _typed(module, "Skeletons")
        for group in _typed(container, "Skeleton")
    ]


def _texts(data: Any) -> list[str]:
    return [v.decode() if isinstance(v, bytes) else str(v) for v in np.ravel(data[()]).tolist()]


def _skeleton_of(group: Any) -> Skeleton:
    """Skeleton that a group links to; older files have its parts in the group itself."""
    place = next(_typed(group, "Skeleton"), group)
    if "nodes" not in place:
        names = [s.name.rsplit("/", 1)[-1] for s in _typed(group, "PoseEstimationSeries")]
        return Skeleton(tuple(names))
    return replace(_as_skeleton(place), name="animal") if place is group else _as_skeleton(place)


def _as_skeleton(place: Any) -> Skeleton:
    edges = place["edges"][()].reshape(-1, 2) if "edges" in place else []
    name = place.name.rsplit("/", 1)[-1]
    return Skeleton(
        tuple(_texts(place["nodes"])), tuple((int(a), int(b)) for a, b in edges), (), name
    )


# ------------------------------------------------------------------------------ labels of people


def _read_training(group: Any, found: _Found) -> None:
    videos: list[tuple[Any, int]] = []
    for series in group["source_videos"].values() if "source_videos" in group else ():
        files = _texts(series["external_file"]) if "external_file" in series else []
        index = found.video(files)
        size = series["dimension"][()] if "dimension" in series else (0, 0)
        if all(size):
            found.shapes[index] = int(size[1]), int(size[0])
        videos.append((series, index))
    frames = group["training_frames"].values() if "training_frames" in group else ()
    for place in frames:
        # A frame without a source is a picture of its own, which no file name tells.
        source = place.get("source_video")
        video = next((i for series, i in videos if series == source), None)
        if video is None:
            raise LabelsError(f"{place.name} does not say which video it is of")
        frame = int(place.attrs.get("source_video_frame_index", 0))
        found.looked_at.add((video, frame))
        for instance in _typed(place["skeleton_instances"], "SkeletonInstance"):
            _read_instance(instance, video, frame, found)


def _read_instance(instance: Any, video: int, frame: int, found: _Found) -> None:
    skeleton = _skeleton_of(instance)
    xy = instance["node_locations"][()][:, :2].astype(np.float64)
    seen = np.isfinite(xy).all(1)
    if "node_visibility" in instance:
        seen = instance["node_visibility"][()].astype(bool)
    name = instance.name.rsplit("/", 1)[-1]
    values = {
        "frame": frame,
        "video": video,
        "skeleton": found.skeleton(skeleton),
        "xy": xy,
        "visible": np.where(seen, Visibility.VISIBLE, Visibility.OCCLUDED),
        "score": np.ones(len(xy)),
        "instance_score": 1.0,
        "track": found.track(name.removeprefix(TRACK) if name.startswith(TRACK) else None),
        "source": Source.HUMAN,
    }
    for key, value in values.items():
        found.flat[key].append(value)


# ------------------------------------------------------------------------------------ predictions


def _files_of(group: Any, module: Any) -> list[str]:
    """Files of the video of a PoseEstimation; its module, if it names none."""
    if "original_videos" in group:
        return _texts(group["original_videos"])
    if "source_video" in group and "external_file" in group["source_video"]:
        return _texts(group["source_video"]["external_file"])
    return [module.name.rsplit("/", 1)[-1]]


def _read_estimations(groups: Sequence[Any], video: int, found: _Found) -> None:
    """Read all animals of one video; its first time stamp and frame period are theirs together."""
    ours = SLEAP_MODULE in groups[0].parent.name
    series = {group.name: list(_typed(group, "PoseEstimationSeries")) for group in groups}
    times = {s.name: _times(s) for some in series.values() for s in some}
    numbers = _number(times, whole=ours)
    for group in groups:
        if not series[group.name]:
            continue
        skeleton = _skeleton_of(group)
        where = {nwb_name(name): i for i, name in enumerate(skeleton.keypoints)}
        frames = np.unique(np.concatenate([numbers[s.name] for s in series[group.name]]))
        xy = np.full((len(frames), len(where), 2), np.nan)
        score = np.zeros(xy.shape[:2])
        for one in series[group.name]:
            node = where[one.name.rsplit("/", 1)[-1]]
            rows = np.searchsorted(frames, numbers[one.name])
            xy[rows, node] = one["data"][()][:, :2]
            score[rows, node] = one["confidence"][()] if "confidence" in one else 1.0
        here = np.isfinite(xy).all(-1)
        rows = np.flatnonzero(here.any(1))
        score = np.where(here, np.nan_to_num(score), 0)
        m = len(rows)
        name = _track_name(group, alone=len(groups) == 1)
        for key, value in {
            "frame": frames[rows].astype(int).tolist(),
            "video": [video] * m,
            "skeleton": [found.skeleton(skeleton)] * m,
            "xy": list(xy[rows]),
            "visible": list(np.where(here[rows], Visibility.VISIBLE, Visibility.ABSENT)),
            "score": list(score[rows]),
            "instance_score": (score[rows].sum(1) / here[rows].sum(1)).tolist(),
            "track": [found.track(name)] * m,
            "source": [Source.PREDICTED] * m,
        }.items():
            found.flat[key].extend(value)


def _track_name(group: Any, *, alone: bool) -> str | None:
    name: str = group.name.rsplit("/", 1)[-1]
    if name.startswith(TRACK):
        name = name.removeprefix(TRACK)
        return None if name.startswith(UNTRACKED) else name
    return None if alone or name.startswith(UNTRACKED) else name


def _times(series: Any) -> tuple[FloatArray, float]:
    """Time stamps of a series, and its rate; NaN where it has none."""
    if "timestamps" in series:
        return series["timestamps"][()].astype(np.float64), np.nan
    start = series["starting_time"]
    rate, first = float(start.attrs["rate"]), float(start[()])
    if not rate > 0:
        raise LabelsError(f"{series.name} has the frame rate {rate}, so its frames have no numbers")
    return first + np.arange(len(series["data"])) / rate, rate


def _number(times: dict[str, tuple[FloatArray, float]], *, whole: bool) -> dict[str, IntArray]:
    """Frame numbers of the samples of several series of one video."""
    every = np.unique(np.concatenate([t for t, _ in times.values()] or [np.zeros(0)]))
    if whole and np.allclose(every, np.rint(every), atol=1e-6):
        return {name: np.rint(t).astype(np.int64) for name, (t, _) in times.items()}
    rates = [rate for _, rate in times.values() if np.isfinite(rate)]
    period = 1 / rates[0] if rates else float(np.median(np.diff(every))) if len(every) > 1 else 1.0
    first = every[0] if len(every) else 0.0
    steps = (every - first) / period
    if np.abs(steps - np.rint(steps)).max(initial=0) < 0.25:
        return {n: np.rint((t - first) / period).astype(np.int64) for n, (t, _) in times.items()}
    return {name: np.searchsorted(every, t) for name, (t, _) in times.items()}


def nwb_name(name: str) -> str:
    """Name of an NWB object: it must not have slashes and colons."""
    return name.replace("/", "_").replace(":", "_")
