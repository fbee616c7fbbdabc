"""Fusion losses: the keypoint branch and the heat-map branch teach each other.

Pseudo keypoints y of the keypoint branch (B3), weighed by the scores v of the instance branch (B2),
become a target for the heat maps (B1) (SemiMultiPose, section 2.2, equations 7 to 9).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_semimultipose.config import LossConfig
from napari_semimultipose.losses.supervised import focal_loss, masked_mean, quality_focal_loss

_WINDOW = 3  # cells around a keypoint on which a Gaussian target is drawn
_MIN_PEAK = 0.3


@dataclass
class PseudoKeypoints:
    """Keypoints of M animals, in cells of the heat maps.

    Attributes
    ----------
    image : Tensor [M] of int
    cells : Tensor [M, K, 2]
        Positions (x, y) in cells; may carry a graph.
    score : Tensor [M]
        Weight v, without a graph.
    """

    image: Tensor
    cells: Tensor
    score: Tensor


def rasterise(
    pseudo: PseudoKeypoints, shape: tuple[int, int, int, int], mode: str, sigma: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Draw pseudo keypoints into maps; overlaps take the maximum.

    Parameters
    ----------
    shape : (B, K, h, w)
    mode : {"onehot", "bilinear", "gauss"}
        The nearest cell (no gradient to the positions), the four surrounding cells with bilinear
        weights, or a Gaussian of width `sigma` cells (both with a gradient). Points outside the map
        are dropped.

    Returns
    -------
    target, mark : Tensors [B, K, h, w]
        Values in 0..1, and True at the nearest cell of each keypoint.
    """
    b, k, h, w = shape
    u = pseudo.cells
    nearest = torch.floor(u.detach() + 0.5).long()
    reach = {"onehot": 0, "bilinear": 1, "gauss": _WINDOW}[mode]
    step = torch.arange(-reach, reach + 1, device=u.device)
    x = nearest[..., 0, None, None] + step[None, None, None, :]
    y = nearest[..., 1, None, None] + step[None, None, :, None]
    x, y = x.expand_as(x + y), y.expand_as(x + y)
    dx = x - u[..., 0, None, None]
    dy = y - u[..., 1, None, None]
    if mode == "onehot":
        value = torch.ones_like(dx).detach()
    elif mode == "bilinear":
        value = (1 - dx.abs()).clamp(min=0) * (1 - dy.abs()).clamp(min=0)
    else:
        value = torch.exp(-(dx.square() + dy.square()) / (2 * sigma**2))
    value = value * pseudo.score.view(-1, 1, 1, 1)
    inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
    image = pseudo.image.view(-1, 1, 1, 1)
    keypoint = torch.arange(k, device=u.device).view(1, -1, 1, 1)
    index = ((image * k + keypoint) * h + y) * w + x
    flat = torch.zeros(b * k * h * w, device=u.device, dtype=value.dtype)
    target = flat.scatter_reduce(0, index[inside], value[inside], "amax", include_self=True)
    centre = ((nearest >= 0) & (nearest < nearest.new_tensor([w, h]))).all(-1)
    spot = ((pseudo.image[:, None] * k + keypoint[..., 0, 0]) * h + nearest[..., 1]) * w + nearest[
        ..., 0
    ]
    mark = torch.zeros(b * k * h * w, device=u.device, dtype=torch.bool)
    mark[spot[centre]] = True
    return target.view(shape), mark.view(shape)


def fusion_loss(heat: Tensor, pseudo: PseudoKeypoints, config: LossConfig) -> Tensor:
    """Score-weighted focal loss of the heat maps against the pseudo target (equation 7).

    Normalised by the number of marked cells; zero without any.

    Parameters
    ----------
    heat : Tensor [B, K, h, w]
        Logits A of B1.
    pseudo : PseudoKeypoints
    """
    if len(pseudo.score) == 0:
        return 0.0 * heat.sum()
    shape = (heat.shape[0], heat.shape[1], heat.shape[2], heat.shape[3])
    target, mark = rasterise(pseudo, shape, config.fusion_target)
    loss = focal_loss(heat, target, config.gamma, config.kappa)
    return loss.sum() / mark.sum().clamp(min=1)


