"""Clips: consecutive frames of a recording, with one change of geometry and colours for all of them."""

from __future__ import annotations

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
    """

    frames: Frames
    key: tuple[Hashable, ...]
    excluded: frozenset[int] = frozenset()

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
    frames: Frames, key: tuple[Hashable, ...], excluded: Collection[int] = ()
) -> Footage | None:
    """Return a recording for clips, or None where nothing says that its frames follow each other.

    Lists of images, and labels with embedded images, are not taken.
    """
    if frames.names is not None or frames.stored is not None:
        return None
    return Footage(frames, key, frozenset(excluded))


@dataclass
class Clip:
    """Consecutive frames, seen through one map.

    Attributes
    ----------
    images : Tensor [T, 3, S, S]
        0..1.
    to_frame : Tensor [2, 3]
        Map from px of the view to px of the scaled frame.
    """

    images: Tensor
    to_frame: Tensor

    def to(self, device: torch.device) -> Clip:
        """Return the clip on another device."""
        return Clip(
            self.images.to(device, non_blocking=True), self.to_frame.to(device, non_blocking=True)
        )

    def undo(self, xy: Tensor) -> Tensor:
        """Map positions [..., 2] in px of the view to px of the scaled frame, exactly and with gradient."""
        return xy @ self.to_frame[:, :2].T + self.to_frame[:, 2]


class ClipMaker:
    """Draws clips from recordings; the clip of an iteration depends on the seed and its number alone.

    Parameters
    ----------
    footage : sequence of Footage
    scaled : callable
        Returns a frame at the working scale, uint8 [3, h, w].
    draw_view : callable
        Returns a random map from a scaled frame of (height, width) to a view; it must not mirror.
    side : int
        Side of the views, px.
    augment : AugmentConfig
        Change of colours, the same for all frames of a clip.
    seed : int
    """

    def __init__(
        self,
        footage: Sequence[Footage],
        scaled: Callable[[FrameRef], Tensor],
        draw_view: Callable[[tuple[int, int], np.random.Generator], Affine],
        side: int,
        augment: AugmentConfig,
        seed: int,
    ) -> None:
        self.footage = footage
        self.scaled = scaled
        self.draw_view = draw_view
        self.side = side
        self.augment = augment
        self.seed = seed
        self._starts: dict[int, list[NDArray[np.int64]]] = {}

    def refs(self, iteration: int, length: int) -> list[FrameRef]:
        """Return the frames of the clip of an iteration; empty when no recording is long enough.

        All clips of all recordings are equally likely.
        """
        if length not in self._starts:
            self._starts[length] = [f.starts(length) for f in self.footage]
        starts = self._starts[length]
        counts = np.array([len(s) for s in starts], int)
        if counts.sum() == 0:
            return []
        place = int(np.random.default_rng([self.seed, 5, iteration]).integers(counts.sum()))
        which = int(np.searchsorted(np.cumsum(counts), place, side="right"))
        start = int(starts[which][place - int(counts[:which].sum())])
        return self.footage[which].refs(start, length)

    def __call__(self, iteration: int, length: int) -> Clip | None:
        """Make the clip of an iteration, or None when no recording is long enough."""
        refs = self.refs(iteration, length)
        if not refs:
            return None
        images = [self.scaled(ref) for ref in refs]
        rng = np.random.default_rng([self.seed, 6, iteration])
        height, width = images[0].shape[1:]
        view = self.draw_view((height, width), rng)
        colors = int(rng.integers(2**31))
        return Clip(
            recolor_alike([warp(i, view, self.side) for i in images], self.augment, colors),
            torch.from_numpy(invert(view)).float(),
        )
