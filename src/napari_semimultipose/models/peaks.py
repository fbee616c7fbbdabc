"""Heat maps of one animal, and where their peaks are.

The positions are decoded by mean shift with a Gaussian window, which has no bias between the cells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

_WINDOW = 1.5  # width of the window of the mean shift, in widths of the Gaussian of a label
_STEPS = 10
_NEAR = 3.0  # mass within so many widths is the confidence


@dataclass
class HeatmapOutput:
    """Heat maps before the softmax.

    Attributes
    ----------
    logits : Tensor [B, K, h, w]
        float32; their softmax over the cells of a map is the probability of the keypoint's position.
    stride : int
        Side of a cell in px of the network input. Cell i is centred at ``(i + 0.5) * stride - 0.5``.
    context : HeatmapOutput or None
        What the second head says, which looks at the frames around a frame, too.
    """

    logits: Tensor
    stride: int
    context: HeatmapOutput | None = None

    @property
    def probability(self) -> Tensor:
        """Heat maps [B, K, h, w] that sum to 1 each."""
        return self.logits.flatten(2).softmax(2).view_as(self.logits)

    def part(self, start: int, stop: int) -> HeatmapOutput:
        """Return the heat maps of some of the pictures."""
        context = None if self.context is None else self.context.part(start, stop)
        return HeatmapOutput(self.logits[start:stop], self.stride, context)


class Positions(NamedTuple):
    """Decoded heat maps: positions [B, K, 2] in px of the network input, and the mass there [B, K]."""

    xy: Tensor
    mass: Tensor


class Peaks(NamedTuple):
    """Highest peaks of heat maps, best first: positions [B, K, M, 2] in px, and the mass there [B, K, M].

    A map with fewer peaks repeats its highest one with a mass of 0.
    """

    xy: Tensor
    mass: Tensor


def decode(output: HeatmapOutput, sigma_cells: float) -> Positions:
    """Positions of the highest peaks, and the share of the probability near them.

    Mean shift with a Gaussian window, from the highest cell on: its fixed point is the centre of a
    Gaussian peak, wherever it lies between the cells. At the border the mean is compared with that of a peak that is
    cut off in the same way. The gradient runs through the last step.

    Parameters
    ----------
    output : HeatmapOutput
    sigma_cells : float
        Width of the Gaussians that the network was trained with, in cells.
    """
    p = output.probability
    b, k, _, w = p.shape
    flat = p.flatten(0, 1)
    with torch.no_grad():
        best = _blurred(flat).flatten(1).argmax(1)
    xy, mass = _climb(flat, best // w, best % w, output.stride, sigma_cells)
    return Positions(xy.view(b, k, 2), mass.view(b, k))


@torch.no_grad()
def peaks(output: HeatmapOutput, sigma_cells: float, most: int) -> Peaks:
    """Return the `most` highest peaks of each map, the first of which are the positions of `decode`.

    Two peaks are at least two widths of a label's Gaussian apart.
    """
    p = output.probability
    b, k, _, w = p.shape
    flat = p.flatten(0, 1)
    blurred = _blurred(flat)
    radius = math.ceil(2 * sigma_cells)
    around = F.max_pool2d(blurred[:, None], 2 * radius + 1, 1, radius)[:, 0]
    height, cell = torch.where(blurred == around, blurred, 0.0).flatten(1).topk(most, 1)
    cell = torch.where(height > 0, cell, cell[:, :1])
    map_of = torch.arange(b * k, device=p.device).repeat_interleave(most)
    cells = cell.flatten()
    xy, mass = _climb(flat, cells // w, cells % w, output.stride, sigma_cells, map_of)
    mass = torch.where(height.flatten() > 0, mass, 0.0)
    return Peaks(xy.view(b, k, most, 2), mass.view(b, k, most))


def _blurred(maps: Tensor) -> Tensor:
    """Means over 3 x 3 cells of maps [N, h, w]: single cells are noise."""
    return F.avg_pool2d(maps[:, None], 3, 1, 1, count_include_pad=False)[:, 0]


def _climb(
    maps: Tensor,
    top_y: Tensor,
    top_x: Tensor,
    stride: int,
    sigma_cells: float,
    map_of: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Positions [P, 2] in px that mean shift reaches from cells [P], and the mass there [P]; see `decode`.

    Parameters
    ----------
    maps : Tensor [N, h, w]
    top_y, top_x : Tensor [P] of int
    map_of : Tensor [P] of int, optional
        The map of each cell; by default there is one cell for each map.
    """
    n = len(top_y)
    width = _WINDOW * sigma_cells
    radius = math.ceil(3 * width)
    reach = torch.arange(-radius, radius + 1, device=maps.device)
    padded = F.pad(maps, (radius,) * 4)
    rows = (top_y[:, None] + radius + reach)[:, :, None]
    columns = (top_x[:, None] + radius + reach)[:, None, :]
    index = torch.arange(n, device=maps.device) if map_of is None else map_of
    window = padded[index[:, None, None], rows, columns]
    axis = reach.to(maps.dtype)
    center = torch.zeros((n, 2), device=maps.device)
    detached = window.detach()
    top = torch.stack([top_x, top_y], 1).to(maps.dtype)
    last = top.new_tensor([maps.shape[2] - 1, maps.shape[1] - 1])
    place = top[..., None] + axis  # [P, 2, R]
    there = (place >= 0) & (place <= last[:, None])
    # Of a Gaussian under the window: what the mean below would be of, were it not cut off by the border.
    spread = sigma_cells**2 * width**2 / (sigma_cells**2 + width**2)
    for step in range(_STEPS):
        source = window if step == _STEPS - 1 else detached
        weight = torch.exp(-((axis - center[..., None]) ** 2) / (2 * width**2))  # [P, 2, R]
        y = source @ weight[:, 0, :, None]  # sum over x
        y_x = source @ (weight[:, 0] * axis)[..., None]
        mass = (y[..., 0] * weight[:, 1]).sum(1).clamp(min=1e-12)
        mean = torch.stack(
            [
                (y_x[..., 0] * weight[:, 1]).sum(1) / mass,
                (y[..., 0] * weight[:, 1] * axis).sum(1) / mass,
            ],
            1,
        )
        expected, variance = _moments(axis, there, center, spread)
        center = center + (mean - expected) * (spread / variance)
        center = torch.maximum(torch.minimum(center, last + 0.5 - top), -0.5 - top)
    xy = (top + center + 0.5) * stride - 0.5
    with torch.no_grad():
        far = (axis - center[:, :1])[:, None, :] ** 2 + (axis - center[:, 1:])[:, :, None] ** 2
        near = far <= (_NEAR * sigma_cells) ** 2
        found = (detached * near).sum((1, 2))
    return xy, found


