"""Single images as frames: a folder, or a list of files of any size, grey or colour."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.errors import FramesError
from napari_semimultipose.io.frames import CACHE_BYTES, Frames, Picture, Recent, with_channels

TIFF_SUFFIXES = frozenset({".tif", ".tiff", ".btf", ".tf8", ".lsm"})
IMAGE_SUFFIXES = TIFF_SUFFIXES | {".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".webp", ".pgm", ".ppm"}
"""File names that count as images in a folder, in lower case."""

_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F"})


@dataclass(frozen=True)
class _Header:
    height: int
    width: int
    grey: bool


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sorting key by which ``img2.png`` comes before ``img10.png``."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(p), p) if p.isdecimal() else (1, 0, p.casefold()) for p in parts if p]


def list_images(folder: Path) -> list[Path]:
    """Image files of a folder in natural order, hidden files left out.

    Raises
    ------
    FramesError
        When there is none.
    """
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    images = [e for e in entries if e.suffix.lower() in IMAGE_SUFFIXES and e.is_file()]
    if not images:
        inner = sorted(e.name for e in entries if e.is_dir())
        hint = f"; open one of its folders: {', '.join(inner[:5])}" if inner else ""
        raise FramesError(
            f"{folder}: this folder holds no image ({', '.join(sorted(IMAGE_SUFFIXES))}){hint}"
        )
    return sorted(images, key=lambda image: natural_key(image.name))


class ImageFrames(Frames):
    """Image files as frames.

    Colour and grey images may be mixed: then all are given as RGB. Alpha is dropped, pictures of
    more than 8 bits follow `to_uint8`, and the orientation notes of cameras (EXIF) are ignored:
    pixels are taken as stored, like labelling programs do.

    Parameters
    ----------
    files : sequence of paths
        The images in frame order.
    names : tuple of str
        What to call them.
    path : str, optional
        Their folder.
    source : object
        What `open_frames` was called with.
    """

    def __init__(
        self,
        files: Sequence[Path],
        *,
        names: tuple[str, ...],
        source: Any,
        path: str | None = None,
    ) -> None:
        if not files:
            raise FramesError("the list of images is empty")
        self._files = tuple(files)
        headers = [_header(file) for file in files]
        self._sizes = np.array([(h.height, h.width) for h in headers])
        height, width = (int(n) for n in self._sizes.max(0))
        channels = 1 if all(h.grey for h in headers) else 3
        super().__init__(
            (len(files), height, width, channels), source=source, path=path, names=names
        )
        self._recent: Recent[Picture] = Recent(min(32, CACHE_BYTES // (height * width * channels)))

    @property
    def files(self) -> tuple[Path, ...]:
        """The images in frame order."""
        return self._files

    def frame_shape(self, i: int) -> tuple[int, int]:
        """Height and width in px of picture i."""
        height, width = self._sizes[self._checked(i)]
        return int(height), int(width)

    def _read(self, i: int) -> Picture:
        picture = self._recent.get(i)
        if picture is None:
            picture = with_channels(_pixels(self._files[i]), self.shape[3], str(self._files[i]))
            self._recent.put(i, picture)
        return picture.copy()

    def close(self) -> None:
        """Forget the pictures in memory."""
        self._recent.clear()


def _header(file: Path) -> _Header:
    """Read size and kind of an image without its pixels."""
    if not file.is_file():
        raise FramesError(f"{file}: there is no such image; check the path")
    if file.suffix.lower() in TIFF_SUFFIXES:
        shape = _tiff(file, pixels=False)
        return _Header(shape[0], shape[1], len(shape) == 2 or shape[2] <= 2)
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            grey = image.mode in _GREY_MODES or image.mode.startswith("I;16")
            return _Header(image.height, image.width, grey)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise _damaged(file, error) from error


def _pixels(file: Path) -> NDArray:
    """Read an image [h, w] or [h, w, c] with the pixel type of the file."""
    if file.suffix.lower() in TIFF_SUFFIXES:
        return np.asarray(_tiff(file, pixels=True))
    from PIL import Image

    try:
        with Image.open(file) as image:
            if image.mode == "I":  # older Pillow: 16-bit grey in 32-bit integers
                return np.asarray(np.clip(np.asarray(image), 0, 65535), np.uint16)
            if image.mode == "1":
                return np.asarray(image.convert("L"))
            if image.mode in _GREY_MODES or image.mode in ("RGB", "RGBA"):
                return np.asarray(image)
            if image.mode.startswith("I;16"):
                return np.asarray(image).astype(np.uint16)
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise _damaged(file, error) from error


def _tiff(file: Path, *, pixels: bool) -> Any:
    """Shape or pixels of a TIFF file that holds one picture."""
    import tifffile

    try:
        with tifffile.TiffFile(file) as tiff:
            if len(tiff.pages) > 1:
                raise FramesError(
                    f"{file} is a stack of {len(tiff.pages)} pictures: open this file on its own, "
                    "not as one image of many"
                )
            page = tiff.pages.first
            if page.axes not in ("YX", "YXS"):
                raise FramesError(f"{file}: a picture with the axes {page.axes} is not supported")
            return page.asarray() if pixels else page.shape
    except FramesError:
        raise
    except Exception as error:  # each compression has errors of its own
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> FramesError:
    return FramesError(
        f"{file} cannot be read as an image ({error}): it is damaged or of another format; "
        "replace it or take it out of the folder"
    )
