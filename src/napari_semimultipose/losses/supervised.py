"""Losses on labelled frames (DirectPose; SemiMultiPose, equations 1 to 6)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_semimultipose.models.geometry import pose_areas


def focal_loss(logits: Tensor, target: Tensor, gamma: float = 2.0, kappa: float = 0.25) -> Tensor:
    """Score-weighted binary focal loss, element by element (SemiMultiPose, equation 7).

    ``-v kappa (1-p)^gamma ln p - (1-v) (1-kappa) p^gamma ln(1-p)``; with v in {0, 1} it is the
    focal loss of Lin et al. 2017.

    Parameters
    ----------
    logits : Tensor
        ln(p / (1-p)).
    target : Tensor
        v in 0..1, same shape.
    """
    p = torch.sigmoid(logits)
    positive = kappa * (1 - p) ** gamma * F.logsigmoid(logits)
    negative = (1 - kappa) * p**gamma * F.logsigmoid(-logits)
    return -(target * positive + (1 - target) * negative)


def quality_focal_loss(logits: Tensor, target: Tensor, gamma: float = 2.0) -> Tensor:
    """Focal loss for soft targets, element by element (Li et al. 2020, equation 3).

    ``-|t - p|^gamma (t ln p + (1 - t) ln(1 - p))``. Unlike `focal_loss` it is least at p = t, so
    that a heat map keeps the shape of its Gaussians and with it the position between the cells.
    """
    p = torch.sigmoid(logits)
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (target - p).abs() ** gamma * cross_entropy


def masked_mean(values: Tensor, mask: Tensor, normaliser: Tensor | float) -> Tensor:
    """Sum of `values` where `mask` is True, divided by the normaliser (at least 1)."""
    total = torch.where(mask, values, torch.zeros_like(values)).sum()
    return total / torch.as_tensor(normaliser, device=values.device).clamp(min=1)


def keypoint_l1(prediction: Tensor, target: Tensor, visible: Tensor) -> Tensor:
    """Mean absolute error [P] over the visible keypoints and both axes, 0 without any.

    Parameters
    ----------
    prediction, target : Tensor [P, K, 2]
    visible : Tensor [P, K] of bool
    """
    error = (prediction - torch.where(visible[..., None], target, prediction)).abs().mean(-1)
    return error.sum(1) / visible.sum(1).clamp(min=1)


def keypoint_mse(prediction: Tensor, target: Tensor, visible: Tensor) -> Tensor:
    """Mean squared error [P] over the visible keypoints and both axes (SemiMultiPose, equation 6)."""
    error = (prediction - torch.where(visible[..., None], target, prediction)).square().mean(-1)
    return error.sum(1) / visible.sum(1).clamp(min=1)


def pose_quality(prediction: Tensor, target: Tensor, visible: Tensor, sigma: float = 0.1) -> Tensor:
    """Pose similarity (OKS, COCO form) [P] of predicted and true keypoints; 0 without visible keypoints.

    The area is `pose_areas` of the true keypoints.
    """
    far = torch.finfo(target.dtype).max
    v = visible[..., None]
    some = visible.any(1, keepdim=True)
    high = torch.where(some, torch.where(v, target, -far).amax(1), 0.0)
    low = torch.where(some, torch.where(v, target, far).amin(1), 0.0)
    area = pose_areas(low, high, target.shape[1])
    d2 = (prediction - torch.where(v, target, prediction)).square().sum(-1)
    similarity = torch.exp(-d2 / (8 * sigma**2 * area[:, None]))
    return (similarity * visible).sum(1) / visible.sum(1).clamp(min=1)
