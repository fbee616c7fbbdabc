"""Array-like stacks as frames: numpy, dask, zarr, HDF5 datasets, TIFF stacks, .npy files."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_semimultipose.errors import FramesError
from napari_semimultipose.io.frames import CACHE_BYTES, Frames, Picture, Recent, with_channels

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Layout:
    """Which axes of an array are time, height, width and channels; the others have length 1."""

    time: int | None
    y: int
    x: int
    channel: int | None

    def pick(self, ndim: int, time: int | slice) -> tuple[int | slice, ...]:
        """Index of one or several pictures; axes without a meaning become their first entry."""
        index: list[int | slice] = [0] * ndim
        for axis in (self.y, self.x, *([] if self.channel is None else [self.channel])):
            index[axis] = slice(None)
        if self.time is not None:
            index[self.time] = time
        return tuple(index)

    def order(self, with_time: bool) -> list[int]:
        """Permutation that brings a picked array to (time), y, x, (channel)."""
        wanted = [self.time] if with_time and self.time is not None else []
        wanted += [self.y, self.x] + ([] if self.channel is None else [self.channel])
        kept = sorted(wanted)
        return [kept.index(axis) for axis in wanted]


class ArrayFrames(Frames):
    """Frames of an array-like object.

    Arrays that are stored in chunks of several frames are read chunk by chunk.

    Parameters
    ----------
    data : array-like
        Has ``shape``, ``ndim``, ``dtype`` and indexing with tuples of integers and slices.
        Without `axes`: (H, W), (T, H, W) or (T, H, W, C) with C = 1, 3 or 4.
    axes : str, optional
        One letter for each axis, of T, Y, X, and C or S for channels; other letters are a time
        axis too, when they are the only one longer than 1.
    source : object
        What `open_frames` was called with.
    path : str, optional
        Where it is stored.
    on_close : callable, optional
        Called by `close`.
    """

    def __init__(
        self,
        data: Any,
        *,
        source: Any,
        axes: str | None = None,
        path: str | None = None,
        on_close: Any = None,
    ) -> None:
        self._name = path or f"the {type(data).__name__}"
        size = tuple(int(n) for n in data.shape)
        self._layout = _named(size, axes, self._name) if axes else _guessed(size, self._name)
        self._data = data
        self._on_close = on_close
        layout = self._layout
        channels = 1 if layout.channel is None or size[layout.channel] <= 2 else 3
        length = 1 if layout.time is None else size[layout.time]
        shape = (length, size[layout.y], size[layout.x], channels)
        if 0 in size:
            raise FramesError(f"{self._name} has the shape {list(size)} and holds no picture")
        super().__init__(shape, source=source, path=path)
        self._blocks = _time_blocks(data, layout.time, length)
        item = np.dtype(data.dtype).itemsize * int(np.prod(size)) // length
        longest = int(np.diff(self._blocks).max()) if self._blocks is not None else 1
        if longest * item > CACHE_BYTES:
            self._blocks = None
        self._recent: Recent[NDArray] = Recent(min(4, CACHE_BYTES // max(longest * item, 1)))
        self._reading = threading.Lock()

    def _read(self, i: int) -> Picture:
        if self._blocks is None:
            array = self._array(i)
        else:
            block = int(np.searchsorted(self._blocks, i, side="right")) - 1
            array = self._block(block)[i - self._blocks[block]]
        return with_channels(array, self.shape[3], self._name)

    def _block(self, block: int) -> NDArray:
        assert self._blocks is not None
        array = self._recent.get(block)
        if array is None:
            with self._reading:  # threads that want the same block wait for it
                array = self._recent.get(block)
                if array is None:
                    array = self._array(slice(*self._blocks[block : block + 2].tolist()))
                    self._recent.put(block, array)
        return array

    def _array(self, time: int | slice) -> NDArray:
        picked = np.asarray(self._data[self._layout.pick(len(self._data.shape), time)])
        return picked.transpose(self._layout.order(isinstance(time, slice)))

    def close(self) -> None:
        """Close the file behind the array."""
        self._recent.clear()
        if self._on_close is not None:
            self._on_close()


def _guessed(size: tuple[int, ...], name: str) -> _Layout:
    """Meaning of the axes of an array whose axes have no names."""
    if len(size) == 2:
        return _Layout(None, 0, 1, None)
    if len(size) == 3 and size[2] > 4:
        return _Layout(0, 1, 2, None)
    if len(size) == 4 and size[3] in (1, 3, 4):
        return _Layout(0, 1, 2, 3)
    if len(size) == 3:
        raise FramesError(
            f"{name} has the shape {list(size)}: for one colour picture add a time axis in front, "
            "[1, height, width, channels]"
        )
    raise FramesError(
        f"{name} has the shape {list(size)}; it must be [time, height, width] or [time, height, "
        "width, channels] with 1, 3 or 4 channels"
    )


def _named(size: tuple[int, ...], axes: str, name: str) -> _Layout:
    """Meaning of named axes."""
    axes = axes.upper()
    if len(axes) != len(size) or axes.count("Y") != 1 or axes.count("X") != 1:
        raise FramesError(f"{name} has the axes {axes}; it needs one Y and one X axis")
    channel, time = None, None
    for axis, (letter, length) in enumerate(zip(axes, size, strict=True)):
        if letter in "YX" or length == 1:
            continue
        if letter in "CS":
            if channel is not None or length not in (3, 4):
                raise FramesError(f"{name} has {length} channels; only grey, RGB and RGBA are read")
            channel = axis
        elif time is None:
            time = axis
        else:
            both = f"{axes[time]} = {size[time]} and {letter} = {length}"
            raise FramesError(
                f"{name} has more than one axis beside the picture ({both}): save one plane or "
                "projection over time to a file of its own"
            )
    return _Layout(time, axes.index("Y"), axes.index("X"), channel)


def _time_blocks(data: Any, time: int | None, length: int) -> NDArray[np.int64] | None:
    """Return the starts of the chunks along time and the end, or None when each frame stands alone."""
    chunks = getattr(data, "chunks", None)
    if time is None or chunks is None:
        return None
    along = chunks[time]
    if isinstance(along, tuple):  # dask: lengths of all chunks
        starts = np.concatenate([[0], np.cumsum(along)])
    else:
        starts = np.append(np.arange(0, length, along), length)
    starts = np.unique(starts.astype(np.int64))
    return starts if len(starts) <= length else None


def open_npy(path: Path, source: Any) -> Frames:
    """Open a numpy file without reading it into memory."""
    try:
        data = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise FramesError(f"{path} cannot be read as a numpy array: {error}") from error
    return ArrayFrames(data, source=source, path=str(path))


def open_zarr(path: Path, source: Any) -> Frames:
    """Open a zarr array, a group with one array, or an OME-Zarr image (its full resolution)."""
    import zarr

    try:
        node: Any = zarr.open(str(path), mode="r")
    except Exception as error:  # zarr and its stores raise errors of many kinds
        raise FramesError(f"{path} cannot be read as zarr: {error}") from error
    if hasattr(node, "shape"):
        return ArrayFrames(node, source=source, path=str(path))
    attributes = dict(node.attrs)
    images = attributes.get("multiscales") or attributes.get("ome", {}).get("multiscales")
    if images:
        level = node[images[0]["datasets"][0]["path"]]
        names = [axis if isinstance(axis, str) else axis["name"] for axis in images[0]["axes"]]
        return ArrayFrames(level, source=source, axes="".join(names), path=str(path))
    arrays = sorted(node.array_keys())
    if len(arrays) != 1:
        listed = ", ".join(arrays[:8]) or "none"
        raise FramesError(
            f"{path} is a zarr group with {len(arrays)} arrays ({listed}): give the path of one, "
            "for instance by adding its name"
        )
    return ArrayFrames(node[arrays[0]], source=source, path=str(path))


class _TiffPages:
    """A TIFF series as an array that reads single pages."""

    def __init__(self, series: Any, name: str) -> None:
        self._series = series
        self._name = name
        self._lock = threading.Lock()
        self.shape = tuple(series.shape)
        self.dtype = series.dtype
        self._page_ndim = len(series.keyframe.shape)
        lead = self.shape[: len(self.shape) - self._page_ndim]
        self._numbers = np.arange(int(np.prod(lead, dtype=int))).reshape(lead)

    def __getitem__(self, key: tuple[int | slice, ...]) -> NDArray:
        lead, rest = key[: self._numbers.ndim], key[self._numbers.ndim :]
        numbers = np.asarray(self._numbers[lead])
        pages = [self._page(int(number))[rest] for number in numbers.reshape(-1)]
        return np.stack(pages).reshape(*numbers.shape, *pages[0].shape)

    def _page(self, number: int) -> NDArray:
        try:
            with self._lock:
                page = self._series.pages[number]
                if page is None:  # OME files may declare planes that were never written
                    return np.zeros(self.shape[-self._page_ndim :], self.dtype)
                return np.asarray(page.asarray())
        except Exception as error:  # each compression has errors of its own
            raise FramesError(
                f"{self._name}: page {number} cannot be read ({error}); it is damaged or compressed "
                "in a way that needs another package; save the stack again without compression"
            ) from error


def open_tiff(path: Path, source: Any) -> Frames:
    """Open a TIFF stack; pages are read when they are asked for."""
    import tifffile

    try:
        tiff = tifffile.TiffFile(path)
        series = tiff.series[0]
    except (ValueError, OSError, IndexError, tifffile.TiffFileError) as error:
        raise FramesError(f"{path} cannot be read as TIFF ({error}): the file is damaged") from (
            error
        )
    if len(tiff.series) > 1:
        others = ", ".join("x".join(map(str, s.shape)) for s in tiff.series[:4])
        if series.kind in ("generic", "uniform"):
            tiff.close()
            raise FramesError(
                f"{path} holds pictures of different sizes ({others}): save them as single files "
                "in a folder and open the folder"
            )
        logger.warning("%s holds several image series (%s): the first is used", path, others)
    data: Any = _TiffPages(series, str(path))
    # Programs leave out all pages but the first when the pictures lie in one block. An OME series
    # may be spread over several files, which its offset does not tell.
    if series.kind != "ome" and series.dataoffset is not None:
        kind = tiff.byteorder + series.dtype.char
        try:
            data = np.memmap(path, kind, "r", series.dataoffset, tuple(series.shape))
        except ValueError as error:
            tiff.close()
            raise FramesError(
                f"{path} is shorter than its header says: it is incomplete; copy it again"
            ) from error
    return ArrayFrames(data, source=source, axes=series.axes, path=str(path), on_close=tiff.close)
