"""The recordings of one labels file: which there are, where they are, and how to switch between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from napari.layers import Image

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.io.locate import FrameSource, find_below, resolve_videos
from napari_semimultipose.poses import Video
from napari_semimultipose.widgets.document import LabelsDocument
from napari_semimultipose.widgets.recordings import open_recording, shows

_FRAMES = 50  # labelled images whose files are looked for; a recording is moved as a whole


@dataclass(frozen=True)
class Recording:
    """One recording of a labels file.

    Attributes
    ----------
    name : str
        File or folder name.
    place : str
        Path as the labels name it.
    n_labelled : int
        Frames that are labelled or marked as empty.
    current : bool
        Whether it is the one that is labelled now.
    there : bool
        Whether it is open, or its file is found.
    """

    name: str
    place: str
    n_labelled: int
    current: bool
    there: bool


def recordings_of(document: LabelsDocument) -> list[Recording]:
    """List the recordings of some labels."""
    return [
        Recording(
            _name(video, index),
            video.path or (video.images[0] if video.images else ""),
            len(document.store.labelled(index)),
            index == document.view.video,
            _layer(document, index) is not None or source_of(document, index) is not None,
        )
        for index, video in enumerate(document.store.videos)
    ]


def source_of(document: LabelsDocument, index: int) -> FrameSource | None:
    """Return what opens a recording, or None when it is not found."""
    rows = np.flatnonzero(document.store.array("video") == index)[:_FRAMES]
    path = document.path or Path.cwd() / "labels"
    video = document.store.videos[index]
    found = resolve_videos(document.store.take(rows), path).get(index)
    if video.images and isinstance(found, list):
        return found if all(Path(file).is_file() for file in found[:1]) else None
    return found


def show_recording(document: LabelsDocument, index: int) -> Image:
    """Show a recording of some labels, and hide the others; opens it where needed.

    Raises
    ------
    SemiMultiPoseError
        When it is not found or cannot be read.
    """
    image = _layer(document, index)
    if image is None:
        source = source_of(document, index)
        name = _name(document.store.videos[index], index)
        if source is None:
            raise LabelsError(
                f"{name} is not where the labels say: press 'Find missing' and choose a folder above it"
            )
        image = open_recording(document.viewer, source, name)
    document.show(image, index)
    for other in range(len(document.store.videos)):
        layer = _layer(document, other)
        if layer is not None:
            layer.visible = layer is image
    return image


def add_recordings(document: LabelsDocument, paths: Sequence[Path]) -> int:
    """Add videos to some labels, those that are not there yet; return how many."""
    known = {Path(video.path) for video in document.store.videos}
    fresh = [path for path in paths if path not in known]
    for path in fresh:
        document.store.add_video(Video(str(path)))
    return len(fresh)


def relink(document: LabelsDocument, folder: Path) -> tuple[int, list[str]]:
    """Look for all missing recordings below a folder, by their file names.

    Returns
    -------
    found : int
    missing : list of str
        Names of those that are still not found.

    Raises
    ------
    LabelsError
        When two files fit equally well.
    """
    listed = recordings_of(document)
    lost = [index for index, recording in enumerate(listed) if not recording.there]
    found = find_below([document.store.videos[index] for index in lost], folder)
    for place, video in found.items():
        document.store.set_video(lost[place], video)
    return len(found), [listed[i].name for n, i in enumerate(lost) if n not in found]


def _layer(document: LabelsDocument, index: int) -> Image | None:
    """Return the layer that shows a recording."""
    if index == document.view.video and document.image in document.viewer.layers:
        return document.image
    video = document.store.videos[index]
    images = (layer for layer in document.viewer.layers if isinstance(layer, Image))
    return next((layer for layer in images if shows(layer, video)), None)


def _name(video: Video, index: int) -> str:
    images = Path(video.images[0]).parent.name if video.images else ""
    return video.name or images or f"recording {index + 1}"
