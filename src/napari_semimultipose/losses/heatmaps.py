"""Losses of heat maps that sum to 1 (Lightning Pose)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

_TINY = 1e-10


def gaussian_maps(
    xy: Tensor, visible: Tensor, size: tuple[int, int], stride: int, sigma_cells: float
) -> Tensor:
    """Return Gaussians [B, K, h, w] that sum to 1, around keypoints [B, K, 2] in px of the network input.

    The maps of keypoints that are not visible, or outside, are uniform.

    Parameters
    ----------
    visible : Tensor [B, K] of bool
    size : (int, int)
        Height and width of the maps.
    stride : int
        Side of a cell, px; cell i is centred at ``(i + 0.5) * stride - 0.5``.
    """
    height, width = size
    cells = (xy + 0.5) / stride - 0.5
    limit = xy.new_tensor([width - 0.5, height - 0.5])
    inside = visible & ((cells > -0.5) & (cells < limit)).all(-1)
    axis_x = torch.arange(width, device=xy.device, dtype=xy.dtype)
    axis_y = torch.arange(height, device=xy.device, dtype=xy.dtype)
    cells = torch.where(inside[..., None], cells, 0.0)
    x = torch.exp(-((axis_x - cells[..., :1]) ** 2) / (2 * sigma_cells**2))
    y = torch.exp(-((axis_y - cells[..., 1:]) ** 2) / (2 * sigma_cells**2))
    maps = (y / y.sum(-1, keepdim=True))[..., None] * (x / x.sum(-1, keepdim=True))[..., None, :]
    return torch.where(inside[..., None, None], maps, 1.0 / (height * width))


def heatmap_loss(
    logits: Tensor, target: Tensor, use: Tensor, kind: Literal["mse", "kl", "js"]
) -> Tensor:
    """Mean distance of heat maps from their targets, over the maps that are used; 0 without any.

    Parameters
    ----------
    logits, target : Tensor [B, K, h, w]
        Heat maps before the softmax; targets that sum to 1.
    use : Tensor [B, K] of bool
        The other maps have no gradient.
    kind : {'mse', 'kl', 'js'}
        ``mse``: sum of the squared differences; ``kl``: divergence of the target from the map;
        ``js``: mean of the divergences of both from their mean.
    """
    logits, target = logits.flatten(2)[use], target.flatten(2)[use]
    if kind == "mse":
        each = (logits.softmax(-1) - target).square().sum(-1)
    elif kind == "kl":
        log_p = F.log_softmax(logits, -1)
        each = (torch.xlogy(target, target) - target * log_p).sum(-1)
    else:
        p = logits.softmax(-1)
        log_mean = ((p + target) / 2 + _TINY).log()
        each = (torch.xlogy(target, target) - target * log_mean).sum(-1) / 2
        each = each + (p * ((p + _TINY).log() - log_mean)).sum(-1) / 2
    return each.sum() / max(len(each), 1)
