"""The frame index of a video file: which frames decoding gives, at what times, from which key frame.

The index is made without decoding, from the packets of the file, and then checked against the
decoder at both ends. Where the two disagree (edit lists, streams that start with undecodable
frames, broken time stamps, damage) the file is decoded once from start to end and counted.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.errors import FramesError

logger = logging.getLogger(__name__)

CHROMA_TOLERANCE = 2
"""A video is grey when no chroma sample of the checked frames is further from neutral (128)."""

_TEXT_CODECS = frozenset({"ansi", "bintext", "idf", "xbin"})  # FFmpeg paints text as pictures
_THREADS = 2
_CHECKED_FRAMES = 8
_CHECKED_PIXELS = 400 * 2**20  # most pixels that are decoded to check the end of a file
_KEPT_INDICES = 64


@dataclass(frozen=True)
class FrameIndex:
    """What decoding a video from start to end gives.

    Parameters
    ----------
    pts : array [T] of int
        Presentation times in units of the stream, ascending.
    key : array of int
        Indices of the frames where decoding can start, ascending.
    counted : bool
        True when the times do not identify frames: then frames are found by counting from the
        start.
    height, width : int
        Size in px as shown, that is after rotation.
    rotation : int
        Quarter turns counterclockwise that bring the decoded picture upright.
    grey : bool
        Whether the pictures are grey.
    fps : float or None
        Mean frame rate.
    threads : int
        Decoder threads. One for irregular files: with several, an error in one packet also costs
        frames that wait in the other threads.
    """

    pts: NDArray[np.int64]
    key: NDArray[np.int64]
    counted: bool
    height: int
    width: int
    rotation: int
    grey: bool
    fps: float | None
    threads: int


def open_stream(path: str, threads: int) -> tuple[Any, Any]:
    """Open a file and its first video stream.

    Raises
    ------
    FramesError
        When the file is no video, or has sound only.
    """
    try:
        container = av.open(path)
    except av.error.FFmpegError as error:
        raise FramesError(
            f"{path} cannot be read as a video ({error.strerror or error}): it is damaged, "
            "incomplete or no video; copy it again from the camera, or convert it with ffmpeg"
        ) from error
    if not container.streams.video:
        container.close()
        raise FramesError(f"{path} holds no pictures, only sound or data; choose a video file")
    stream = container.streams.video[0]
    if stream.codec_context.name in _TEXT_CODECS:
        container.close()
        raise FramesError(f"{path} is a text file and no video; choose a video file")
    stream.thread_type = "FRAME"
    stream.codec_context.thread_count = threads
    return container, stream


def decoded(container: Any, stream: Any) -> Generator[Any, None, None]:
    """Yield the frames from the present position on; packets that cannot be decoded are skipped."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:
            logger.debug("reading stopped: %s", error)
            packet = None
            try:
                yield from stream.decode(None)
            except av.error.FFmpegError:
                return
        if packet is None:
            return
        try:
            yield from packet.decode()
        except av.error.EOFError:
            return
        except av.error.FFmpegError as error:
            logger.debug("a packet cannot be decoded: %s", error)


_indices: OrderedDict[tuple[str, int, int], FrameIndex] = OrderedDict()
_indices_lock = threading.Lock()


def frame_index(path: str) -> FrameIndex:
    """Return the index of a file; it is kept in memory as long as the file does not change.

    Raises
    ------
    FramesError
        When the file holds no decodable frame.
    """
    stat = Path(path).stat()
    if stat.st_size == 0:
        raise FramesError(f"{path} is empty (0 bytes); copy or record it again")
    key = (str(Path(path).resolve()), stat.st_size, stat.st_mtime_ns)
    with _indices_lock:
        if key in _indices:
            _indices.move_to_end(key)
            return _indices[key]
    index = _make_index(path)
    with _indices_lock:
        _indices[key] = index
        while len(_indices) > _KEPT_INDICES:
            _indices.popitem(last=False)
    return index


def _make_index(path: str) -> FrameIndex:
    container, stream = open_stream(path, _THREADS)
    with container:
        try:
            times = _demuxed(container, stream)
        except av.error.FFmpegError:
            times = None
        announced = int(stream.frames)
    counted, threads = False, _THREADS
    if times is None or not _agrees_with_decoder(path, *times):
        logger.info("%s: the time stamps are irregular, so all frames are counted once", path)
        times, counted = _decoded_times(path)
        threads = 1
    pts, key = times
    if len(pts) == 0:
        raise FramesError(
            f"{path}: not one frame can be decoded; the file is damaged or incomplete; copy it "
            "again from the camera"
        )
    if announced > len(pts) + 1:
        logger.warning(
            "%s is incomplete: %d of the %d frames it announces can be read",
            path,
            len(pts),
            announced,
        )
    return _described(path, pts, key, counted, threads)


