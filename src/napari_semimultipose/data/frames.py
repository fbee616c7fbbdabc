"""References to frames and a cache of them at the working scale."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from napari_semimultipose.models.geometry import scaled_size

if TYPE_CHECKING:
    from napari_semimultipose.io.video import Frames


@dataclass(frozen=True)
class FrameRef:
    """One frame of a recording.

    Attributes
    ----------
    frames : Frames
        The recording.
    index : int
        Frame index in it.
    key : hashable
        Identifies the frame in the cache and in reports.
    row : int
        Row of its labels in the poses, -1 without labels.
    """

    frames: Frames
    index: int
    key: Hashable
    row: int = -1

    @property
    def name(self) -> str:
        """What tells the frame from all others, also where recordings get other numbers."""
        names = self.frames.names
        one = self.index if names is None else names[self.index]
        return f"{self.frames.path}: {one} of {len(self.frames)}"


def to_tensor(frame: NDArray, scale: float) -> Tensor:
    """Scale a frame [H, W, C] to a uint8 tensor [3, h, w] with antialiasing.

    The centre of pixel 0 stays at 0 up to half a pixel: with s = `scale`, a position x in the frame is
    at ``s * (x + 0.5) - 0.5`` in the result (`scale_points`).
    """
    image = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)
    if scale != 1:
        size = scaled_size(frame.shape[0], frame.shape[1], scale)
        image = F.interpolate(
            image[None], size=size, mode="bilinear", antialias=True, align_corners=False
        )[0]
    if image.shape[0] == 1:
        image = image.expand(3, -1, -1)
    return image


class ScaledFrames:
    """Reads frames at one scale and keeps as many as fit in memory, the latest used first.

    Thread-safe.

    Parameters
    ----------
    scale : float or callable
        Scale of the frames, or what gives it from the height and width of a frame.
    limit_mb : float
        Memory for kept frames, MB.
    """

    def __init__(self, scale: float | Callable[[int, int], float], limit_mb: float) -> None:
        self.scale = scale
        self._limit = limit_mb * 1e6
        self._held = 0.0
        self._kept: OrderedDict[Hashable, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, ref: FrameRef) -> Tensor:
        """Return a frame as a uint8 tensor [3, h, w] or, when it is grey, an expanded view of one."""
        with self._lock:
            image = self._kept.get(ref.key)
            if image is not None:
                self._kept.move_to_end(ref.key)
                return image
        frame = ref.frames[ref.index]
        scale = self.scale(*frame.shape[:2]) if callable(self.scale) else self.scale
        image = to_tensor(frame, scale)
        with self._lock:
            if ref.key not in self._kept:
                self._kept[ref.key] = image
                self._held += image.untyped_storage().nbytes()
                while self._held > self._limit and len(self._kept) > 1:
                    _, old = self._kept.popitem(last=False)
                    self._held -= old.untyped_storage().nbytes()
        return image


def spread_evenly(count: int, limit: int) -> Sequence[int]:
    """Return at most `limit` indices of ``range(count)``, evenly spaced."""
    if count <= limit:
        return range(count)
    return [int(i) for i in np.linspace(0, count - 1, limit).round()]
