"""Poses that a network has found on unlabelled frames, as labels for training."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_semimultipose.data.paste import LabeledView
from napari_semimultipose.data.views import Affine, apply, warp

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
    placed : Tensor [I, K] of bool
        Which keypoints tell where the animal is, although they may be uncertain.
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
    placed: Tensor
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
            move(self.placed),
            move(self.doubtful),
            move(self.to_view),
            self.frame_size,
        )


def pseudo_view(
    image: Tensor,
    found: PseudoPoses,
    affine: Affine,
    side: int,
    mirror: NDArray[np.int64],
) -> LabeledView:
    """Carry a frame [3, H, W] and what was found there over to a view of `side` px."""
    xy, known = apply(affine, found.xy), found.known
    if np.linalg.det(affine[:, :2]) < 0:
        xy, known = xy[:, mirror], known[:, mirror]
    inside = known & ((xy > -0.5) & (xy < side - 0.5)).all(-1)
    return LabeledView(warp(image, affine, side), xy, known, inside)


def pseudo_labels_of(
    view: LabeledView,
    found: PseudoPoses,
    affine: Affine,
    frame_size: tuple[int, int],
) -> PseudoView:
    """Return the labels of a view of a frame, after labelled animals may have been pasted into it.

    The animals that were found come first in `view`, as `pseudo_view` puts them. Where the branches of the teacher
    disagree about a keypoint, it still tells where its animal is. An animal most of which is covered is left out.
    """
    placed = view.known.copy()
    placed[: len(found.xy)] = True
    there = view.known.any(1)
    return PseudoView(
        torch.from_numpy(np.nan_to_num(view.xy[there])).float(),
        torch.from_numpy(view.known[there]),
        torch.from_numpy(view.inside[there]),
        torch.from_numpy(placed[there]),
        torch.from_numpy(found.doubtful).float(),
        torch.from_numpy(affine).float(),
        frame_size,
    )
