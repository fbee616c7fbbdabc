"""The branches of DirectPose: which animals there are, their keypoints, and heat maps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GROUP_WIDTH = 64


def _prior_bias(probability: float = 0.01) -> float:
    """Bias of a logit that starts at a low probability (focal loss, Lin et al. 2017)."""
    return -math.log((1 - probability) / probability)


def _conv(
    c_in: int, c_out: int, kernel: int = 3, groups: int = 1, bias: float | None = 0.0
) -> nn.Conv2d:
    conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, groups=groups, bias=bias is not None)
    nn.init.normal_(conv.weight, std=0.01)
    if bias is not None and conv.bias is not None:
        nn.init.constant_(conv.bias, bias)
    return conv


def _tower(width: int, depth: int, norm: str) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        if norm == "bn":
            layers += [_conv(width, width, bias=None), nn.BatchNorm2d(width)]
        else:
            layers += [_conv(width, width), nn.GroupNorm(math.gcd(32, width), width)]
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class InstanceBranch(nn.Module):
    """B2: logits for "an animal is centred here" and for the quality of its pose."""

    def __init__(self, width: int, depth: int, norm: str) -> None:
        super().__init__()
        self.tower = _tower(width, depth, norm)
        self.cls = _conv(width, 1, bias=_prior_bias())
        self.quality = _conv(width, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map features [B, C, h, w] to class and quality logits [B, 1, h, w]."""
        x = self.tower(x)
        return self.cls(x), self.quality(x)