def two_way_loss(
    heat: Tensor,
    pseudo: PseudoKeypoints,
    config: LossConfig,
    confident: float,
    *,
    trained: Tensor | None = None,
    radius: int = 2,
) -> dict[str, Tensor]:
    """Make both branches agree, each direction with a gradient to the pupil alone.

    ``to_heat``: confident pseudo keypoints (v >= `confident`) are Gaussians on the heat maps; cells near
    unsure ones are left out. ``to_keypoints``: the keypoints are drawn to the local soft-argmax of the heat
    map in a window of (2 `radius` + 1)^2 cells, where its peak is clear and near.

    Parameters
    ----------
    heat : Tensor [B, K, h, w]
        Logits of B1.
    trained : Tensor [B, K, h, w] of bool, optional
        Cells of the heat maps that may be trained.

    Returns
    -------
    dict of str to scalar Tensor
        ``to_keypoints`` is in units of cells.
    """
    zero = 0.0 * heat.sum()
    if len(pseudo.score) == 0:
        return {"to_heat": zero, "to_keypoints": zero}
    shape = (heat.shape[0], heat.shape[1], heat.shape[2], heat.shape[3])
    h, w = shape[2:]
    fixed = PseudoKeypoints(pseudo.image, pseudo.cells.detach(), pseudo.score)
    sure = pseudo.score >= confident
    target, _ = rasterise(
        PseudoKeypoints(fixed.image[sure], fixed.cells[sure], torch.ones_like(fixed.score[sure])),
        shape,
        "gauss",
        config.heat_sigma,
    )
    unsure, _ = rasterise(
        PseudoKeypoints(
            fixed.image[~sure], fixed.cells[~sure], torch.ones_like(fixed.score[~sure])
        ),
        shape,
        "gauss",
        config.heat_sigma,
    )
    use = (unsure < 0.1) | (target > 0.5)
    if trained is not None:
        use &= trained
    # At least one animal a view: with fewer, the background would outweigh everything else.
    count = float(shape[1] * max(int(sure.sum()), shape[0]))
    terms = {"to_heat": masked_mean(quality_focal_loss(heat, target), use, count)}
    # The heat maps as a teacher of the keypoints.
    u = pseudo.cells
    probability = heat.detach().sigmoid()
    nearest = torch.floor(u.detach() + 0.5).long()
    step = torch.arange(-radius, radius + 1, device=heat.device)
    x = nearest[..., 0, None, None] + step[None, None, None, :]
    y = nearest[..., 1, None, None] + step[None, None, :, None]
    inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
    image = pseudo.image.view(-1, 1, 1, 1)
    keypoint = torch.arange(shape[1], device=heat.device).view(1, -1, 1, 1)
    value = probability[image, keypoint, y.clamp(0, h - 1), x.clamp(0, w - 1)] * inside
    # Squaring sharpens the window, so that the foot of a neighbour's peak pulls little.
    sharp = value.square()
    total = sharp.sum((-1, -2)).clamp(min=1e-8)
    peak = value.amax((-1, -2))
    goal = torch.stack([(sharp * x).sum((-1, -2)) / total, (sharp * y).sum((-1, -2)) / total], -1)
    distance = (goal - u.detach()).norm(dim=-1)
    valid = (peak > _MIN_PEAK) & (distance < radius) & inside.any(-1).any(-1)
    huber = F.smooth_l1_loss(u, goal, reduction="none").mean(-1)
    weight = peak * valid * pseudo.score[:, None]
    terms["to_keypoints"] = (weight * huber).sum() / weight.sum().clamp(min=1.0)
    return terms


def limb_hinge(cells: Tensor, score: Tensor, longest: Tensor, edges: Tensor) -> Tensor:
    """Penalty on limbs longer than 1.2 times the longest labelled one (Deep Graph Pose's clique).

    Parameters
    ----------
    cells : Tensor [M, K, 2]
        Keypoints of the animals, any unit.
    score : Tensor [M]
        Weights, without a graph.
    longest : Tensor [E] or [M, E]
        Longest labelled length of each limb, same unit; of each animal, where these are shown in different sizes.
    edges : Tensor [E, 2] of int
        Keypoint indices of the limbs.
    """
    if len(score) == 0 or len(edges) == 0:
        return 0.0 * cells.sum()
    length = (cells[:, edges[:, 0]] - cells[:, edges[:, 1]]).square().sum(-1).add(1e-6).sqrt()
    excess = F.relu(length - 1.2 * longest) / longest.mean(-1, keepdim=True).clamp(min=1e-6)
    return (score[:, None] * excess).sum() / score.sum().clamp(min=1.0)
