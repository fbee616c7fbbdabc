"""Writing poses to NWB files with the extension ndx-pose."""

from __future__ import annotations

import datetime
import uuid
import warnings
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import ndx_pose  # type: ignore[import-untyped]
import numpy as np
from pynwb import NWBHDF5IO, NWBFile  # type: ignore[import-untyped]
from pynwb.image import ImageSeries  # type: ignore[import-untyped]

from napari_semimultipose import __version__
from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io import lost
from napari_semimultipose.io.nwb import SLEAP_MODULE, TRACK, UNTRACKED, nwb_name
from napari_semimultipose.io.skeletons import symmetry_is_guessed
from napari_semimultipose.io.tracks import all_track_names, give_columns
from napari_semimultipose.poses import Poses, Source, Visibility

_REFERENCE = "(0, 0) is the centre of the top left pixel; x to the right, y down"


def write(poses: Poses, path: Path, target: Path | None = None) -> list[str]:
    """Write human labels as ``PoseTraining`` and all others as ``PoseEstimation``.

    Names and layout follow sleap-io, which reads the result. Time stamps are frame numbers.

    Parameters
    ----------
    poses : Poses
    path : path
        The file to create.
    target : path, optional
        The file that `path` will replace; it must not hold other data.

    Returns
    -------
    list of str
        What the format could not hold.
    """
    if target is not None:
        _check_only_poses(target)
    file = NWBFile(
        session_description="animal poses",
        identifier=str(uuid.uuid4()),
        session_start_time=datetime.datetime.now(datetime.UTC),
    )
    behavior = file.create_processing_module("behavior", "poses of animals")
    skeleton = ndx_pose.Skeleton(
        name=nwb_name(poses.skeleton.name) or "animal",
        nodes=list(poses.skeleton.keypoints),
        edges=np.array(poses.skeleton.edges, np.uint8).reshape(-1, 2),
    )
    behavior.add(ndx_pose.Skeletons(skeletons=[skeleton]))
    flat = poses.instances()
    human = flat["source"] == Source.HUMAN
    training = bool(human.any() or not len(human))
    tracks = all_track_names(replace(poses, track_names=tuple(map(nwb_name, poses.track_names))))
    flat["column"] = give_columns("an NWB file", flat, tracks)
    if training:
        behavior.add(_training(poses, flat, skeleton, tracks))
    with warnings.catch_warnings():  # sleap-io looks for the videos in a deprecated field
        warnings.filterwarnings("ignore", "The 'original_videos'", DeprecationWarning)
        for video in sorted(set(flat["video"][~human].tolist())):
            _add_estimations(file, poses, flat, video, skeleton, tracks)
    with NWBHDF5IO(str(path), "w") as io:
        io.write(file)
    return _lost(poses, flat, tracks, training)


def _check_only_poses(target: Path) -> None:
    """Refuse to replace a file that holds more than poses, for instance a neural recording."""
    try:
        with h5py.File(target, "r") as file:
            others = [f"{k}/{n}" for k in ("acquisition", "stimulus/presentation", "analysis")
                      for n in file.get(k, ())]  # fmt: skip
            others += [f"general/{name}" for name in file.get("general", ())]
            others += [k for k in ("units", "intervals", "scratch") if k in file]
            others += [
                f"processing/{name}"
                for name, module in file.get("processing", {}).items()
                if not name.startswith(SLEAP_MODULE)
                and not (name == "behavior" and set(module) <= {"PoseTraining", "Skeletons"})
            ]
    except OSError:
        return  # no HDF5 file: nothing to keep
    if others:
        raise LabelsError(
            f"{target} also holds {', '.join(others[:3])}, which would be lost: write the poses to "
            "a new file"
        )


