"""What the network should say: positive locations, their keypoints, and heat maps.

All coordinates are (x, y) in px of the network input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_semimultipose.config import LossConfig

_CENTER_RADIUS = 1.5  # in strides (FCOS center sampling)
MARGIN = 0.25
"""Around the box of an animal, in shares of its longer side: there may be a keypoint of it that is not known."""
_BOX_PAD = 1.0  # px around the keypoints


@dataclass
class Assignment:
    """Targets of the P locations of one image, levels concatenated.

    Attributes
    ----------
    instance : Tensor [P] of int
        Index of the animal whose positive a location is; -1: background.
    centerness : Tensor [P]
        Centreness of the positives (FCOS), 0 elsewhere.
    """

    instance: Tensor
    centerness: Tensor


def boxes_of(keypoints: Tensor, visible: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """Boxes [I, 4] (x0, y0, x1, y1) of the visible keypoints [I, K, 2] with a margin of one px.

    With `size` (height, width) they are clipped to the image. Animals without any visible keypoint get
    an empty box at (0, 0).
    """
    far = torch.finfo(keypoints.dtype).max
    v = visible.unsqueeze(-1)
    low = torch.where(v, keypoints, far).amin(1) - _BOX_PAD
    high = torch.where(v, keypoints, -far).amax(1) + _BOX_PAD
    if size is not None:
        limit = keypoints.new_tensor([size[1] - 1, size[0] - 1])
        low = torch.minimum(low.clamp(min=0), limit)
        high = torch.minimum(high.clamp(min=0), limit)
    box = torch.cat([low, high], 1)
    return torch.where(visible.any(1, keepdim=True), box, torch.zeros_like(box))


def assign(
    points: Sequence[Tensor],
    strides: Sequence[int],
    boxes: Tensor,
    valid: Tensor,
    config: LossConfig,
    level_ranges: Sequence[float] = (),
) -> Assignment:
    """Decide which locations are trained as which animal (FCOS-style centre sampling).

    A location p is positive for animal n if it lies strictly inside its box, within 1.5 strides of
    the box centre (unless ``positives="full_box"``), and the largest distance from p to a side of
    the box lies in the range of p's level. Among several animals the smallest box wins.

    Parameters
    ----------
    points : sequence of Tensor [P_l, 2]
        Locations of each level in px.
    strides : sequence of int
        Stride of each level.
    boxes : Tensor [I, 4]
        Boxes around the keypoints of the animals.
    valid : Tensor [I] of bool
        Animals to use.
    config : LossConfig
        Uses ``positives`` and ``rescue_thin``: thin boxes grow to two strides on each side, and an animal
        that is still without a positive gets its nearest free location.
    level_ranges : sequence of float
        Borders in px between the levels; empty with one level.
    """
    device = boxes.device
    counts = [len(p) for p in points]
    p = torch.cat(list(points))
    total = len(p)
    instance = torch.full((total,), -1, dtype=torch.long, device=device)
    centerness = torch.zeros(total, device=device)
    if len(boxes) == 0 or not bool(valid.any()):
        return Assignment(instance, centerness)
    stride = torch.cat(
        [torch.full((c,), float(s), device=device) for c, s in zip(counts, strides, strict=True)]
    )
    low_range = torch.cat(
        [
            torch.full((c,), r, device=device)
            for c, r in zip(counts, (-1.0, *level_ranges), strict=True)
        ]
    )
    # The last level has no upper border unless the preset gives one (DirectPose: twice the lower one).
    last = 2 * level_ranges[-1] if level_ranges else float("inf")
    high_range = torch.cat(
        [
            torch.full((c,), r, device=device)
            for c, r in zip(counts, (*level_ranges, last), strict=True)
        ]
    )
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    area = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    half = (boxes[:, 2:] - boxes[:, :2]) / 2
    if config.rescue_thin:
        side = 2 * half.amax(1)
        wanted = min(strides) * torch.ones_like(side)
        for border, s in zip(level_ranges, strides[1:], strict=True):
            wanted = torch.where(side / 2 > border, float(s), wanted)
        half = torch.maximum(half, torch.maximum(wanted, side / 8).unsqueeze(1))
    low, high = center - half, center + half
    left_top = p[:, None] - low[None]  # [P, I, 2]
    right_bottom = high[None] - p[:, None]
    sides = torch.cat([left_top, right_bottom], -1)
    positive = (sides > 0).all(-1) & valid
    if config.positives == "center":
        near = (p[:, None] - center[None]).abs().amax(-1) <= _CENTER_RADIUS * stride[:, None]
        positive &= near
    reach = sides.amax(-1)
    positive &= (reach >= low_range[:, None]) & (reach <= high_range[:, None])
    cost = torch.where(positive, area.expand(total, -1), torch.inf)
    best, winner = cost.min(1)
    instance = torch.where(torch.isfinite(best), winner, -1)
    if config.rescue_thin:
        found = torch.zeros(len(boxes), dtype=torch.bool, device=device)
        found[instance[instance >= 0]] = True
        for n in torch.nonzero(valid & ~found).flatten().tolist():  # seldom any
            inside = bool(((center[n] >= 0) & (center[n] <= p.amax(0) + stride.min())).all())
            if not inside:
                continue
            level = (half[n].amax() >= low_range) & (half[n].amax() <= high_range)
            away = (p - center[n]).square().sum(1)
            away = torch.where((instance < 0) & level, away, torch.inf)
            nearest = int(away.argmin())
            if bool(torch.isfinite(away[nearest])):
                instance[nearest] = n
    chosen = torch.nonzero(instance >= 0).flatten()
    if len(chosen):
        margin = sides[chosen, instance[chosen]].clamp(min=1e-3)
        horizontal, vertical = margin[:, (0, 2)], margin[:, (1, 3)]
        ratio = (horizontal.amin(1) / horizontal.amax(1)) * (vertical.amin(1) / vertical.amax(1))
        centerness[chosen] = ratio.sqrt()
    return Assignment(instance, centerness)


def heat_target(
    keypoints: Tensor,
    visible: Tensor,
    size: tuple[int, int],
    stride: int,
    config: LossConfig,
) -> Tensor:
    """Heat-map target [K, h, w] of one image with animals [I, K, 2].

    ``heat="focal"``: ones in a square window around the nearest cell (SemiMultiPose, section 2.1);
    ``"gaussian"``: Gaussians of width `heat_sigma` cells with peak 1. Overlaps take the maximum, and
    points outside the map are dropped.
    """
    height, width = size
    n, k = keypoints.shape[:2]
    if n == 0:
        return keypoints.new_zeros((k, height, width))
    u = (keypoints - stride // 2) / stride  # [I, K, 2] in cells
    inside = visible & (u > -0.5).all(-1) & (u[..., 0] < width - 0.5) & (u[..., 1] < height - 0.5)
    cells_x = torch.arange(width, device=u.device, dtype=u.dtype)
    cells_y = torch.arange(height, device=u.device, dtype=u.dtype)
    if config.heat == "focal":
        # Ties between two cells go to the higher index, as floor(x + 1/2) does.
        nearest = torch.floor(u + 0.5)
        x = ((cells_x - nearest[..., :1]).abs() <= config.heat_window).to(u.dtype)
        y = ((cells_y - nearest[..., 1:]).abs() <= config.heat_window).to(u.dtype)
    else:
        # Centred on the exact position, not on a cell: the neighbours tell where between the cells.
        scale = 2 * config.heat_sigma**2
        x = torch.exp(-(cells_x - u[..., :1]).square() / scale)
        y = torch.exp(-(cells_y - u[..., 1:]).square() / scale)
    maps = x.unsqueeze(-2) * y.unsqueeze(-1) * inside[..., None, None]
    return maps.amax(0)


def widened(boxes: Tensor, margin: float = MARGIN) -> Tensor:
    """Boxes [I, 4] enlarged on all sides by a share of their longer side."""
    grow = margin * (boxes[:, 2:] - boxes[:, :2]).amax(1, keepdim=True)
    return torch.cat([boxes[:, :2] - grow, boxes[:, 2:] + grow], 1)


def missing_mask(
    visible: Tensor, boxes: Tensor, size: tuple[int, int], stride: int, margin: float = MARGIN
) -> Tensor:
    """Cells [K, h, w] (True) where keypoint k is not to be trained, because an animal there lacks it.

    The region is the box of the animal, enlarged by `margin` of its longer side.
    """
    height, width = size
    k = visible.shape[1]
    if len(boxes) == 0:
        return torch.zeros((k, height, width), dtype=torch.bool, device=boxes.device)
    boxes = widened(boxes, margin)
    low, high = boxes[:, :2], boxes[:, 2:]
    x = torch.arange(width, device=boxes.device) * stride + stride // 2
    y = torch.arange(height, device=boxes.device) * stride + stride // 2
    in_x = (x >= low[:, :1]) & (x <= high[:, :1])
    in_y = (y >= low[:, 1:]) & (y <= high[:, 1:])
    inside = (in_y[:, :, None] & in_x[:, None, :]).float()
    lacking = (~visible & visible.any(1, keepdim=True)).float()
    return torch.einsum("ik,ihw->khw", lacking, inside) > 0
