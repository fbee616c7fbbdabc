"""Implausible jumps between consecutive frames (Lightning Pose), for one animal and for many."""

from __future__ import annotations

import torch
from torch import Tensor

_SURER = 0.1


def speeds(xy: Tensor, confidence: Tensor, pairs: Tensor, least: float) -> tuple[Tensor, Tensor]:
    """Way of each keypoint in a pair of poses [P, K], px, and where both are sure enough [P, K].

    The gradient goes to the less sure of the two, and to both when they are about as sure.

    Parameters
    ----------
    xy : Tensor [M, K, 2]
        Poses, px.
    confidence : Tensor [M, K]
    pairs : Tensor [P, 2] of int
        Poses of the same animal in consecutive frames.
    least : float
        Smallest confidence that counts.
    """
    a, b = xy[pairs[:, 0]], xy[pairs[:, 1]]
    sure_a, sure_b = confidence[pairs[:, 0]], confidence[pairs[:, 1]]
    a = torch.where((sure_a > sure_b + _SURER)[..., None], a.detach(), a)
    b = torch.where((sure_b > sure_a + _SURER)[..., None], b.detach(), b)
    use = (sure_a >= least) & (sure_b >= least)
    # A difference of zero has no direction: its square root must not see it.
    return (b - a).square().sum(-1).clamp(min=1e-12).sqrt(), use


def temporal_loss(
    xy: Tensor,
    confidence: Tensor,
    pairs: Tensor,
    epsilon: Tensor,
    size: Tensor,
    reference: float,
    least: float,
) -> tuple[Tensor, Tensor]:
    """Mean excess of the ways over the tolerance, px, and the share of them in excess.

    Parameters
    ----------
    xy, confidence, pairs, least
        See `speeds`.
    epsilon : Tensor [K]
        Tolerated way from one frame to the next, px for an animal of the reference size.
    size : Tensor [M]
        Size of each animal, px; it has no gradient.
    reference : float
        Reference size, px. Ways are measured in sizes of the animal, times this.
    """
    way, use = speeds(xy, confidence, pairs, least)
    size = size.detach()
    mean = (size[pairs[:, 0]] * size[pairs[:, 1]]).sqrt().clamp(min=1e-6)
    excess = (way / mean[:, None] * reference - epsilon).clamp(min=0)
    count = use.sum().clamp(min=1)
    active = ((excess > 0) & use).sum() / count
    return torch.where(use, excess, 0.0).sum() / count, active.detach()