def _training(poses: Poses, flat: dict[str, Any], skeleton: Any, tracks: list[str]) -> Any:
    videos = [_image_series(poses, v) for v in range(len(poses.videos))]
    here: dict[tuple[int, int], list[int]] = {}
    keys = list(zip(poses.video.tolist(), poses.frame.tolist(), strict=True))
    for row in np.flatnonzero(~poses.present.any(1)):
        here.setdefault(keys[row], [])
    for i in np.flatnonzero(flat["source"] == Source.HUMAN).tolist():
        here.setdefault(keys[flat["row"][i]], []).append(i)
    frames = []
    for number, ((video, frame), instances) in enumerate(sorted(here.items())):
        found = []
        for count, i in enumerate(instances):
            track = int(flat["track"][i])
            name = f"{TRACK}{tracks[track]}" if track >= 0 else f"instance_{count}"
            found.append(
                ndx_pose.SkeletonInstance(
                    name=name,
                    id=np.uint8(count % 256),
                    node_locations=flat["xy"][i],
                    node_visibility=flat["visible"][i] == Visibility.VISIBLE,
                    skeleton=skeleton,
                )
            )
        frames.append(
            ndx_pose.TrainingFrame(
                name=f"frame_{number:06d}",
                skeleton_instances=ndx_pose.SkeletonInstances(skeleton_instances=found),
                source_video=videos[video],
                source_video_frame_index=np.uint32(frame),
            )
        )
    return ndx_pose.PoseTraining(
        training_frames=ndx_pose.TrainingFrames(training_frames=frames),
        source_videos=ndx_pose.SourceVideos(image_series=videos),
    )


def _image_series(poses: Poses, index: int) -> Any:
    video = poses.videos[index]
    files = list(video.images) or [video.path]
    height, width = video.shape or (0, 0)
    last = poses.frame[poses.video == index].max(initial=0)
    return ImageSeries(
        name=f"video_{index}",
        description="frames of the labels",
        unit="NA",
        format="external",
        external_file=files,
        starting_frame=list(range(len(files))),
        dimension=[width, height],
        rate=1.0,
        num_samples=max(int(last) + 1, len(files)),
    )


def _add_estimations(
    file: Any, poses: Poses, flat: dict[str, Any], video: int, skeleton: Any, tracks: list[str]
) -> None:
    """Add the predictions of one video: a container for each track, and for loose animals."""
    clip = poses.videos[video]
    stem = nwb_name(PurePosixPath(clip.path.replace("\\", "/")).stem)
    module = file.create_processing_module(f"{SLEAP_MODULE}{video:03}_{stem}", "predicted poses")
    mine = np.flatnonzero((flat["video"] == video) & (flat["source"] != Source.HUMAN))
    for name, instances in _by_animal(flat, mine, tracks):
        series = []
        for k, keypoint in enumerate(poses.skeleton.keypoints):
            seen = instances[flat["visible"][instances, k] > 0]
            series.append(
                ndx_pose.PoseEstimationSeries(
                    name=nwb_name(keypoint),
                    data=flat["xy"][seen, k],
                    confidence=flat["score"][seen, k],
                    timestamps=flat["frame"][seen].astype(np.float64),
                    reference_frame=_REFERENCE,
                    unit="pixels",
                )
            )
        module.add(
            ndx_pose.PoseEstimation(
                name=name,
                pose_estimation_series=series,
                original_videos=list(clip.images) or [clip.path],
                skeleton=skeleton,
                source_software="napari-semimultipose",
                source_software_version=__version__,
            )
        )


def _by_animal(flat: dict[str, Any], mine: Any, tracks: list[str]) -> list[tuple[str, Any]]:
    """Divide instances by track; the n-th loose animals of all frames share a container."""
    groups = []
    for column in np.unique(flat["column"][mine]).tolist():
        loose = column - len(tracks)
        name = f"{TRACK}{tracks[column]}" if loose < 0 else f"{UNTRACKED}_{loose}"
        instances = mine[flat["column"][mine] == column]
        groups.append((name, instances[np.argsort(flat["frame"][instances])]))
    return groups


def _lost(poses: Poses, flat: dict[str, Any], tracks: list[str], training: bool) -> list[str]:
    predicted = lost.choose(flat, flat["source"] != Source.HUMAN)
    said = lost.occluded("an NWB prediction", predicted) + lost.animal_scores("NWB", predicted)
    said += lost.propagated("NWB", flat) + lost.human_scores("NWB", flat)
    empty = int((~poses.present.any(1)).sum())
    if empty and not training:
        said.append(f"NWB predictions do not list frames without animals: {empty} frames")
    changed = [a for a, b in zip(poses.track_names, tracks, strict=False) if a != b]
    if changed:
        said.append(f"names of tracks were changed to what NWB allows: {', '.join(changed)}")
    if nwb_name(poses.skeleton.name) != poses.skeleton.name:
        said.append("the name of the animal was changed to what NWB allows")
    if not symmetry_is_guessed(poses.skeleton):
        said.append("NWB holds no pairs of left and right keypoints")
    return said
