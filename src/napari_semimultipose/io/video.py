"""Open any recording as `Frames`: video files, images, stacks and arrays."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_semimultipose.errors import FramesError
from napari_semimultipose.io.frames import Frames
from napari_semimultipose.io.images import (
    IMAGE_SUFFIXES,
    TIFF_SUFFIXES,
    ImageFrames,
    list_images,
)
from napari_semimultipose.io.layer_data import LayerData, as_layer_data
from napari_semimultipose.io.places import split_embedded
from napari_semimultipose.io.stacks import ArrayFrames, open_npy, open_tiff, open_zarr

__all__ = ["Frames", "as_layer_data", "open_frames"]

_ZARR_FILES = (".zarray", ".zgroup", "zarr.json")
_HDF5_SUFFIXES = frozenset({".slp", ".h5", ".hdf5"})


def open_frames(source: Any) -> Frames:
    """Open a recording.

    Parameters
    ----------
    source : path, sequence of paths, array-like or Frames
        - a video file of any format that FFmpeg decodes;
        - a folder of images (natural order: ``img2`` before ``img10``; mixed sizes are fine);
        - a TIFF stack, a ``.npy`` file, a zarr folder (array, group with one array, OME-Zarr);
        - a single image;
        - a SLEAP package (``.pkg.slp``), as ``FILE::DATASET`` when it embeds several videos;
        - a list of image files;
        - an array (numpy, dask, zarr, h5py and the like) of the shape (T, H, W), (T, H, W, C)
          with C = 1, 3 or 4, or (H, W);
        - frames, which are returned as they are.

    Returns
    -------
    Frames
        Always uint8; see `napari_semimultipose.io.frames.to_uint8` for other types.

    Raises
    ------
    FramesError
        When the source does not exist, is damaged, or holds no pictures.
    """
    if isinstance(source, Frames):
        return source
    if isinstance(source, LayerData):
        return source.frames
    frames = _open(source)
    frames.opener = open_frames
    return frames


def _open(source: Any) -> Frames:
    if isinstance(source, str | os.PathLike):
        return _open_path(Path(source), source)
    if isinstance(source, Sequence) and source and all(hasattr(s, "ndim") for s in source):
        source = source[0]  # the levels of a pyramid; the first has the full resolution
    if all(hasattr(source, name) for name in ("shape", "dtype", "ndim", "__getitem__")):
        return ArrayFrames(source, source=source)
    if isinstance(source, Sequence) and all(isinstance(s, str | os.PathLike) for s in source):
        names = tuple(os.fspath(s) for s in source)
        return ImageFrames([Path(name) for name in names], names=names, source=source)
    raise FramesError(
        f"a {type(source).__name__} cannot be opened as frames: give the path of a video, image "
        "folder or stack, a list of image files, or an array"
    )


def _open_path(path: Path, source: Any) -> Frames:
    if not path.exists():
        embedded = split_embedded(str(path))
        if embedded is not None and Path(embedded[0]).is_file():
            return _open_embedded(Path(embedded[0]), embedded[1], source)
        raise FramesError(f"{path}: there is no such file or folder; check the path")
    suffix = path.suffix.lower()
    if path.is_dir():
        if any((path / name).is_file() for name in _ZARR_FILES):
            return open_zarr(path, source)
        images = list_images(path)
        names = tuple(image.name for image in images)
        return ImageFrames(images, names=names, source=source, path=str(path))
    if path.stat().st_size == 0:
        raise FramesError(f"{path} is empty (0 bytes); copy or record it again")
    if suffix in TIFF_SUFFIXES:
        return open_tiff(path, source)
    if suffix in IMAGE_SUFFIXES:
        return ImageFrames([path], names=(path.name,), source=source, path=str(path.parent))
    if suffix == ".npy":
        return open_npy(path, source)
    if suffix in _HDF5_SUFFIXES:
        return _open_embedded(path, None, source)
    from napari_semimultipose.io.video_file import VideoFrames

    return VideoFrames(str(path), source=source)


def _open_embedded(path: Path, dataset: str | None, source: Any) -> Frames:
    from napari_semimultipose.io.embedded import EmbeddedFrames

    return EmbeddedFrames(path, dataset, source=source)
