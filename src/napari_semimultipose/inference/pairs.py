"""Left and right: two keypoints of one animal are not at the same place, and lie on their own sides.

Keypoints that mirror each other look alike, and a network that has not yet learned which is which puts both
on the clearer one of the two, with the heat maps of both agreeing. What the network cannot tell, the body
can: where a pair has fallen together, its second keypoint is the next best peak near it; and which of the
two is left is asked of the heat maps and of the labelled animals together (`sides.PairPrior`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from napari_semimultipose.inference.decode import Detections, heat_at, local_peaks
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
    heat, stride = output.heat.detach(), output.heat_stride
    pairs = _Pairs.of(tuple(priors))
    before, xy = xy, xy.clone()
    near = xy.new_tensor(pairs.apart) * size_px
    left, right = xy[:, pairs.left], xy[:, pairs.right]
    rows, which = torch.nonzero((left - right).norm(dim=-1) < near, as_tuple=True)
    if len(rows):
        shared = (left[rows, which] + right[rows, which]) / 2
        far = xy.new_tensor(pairs.reach) * size_px
        other, value = _other_peak(
            heat, stride, found.image, left, right, rows, which, shared, near, far, pairs
        )
        moves = value >= _LEAST_PEAK
        rows, which = rows[moves], which[moves]
        left[rows, which], right[rows, which] = shared[moves], other[moves]
        xy[:, pairs.left], xy[:, pairs.right] = left, right
    turned = (_evidence(heat, stride, found.image, xy, pairs) < 0)[..., None]
    xy[:, pairs.left] = torch.where(turned, right, left)
    xy[:, pairs.right] = torch.where(turned, left, right)
    moved = (xy != before).any(-1)
    animals = torch.nonzero(moved.any(1)).flatten()
    if len(animals):
        # What has moved has come to a cell: the peak is between cells.
        peaks = local_peaks(output, replace(found, xy=xy).select(animals), _NEAR_CELLS)
        exact = moved[animals] & (peaks.probability >= _LEAST_PEAK)
        exact &= peaks.shift_cells <= _NEAR_CELLS
        xy[animals] = torch.where(exact[..., None], peaks.xy, xy[animals])
    return xy


@dataclass(frozen=True)
class _Pairs:
    """The P pairs of some priors, for all of them at once."""

    priors: tuple[PairPrior, ...]
    left: list[int]
    right: list[int]
    apart: list[float]
    reach: list[float]

    @staticmethod
    @lru_cache(maxsize=8)
    def of(priors: tuple[PairPrior, ...]) -> _Pairs:
        left, right = zip(*(prior.pair for prior in priors), strict=True)
        return _Pairs(
            priors,
            list(left),
            list(right),
            [prior.apart for prior in priors],
            [prior.reach for prior in priors],
        )


def _other_peak(
    heat: Tensor,
    stride: int,
    image: Tensor,
    left: Tensor,
    right: Tensor,
    rows: Tensor,
    which: Tensor,
    shared: Tensor,
    near: Tensor,
    far: Tensor,
    pairs: _Pairs,
) -> tuple[Tensor, Tensor]:
    """Best peak [n, 2] near shared places [n, 2], in the heat map of either keypoint, and its value [n].

    Places belong to the pairs `which` of the animals `rows`, whose keypoints are `left` and `right`
    [M, P, 2]. Peaks where another animal has a keypoint of the pair do not count.
    """
    _, _, h, w = heat.shape
    near, far = near[which, None, None], far[which, None, None]
    reach = max(1, int(far.max() / stride))
    step = torch.arange(-reach - 1, reach + 2, device=heat.device)  # one more, to know peaks
    base = ((shared - stride // 2) / stride).round().long()
    x = (base[:, 0, None, None] + step[None, None, :]).expand(-1, len(step), -1)
    y = (base[:, 1, None, None] + step[None, :, None]).expand(-1, -1, len(step))
    inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
    keypoints = torch.tensor([pairs.left, pairs.right], device=heat.device)[:, which].T
    at = image[rows, None, None, None], keypoints[..., None, None]
    around = heat[(*at, y.clamp(0, h - 1)[:, None], x.clamp(0, w - 1)[:, None])]  # [n, 2, s, s]
    around = around.float().masked_fill(~inside[:, None], -torch.inf)
    peak = around >= F.max_pool2d(around, 3, 1, 1)
    value = around.masked_fill(~peak, -torch.inf).amax(1)[:, 1:-1, 1:-1].sigmoid()
    place = torch.stack([x, y], -1)[:, 1:-1, 1:-1] * stride + stride // 2  # [n, s, s, 2]
    away = (place - shared[:, None, None]).norm(dim=-1)
    value = torch.where((away >= near) & (away <= far), value, 0.0)
    others = (image[rows, None] == image[None]) & (
        rows[:, None] != torch.arange(len(image), device=image.device)[None]
    )
    for keypoint in (left, right):
        theirs = keypoint[:, which].transpose(0, 1)[:, None, None]  # [n, 1, 1, M, 2]
        gap = (place[:, :, :, None] - theirs).norm(dim=-1)
        taken = ((gap < near[..., None]) & others[:, None, None]).any(-1)
        value = torch.where(taken, 0.0, value)
    best, cell = value.flatten(1).max(1)
    numbers = torch.arange(len(rows), device=heat.device)
    return place.flatten(1, 2)[numbers, cell].to(shared.dtype), best


def _evidence(heat: Tensor, stride: int, image: Tensor, xy: Tensor, pairs: _Pairs) -> Tensor:
    """Log-odds [M, P] that pairs are the right way round: of the heat maps, and of the labelled animals."""
    _, _, h, w = heat.shape
    cell = ((xy - stride // 2) / stride).round().long()
    x, y = cell[..., 0].clamp(0, w - 1), cell[..., 1].clamp(0, h - 1)
    a, b = pairs.left, pairs.right
    keypoint, place = [a, b, a, b], [a, b, b, a]
    keypoints = torch.tensor(keypoint, device=heat.device)
    value = heat_at(heat, image[:, None, None], keypoints, y[:, place], x[:, place])
    seen = value.clamp(min=_LEAST).log()  # [M, 4, P]
    maps = seen[:, 0] + seen[:, 1] - seen[:, 2] - seen[:, 3]
    poses = xy.double().cpu().numpy()
    odds = [
        prior.odds(prior.sines(poses, poses[:, prior.pair[0]], poses[:, prior.pair[1]]))
        for prior in pairs.priors
    ]
    return maps + torch.from_numpy(np.stack(odds, 1)).to(maps)
