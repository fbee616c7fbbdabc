"""napari's reader hooks: labels of every known format, videos and folders of images."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_semimultipose.errors import LabelsError

if TYPE_CHECKING:
    from napari_semimultipose.io.frames import Frames
    from napari_semimultipose.layers.points import LayerData
    from napari_semimultipose.poses import Poses

PathOrPaths = str | Sequence[str]
ReaderFunction = Callable[[PathOrPaths], "list[LayerData]"]

VIDEO_PATTERNS = (
    "*.mp4", "*.avi", "*.mov", "*.mkv", "*.m4v", "*.webm", "*.mpg", "*.mpeg", "*.wmv", "*.mts",
    "*.m2ts", "*.flv", "*.ogv", "*.h264",
)  # fmt: skip
"""What the manifest lists; stacks and single images are left to napari."""

MANY_POINTS = 20_000
"""Up to so many keypoints a plain layer of napari is quick enough."""


def get_labels_reader(path: PathOrPaths) -> ReaderFunction | None:
    """Return a reader when the file or folder holds labels, None when it is something else."""
    return read_labels if isinstance(path, str) and is_labels(Path(path)) else None


def get_frames_reader(path: PathOrPaths) -> ReaderFunction | None:
    """Return a reader for a video, or for a folder that holds images and no labels project."""
    if not isinstance(path, str):
        return None
    place = Path(path)
    if place.is_dir():
        return None if is_labels(place) or not _holds_images(place) else read_frames
    known = place.suffix.lower() in {pattern[1:] for pattern in VIDEO_PATTERNS}
    return read_frames if known and place.is_file() else None


def is_labels(path: Path) -> bool:
    """Whether a file or folder really holds labels; looks at its head, not at all of it."""
    from napari_semimultipose.io.labels import detect_format

    if path.is_file() and path.stat().st_size == 0:
        return False
    try:
        kind = detect_format(path)
    except (LabelsError, OSError):
        return False
    if kind == "coco":
        return _mentions(path, b'"annotations"', b'"keypoints"')
    if kind == "sleap":
        return _starts_with(path, b"\x89HDF")
    if kind == "nwb":
        return _has_poses(path)
    if kind == "deeplabcut" and path.suffix.lower() in (".csv", ".h5"):
        from napari_semimultipose.io.tables import is_table

        return is_table(path)
    return True


def read_labels(path: PathOrPaths) -> list[LayerData]:
    """Read labels as Points, with their skeletons, tracks and, where they are found, the frames.

    Labels of several videos become one Points layer a video; only the first is visible. Of large
    files the viewer gets the frames around the current one (see `layers.view`): a Points layer of
    napari that holds a million points needs a third of a second for every step.
    """
    import napari

    from napari_semimultipose.io.labels import read_poses

    place = Path(_single(path))
    poses = read_poses(place)
    videos = sorted(set(poses.video.tolist())) or [0]
    layers = frames_of_labels(poses, place, videos[0])
    for video in videos:
        several = len(videos) > 1
        name = f"{place.stem} {poses.videos[video].name or video}" if several else place.stem
        viewer = napari.current_viewer()
        part = poses.select(poses.video == video)
        if viewer is not None and (part.visible > 0).sum() > MANY_POINTS:
            made = [_window_layer(part, name, video)]
            viewer.layers.events.inserted.connect(_open_window, position="last")
        else:
            made = pose_layers(poses, name, video)
        for data, attributes, kind in made:
            layers.append((data, {**attributes, "visible": video == videos[0]}, kind))
    return layers


def _window_layer(poses: Poses, name: str, video: int) -> LayerData:
    """Layer data of a Points layer that is filled once it is in a viewer."""
    from napari_semimultipose.layers.points import METADATA_KEY, PointsInfo
    from napari_semimultipose.layers.store import PoseStore
    from napari_semimultipose.layers.style import PoseStyle

    store = PoseStore(poses)
    info = PointsInfo(poses.skeleton, poses.videos, video, store=store)
    look = PoseStyle.fitting(store.sample(200)).points_kwargs()
    return [], {"name": name, "ndim": 3, "metadata": {METADATA_KEY: info}, **look}, "points"


def _open_window(event: Any) -> None:
    """Let the layer that a viewer got follow the current frame, with its skeletons and tracks."""
    import napari

    from napari_semimultipose.layers.points import info_from_metadata
    from napari_semimultipose.layers.predictions import PredictionLayers
    from napari_semimultipose.layers.view import PoseView
    from napari_semimultipose.widgets.recordings import image_of

    layer, viewer = event.value, napari.current_viewer()
    info = info_from_metadata(layer.metadata)
    if viewer is None or info is None or info.store is None or PoseView.of(layer) is not None:
        return
    if layer in viewer.layers and isinstance(layer, napari.layers.Points):
        PredictionLayers(
            viewer,
            info.store,
            video=info.video,
            image=image_of(viewer, layer),
            color_by="keypoint",
            points=layer,
        )


def pose_layers(poses: Poses, name: str, video: int = 0) -> list[LayerData]:
    """Layer data of the poses of one video: tracks, skeletons and, on top, the points."""
    from napari_semimultipose.layers.points import points_layer_data
    from napari_semimultipose.layers.style import PoseStyle
    from napari_semimultipose.layers.tracks import tracks_layer_data
    from napari_semimultipose.layers.vectors import vectors_layer_data

    style = PoseStyle.fitting(poses)
    made = (
        tracks_layer_data(poses, f"{name} tracks", video, style),
        vectors_layer_data(poses, f"{name} skeleton", video, style),
        points_layer_data(poses, name, video, style),
    )
    return [layer for layer in made if layer is not None]


def frames_of_labels(poses: Poses, path: Path, video: int) -> list[LayerData]:
    """Layer data of the recording of one video, unless it is not found or open already."""
    from napari_semimultipose.errors import SemiMultiPoseError
    from napari_semimultipose.io.layer_data import image_layer
    from napari_semimultipose.io.locate import resolve_videos
    from napari_semimultipose.io.video import open_frames

    try:
        source = resolve_videos(poses, path)[video]
        if source is None:
            return []
        frames = open_frames(source)
    except SemiMultiPoseError:
        return []  # the labels can be looked at without
    if _is_open(frames):
        return []
    return [image_layer(frames, poses.videos[video].name or path.stem)]


def read_frames(path: PathOrPaths) -> list[LayerData]:
    """Read a video or a folder of images as an Image layer that decodes what is looked at."""
    from napari_semimultipose.io.layer_data import image_layer
    from napari_semimultipose.io.video import open_frames

    place = Path(_single(path))
    return [image_layer(open_frames(place), place.name if place.is_dir() else place.stem)]


def _is_open(frames: Frames) -> bool:
    """Whether a layer of the current viewer shows the same recording."""
    import napari

    viewer = napari.current_viewer()
    if viewer is None or (frames.path is None and not frames.names):
        return False
    shown: list[Any] = [getattr(layer.data, "frames", None) for layer in viewer.layers]
    return any(
        other is not None and (other.path, other.names) == (frames.path, frames.names)
        for other in shown
    )


def _single(path: PathOrPaths) -> str:
    return path if isinstance(path, str) else path[0]


def _holds_images(folder: Path) -> bool:
    from napari_semimultipose.io.images import IMAGE_SUFFIXES, TIFF_SUFFIXES

    known = {*IMAGE_SUFFIXES, *TIFF_SUFFIXES}
    return any(p.suffix.lower() in known for p in folder.iterdir() if p.is_file())


def _has_poses(nwb: Path) -> bool:
    """Whether an NWB file uses the extension for poses; most hold other measurements."""
    import h5py

    try:
        with h5py.File(nwb, "r") as file:
            return "ndx-pose" in file.get("specifications", ())
    except OSError:
        return False


def _starts_with(path: Path, head: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(head)) == head


def _mentions(path: Path, *words: bytes) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return all(text.find(word) >= 0 for word in words)
