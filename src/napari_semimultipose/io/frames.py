"""`Frames`: a lazy stack of 8-bit pictures, the one way the program looks at recordings."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.errors import FramesError
from napari_semimultipose.poses import Video

Picture = NDArray[np.uint8]
Value = TypeVar("Value")

CACHE_BYTES = 256 * 2**20
"""Memory that one open recording may use for frames that were shown before."""


class Frames(ABC):
    """A lazy stack of T pictures; open one with `napari_semimultipose.io.video.open_frames`.

    ``frames[i]`` is picture i, uint8 [H, W, C]; ``frames[a:b]`` and ``frames[[3, 1, 4]]`` are
    stacks [n, H, W, C]. Where the pictures differ in size, ``frames[i]`` has its own size, and
    stacks are filled up with zeros at the bottom and the right. Returned arrays are copies.

    Objects may be used by several threads at once.

    Parameters
    ----------
    shape : (int, int, int, int)
        (T, H, W, C) with the largest height and width; C is 1 (grey) or 3 (RGB).
    source : object
        What `open_frames` was called with.
    path : str, optional
        File or folder.
    names : tuple of str, optional
        File names, for a list of images.
    fps : float, optional
        Frames a second, when known.
    stored : tuple of int, optional
        The indices that hold a picture, where not all do (labels with embedded images).

    Attributes
    ----------
    opener : callable or None
        What has opened them, and opens them again in another process: `open_frames`.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(
        self,
        shape: tuple[int, int, int, int],
        *,
        source: Any,
        path: str | None = None,
        names: tuple[str, ...] | None = None,
        fps: float | None = None,
        stored: tuple[int, ...] | None = None,
    ) -> None:
        self.shape = shape
        # Not as typed: poses that name the recording are read from other working folders.
        self.path = path if path is None or "://" in path else str(Path(path).absolute())
        self.names = names
        self.fps = fps
        self.stored = stored
        self._source = source
        self.opener: Callable[[Any], Frames] | None = None

    @property
    def source(self) -> Any:
        """What `open_frames` was called with; None where something else has opened them."""
        return None if self.opener is None else self._source

    @abstractmethod
    def _read(self, i: int) -> Picture:
        """Return picture i, 0 <= i < T, as a new array [h, w, C]."""

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        t, h, w, c = self.shape
        name = self.path or type(self).__name__
        return f"<{name}: {t} frames of {w} x {h} px, {'grey' if c == 1 else 'RGB'}>"

    def __reduce__(self) -> Any:
        """Pickle what was opened, not its state: another process opens it anew."""
        if self.opener is None:
            raise TypeError(
                "only frames that `open_frames` has opened can be sent to another process"
            )
        return self.opener, (self._source,)

    def __getitem__(self, key: int | slice | Sequence[int] | NDArray) -> Picture:
        if isinstance(key, slice):
            return self._stack(range(len(self))[key])
        if isinstance(key, int | np.integer):
            return self._read(self._checked(int(key)))
        wanted = np.asarray(key)
        if wanted.ndim == 1 and (wanted.size == 0 or np.issubdtype(wanted.dtype, np.integer)):
            return self._stack([self._checked(int(i)) for i in wanted])
        raise TypeError("frames are indexed by an integer, a slice or a list of integers")

    def frame_shape(self, i: int) -> tuple[int, int]:
        """Height and width in px of picture i."""
        self._checked(i)
        return self.shape[1], self.shape[2]

    def iterate(
        self, start: int = 0, stop: int | None = None, step: int = 1
    ) -> Iterator[tuple[int, Picture]]:
        """Yield (i, picture i) for ``range(start, stop, step)``, as quickly as the source can.

        Each call reads on its own: others may use the object meanwhile. Pictures that are not
        stored (see `stored`) are left out.
        """
        stored = None if self.stored is None else set(self.stored)
        for i in self._span(start, stop, step):
            if stored is None or i in stored:
                yield i, self._read(i)

    def close(self) -> None:  # noqa: B027  # most sources hold nothing open
        """Close files; the object cannot be read any more."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _span(self, start: int, stop: int | None, step: int) -> range:
        if step < 1:
            raise ValueError(f"step must be 1 or more, got {step}")
        if start < 0 or (stop is not None and stop < 0):
            raise ValueError("start and stop count from the first frame and are not negative")
        return range(start, min(len(self), len(self) if stop is None else stop), step)

    def _checked(self, i: int) -> int:
        if not -len(self) <= i < len(self):
            raise IndexError(f"frame {i} is not in 0..{len(self) - 1}")
        return i % len(self)

    def _stack(self, wanted: Sequence[int]) -> Picture:
        out = np.zeros((len(wanted), *self.shape[1:]), np.uint8)
        # Ascending order is what a video decoder likes.
        for place in np.argsort(wanted, kind="stable"):
            picture = self._read(wanted[place])
            out[place, : picture.shape[0], : picture.shape[1]] = picture
        return out


class Recent(Generic[Value]):
    """The values used last, up to a number of them; for several threads."""

    def __init__(self, size: int) -> None:
        self._size = max(size, 1)
        self._values: OrderedDict[int, Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: int) -> Value | None:
        """Return a value and mark it as used, or None."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: int, value: Value) -> None:
        """Keep a value; the one that was not used for longest makes room."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._size:
                self._values.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._values.clear()


def to_uint8(array: NDArray, name: str) -> Picture:
    """Turn pixel values of any type into 8 bits, by a rule that depends on the type alone.

    ===================  ====================================================
    type                 rule
    ===================  ====================================================
    uint8                unchanged
    bool                 0 and 255
    uint16               upper 8 of the 16 bits: value // 256
    int8, int16          negative values become 0; value * 2, value // 128
    float                0..1 becomes 0..255, rounded; NaN becomes 0
    32 and 64 bit ints   unchanged
    ===================  ====================================================

    Parameters
    ----------
    array : array
    name : str
        What the error calls it.

    Raises
    ------
    FramesError
        When floats leave 0..1 or wide integers 0..255: then no rule is right for all frames.
    """
    kind = array.dtype.newbyteorder("=")
    if kind == np.uint8:
        return array
    if kind == np.bool_:
        return np.asarray(array, np.uint8) * np.uint8(255)
    if kind == np.uint16:
        return np.asarray(array >> 8, np.uint8)
    if kind == np.int16:
        return np.asarray(np.maximum(array, 0) >> 7, np.uint8)
    if kind == np.int8:
        return np.asarray(np.maximum(array, 0), np.uint8) * np.uint8(2)
    if np.issubdtype(kind, np.floating):
        values = np.nan_to_num(array, nan=0.0)
        if values.size and not (values.min() >= 0 and values.max() <= 1):
            raise FramesError(
                f"{name} holds floats from {values.min():g} to {values.max():g}: scale them to "
                "0..1, or convert them to 8 or 16 bit integers"
            )
        return np.asarray(np.rint(values * 255), np.uint8)
    if np.issubdtype(kind, np.integer):
        if array.size and not (array.min() >= 0 and array.max() <= 255):
            raise FramesError(
                f"{name} holds {kind} values from {array.min()} to {array.max()}: convert them to "
                "8 or 16 bit integers"
            )
        return array.astype(np.uint8)
    raise FramesError(f"{name} holds values of type {kind}, which are no grey levels or colours")


def with_channels(array: NDArray, channels: int, name: str) -> Picture:
    """Turn a picture [h, w] or [h, w, 1 | 2 | 3 | 4] into uint8 [h, w, channels], always a copy.

    Alpha (the second of two, the fourth of four channels) is dropped; grey becomes RGB when 3
    channels are wanted.
    """
    picture = array if array.ndim == 3 else array[..., None]
    if picture.shape[-1] in (2, 4):
        picture = picture[..., :-1]
    if picture.ndim != 3 or picture.shape[-1] not in (1, 3) or picture.shape[-1] > channels:
        raise FramesError(
            f"{name} holds pictures of the shape {list(array.shape)}; they must be [height, width] "
            "or [height, width, channels] with 1, 3 or 4 channels"
        )
    out = np.empty((*picture.shape[:2], channels), np.uint8)
    out[...] = to_uint8(picture, name)
    return out


def video_of(frames: Frames) -> Video:
    """Return the reference to a recording, for the poses made on it."""
    height, width = frames.shape[1:3]
    return Video(frames.path or "", tuple(frames.names or ()), (height, width))
