"""Labels, predictions, frames and labelled videos: from files and back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

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
    poses: Poses,
    frames: Any,
    out: FilePath,
    *,
    should_stop: Callable[[], bool] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> bool:
    """Write a recording with poses drawn into it as a video.

    Parameters
    ----------
    poses : Poses
        Of one video.
    frames : path, Frames or array
        What the poses were predicted on, as for `predict`.
    out : path
        The video to write (.mp4).
    should_stop, on_progress : callable, optional
        As for `predict`.

    Returns
    -------
    bool
        False when it was stopped; nothing is written then.

    Raises
    ------
    FramesError
        When the frames do not follow each other or cannot be read, or `out` cannot be written.
    """
    from napari_semimultipose.io.render import render_video
    from napari_semimultipose.recordings import open_for_prediction

    with ExitStack() as opened:
        recordings = open_for_prediction(frames, opened)
        first = recordings[0]
        if len(recordings) > 1 or list(first.indices) != list(first.numbers):
            raise FramesError(
                f"no labelled video can be made of single images of {frames}: give a recording, or a text "
                "file that lists the images"
            )
        return render_video(
            first.frames,
            poses,
            out,
            trail=_TRAIL if first.sequence else 0,
            should_stop=should_stop,
            on_progress=on_progress,
        )