class HeatBranch(nn.Module):
    """B1: heat-map logits for each keypoint."""

    def __init__(self, c_in: int, width: int, depth: int, n_keypoints: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(depth):
            layers += [
                _conv(c_in if i == 0 else width, width, bias=None),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
        self.body = nn.Sequential(*layers, _conv(width, n_keypoints, bias=_prior_bias()))

    def forward(self, x: Tensor) -> Tensor:
        """Map features [B, C, h, w] to logits [B, K, h, w]."""
        return self.body(x)  # type: ignore[no-any-return]


class KeypointBranch(nn.Module):
    """B3: keypoints of the animal centred at each cell, with keypoint alignment (KPAlign).

    A group g of keypoints has a locator, whose output b_g is a first guess of where the group is,
    and an aligner, a linear map of the features sampled at b_g. The prediction of keypoint k of
    the group is b_g + o_k (DirectPose, section 3.2).

    Parameters
    ----------
    c_in : int
        Width of the pyramid.
    groups : tuple of tuples of int
        Keypoint indices of each group.
    depth : int
        Convolutions of the tower.
    norm : {'bn', 'gn'}
        Normalisation of the shared tower; the grouped one has group normalisation, as in DirectPose.
    grouped : bool
        True: each group has its own 64 channels, and a level samples from the next finer one (the
        first group: from the finest), as in DirectPose. False: all groups share one tower of width
        `c_in` and sample from their own level.
    """

    order: Tensor
    group_of: Tensor

    def __init__(
        self,
        c_in: int,
        groups: tuple[tuple[int, ...], ...],
        depth: int,
        norm: str,
        *,
        grouped: bool,
    ) -> None:
        super().__init__()
        self.groups = groups
        self.grouped = grouped
        n_groups = len(groups)
        n_keypoints = sum(len(g) for g in groups)
        if grouped:
            width = GROUP_WIDTH * n_groups
            layers: list[nn.Module] = []
            for i in range(depth):
                conv = _conv(c_in, width) if i == 0 else _conv(width, width, groups=n_groups)
                layers += [conv, nn.GroupNorm(16 * n_groups, width), nn.ReLU(inplace=True)]
            self.tower = nn.Sequential(*layers)
            self.locator = _conv(width, 2 * n_groups, groups=n_groups)
            self.sampled = nn.Sequential(
                _conv(width, width, groups=n_groups),
                nn.GroupNorm(16 * n_groups, width),
                nn.ReLU(inplace=True),
            )
            self.aligners = nn.ModuleList(
                _conv(GROUP_WIDTH, 2 * len(g), kernel=1, bias=None) for g in groups
            )
        else:
            self.tower = _tower(c_in, depth, norm)
            self.locator = _conv(c_in, 2 * n_groups)
            self.sampled = _tower(c_in, 1, norm)
            self.aligners = nn.ModuleList([_conv(c_in, 2 * n_keypoints, kernel=1, bias=None)])
        self.bias = nn.Parameter(torch.zeros(n_keypoints, 2))
        order = [k for g in groups for k in g]
        self.register_buffer("order", torch.argsort(torch.tensor(order)), persistent=False)
        group_of = [i for i, g in enumerate(groups) for _ in g]
        self.register_buffer("group_of", torch.tensor(group_of), persistent=False)

    def forward(
        self, features: Sequence[Tensor], strides: Sequence[int]
    ) -> list[tuple[Tensor, Tensor]]:
        """Map pyramid levels to keypoint offsets [B, K, 2, h, w] and guesses [B, G, 2, h, w]."""
        towers = [self.tower(x) for x in features]
        aligned = [self._align(self.sampled(t)) for t in towers]
        first = len(self.groups[0])
        out = []
        for level, tower in enumerate(towers):
            guess = self.locator(tower).float()
            b, _, h, w = guess.shape
            guess = guess.view(b, len(self.groups), 2, h, w)
            # Far outside the map all samples are zero: the clamp only keeps them finite.
            limit = guess.new_tensor([w, h]).view(1, 1, 2, 1, 1)
            guess = torch.minimum(torch.maximum(guess, -limit), limit)
            start = guess[:, self.group_of]
            if self.grouped:
                parts = [(0, slice(0, first)), (max(level - 1, 0), slice(first, None))]
            else:
                parts = [(level, slice(None))]
            offsets = []
            for source, keypoints in parts:
                ratio = strides[level] // strides[source]
                picked = start[:, keypoints]
                if picked.shape[1] == 0:
                    continue
                sampled = sample_at(aligned[source][:, keypoints], picked, ratio)
                bias = self.bias[keypoints].view(1, -1, 2, 1, 1)
                offsets.append((sampled + bias) / ratio)
            keypoints_xy = start + torch.cat(offsets, 1)
            out.append((keypoints_xy[:, self.order], guess))
        return out

    def _align(self, x: Tensor) -> Tensor:
        """Apply the aligners before sampling, which is linear too: [B, C, h, w] -> [B, K, 2, h, w]."""
        chunks = x.chunk(len(self.groups), 1) if self.grouped else (x,)
        maps = torch.cat([a(c) for a, c in zip(self.aligners, chunks, strict=True)], 1).float()
        b, _, h, w = maps.shape
        return maps.view(b, -1, 2, h, w)


def sample_at(maps: Tensor, guess: Tensor, ratio: int) -> Tensor:
    """Sample keypoint maps at guessed positions, bilinearly, with zeros outside.

    Equal to a deformable 1x1 convolution with the conv stride `ratio` (DirectPose, section 3.2):
    the sampling point of cell (i, j) in cells of the source map is
    ``(ratio j + ratio b_x + ratio//2, ratio i + ratio b_y + ratio//2)``.

    Parameters
    ----------
    maps : Tensor [B, K, 2, H, W]
        Maps at the source level.
    guess : Tensor [B, K, 2, h, w]
        Positions (x, y) relative to the cell, in cells of the target level.
    ratio : int
        Stride of the target level divided by that of the source level.

    Returns
    -------
    Tensor [B, K, 2, h, w]
    """
    b, k, _, h, w = guess.shape
    height, width = maps.shape[-2:]
    grid_x = torch.arange(w, device=guess.device, dtype=guess.dtype).view(1, w)
    grid_y = torch.arange(h, device=guess.device, dtype=guess.dtype).view(h, 1)
    x = ratio * (guess[:, :, 0] + grid_x) + ratio // 2
    y = ratio * (guess[:, :, 1] + grid_y) + ratio // 2
    grid = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], -1).reshape(
        b * k, h, w, 2
    )
    sampled = F.grid_sample(
        maps.reshape(b * k, 2, height, width),
        grid,
        mode="bilinear",
        padding_mode="zeros",
        align_corners=True,
    )
    return sampled.view(b, k, 2, h, w)
