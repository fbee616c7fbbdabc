"""Frames of a video file, exact and quick in any order."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from av.video.reformatter import VideoReformatter

from napari_semimultipose.errors import FramesError
from napari_semimultipose.io.frames import CACHE_BYTES, Frames, Picture, Recent
from napari_semimultipose.io.video_index import FrameIndex, decoded, frame_index, open_stream

logger = logging.getLogger(__name__)


class _Decoder:
    """One open file with a position; used by one thread at a time.

    Parameters
    ----------
    path : str
    index : FrameIndex
    """

    def __init__(self, path: str, index: FrameIndex) -> None:
        self._path = path
        self._index = index
        self._reformatter = VideoReformatter()
        self._stand_in: dict[int, int] = {}
        self._open()

    def close(self) -> None:
        self._output.close()
        self._container.close()

    def read(self, i: int, passed: Callable[[int, Any], None] | None = None) -> Any:
        """Return decoded frame i; `passed` gets it and the frames decoded on the way."""
        i = self._stand_in.get(i, i)
        key = self._index.key
        start = int(np.searchsorted(key, i, side="right")) - 1
        if self._next <= i and (start < 0 or key[start] <= self._next):
            frame = self._forward(i, passed)
            if frame is not None:
                return frame
        # A seek may land behind the wanted key frame (containers without an index, reordering):
        # then start further back, in the end from the first frame.
        back = 1
        while start > 0 and not self._index.counted:
            if self._seek(int(key[start])):
                frame = self._forward(i, passed)
                if frame is not None:
                    return frame
            start, back = start - back, 2 * back
        self._reopen()
        frame = self._forward(i, passed)
        if frame is None:
            raise FramesError(
                f"{self._path}: frame {i} cannot be decoded; the file is damaged or was changed "
                "while it was open; open it again"
            )
        return frame

    def picture(self, frame: Any) -> Picture:
        """Convert a decoded frame to uint8 [H, W, C], upright."""
        index = self._index
        height, width = index.height, index.width
        if index.rotation % 2:
            height, width = width, height
        converted = self._reformatter.reformat(
            frame, format="gray" if index.grey else "rgb24", width=width, height=height
        )
        array = converted.to_ndarray()
        if index.grey:
            array = array[..., None]
        if index.rotation:
            array = np.rot90(array, index.rotation)
        return np.array(array, order="C")

    def _reopen(self) -> None:
        """Start at the first frame; opening anew is exact for every format."""
        self.close()
        self._open()

    def _open(self) -> None:
        self._container, self._stream = open_stream(self._path, self._index.threads)
        self._start(trusted=True)

    def _seek(self, position: int) -> bool:
        """Go to the key frame at `position`."""
        self._output.close()
        try:
            self._container.seek(int(self._index.pts[position]), stream=self._stream)
        except OSError:  # formats that cannot seek; av's errors are OSErrors as well
            self._reopen()
            return False
        self._start(trusted=False)
        return True

    def _start(self, *, trusted: bool) -> None:
        self._output = decoded(self._container, self._stream)
        self._frames = self._numbered(trusted)
        self._next = 0
        self._last: tuple[int, Any] | None = None
        self._held: tuple[int, Any] | None = None

    def _numbered(self, trusted: bool) -> Iterator[tuple[int, Any]]:
        """Yield decoded frames with their index; after a seek, from a key frame on.

        Frames shown before that key frame are left out: they lean on frames that were not decoded.
        """
        pts = self._index.pts
        earliest = 0
        for count, frame in enumerate(self._output):
            position = count
            if not self._index.counted:
                if frame.pts is None:
                    continue
                position = int(np.searchsorted(pts, frame.pts))
                if position == len(pts) or pts[position] != frame.pts:
                    continue
                if not trusted:
                    if not frame.key_frame:
                        continue
                    trusted, earliest = True, position
            if position >= earliest:
                yield position, frame

    def _forward(self, i: int, passed: Callable[[int, Any], None] | None) -> Any:
        """Decode up to frame i; None when decoding started behind it."""
        if self._last is not None and self._last[0] == i:
            return self._last[1]
        while True:
            entry = self._held or next(self._frames, None)
            self._held = None
            if entry is None or entry[0] > i:
                self._held = entry
                return None if self._last is None else self._instead(i, *self._last)
            position, frame = self._last = entry
            self._next = position + 1
            if passed is not None:
                passed(position, frame)
            if position == i:
                return frame

    def _instead(self, i: int, before: int, frame: Any) -> Any:
        """Return the frame before one that the decoder leaves out in the middle of the file."""
        logger.log(
            logging.DEBUG if self._stand_in else logging.WARNING,
            "%s is damaged: frame %d cannot be decoded, frame %d is shown instead, and so on",
            self._path,
            i,
            before,
        )
        self._stand_in[i] = before
        return frame


class VideoFrames(Frames):
    """Frames of a video file.

    Frame i is the i-th frame that decoding the file from its start gives, in the order of
    presentation. Grey videos (by pixel format, or when the chroma of several frames is neutral)
    have one channel, all others are RGB; both have the full range 0..255. A rotation by quarter
    turns that the file asks for is applied; pixels are taken as square.

    Single frames come from one decoder that only seeks when it must and keeps the frames it has
    passed; `iterate` uses a decoder of its own.

    Parameters
    ----------
    path : str
        The file.
    source : object
        What `open_frames` was called with.
    """

    def __init__(self, path: str, *, source: Any) -> None:
        self._index = frame_index(path)
        index = self._index
        super().__init__(
            (len(index.pts), index.height, index.width, 1 if index.grey else 3),
            source=source,
            path=path,
            fps=index.fps,
        )
        self._file = path
        self._closed = False
        self._start_process()

    def _start_process(self) -> None:
        """Set up what must not be shared with a forked process."""
        # Frames are kept as decoded: most of them are passed on the way and never converted.
        decoded_bytes = 3 * self._index.height * self._index.width // 2
        self._recent: Recent[Any] = Recent(min(128, CACHE_BYTES // decoded_bytes))
        self._lock = threading.Lock()
        self._decoder: _Decoder | None = None
        self._process = os.getpid()

    def _read(self, i: int) -> Picture:
        if self._process != os.getpid():
            self._start_process()
        with self._lock:
            decoder = self._decoder
            if self._closed:
                raise FramesError(f"{self._file} was closed; open it again to read frames")
            if decoder is None:
                decoder = self._decoder = _Decoder(self._file, self._index)
            frame = self._recent.get(i)
            if frame is None:
                frame = decoder.read(i, self._recent.put)
            return decoder.picture(frame)

    def iterate(
        self, start: int = 0, stop: int | None = None, step: int = 1
    ) -> Iterator[tuple[int, Picture]]:
        """Yield (i, frame i) for ``range(start, stop, step)`` with a decoder of its own."""
        span = self._span(start, stop, step)
        if not span:
            return
        with contextlib.closing(_Decoder(self._file, self._index)) as decoder:
            for i in span:
                yield i, decoder.picture(decoder.read(i))

    def close(self) -> None:
        """Close the file; frames cannot be read any more."""
        with self._lock:
            self._closed = True
            if self._decoder is not None and self._process == os.getpid():
                self._decoder.close()
            self._decoder = None
            self._recent.clear()
