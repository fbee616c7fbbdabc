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

from napari_semimultipose.inference.decode import Detections, heat_at, local_peaks
from napari_semimultipose.models.directpose import Output
from napari_semimultipose.sides import PairPrior

_LEAST_PEAK = 0.3
"""A keypoint moves to a peak of this value, or a higher one."""
_NEAR_CELLS = 1.0
_PEAKS = 16  # that are looked at around a pair: the clearest
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
    before, xy = xy, xy.clone()
    sides = [list(side) for side in zip(*(prior.pair for prior in priors), strict=True)]
    both = torch.stack([xy[:, side] for side in sides])  # [2, M, P, 2]
    near = xy.new_tensor([prior.apart for prior in priors]) * size_px
    row, pair = torch.nonzero((both[0] - both[1]).norm(dim=-1) < near, as_tuple=True)
    if len(row):
        far = xy.new_tensor([prior.reach for prior in priors])[pair] * size_px
        other, value = _other_peak(output, found.image, both, sides, row, pair, near[pair], far)
        moves = value >= _LEAST_PEAK
        row, pair = row[moves], pair[moves]
        both[:, row, pair] = torch.stack([both[:, row, pair].mean(0), other[moves]])
        xy[:, sides[0]], xy[:, sides[1]] = both
    turned = (_evidence(output, found.image, xy, sides, priors) < 0)[..., None]
    xy[:, sides[0]], xy[:, sides[1]] = torch.where(turned, both.flip(0), both)
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
    output: Output,
    image: Tensor,
    both: Tensor,
    sides: Sequence[Sequence[int]],
    row: Tensor,
    pair: Tensor,
    near: Tensor,
    far: Tensor,
) -> tuple[Tensor, Tensor]:
    """Best peak [n, 2] near n pairs that have fallen together, in either heat map, and its value [n].

    Peaks where another animal has a keypoint of the pair do not count.

    Parameters
    ----------
    both : Tensor [2, M, P, 2]
        Left and right keypoints of all P pairs of M animals.
    sides : two sequences of P keypoint indices
    row, pair : Tensors [n]
        Which animals, and which of their pairs.
    near, far : Tensors [n]
        Least and largest distance of the peak, px.
    """
    heat, stride = output.heat.detach(), output.heat_stride
    _, _, h, w = heat.shape
    shared = both[:, row, pair].mean(0)
    reach = max(1, int(far.max() / stride))
    step = torch.arange(-reach - 1, reach + 2, device=heat.device)  # one more, to know peaks
    base = ((shared - stride // 2) / stride).round().long()
    x = (base[:, 0, None, None] + step[None, None, :]).expand(-1, len(step), -1)
    y = (base[:, 1, None, None] + step[None, :, None]).expand(-1, -1, len(step))
    inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
    keypoint = torch.tensor(sides, device=heat.device)[:, pair].T[..., None, None]  # [n, 2, 1, 1]
    at = y.clamp(0, h - 1)[:, None], x.clamp(0, w - 1)[:, None]
    value = heat_at(heat, image[row, None, None, None], keypoint, *at) * inside[:, None]
    value = torch.where(value >= F.max_pool2d(value, 3, 1, 1), value, 0.0).amax(1)[:, 1:-1, 1:-1]
    place = torch.stack([x, y], -1)[:, 1:-1, 1:-1] * stride + stride // 2  # [n, s, s, 2]
    away = (place - shared[:, None, None]).norm(dim=-1)
    fits = (away >= near[:, None, None]) & (away <= far[:, None, None])
    value, cell = (value * fits).flatten(1).topk(min(_PEAKS, value[0].numel()), 1)  # [n, p]
    place = place.flatten(1, 2).gather(1, cell[..., None].expand(-1, -1, 2)).to(shared.dtype)
    number = torch.arange(len(image), device=image.device)
    others = (image[row, None] == image[None]) & (row[:, None] != number[None])  # [n, M]
    gap = (place[None, :, :, None] - both[:, :, pair].transpose(1, 2)[:, :, None]).norm(dim=-1)
    taken = ((gap < near[:, None, None]) & others[:, None]).any(-1).any(0)  # [2, n, p, M] -> [n, p]
    best, first = torch.where(taken, 0.0, value).max(1)
    return place[torch.arange(len(row), device=heat.device), first], best


def _evidence(
    output: Output,
    image: Tensor,
    xy: Tensor,
    sides: Sequence[Sequence[int]],
    priors: Sequence[PairPrior],
) -> Tensor:
    """Log-odds [M, P] that pairs are the right way round: of the heat maps, and of the labelled animals."""
    heat, stride = output.heat.detach(), output.heat_stride
    _, _, h, w = heat.shape
    cell = ((xy - stride // 2) / stride).round().long()
    x, y = cell[..., 0].clamp(0, w - 1), cell[..., 1].clamp(0, h - 1)
    left, right = sides
    keypoint = torch.tensor([left, right, left, right], device=heat.device)
    place = [left, right, right, left]
    value = heat_at(heat, image[:, None, None], keypoint, y[:, place], x[:, place])
    seen = value.clamp(min=_LEAST).log()  # [M, 4, P]
    maps = seen[:, 0] + seen[:, 1] - seen[:, 2] - seen[:, 3]
    poses = xy.double().cpu().numpy()
    odds = [
        prior.odds(prior.sines(poses, poses[:, prior.pair[0]], poses[:, prior.pair[1]]))
        for prior in priors
    ]
    return maps + torch.from_numpy(np.stack(odds, 1)).to(maps)
