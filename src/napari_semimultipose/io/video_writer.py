"""Writing videos that every player opens."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from napari_semimultipose.errors import FramesError
from napari_semimultipose.io.atomic import replace_file
from napari_semimultipose.io.frames import Picture

_ENCODERS = ("libx264", "libopenh264", "h264_videotoolbox", "h264_mf", "mpeg4")
SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".avi")
"""File names that a video may be written to."""

_SPEED = {"libx264": {"preset": "veryfast"}}


class VideoWriter:
    """Encoder of one video; made by `write_video`.

    Parameters
    ----------
    path : path
        File to write; the suffix sets the container.
    size : (int, int)
        Height and width of the pictures in px.
    fps : float
        Frames a second.
    quality : int
        Constant rate factor of H.264: 18 looks like the original, 12 is nearly without loss, 28 is
        small.
    """

    def __init__(
        self, path: str | os.PathLike[str], size: tuple[int, int], fps: float, quality: int
    ) -> None:
        self._size = size
        height, width = size
        self._rate = Fraction(fps).limit_denominator(1001)
        if Path(path).suffix.lower() not in SUFFIXES:
            raise FramesError(
                f"{path}: a video cannot be written under this name; choose one that ends in "
                f"{', '.join(SUFFIXES)}"
            )
        codec = next((name for name in _ENCODERS if name in av.codecs_available), None)
        if codec is None:
            raise FramesError("this installation of PyAV cannot write H.264 or MPEG-4 videos")
        self._container = av.open(os.fspath(path), "w")
        # No frame leans on a later one: then decoding in order and in presentation order agree,
        # and any reader counts the frames alike. Colour needs even sizes: see `write`.
        options = {"bf": "0", "g": str(max(1, round(fps))), **_SPEED.get(codec, {})}
        if codec == "libx264":
            options["crf"] = str(quality)
        self._stream: Any = self._container.add_stream(codec, rate=self._rate, options=options)
        if codec != "libx264":
            self._stream.bit_rate = int(height * width * fps * 0.2)
        self._stream.height, self._stream.width = height + height % 2, width + width % 2
        self._stream.pix_fmt = "yuv420p"
        self._count = 0

    def write(self, picture: Picture) -> None:
        """Append a picture uint8 [H, W, 1 or 3].

        At an odd height or width the last row or column is doubled, because videos that every
        player opens have even sizes.
        """
        if picture.shape[:2] != self._size or picture.shape[2] not in (1, 3):
            raise ValueError(
                f"this video takes pictures of {self._size}, got {list(picture.shape)}"
            )
        height, width = self._size
        if height % 2 or width % 2:
            picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if picture.shape[2] == 1:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[..., 0]), format="gray")
        else:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame.pts = self._count
        frame.time_base = 1 / self._rate
        self._count += 1
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._container.mux(self._stream.encode(None))

    def close(self) -> None:
        """Close the file."""
        self._container.close()


@contextlib.contextmanager
def write_video(
    path: str | os.PathLike[str], size: tuple[int, int], fps: float, quality: int = 18
) -> Iterator[VideoWriter]:
    """Write a video beside `path`; when the block ends well, it takes the place of `path`.

    Parameters
    ----------
    path : path
        The video, for instance ``.mp4``.
    size, fps, quality
        See `VideoWriter`.

    Yields
    ------
    VideoWriter

    Raises
    ------
    FramesError
        When the file cannot be written.
    """
    try:
        with (
            replace_file(path) as fresh,
            contextlib.closing(VideoWriter(fresh, size, fps, quality)) as writer,
        ):
            yield writer
            writer.finish()
    except av.error.FFmpegError as error:
        raise FramesError(
            f"{path} cannot be written as a video ({error.strerror or error}); check the free "
            "space, or choose another place"
        ) from error
