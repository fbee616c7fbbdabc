"""What a layer is good for; from an image layer to its recording."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image, Points

from napari_semimultipose.errors import FramesError
from napari_semimultipose.io.video import open_frames
from napari_semimultipose.layers.points import info_from_metadata
from napari_semimultipose.poses import Source

if TYPE_CHECKING:
    from napari_semimultipose.io.video import Frames


def is_frames(layer: object) -> bool:
    """Whether a layer can hold the frames of a recording."""
    return isinstance(layer, Image) and layer.ndim >= 2


def is_points(layer: object) -> bool:
    """Whether a layer can hold labels."""
    return isinstance(layer, Points)


def holds_poses(layer: Points) -> bool:
    """Whether the points of a layer are those of animals with a skeleton."""
    return info_from_metadata(layer.metadata) is not None


def holds_labels(layer: Points) -> bool:
    """Whether some of the animals of a layer were placed by a person."""
    info = info_from_metadata(layer.metadata)
    if info is None:
        return False
    if info.store is not None:
        return bool((info.store.present() & (info.store.array("source") == Source.HUMAN)).any())
    return "source" not in layer.features or bool((layer.features["source"] == "human").any())


def frames_from_layer(layer: Image) -> Frames:
    """Return the frames of an image layer; they outlive the layer.

    Raises
    ------
    FramesError
        When the layer is no stack of pictures.
    """
    try:
        frames = open_frames(layer.data)
    except FramesError as error:
        raise FramesError(
            f"the layer '{layer.name}' cannot be used as a recording: {error}"
        ) from None
    if frames.path is None and layer.source.path is not None:
        frames.path = str(layer.source.path)  # read by napari: the poses name the file all the same
    return frames


def place_of(layer: Image) -> Path:
    """Return the file behind a layer; for a layer without one, a name in the user's folder."""
    frames = getattr(layer.data, "frames", None)
    path = getattr(frames, "path", None) or layer.source.path
    if path is None or not Path(path).exists():
        return Path.home() / "semimultipose" / str(layer.name)
    return Path(path)


def beside(place: Path, ending: str) -> Path:
    """Return a path beside a recording, named after it."""
    name = place.name if place.is_dir() else place.stem
    return place.with_name(f"{name}{ending}")
