"""Predicting with the frames around each frame: in which order frames are read, and which are kept.

Features are computed once of each frame. Those that the next window needs are carried from batch to
batch, so that memory does not grow with the length of the recording.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from napari_semimultipose.io.surroundings import indices_around
from napari_semimultipose.models.context import WINDOW, FrameFeatures

if TYPE_CHECKING:
    from napari_semimultipose.io.frames import Frames

WindowOf = Callable[[int], tuple[int, ...]]


def stand_alone(frames: Frames, *, follow: bool) -> bool:
    """Whether frames are single pictures.

    Frames of videos and stacks follow each other, and so do those of an image folder where `follow` says so; those of a
    file that holds some of the frames of a video do not.
    """
    if frames.stored is not None:
        return True
    return frames.names is not None and not (follow and frames.path is not None)


def window_of(frames: Frames, *, follow: bool) -> WindowOf:
    """Return what gives the five frames that tell about a frame; a single picture is its own window.

    A file that holds some of the frames of a video may hold those around them.
    """
    if frames.stored is None and stand_alone(frames, follow=follow):
        return lambda index: (index,) * WINDOW
    return lambda index: indices_around(frames, index)


def frames_needed(
    frames: Frames, indices: range | Sequence[int], window: WindowOf
) -> range | Sequence[int]:
    """Return the frames to read for the windows of `indices`, in order.

    A frame comes again only where the window before did not have it.
    """
    plain = frames.names is None and frames.stored is None
    if plain and isinstance(indices, range) and indices and 0 < indices.step <= WINDOW:
        return range(min(window(indices[0])), max(window(indices[-1])) + 1)
    held: tuple[int, ...] = ()
    order: list[int] = []
    for index in indices:
        needed = window(index)
        order += [i for i in dict.fromkeys(needed) if i not in held]
        held = needed
    return order


class Windows:
    """Completes windows as the features of their frames come in the order of `frames_needed`.

    Parameters
    ----------
    indices : sequence of int
        The frames in the middle of the windows.
    window : callable
        From `window_of`.
    """

    def __init__(self, indices: Sequence[int], window: WindowOf) -> None:
        self._wanted = iter(indices)
        self._window = window
        self._next = next(self._wanted, None)
        self._held: list[int] = []
        self._features: list[FrameFeatures] = []

    def take(
        self, numbers: Sequence[int], features: Sequence[FrameFeatures]
    ) -> tuple[list[int], list[FrameFeatures], Tensor]:
        """Take in the features of some frames.

        Parameters
        ----------
        numbers : sequence of int
            Indices of the frames.
        features : sequence of FrameFeatures
            Of these frames, in one or several versions.

        Returns
        -------
        list of int
            The frames whose windows are complete, in order.
        list of FrameFeatures, Tensor [N, 5] of int
            Features in each version, and the places in them of the frames of these windows.
        """
        together = list(features)
        if self._held:
            together = [
                FrameFeatures.join(pair) for pair in zip(self._features, together, strict=True)
            ]
        place = {frame: i for i, frame in enumerate([*self._held, *numbers])}
        ready: list[int] = []
        windows: list[list[int]] = []
        needed: tuple[int, ...] = ()
        while self._next is not None:
            needed = self._window(self._next)
            if any(frame not in place for frame in needed):
                break
            ready.append(self._next)
            windows.append([place[frame] for frame in needed])
            self._next, needed = next(self._wanted, None), ()
        self._held = [frame for frame in dict.fromkeys(needed) if frame in place]
        device = together[0].maps[0].device
        kept = torch.tensor([place[frame] for frame in self._held], dtype=torch.long, device=device)
        self._features = [one.select(kept) for one in together]
        return ready, together, torch.tensor(windows, dtype=torch.long, device=device)
