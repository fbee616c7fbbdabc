"""Random views of a frame: one affine map and a change of colours.

An affine map is an array [2, 3] that takes homogeneous px positions (x, y, 1) of the source to px
positions of the view; pixel centres are integers in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from napari_semimultipose.config import AugmentConfig

Affine = NDArray[np.float64]

_NOISE_SHIFT = 256  # places, along each axis, that a view's noise may be taken from


def affine_about(
    source_xy: NDArray | tuple[float, float],
    view_xy: NDArray | tuple[float, float],
    *,
    angle_deg: float = 0.0,
    zoom: float = 1.0,
    mirrored: bool = False,
) -> Affine:
    """Map that takes `source_xy` to `view_xy`, turns, zooms and mirrors (x -> -x) about it."""
    angle = np.deg2rad(angle_deg)
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if mirrored:
        turn = turn @ np.diag([-1.0, 1.0])
    shift = np.asarray(view_xy, float) - turn @ np.asarray(source_xy, float)
    return np.concatenate([turn, shift[:, None]], 1)


def invert(affine: Affine) -> Affine:
    """Inverse map."""
    turn = np.linalg.inv(affine[:, :2])
    return np.concatenate([turn, -(turn @ affine[:, 2:])], 1)


def compose(second: Affine, first: Affine) -> Affine:
    """Return the map that applies `first`, then `second`."""
    return np.concatenate(
        [second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2:] + second[:, 2:]], 1
    )


def apply(affine: Affine, xy: NDArray) -> NDArray:
    """Map positions [..., 2]."""
    return np.asarray(xy) @ affine[:, :2].T + affine[:, 2]


def warp(image: Tensor, affine: Affine, size: int) -> Tensor:
    """Cut a square view out of an image.

    Parameters
    ----------
    image : Tensor [3, H, W] of uint8
    affine : array [2, 3]
        Map from the image to the view.
    size : int
        Side of the view, px.

    Returns
    -------
    Tensor [3, size, size] of float32 in 0..1; zero outside the image.
    """
    height, width = image.shape[1:]
    back = invert(affine)
    corners = apply(back, np.array([[0, 0], [size - 1, 0], [0, size - 1], [size - 1, size - 1]]))
    # Only the part under the view is converted to float: frames can be far larger than views.
    last = [max(width - 2, 0), max(height - 2, 0)]
    x0, y0 = np.clip(np.floor(corners.min(0)) - 1, 0, last).astype(int)
    x1, y1 = np.clip(
        np.ceil(corners.max(0)) + 2, [x0 + 2, y0 + 2], [max(width, x0 + 2), max(height, y0 + 2)]
    ).astype(int)
    part = image[:, y0:y1, x0:x1]
    gray = part.stride(0) == 0
    source = (part[:1] if gray else part).float().div_(255)
    # A side of one px has no scale in normalised coordinates.
    source = F.pad(source, (0, int(width == 1), 0, int(height == 1)))
    h, w = source.shape[1:]
    m = torch.from_numpy(back).float()
    axis = torch.arange(size, dtype=torch.float32)
    x = m[0, 0] * axis[None] + m[0, 1] * axis[:, None] + (m[0, 2] - x0)
    y = m[1, 0] * axis[None] + m[1, 1] * axis[:, None] + (m[1, 2] - y0)
    grid = torch.stack([2 * x / (w - 1) - 1, 2 * y / (h - 1) - 1], -1)
    view = F.grid_sample(
        source[None], grid[None], mode="bilinear", padding_mode="zeros", align_corners=True
    )[0]
    return view.expand(3, -1, -1) if gray else view


def recolor(view: Tensor, config: AugmentConfig, rng: np.random.Generator) -> Tensor:
    """Change brightness, contrast and colours, blur, add noise and a patch; values stay in 0..1."""
    gain = 1 + rng.uniform(-config.contrast, config.contrast)
    shift = rng.uniform(-config.brightness, config.brightness)
    channel = torch.from_numpy(1 + rng.uniform(-config.color, config.color, 3)).float()
    # ((view - mean) gain + mean + shift) channel, in one pass over the view
    offset = (view.mean() * (1 - gain) + shift) * channel
    out = torch.addcmul(offset.view(3, 1, 1), view, (gain * channel).view(3, 1, 1))
    if rng.random() < config.blur:
        kernel = torch.tensor([1.0, 2.0, 1.0]) / 4
        kernel = (kernel[:, None] * kernel[None]).expand(3, 1, 3, 3)
        out = F.conv2d(F.pad(out[None], (1, 1, 1, 1), mode="replicate"), kernel, groups=3)[0]
    if config.noise > 0:
        y, x = rng.integers(0, _NOISE_SHIFT, 2)
        noise = _noise(out.shape[-1])[:, y : y + out.shape[-2], x : x + out.shape[-1]]
        out.add_(noise, alpha=float(rng.uniform(0, config.noise)))
    if rng.random() < config.cutout:
        side = out.shape[-1]
        h, w = rng.integers(side // 12, side // 4, 2)
        y, x = rng.integers(0, side - h), rng.integers(0, side - w)
        out[:, y : y + h, x : x + w] = float(rng.uniform(0, 1))
    return out.clamp_(0, 1)


def recolor_alike(views: Sequence[Tensor], config: AugmentConfig, seed: int) -> Tensor:
    """Return views [V, 3, S, S] after the same change of colours; see `recolor`."""
    return torch.stack([recolor(view, config, np.random.default_rng(seed)) for view in views])


@lru_cache(maxsize=4)
def _noise(size: int) -> Tensor:
    """White noise of which views take random parts: making it anew takes longer than the rest."""
    side = size + _NOISE_SHIFT
    return torch.randn((3, side, side), generator=torch.Generator().manual_seed(0))
