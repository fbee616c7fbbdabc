"""Labels, predictions, frames and labelled videos: from files and back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Literal

from napari_semimultipose.api.paths import FilePath
from napari_semimultipose.errors import FramesError
from napari_semimultipose.poses import Poses

if TYPE_CHECKING:
    from napari_semimultipose.io.frames import Frames


_TRAIL = 15  # frames that the drawn paths of animals go back


def read_poses(
    path: FilePath,
    *,
    format: str | None = None,
    frames_root: FilePath | None = None,
    category: str | None = None,
) -> Poses:
    """Read labels or predictions of any known format; see `io.labels.read_poses`."""
    from napari_semimultipose.io import labels

    return labels.read_poses(path, format=format, frames_root=frames_root, category=category)


def write_poses(poses: Poses, path: FilePath, *, format: str | None = None) -> list[str]:
    """Write labels or predictions and return what the format could not hold.

    See `io.labels.write_poses`.
    """
    from napari_semimultipose.io import labels

    return labels.write_poses(poses, path, format=format)


def open_frames(source: Any) -> Frames:
    """Open a video, an image folder, a list of images or a stack; see `io.video.open_frames`."""
    from napari_semimultipose.io import video

    return video.open_frames(source)


def render(
    poses: FilePath | Poses,
    frames: Any,
    out: FilePath,
    *,
    frame_range: slice | range | None = None,
    colour_by: Literal["track", "keypoint"] = "track",
    trail: int | None = None,
    names: bool = True,
    should_stop: Callable[[], bool] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> bool:
    """Write a recording with poses drawn into it as a video.

    Parameters
    ----------
    poses : path or Poses
        Of one recording; or of several, one of which is `frames`.
    frames : path, Frames, array or None
        What the poses were predicted on, as for `predict`; None: where the file of the poses says, or around
        it.
    out : path
        The video to write (.mp4).
    frame_range : slice or range, optional
        Frames to write; from the first to the last one with poses by default.
    colour_by : {"track", "keypoint"}
        What colours mean.
    trail : int, optional
        So many frames back the paths of the animals are drawn; 15 by default, none for images.
    names : bool
        Write the names of the tracks.
    should_stop, on_progress : callable, optional
        As for `predict`.

    Returns
    -------
    bool
        False when it was stopped; nothing is written then.

    Raises
    ------
    FramesError, LabelsError
        When the frames do not follow each other or cannot be read, no poses belong to them, or `out` cannot
        be written.
    """
    from napari_semimultipose.io.render import render_video
    from napari_semimultipose.labeling.alignment import poses_of_recording
    from napari_semimultipose.recordings import open_for_prediction, recording_of_poses

    table = poses if isinstance(poses, Poses) else read_poses(poses)
    if frames is None:
        if isinstance(poses, Poses):
            raise FramesError("poses in memory do not say where their recording is: give it")
        frames = recording_of_poses(table, poses)
    with ExitStack() as opened:
        recordings = open_for_prediction(frames, opened)
        first = recordings[0]
        if len(recordings) > 1 or list(first.indices) != list(first.numbers):
            raise FramesError(
                f"no labelled video can be made of single images of {frames}: give a recording, or a text "
                "file that lists the images"
            )
        if len(table.videos) > 1:
            table = poses_of_recording(table, first.frames)
        sequence = first.sequence and not isinstance(frames, list)
        chosen = frame_range
        if isinstance(chosen, slice):
            chosen = range(len(first.frames))[chosen]
        return render_video(
            first.frames,
            table,
            out,
            frame_range=chosen,
            colour_by=colour_by,
            trail=(_TRAIL if trail is None else trail) if sequence else 0,
            names=names,
            should_stop=should_stop,
            on_progress=on_progress,
        )
