"""From dense network outputs to a list of animals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from napari_semimultipose.models.directpose import Output
from napari_semimultipose.models.geometry import locations, pose_areas
from napari_semimultipose.models.vision import nms

_TOP_K = 1000
_MOST_TOGETHER = 256


@dataclass
class Detections:
    """The M animals found in a batch, best first within an image.

    Attributes
    ----------
    image : Tensor [M] of int
        Index of the image in the batch.
    xy : Tensor [M, K, 2]
        Keypoints in px of the network input.
    score : Tensor [M]
        Confidence of the animal.
    cls : Tensor [M]
        Class probability alone.
    level, cell : Tensors [M] of int
        Where in the output the animal was found: index of the level and flat index of the cell.
    """

    image: Tensor
    xy: Tensor
    score: Tensor
    cls: Tensor
    level: Tensor
    cell: Tensor

    def __len__(self) -> int:
        return len(self.score)

    def select(self, index: Tensor) -> Detections:
        """Return some of the animals."""
        return Detections(
            self.image[index],
            self.xy[index],
            self.score[index],
            self.cls[index],
            self.level[index],
            self.cell[index],
        )


def candidates(
    output: Output, threshold: float, *, top_k: int = _TOP_K, peaks: bool = False
) -> Detections:
    """Collect the locations whose class probability exceeds `threshold`.

    The score is the class probability times the predicted quality. Keypoints keep their graph,
    scores are detached (SemiMultiPose: no gradient of the fusion loss reaches the scores).

    Parameters
    ----------
    top_k : int
        At most this many an image and level, by score.
    peaks : bool
        Only local maxima (3x3) of the score: quicker, for animals that span several cells.
    """
    parts = []
    for index, level in enumerate(output.levels):
        cls = level.cls.detach().sigmoid()
        score = cls * level.quality.detach().sigmoid()
        b, _, h, w = cls.shape
        wanted = cls > threshold
        if peaks:
            wanted &= score >= F.max_pool2d(score, 3, 1, 1)
        ranked = torch.where(wanted, score, -1.0).view(b, -1)
        best, cell = ranked.topk(min(top_k, h * w), 1)
        image, rank = torch.nonzero(best >= 0, as_tuple=True)
        cell = cell[image, rank]
        place = locations(h, w, level.stride, cls.device)[cell]
        offsets = level.offsets.flatten(3)[image, :, :, cell]  # [M, K, 2]
        parts.append(
            Detections(
                image,
                place.unsqueeze(1) + level.stride * offsets,
                score.view(b, -1)[image, cell],
                cls.view(b, -1)[image, cell],
                torch.full_like(image, index),
                cell,
            )
        )
    joined = Detections(
        *(
            torch.cat([getattr(p, name) for p in parts])
            for name in ("image", "xy", "score", "cls", "level", "cell")
        )
    )
    order = torch.argsort(joined.score, descending=True, stable=True)
    order = order[torch.argsort(joined.image[order], stable=True)]
    return joined.select(order)


def suppress(
    found: Detections,
    kind: str,
    threshold: float,
    *,
    limit: int = 100,
    sigma: float = 0.1,
) -> Detections:
    """Remove duplicates within each image (non-maximum suppression).

    Parameters
    ----------
    kind : {"box", "oks"}
        Overlap of the boxes around the keypoints, or pose similarity of tolerance `sigma`.
    threshold : float
        An animal that overlaps a better one more than this is removed.
    limit : int
        At most this many an image.
    """
    if len(found) == 0:
        return found
    found = found.select(best_first(found, -math.inf, len(found)))
    xy = found.xy.detach()
    counts = torch.unique_consecutive(found.image, return_counts=True)[1].tolist()
    if kind == "oks" and len(found) <= _MOST_TOGETHER:
        counts = [len(found)]  # of several images together: quicker, where there are few animals
    keep, start = [], 0
    for count in counts:
        index = torch.arange(start, start + count, device=xy.device)
        start += count
        points = xy[index]
        if kind == "box":
            # One px of margin: boxes of thin animals have no area otherwise.
            boxes = torch.cat([points.amin(1) - 1, points.amax(1) + 1], 1)
            keep.append(index[nms(boxes, found.score[index], threshold)])
        else:
            keep.append(index[_oks_nms(points, found.image[index], threshold, sigma)])
    found = found.select(torch.cat(keep))
    return found.select(best_first(found, -math.inf, limit))


def _oks_nms(points: Tensor, image: Tensor, threshold: float, sigma: float) -> Tensor:
    """Return which of the poses [M, K, 2] stay; within an image the better ones come first."""
    area = pose_areas(points.amin(1), points.amax(1), points.shape[1])
    d2 = (points[:, None] - points[None]).square().sum(-1)  # [M, M, K]
    similarity = torch.exp(-d2 / (8 * sigma**2 * area[:, None, None])).mean(-1)
    alike = torch.maximum(similarity, similarity.T) > threshold
    close = (alike & (image[:, None] == image[None])).cpu().numpy()
    alive = np.ones(len(points), bool)
    for i in range(len(points)):
        if alive[i]:
            alive[i + 1 :] &= ~close[i, i + 1 :]
    return torch.from_numpy(np.flatnonzero(alive)).to(points.device)


def best_first(found: Detections, threshold: float, limit: int) -> Tensor:
    """Return the animals of each image from `threshold` on, best first and at most `limit` of them, as indices."""
    order = torch.argsort(found.score, descending=True, stable=True)
    order = order[found.score[order] >= threshold]
    order = order[torch.argsort(found.image[order], stable=True)]
    image = found.image[order]
    rank = torch.arange(len(image), device=image.device) - torch.searchsorted(image, image)
    return order[rank < limit]


def sample_heat(output: Output, found: Detections) -> Tensor:
    """Heat-map probability [M, K] at the predicted keypoints, bilinear."""
    heat = output.heat.detach()
    _, _, h, w = heat.shape
    u = (found.xy.detach() - output.heat_stride // 2) / output.heat_stride
    x = u[..., 0].clamp(0, w - 1)
    y = u[..., 1].clamp(0, h - 1)
    x0, y0 = x.floor().long().clamp(max=max(w - 2, 0)), y.floor().long().clamp(max=max(h - 2, 0))
    fx, fy = x - x0, y - y0
    x1, y1 = (x0 + 1).clamp(max=w - 1), (y0 + 1).clamp(max=h - 1)
    image = found.image[:, None]
    keypoint = torch.arange(heat.shape[1], device=heat.device)[None]
    return (
        heat_at(heat, image, keypoint, y0, x0) * (1 - fx) * (1 - fy)
        + heat_at(heat, image, keypoint, y0, x1) * fx * (1 - fy)
        + heat_at(heat, image, keypoint, y1, x0) * (1 - fx) * fy
        + heat_at(heat, image, keypoint, y1, x1) * fx * fy
    )


def heat_at(heat: Tensor, image: Tensor, keypoint: Tensor | int, y: Tensor, x: Tensor) -> Tensor:
    """Probability at some cells of heat maps [B, K, h, w] in logits, without that of all cells."""
    return heat[image, keypoint, y, x].sigmoid()


@dataclass
class LocalPeaks:
    """The best heat-map cell near each keypoint.

    Attributes
    ----------
    xy : Tensor [M, K, 2]
        Peak with sub-cell precision, px of the network input.
    probability : Tensor [M, K]
        Heat-map value of the peak cell.
    shift_cells : Tensor [M, K]
        Distance from the keypoint to the peak, in cells.
    """

    xy: Tensor
    probability: Tensor
    shift_cells: Tensor


def local_peaks(output: Output, found: Detections, radius: float = 2) -> LocalPeaks:
    """Find the best heat-map cell within `radius` cells of each keypoint.

    A cell's value is damped with its distance from the keypoint (a Gaussian of width `radius`), so
    that the keypoint of a neighbouring animal wins only when it is much clearer. The position
    between cells is that of the vertex of a parabola through the logarithms of the peak and its
    neighbours, exact for a Gaussian.
    """
    heat = output.heat.detach()
    _, _, h, w = heat.shape
    u = (found.xy.detach() - output.heat_stride // 2) / output.heat_stride
    base = u.round()
    reach = int(radius)
    step = torch.arange(-reach, reach + 1, device=heat.device)
    image = found.image[:, None, None, None]
    keypoint = torch.arange(heat.shape[1], device=heat.device)[None, :, None, None]
    x = base[..., 0, None, None].long() + step[None, None, None, :]
    y = base[..., 1, None, None].long() + step[None, None, :, None]
    inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
    value = heat_at(heat, image, keypoint, y.clamp(0, h - 1), x.clamp(0, w - 1)) * inside
    away = (x - u[..., 0, None, None]).square() + (y - u[..., 1, None, None]).square()
    damped = value * torch.exp(-away / (2 * max(radius, 1) ** 2))
    best = damped.flatten(2).argmax(-1)
    side = 2 * reach + 1
    peak_x = (base[..., 0].long() + best % side - reach).clamp(0, w - 1)
    peak_y = (base[..., 1].long() + torch.div(best, side, rounding_mode="floor") - reach).clamp(
        0, h - 1
    )
    image, keypoint = image[..., 0, 0], keypoint[..., 0, 0]

    def log(y: Tensor, x: Tensor) -> Tensor:
        return heat_at(heat, image, keypoint, y, x).clamp(1e-4).log()

    def vertex(low: Tensor, mid: Tensor, high: Tensor) -> Tensor:
        bend = low + high - 2 * mid
        shift = 0.5 * (low - high) / torch.where(bend < -1e-6, bend, -1.0)
        return torch.where(bend < -1e-6, shift, 0.0).clamp(-0.75, 0.75)

    mid = log(peak_y, peak_x)
    dx = vertex(
        log(peak_y, (peak_x - 1).clamp(min=0)), mid, log(peak_y, (peak_x + 1).clamp(max=w - 1))
    )
    dy = vertex(
        log((peak_y - 1).clamp(min=0), peak_x), mid, log((peak_y + 1).clamp(max=h - 1), peak_x)
    )
    dx = torch.where((peak_x > 0) & (peak_x < w - 1), dx, 0.0)
    dy = torch.where((peak_y > 0) & (peak_y < h - 1), dy, 0.0)
    peak = torch.stack([peak_x + dx, peak_y + dy], -1)
    return LocalPeaks(
        peak * output.heat_stride + output.heat_stride // 2,
        heat_at(heat, image, keypoint, peak_y, peak_x),
        (peak - u).norm(dim=-1),
    )
