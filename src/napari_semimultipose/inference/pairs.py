"""Left and right: two keypoints of one animal are not at the same place, and lie on their own sides.

Keypoints that mirror each other look alike, and a network that has not yet learned which is which puts both
on the clearer one of the two, with the heat maps of both agreeing. What the network cannot tell, the body
can: where a pair has fallen together, its second keypoint is the next best peak near it; and which of the
two is left is asked of the heat maps and of the labelled animals together (`sides.PairPrior`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from napari_semimultipose.inference.decode import Detections, local_peaks
from napari_semimultipose.models.directpose import Output
from napari_semimultipose.sides import PairPrior

_LEAST_PEAK = 0.3
"""A keypoint moves to a peak of this value, or a higher one."""
_NEAR_CELLS = 1.0
_LEAST = 1e-3
"""Heat-map values below this say all the same."""


@dataclass(frozen=True)
class PairParting:
    """`part_pairs` with what it needs to know of a model.

    Attributes
    ----------
    priors : sequence of PairPrior
    size_px : float
        Size of an animal in px of the network input.
    """

    priors: Sequence[PairPrior]
    size_px: float

    def __call__(self, output: Output, found: Detections, xy: Tensor) -> Tensor:
        """Return new positions [M, K, 2] of the keypoints `xy` of M animals."""
        return part_pairs(output, found, xy, self.priors, self.size_px)


def part_pairs(
    output: Output,
    found: Detections,
    xy: Tensor,
    priors: Sequence[PairPrior],
    size_px: float,
) -> Tensor:
    """Part the keypoints of mirrored pairs that have fallen together, and put pairs the right way round.

    Parameters
    ----------
    output : Output
    found : Detections
        M animals.
    xy : Tensor [M, K, 2]
        Their keypoints, px of the network input.
    priors : sequence of PairPrior
    size_px : float
        Size of an animal in px of the network input.

    Returns
    -------
    Tensor [M, K, 2]
        New positions.
    """
    if not len(found) or not priors:
        return xy
    heat = output.heat.detach().sigmoid()
    before, xy = xy, xy.clone()
    for prior in priors:
        a, b = prior.pair
        together = (xy[:, a] - xy[:, b]).norm(dim=-1) < prior.apart * size_px
        which = torch.nonzero(together).flatten()
        if len(which):
            shared = (xy[which, a] + xy[which, b]) / 2
            other, value = _other_peak(
                heat, output.heat_stride, found.image, xy, which, shared, prior, size_px
            )
            moves = value >= _LEAST_PEAK
            which = which[moves]
            xy[which, a], xy[which, b] = shared[moves], other[moves]
        turned = _evidence(heat, output.heat_stride, found.image, xy, prior) < 0
        left, right = xy[turned, a], xy[turned, b]
        xy[turned, a], xy[turned, b] = right, left
    moved = (xy != before).any(-1)
    animals = torch.nonzero(moved.any(1)).flatten()
    if len(animals):
        # What has moved has come to a cell: the peak is between cells.
        peaks = local_peaks(output, replace(found, xy=xy).select(animals), _NEAR_CELLS)
        exact = moved[animals] & (peaks.probability >= _LEAST_PEAK)
        exact &= peaks.shift_cells <= _NEAR_CELLS
        xy[animals] = torch.where(exact[..., None], peaks.xy, xy[animals])
    return xy


def _other_peak(
    heat: Tensor,
    stride: int,
    image: Tensor,
    xy: Tensor,
    which: Tensor,
    shared: Tensor,
    prior: PairPrior,
    size_px: float,
) -> tuple[Tensor, Tensor]:
    """Best peak [n, 2] near a shared place [n, 2], in the heat map of either keypoint, and its value [n].

    Peaks where another animal has a keypoint of the pair do not count.
    """
    a, b = prior.pair
    _, _, h, w = heat.shape
    near, far = prior.apart * size_px, prior.reach * size_px
    reach = max(1, int(far / stride))
    step = torch.arange(-reach, reach + 1, device=heat.device)
    base = ((shared - stride // 2) / stride).round().long()
    x = (base[:, 0, None, None] + step[None, None, :]).expand(-1, len(step), -1)
    y = (base[:, 1, None, None] + step[None, :, None]).expand(-1, -1, len(step))
    inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
    best = heat[:, [a, b]]
    best = torch.where(best >= F.max_pool2d(best, 3, 1, 1), best, 0.0).amax(1)  # [B, h, w]
    value = best[image[which][:, None, None], y.clamp(0, h - 1), x.clamp(0, w - 1)] * inside
    place = torch.stack([x, y], -1) * stride + stride // 2  # [n, s, s, 2]
    away = (place - shared[:, None, None]).norm(dim=-1)
    value = torch.where((away >= near) & (away <= far), value, 0.0)
    for k in (a, b):
        gap = (place[:, :, :, None] - xy[None, None, None, :, k]).norm(dim=-1)  # [n, s, s, M]
        others = (image[which][:, None] == image[None]) & (
            which[:, None] != torch.arange(len(image), device=image.device)[None]
        )
        taken = ((gap < near) & others[:, None, None]).any(-1)
        value = torch.where(taken, 0.0, value)
    peak, cell = value.flatten(1).max(1)
    rows = torch.arange(len(which), device=heat.device)
    return place.flatten(1, 2)[rows, cell].to(xy.dtype), peak


def _evidence(heat: Tensor, stride: int, image: Tensor, xy: Tensor, prior: PairPrior) -> Tensor:
    """Log-odds [M] that pairs are the right way round: of the heat maps, and of the labelled animals."""
    a, b = prior.pair

    def seen(keypoint: int, at: int) -> Tensor:
        _, _, h, w = heat.shape
        cell = ((xy[:, at] - stride // 2) / stride).round().long()
        value = heat[image, keypoint, cell[:, 1].clamp(0, h - 1), cell[:, 0].clamp(0, w - 1)]
        return value.clamp(min=_LEAST).log()

    maps = seen(a, a) + seen(b, b) - seen(a, b) - seen(b, a)
    if not prior.axis:
        return maps
    poses = xy.double().cpu().numpy()
    odds = prior.odds(prior.sines(poses, poses[:, a], poses[:, b]))
    return maps + torch.from_numpy(np.asarray(odds)).to(maps)
