"""Sessions: the same moments, seen by several synchronous cameras, each with a recording of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.errors import FramesError
from napari_semimultipose.io.camera_names import sightings
from napari_semimultipose.poses import Poses
from napari_semimultipose.skeleton import animal_and_view

if TYPE_CHECKING:
    from napari_semimultipose.data.clips import Footage

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Moments:
    """When, and by which camera, each of R rows of poses was seen.

    Attributes
    ----------
    camera : array [R] of int
        Index of the camera; -1 where the name of the recording or picture tells none.
    moment : array [R] of int
        Equal for the pictures that the cameras of a session took at one time; -1 without a camera.
    """

    camera: Ints
    moment: Ints


def moments(poses: Poses, rows: Sequence[int], cameras: Sequence[str]) -> Moments:
    """Sort rows of poses by moment and camera.

    Frames of videos are of one moment when their sessions and their indices are the same; images when their
    names are the same but for the camera (see `io.camera_names.sightings`).

    Raises
    ------
    ConfigError
        When names are ambiguous.
    """
    names = [frame_name(poses, row) for row in rows]
    different = list(dict.fromkeys(names))
    found, _ = sightings(different, cameras)
    seen = dict(zip(different, found, strict=True))
    index = [0 if poses.videos[poses.video[row]].images else int(poses.frame[row]) for row in rows]
    camera = np.array([seen[name].camera for name in names], np.int64)
    session = np.array([seen[name].session for name in names], np.int64)
    keys = np.stack([session, np.array(index, np.int64)], 1).reshape(-1, 2)
    _, moment = np.unique(keys, axis=0, return_inverse=True)
    return Moments(camera, np.where(camera >= 0, moment.reshape(-1), -1))


def frame_name(poses: Poses, row: int) -> str:
    """Return the path of the image of a row, or that of its video."""
    path, image = poses.videos[poses.video[row]].path, poses.image_name(row)
    return path if image is None else f"{path}/{image}"


def animals(poses: Poses) -> Ints:
    """Numbers [F, N] that are equal for one animal in the pictures of all cameras; -1 where nothing tells.

    By the tracks; tracks that are named with a view as ending (``mouse1_top``) by the rest of the name. Where
    no frame shows more than one animal, it is always the same.
    """
    if (poses.present.sum(1) <= 1).all():
        return np.where(poses.present, 0, -1)
    count = max(int(poses.track.max(initial=-1)) + 1, len(poses.track_names))
    names = [*poses.track_names, *(f"track {i}" for i in range(len(poses.track_names), count))]
    bare = [animal_and_view(name)[0] for name in names]
    number = np.array([*(bare.index(name) for name in bare), -1], np.int64)
    return number[poses.track]


@dataclass(frozen=True)
class Sessions:
    """Which recordings were made together.

    Attributes
    ----------
    cameras : tuple of str
    complete : tuple of tuple of int
        Sessions with a recording of each camera: indices of the recordings, in the order of the cameras.
    notes : tuple of str
        Sessions that lack a camera.
    """

    cameras: tuple[str, ...] = ()
    complete: tuple[tuple[int, ...], ...] = ()
    notes: tuple[str, ...] = field(default=())


def find_sessions(footage: Sequence[Footage], cameras: Sequence[str]) -> Sessions:
    """Find the recordings of synchronous cameras that belong together.

    Raises
    ------
    ConfigError
        When names are ambiguous.
    FramesError
        When the cameras of a session have different numbers of frames.
    """
    found, titles = sightings([f.name for f in footage], cameras)
    members: dict[int, dict[int, int]] = {}
    for i, seen in enumerate(found):
        if seen.camera >= 0:
            members.setdefault(seen.session, {})[seen.camera] = i
    complete: list[tuple[int, ...]] = []
    lacking: list[str] = []
    for session, by_camera in members.items():
        missing = [name for c, name in enumerate(cameras) if c not in by_camera]
        if missing:
            lacking.append(f"{titles[session]} (no {', '.join(missing)})")
            continue
        together = tuple(by_camera[c] for c in range(len(cameras)))
        counts = [len(footage[i].frames) for i in together]
        if len(set(counts)) > 1:
            told = ", ".join(f"{name}: {n}" for name, n in zip(cameras, counts, strict=True))
            raise FramesError(
                f"the cameras of the session {titles[session]} have different numbers of frames ({told}), so "
                "frames with one number were not taken at one time: cut the recordings to the same frames, or "
                "leave this session out"
            )
        complete.append(together)
    notes: tuple[str, ...] = ()
    if lacking:
        some = ", ".join(lacking[:3]) + (
            f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        )
        notes = (
            f"sessions without recordings of all cameras, whose views are not compared: {some}",
        )
    return Sessions(tuple(cameras), tuple(complete), notes)
