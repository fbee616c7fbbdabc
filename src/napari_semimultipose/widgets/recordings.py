"""Which image layer shows which recording of a labels file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.layers.geometry import image_shape
from napari_semimultipose.layers.points import info_from_metadata
from napari_semimultipose.poses import Poses, Video
from napari_semimultipose.widgets.layer_frames import is_frames, place_of

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Points


def video_of(image: Image) -> Video:
    """Return the reference to the recording that an image layer shows."""
    height, width = image_shape(image)
    frames = getattr(image.data, "frames", None)  # one of our own, lazy layers
    if frames is not None:
        return Video(frames.path or "", frames.names or (), (height, width))
    path = image.source.path
    return Video(image.name if path is None else str(path), (), (height, width))


def check_labelled(image: Image) -> None:
    """Refuse an image layer whose frames cannot be labelled.

    Raises
    ------
    LabelsError
        When it is neither a single picture nor a stack of them.
    """
    if image.ndim > 3:
        shape = " x ".join(str(n) for n in image.level_shapes[0])
        raise LabelsError(
            f"the layer '{image.name}' has the shape {shape}: a recording is a stack (frame, row, "
            "column), in colour with a last axis of 3 or 4. Split the channels or views into layers "
            "(right click on the layer: 'Split Stack'), or open one of them alone"
        )


def place_of_recording(image: Image) -> Path:
    """Return the file or folder beside which what belongs to a recording is kept."""
    names = video_of(image).images
    if getattr(getattr(image.data, "frames", None), "path", None) is None and names:
        folders = {str(Path(name).parent) for name in names}
        if all(Path(folder).is_absolute() for folder in folders):
            common = Path(os.path.commonpath(folders))
            return common if common.parent != common else common / image.name
    return place_of(image)


def shows(image: Image, video: Video) -> bool:
    """Whether an image layer shows just this recording, as far as names tell.

    Stricter than `fit`, for recordings between which the user chooses: videos of one name in
    different folders are two, and so are folders with images of the same names.
    """
    shown = video_of(image)
    if bool(video.images) != bool(shown.images):
        return False
    if video.images:
        a, b = (_tails(v) for v in (video, shown))
        depth = min(len(tail) for tail in a | b)
        return not {tail[-depth:] for tail in a}.isdisjoint(tail[-depth:] for tail in b)
    if not video.path or PurePath(video.path).name != PurePath(shown.path).name:
        return False
    there = [Path(path) for path in (video.path, shown.path)]
    return not all(path.exists() for path in there) or there[0].samefile(there[1])


def _tails(video: Video) -> set[tuple[str, ...]]:
    """File names with the folder they lie in, as far as it is known."""
    from napari_semimultipose.io.places import name_parts

    return {name_parts(f"{video.path}/{name}")[-2:] for name in video.images}


def fit(poses: Poses, index: int, image: Image) -> Poses | None:
    """Connect one video of labels with an image layer, if it is the same recording.

    Images are compared by name, so that the labels follow when the layer holds more images, or
    in another order; then the frame numbers change. Videos are compared by file name.

    Returns
    -------
    Poses or None
        The labels with the frame numbers of the layer; None when it is another recording.
    """
    video, shown = poses.videos[index], video_of(image)
    if video.images and shown.images:
        return _fit_images(poses, index, shown)
    return poses if shows(image, video) else None


def _fit_images(poses: Poses, index: int, shown: Video) -> Poses | None:
    from napari_semimultipose.io.places import match_names

    video = poses.videos[index]
    if len(video.images) == len(shown.images) and video.images == shown.images:
        return poses
    try:
        place = match_names(list(video.images), list(shown.images))
    except LabelsError:
        return None
    mine = poses.video == index
    used = set(poses.frame[mine].tolist())
    if any(place[i] is None for i in used):
        return None
    # Known images keep the names that the labels file gave them: lists of images refer to these.
    names = list(shown.images)
    for i, target in enumerate(place):
        if target is not None:
            names[target] = video.images[i]
    table = np.array([-1 if p is None else p for p in place], np.int64)
    frame = poses.frame.copy()
    frame[mine] = table[frame[mine]]
    videos = list(poses.videos)
    videos[index] = replace(video, images=tuple(names))
    return replace(poses, frame=frame, videos=tuple(videos))


def choose(poses: Poses, images: Iterable[Image]) -> tuple[Poses, int, Image] | None:
    """Find the video with the most labelled frames that one of the image layers shows."""
    counts = np.bincount(poses.video, minlength=len(poses.videos))
    layers = list(images)
    for index in np.argsort(-counts, kind="stable").tolist():
        video = poses.videos[index]
        for image in sorted(layers, key=lambda x: not shows(x, video)):
            fitted = fit(poses, index, image)
            if fitted is not None:
                return fitted, index, image
    return None


def find_recording(
    viewer: napari.Viewer, poses: Poses, path: Path, chosen: Image | None
) -> tuple[Poses, int, Image]:
    """Find the image layer that shows the recording of labels, or open the recording.

    Parameters
    ----------
    viewer : napari.Viewer
    poses : Poses
        Labels, just read.
    path : path
        The file they come from.
    chosen : Image layer or None
        What the user works on: taken for labels of one video that was not found.

    Returns
    -------
    poses : Poses
        With the frame numbers of the layer.
    video : int
        Index of the video that the layer shows.
    image : Image layer

    Raises
    ------
    SemiMultiPoseError
        When nothing is found, or the recording cannot be read.
    """
    from napari_semimultipose.io.locate import resolve_videos

    found = choose(poses, [x for x in viewer.layers if is_frames(x)])
    if found is not None:
        return found
    counts = np.bincount(poses.video, minlength=len(poses.videos))
    sources = resolve_videos(poses, path)
    for video in np.argsort(-counts, kind="stable").tolist():
        source = sources.get(video)
        if source is not None:
            image = open_recording(viewer, source, poses.videos[video].name or path.stem)
            return fit(poses, video, image) or poses, video, image
    if chosen is not None and len(poses.videos) == 1 and not poses.videos[0].images:
        return poses, 0, chosen
    name = poses.videos[0].name or "their recording"
    raise LabelsError(
        f"{path.name} belongs to {name}, which was not found beside it: open it first, then the labels"
    )


def stand_in(image: Image, video: Video) -> str:
    """Say that a layer stands in for a recording that was not found; "" when it shows that one.

    Images are found by their names, and labels that name no recording belong to any.
    """
    if video.images or not video.path or shows(image, video):
        return ""
    return (
        f"the recording {video.name} of these labels was not found: they are shown on '{image.name}'. "
        "If that is another one, open theirs"
    )


def image_of(viewer: napari.Viewer, points: Points) -> Image | None:
    """Return the image layer that shows the recording of a Points layer with poses."""
    info = info_from_metadata(points.metadata)
    if info is None:
        return None
    layers = (x for x in viewer.layers if is_frames(x))
    return next((x for x in layers if shows(x, info.videos[info.video])), None)


def open_recording(viewer: napari.Viewer, source: str | list[str], name: str) -> Image:
    """Open a recording as an image layer below the others.

    Raises
    ------
    FramesError
        When it cannot be read.
    """
    from napari.layers import Image

    from napari_semimultipose.io.layer_data import image_layer
    from napari_semimultipose.io.video import open_frames

    data, attributes, _ = image_layer(open_frames(source), name)
    image = Image(data, **attributes)
    viewer.layers.insert(0, image)
    return image
