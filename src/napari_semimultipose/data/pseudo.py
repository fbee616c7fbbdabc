"""Poses that a network has found on unlabelled frames, as labels for training."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_semimultipose.data.views import Affine, apply

PseudoKey = Hashable
"""Key of a frame (`FrameRef.key`)."""


@dataclass(frozen=True)
class PseudoPoses:
    """The animals that were found on one frame, in px of the scaled frame.

    Attributes
    ----------
    xy : array [I, K, 2]
        Animals that are certain enough to be labels.
    known : array [I, K] of bool
        Which of their keypoints are.
    doubtful : array [D, 4]
        Boxes (x0, y0, x1, y1) of the others: nothing is trained there.
    """

    xy: NDArray[np.float64]
    known: NDArray[np.bool_]
    doubtful: NDArray[np.float64]


@dataclass
class PseudoView:
    """Pseudo labels in one view.

    Attributes
    ----------
    keypoints, labeled, visible : Tensors [I, K, 2], [I, K], [I, K]
        As in `Batch`.
    doubtful : Tensor [D, 4]
        Boxes in px of the scaled frame.
    to_view : Tensor [2, 3]
        Affine map from the scaled frame to the view.
    frame_size : (int, int)
        Width and height of the scaled frame, px.
    """

    keypoints: Tensor
    labeled: Tensor
    visible: Tensor
    doubtful: Tensor
    to_view: Tensor
    frame_size: tuple[int, int]

    def to(self, device: torch.device) -> PseudoView:
        """Return it on another device."""

        def move(x: Tensor) -> Tensor:
            return x.to(device, non_blocking=True)

        return PseudoView(
            move(self.keypoints),
            move(self.labeled),
            move(self.visible),
            move(self.doubtful),
            move(self.to_view),
            self.frame_size,
        )


def pseudo_view(
    found: PseudoPoses,
    affine: Affine,
    side: int,
    frame_size: tuple[int, int],
    mirror: NDArray[np.int64],
) -> PseudoView:
    """Carry the poses of a frame over to a view of `side` px."""
    xy, known = apply(affine, found.xy), found.known
    if np.linalg.det(affine[:, :2]) < 0:
        xy, known = xy[:, mirror], known[:, mirror]
    inside = known & ((xy > -0.5) & (xy < side - 0.5)).all(-1)
    return PseudoView(
        torch.from_numpy(np.ascontiguousarray(xy)).float(),
        torch.from_numpy(np.ascontiguousarray(known)),
        torch.from_numpy(np.ascontiguousarray(inside)),
        torch.from_numpy(found.doubtful).float(),
        torch.from_numpy(affine).float(),
        frame_size,
    )
