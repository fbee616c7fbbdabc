"""Clips: consecutive frames of a recording, with one change of geometry and colours for all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_semimultipose.config import AugmentConfig
from napari_semimultipose.data.frames import FrameRef
from napari_semimultipose.data.views import Affine, invert, recolor_alike, warp

if TYPE_CHECKING:
    from napari_semimultipose.io.video import Frames


@dataclass(frozen=True)
class Footage:
    """A recording whose frames follow each other.

    Attributes
    ----------
    frames : Frames
    key : tuple
        Start of the `FrameRef.key` of its frames.
    excluded : frozenset of int
        Frames that training must not see.
    name : str
        Path of the recording, as far as it is known.
    """

    frames: Frames
    key: tuple[Hashable, ...]
    excluded: frozenset[int] = frozenset()
    name: str = ""

    def starts(self, length: int) -> NDArray[np.int64]:
        """First frames of all clips of a length that hold no excluded frame."""
        n = len(self.frames)
        if n < length:
            return np.zeros(0, np.int64)
        bad = np.zeros(n, bool)
        bad[[i for i in self.excluded if 0 <= i < n]] = True
        total = np.concatenate([[0], np.cumsum(bad)])
        return np.flatnonzero(total[length:] == total[:-length])

    def refs(self, start: int, length: int) -> list[FrameRef]:
        """Return the frames of a clip."""
        return [FrameRef(self.frames, i, (*self.key, i)) for i in range(start, start + length)]


def footage_of(
    frames: Frames, key: tuple[Hashable, ...], excluded: Collection[int] = (), name: str = ""
) -> Footage | None:
    """Return a recording for clips, or None where nothing says that its frames follow each other.

    Lists of images, and labels with embedded images, are not taken. `name` is what a recording in memory is
    called.
    """
    if frames.names is not None or frames.stored is not None:
        return None
    return Footage(frames, key, frozenset(excluded), frames.path or name)


@dataclass
class Clip:
    """Consecutive frames, seen through one map; or those of all C cameras of a session, each through its own.

    Attributes
    ----------
    images : Tensor [C * T, 3, S, S]
        0..1; the frames of the first camera come first.
    to_frame : Tensor [C, 2, 3]
        Maps from px of the view to px of the scaled frame.
    """

    images: Tensor
    to_frame: Tensor

    @property
    def n_cameras(self) -> int:
        """Number of cameras C; 1 for a recording that is of no session."""
        return len(self.to_frame)

    @property
    def length(self) -> int:
        """Number of frames T of each camera."""
        return len(self.images) // self.n_cameras

    def to(self, device: torch.device) -> Clip:
        """Return the clip on another device."""
        return Clip(
            self.images.to(device, non_blocking=True), self.to_frame.to(device, non_blocking=True)
        )

    def camera_of(self, image: Tensor) -> Tensor | None:
        """Return the cameras [M] of some images; None for a recording that is of no session."""
        return None if self.n_cameras == 1 else image // self.length

    def undo(self, xy: Tensor, image: Tensor | None = None) -> Tensor:
        """Map positions in px of the views to px of the scaled frames, exactly and with gradient.

        Parameters
        ----------
        xy : Tensor [M, ..., 2]
        image : Tensor [M] of int, optional
            Image that each is on; by default one after the other.
        """
        if image is None:
            image = torch.arange(len(xy), device=xy.device)
        maps = self.to_frame[image // self.length]
        points = xy.reshape(len(xy), math.prod(xy.shape[1:-1]), 2)
        points = points @ maps[:, :, :2].transpose(1, 2) + maps[:, None, :, 2]
        return points.view(xy.shape)


class ClipMaker:
    """Draws clips from recordings; the clip of an iteration depends on the seed and its number alone.

    Parameters
    ----------
    footage : sequence of Footage
    scaled : callable
        Returns a frame at the working scale, uint8 [3, h, w].
    draw_views : callable
        Returns a random map for each of the scaled frames of (height, width) that it is given, one for each
        camera, to a view; maps must not mirror.
    side : int
        Side of the views, px.
    augment : AugmentConfig
        Change of colours, the same for all frames of a clip and camera.
    seed : int
    together : sequence of tuple of int
        Indices of the recordings of a session, which are read together (see `data.sessions`).
    """

    def __init__(
        self,
        footage: Sequence[Footage],
        scaled: Callable[[FrameRef], Tensor],
        draw_views: Callable[[Sequence[tuple[int, int]], np.random.Generator], Sequence[Affine]],
        side: int,
        augment: AugmentConfig,
        seed: int,
        together: Sequence[tuple[int, ...]] = (),
    ) -> None:
        taken = {i for session in together for i in session}
        self.groups = [[footage[i] for i in session] for session in together]
        self.groups += [[f] for i, f in enumerate(footage) if i not in taken]
        self.scaled = scaled
        self.draw_views = draw_views
        self.side = side
        self.augment = augment
        self.seed = seed
        self._starts: dict[int, list[NDArray[np.int64]]] = {}

    def refs(self, iteration: int, length: int) -> list[list[FrameRef]]:
        """Return the frames of the clip of an iteration, a list for each camera; empty when there is none.

        All clips of all recordings and sessions are equally likely. The cameras of a session share the length
        of a clip, but have two frames each at least.
        """
        lengths = [clip_length(length, len(group)) for group in self.groups]
        if length not in self._starts:
            self._starts[length] = [
                common_starts(group, n) for group, n in zip(self.groups, lengths, strict=True)
            ]
        starts = self._starts[length]
        counts = np.array([len(s) for s in starts], int)
        if counts.sum() == 0:
            return []
        place = int(np.random.default_rng([self.seed, 5, iteration]).integers(counts.sum()))
        which = int(np.searchsorted(np.cumsum(counts), place, side="right"))
        start = int(starts[which][place - int(counts[:which].sum())])
        return [camera.refs(start, lengths[which]) for camera in self.groups[which]]

    def __call__(self, iteration: int, length: int) -> Clip | None:
        """Make the clip of an iteration, or None when no recording is long enough."""
        refs = self.refs(iteration, length)
        if not refs:
            return None
        pictures = [[self.scaled(ref) for ref in camera] for camera in refs]
        rng = np.random.default_rng([self.seed, 6, iteration])
        sizes = [(images[0].shape[1], images[0].shape[2]) for images in pictures]
        views = self.draw_views(sizes, rng)
        seen = [
            recolor_alike(
                [warp(i, view, self.side) for i in images], self.augment, int(rng.integers(2**31))
            )
            for images, view in zip(pictures, views, strict=True)
        ]
        back = np.stack([invert(view) for view in views])
        return Clip(torch.cat(seen), torch.from_numpy(back).float())


def clip_length(length: int, n_cameras: int) -> int:
    """Return the frames of each camera in a clip whose cameras share `length` frames; two at least."""
    return length if n_cameras == 1 else max(2, length // n_cameras)


def common_starts(group: Sequence[Footage], length: int) -> NDArray[np.int64]:
    """First frames of all clips that hold no excluded frame of any camera."""
    starts = group[0].starts(length)
    for camera in group[1:]:
        starts = np.intersect1d(starts, camera.starts(length))
    return starts
