"""Positions of cells and sizes of poses, in px of the network input."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_LEAST_SIDE, _LEAST_SIDE_OF_POINTS = 12.0, 32.0


def locations(height: int, width: int, stride: int, device: torch.device | None = None) -> Tensor:
    """Return the positions [h*w, 2] of the cells of a map, row by row: ``stride * index + stride//2``."""
    y = torch.arange(height, device=device, dtype=torch.float32) * stride + stride // 2
    x = torch.arange(width, device=device, dtype=torch.float32) * stride + stride // 2
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([grid_x, grid_y], -1).view(-1, 2)


def pose_areas(low: Tensor, high: Tensor, n_keypoints: int) -> Tensor:
    """Areas [M] that the pose similarity of a network is measured with, px^2.

    The box around the keypoints grows by 10 % of its longer side on each side. Its sides have a least
    length, so that thin or folded poses do not make every deviation infinite; it is larger for
    animals of one keypoint, whose size nothing tells.

    Parameters
    ----------
    low, high : Tensor [M, 2]
        Corners of the boxes around the keypoints.
    n_keypoints : int
        K.
    """
    span = high - low
    span = span + 0.2 * span.amax(1, keepdim=True)
    span = span.clamp(min=_LEAST_SIDE if n_keypoints > 1 else _LEAST_SIDE_OF_POINTS)
    return span[:, 0] * span[:, 1]


def scaled_size(height: int, width: int, scale: float) -> tuple[int, int]:
    """Height and width of a scaled frame, px."""
    return max(1, round(height * scale)), max(1, round(width * scale))


def side_scale(height: int, width: int, side_px: int) -> float:
    """Scale at which the longer side of a frame is `side_px` long."""
    return side_px / max(height, width)


def scale_points(xy: NDArray, ratio_x: float, ratio_y: float) -> NDArray:
    """Move positions [..., 2] to a picture that is larger by the ratios (pixel centres are integers)."""
    scaled: NDArray = (np.asarray(xy) + 0.5) * np.array([ratio_x, ratio_y]) - 0.5
    return scaled