Times = tuple[NDArray[np.int64], NDArray[np.int64]]


def _demuxed(container: Any, stream: Any) -> Times | None:
    """Return times and key frames from the packets alone, or None when they do not tell."""
    pts: list[int] = []
    key: list[bool] = []
    for packet in container.demux(stream):
        if packet.size == 0:
            continue
        if packet.pts is None or packet.is_corrupt:
            return None
        if packet.is_discard:
            continue
        pts.append(packet.pts)
        key.append(packet.is_keyframe)
    order = np.argsort(np.array(pts, np.int64), kind="stable")
    times = np.array(pts, np.int64)[order]
    if len(times) == 0 or (np.diff(times) <= 0).any():
        return None
    return times, np.flatnonzero(np.array(key)[order])


def _agrees_with_decoder(path: str, pts: NDArray[np.int64], key: NDArray[np.int64]) -> bool:
    """Whether decoding gives the first frames and those from the last key frame on as expected."""
    if len(key) == 0 or key[0] != 0:
        return False
    container, stream = open_stream(path, _THREADS)
    with container:
        first = int(key[-1])
        pixels = (len(pts) - first) * stream.width * stream.height
        if first > 0 or pixels > _CHECKED_PIXELS:
            head: list[int | None] = []
            for frame in decoded(container, stream):
                head.append(frame.pts)
                if len(head) == min(_CHECKED_FRAMES, len(pts)):
                    break
            if head != pts[:_CHECKED_FRAMES].tolist():
                return False
        if pixels > _CHECKED_PIXELS:
            return True
        last = pts[first:].tolist()
        if first == 0:
            return bool(last == [frame.pts for frame in decoded(container, stream)])
        # Formats without an index land behind the wanted key frame: try from earlier ones too.
        for place in key[-1:-5:-1]:
            container.seek(int(pts[place]), stream=stream)
            tail = [frame.pts for frame in decoded(container, stream)]
            if last == [t for t in tail if t is None or t >= last[0]]:
                return True
        return False


def _decoded_times(path: str) -> tuple[Times, bool]:
    """Return times and key frames from decoding everything, and whether frames must be counted."""
    pts: list[int | None] = []
    key: list[bool] = []
    container, stream = open_stream(path, 1)
    with container:
        for frame in decoded(container, stream):
            pts.append(frame.pts)
            key.append(bool(frame.key_frame))
    first = np.zeros(min(len(pts), 1), np.int64)
    if any(t is None for t in pts):
        return (np.arange(len(pts)), first), True
    times = np.array(pts, np.int64)
    if (np.diff(times) <= 0).any():
        return (np.arange(len(pts)), first), True
    return (times, np.flatnonzero(key)), False


def _described(
    path: str, pts: NDArray[np.int64], key: NDArray[np.int64], counted: bool, threads: int
) -> FrameIndex:
    """Look at the first frame and some key frames for size, rotation and colour."""
    container, stream = open_stream(path, threads)
    with container:
        first = next(decoded(container, stream))
        grey = _is_grey(first)
        rotation = round(getattr(first, "rotation", 0) / 90) % 4
        places = {int(share * (len(key) - 1)) for share in (0.25, 0.5, 0.75, 1.0)} - {-1, 0}
        for place in sorted(places) if grey and not counted else ():
            container.seek(int(pts[key[place]]), stream=stream)
            frame = next(decoded(container, stream), None)
            grey = grey and (frame is None or _is_grey(frame))
        time_base = stream.time_base
        rate = stream.average_rate
    fps = float(rate) if rate else None
    if not counted and len(pts) > 1 and time_base:
        fps = (len(pts) - 1) / float((pts[-1] - pts[0]) * time_base)
        if rate and abs(fps / float(rate) - 1) < 0.01:
            fps = float(rate)  # free of the rounding of time stamps
    height, width = (first.width, first.height) if rotation % 2 else (first.height, first.width)
    return FrameIndex(pts, key, counted, height, width, rotation, grey, fps, threads)


def _is_grey(frame: Any) -> bool:
    """Whether a frame has no colour: by its pixel format, or because its chroma is neutral."""
    if frame.format.name.startswith("gray"):
        return True
    planes = frame.reformat(format="yuv444p").to_ndarray()
    chroma = planes[frame.height :] if planes.ndim == 2 else planes[1:]
    return bool(np.abs(chroma.astype(np.int16) - 128).max() <= CHROMA_TOLERANCE)
