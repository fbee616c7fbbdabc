"""Frames as lazy layer data for an image viewer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_semimultipose.io.frames import Frames, Picture


class LayerData:
    """Array-like view of frames that decodes what is looked at, and no more.

    The shape is [T, H, W] for grey frames and [T, H, W, 3] for RGB. Indexing works like with
    numpy arrays; the first index decides which frames are read. Frames that are not stored
    (`Frames.stored`) are black.

    Parameters
    ----------
    frames : Frames
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        self.shape = frames.shape if frames.shape[3] == 3 else frames.shape[:3]
        self._stored = None if frames.stored is None else frozenset(frames.stored)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def rgb(self) -> bool:
        """Whether the last axis is colour."""
        return self.ndim == 4

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"LayerData({self.frames!r})"

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        key = key if isinstance(key, tuple) else (key,)
        if any(k is None for k in key):
            raise IndexError("new axes cannot be made by indexing frames")
        if Ellipsis in [k if k is Ellipsis else 0 for k in key]:
            place = next(i for i, k in enumerate(key) if k is Ellipsis)
            fill = (slice(None),) * (self.ndim - len(key) + 1)
            key = (*key[:place], *fill, *key[place + 1 :])
        if len(key) > self.ndim:
            raise IndexError(f"{len(key)} indices for {self.ndim} axes")
        time, rest = (key[0], key[1:]) if key else (slice(None), ())
        if isinstance(time, slice):
            wanted = range(len(self))[time]
            return self._stack(list(wanted))[(slice(None), *rest)]
        index = np.asarray(time)
        if index.dtype == bool:
            index = np.flatnonzero(index)
        if index.ndim == 0:
            return self._picture(range(len(self))[int(index)])[rest]
        wanted_list = [range(len(self))[int(i)] for i in index.reshape(-1)]
        stack = self._stack(wanted_list).reshape(*index.shape, *self.shape[1:])
        return stack[(*(slice(None),) * index.ndim, *rest)]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray:
        if copy is False:
            raise ValueError("frames can only be copied into an array")
        array = self[:]
        return array if dtype is None else array.astype(dtype)

    def _stack(self, wanted: list[int]) -> Picture:
        out = np.zeros((len(wanted), *self.shape[1:]), np.uint8)
        for place in np.argsort(np.array(wanted, int), kind="stable"):
            out[place] = self._picture(wanted[place])
        return out

    def _picture(self, i: int) -> Picture:
        """Frame i, filled up to the size of all."""
        if self._stored is not None and i not in self._stored:
            return np.zeros(self.shape[1:], np.uint8)
        picture = self.frames[i]
        if picture.shape[:2] != self.shape[1:3]:
            filled = np.zeros(self.frames.shape[1:], np.uint8)
            filled[: picture.shape[0], : picture.shape[1]] = picture
            picture = filled
        return picture if self.rgb else picture[..., 0]


def as_layer_data(frames: Frames) -> LayerData:
    """Return a lazy array-like view of frames, to be shown by napari.

    Give napari ``rgb=data.rgb``, ``contrast_limits=(0, 255)`` and ``multiscale=False`` as well:
    then it decodes no frame beyond those that are shown.
    """
    return LayerData(frames)


def image_layer(frames: Frames, name: str) -> tuple[LayerData, dict[str, Any], str]:
    """Return what a viewer needs to show a recording: data, arguments and kind of the layer."""
    data = LayerData(frames)
    # Without these, napari would decode frames to guess them.
    known = {"rgb": data.rgb, "contrast_limits": (0, 255), "multiscale": False}
    return data, {"name": name, **known}, "image"