def _moments(axis: Tensor, there: Tensor, center: Tensor, spread: float) -> tuple[Tensor, Tensor]:
    """Mean and variance [P, 2] of Gaussians about centres [P, 2], over the cells of an axis [R] that are `there`."""
    weight = torch.where(there, torch.exp(-((axis - center[..., None]) ** 2) / (2 * spread)), 0.0)
    weight = weight / weight.sum(-1, keepdim=True).clamp(min=1e-12)
    mean = (weight * axis).sum(-1)
    variance = (weight * (axis - mean[..., None]) ** 2).sum(-1)
    return mean, variance.clamp(min=0.1 * spread)


def decode_surer(output: HeatmapOutput, sigma_cells: float) -> Positions:
    """Positions by the surer of both heads, keypoint by keypoint; see `decode`."""
    single = decode(output, sigma_cells)
    if output.context is None:
        return single
    several = decode(output.context, sigma_cells)
    better = several.mass > single.mass
    return Positions(
        torch.where(better[..., None], several.xy, single.xy),
        torch.where(better, several.mass, single.mass),
    )


def surer_maps(output: HeatmapOutput, sigma_cells: float) -> Tensor:
    """Heat maps [B, K, h, w] of the surer of both heads, keypoint by keypoint."""
    if output.context is None:
        return output.probability
    better = decode(output.context, sigma_cells).mass > decode(output, sigma_cells).mass
    return torch.where(better[..., None, None], output.context.probability, output.probability)
