"""The training objective: named loss terms, their weights, and their schedule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_semimultipose.config import LossConfig
from napari_semimultipose.losses.supervised import (
    focal_loss,
    keypoint_l1,
    keypoint_mse,
    masked_mean,
    pose_quality,
    quality_focal_loss,
)
from napari_semimultipose.losses.targets import assign, boxes_of, heat_target, missing_mask
from napari_semimultipose.models.directpose import Output
from napari_semimultipose.models.geometry import locations

Ignored = Callable[[Tensor], Tensor]
"""Takes positions [P, 2] in px of the view; True [P] where nothing is known and nothing trained."""


@dataclass
class Labels:
    """Poses of the animals in one view, from a person or from a teacher.

    Attributes
    ----------
    keypoints : Tensor [I, K, 2]
        Positions in px of the view, also outside it.
    labeled : Tensor [I, K] of bool
        Which keypoints are known.
    visible : Tensor [I, K] of bool
        Which are known and inside the view.
    ignored : callable, optional
        Where background is not trained either.
    placed : Tensor [I, K] of bool, optional
        Which keypoints tell where the animal is, although they may be uncertain; by default those that are known.
    """

    keypoints: Tensor
    labeled: Tensor
    visible: Tensor
    ignored: Ignored | None = None
    placed: Tensor | None = None

    @property
    def boxes(self) -> Tensor:
        """Boxes [I, 4] of the animals."""
        return boxes_of(self.keypoints, self.labeled if self.placed is None else self.placed)


def supervised_terms(
    output: Output,
    labels: Sequence[Labels],
    size: tuple[int, int],
    config: LossConfig,
    *,
    groups: Sequence[Sequence[int]] = (),
    level_ranges: Sequence[float] = (),
) -> dict[str, Tensor]:
    """Losses of B1 (``heat``), B2 (``cls``, ``quality``) and B3 (``keypoints``, ``locator``).

    Parameters
    ----------
    output : Output
        Predictions for the B views of `labels`.
    size : (int, int)
        Height and width of the views, px.
    groups : sequence of keypoint indices
        For the auxiliary loss of the locators.

    Returns
    -------
    dict of str to scalar Tensor
        Unweighted terms; finite, with a graph, also without any animal.
    """
    device = output.heat.device
    strides = [v.stride for v in output.levels]
    grids = [locations(v.cls.shape[-2], v.cls.shape[-1], v.stride, device) for v in output.levels]
    points = torch.cat(grids)
    units = torch.cat(
        [
            torch.full((len(g),), float(s), device=device)
            for g, s in zip(grids, strides, strict=True)
        ]
    )
    cls = torch.cat([v.cls.flatten(1) for v in output.levels], 1)
    quality = torch.cat([v.quality.flatten(1) for v in output.levels], 1)
    instances, centerness, trained = [], [], []
    heat_targets, heat_trained = [], []
    map_size = (output.heat.shape[-2], output.heat.shape[-1])
    heat_points = locations(map_size[0], map_size[1], output.heat_stride, device)
    n_keypoints = 0
    for one in labels:
        box = one.boxes
        found = assign(grids, strides, box, one.labeled.any(1), config, level_ranges=level_ranges)
        instances.append(found.instance)
        centerness.append(found.centerness)
        heat_targets.append(
            heat_target(one.keypoints, one.visible, map_size, output.heat_stride, config)
        )
        use = torch.ones_like(heat_targets[-1], dtype=torch.bool)
        if config.ignore_missing:
            use &= ~missing_mask(one.labeled, box, map_size, output.heat_stride)
        known = torch.ones_like(found.instance, dtype=torch.bool)
        if one.ignored is not None:
            known = ~one.ignored(points) | (found.instance >= 0)
            use &= ~one.ignored(heat_points).view(map_size)
        # A label is trained even where another animal's keypoint is missing.
        heat_trained.append(use | (heat_targets[-1] > 0.5))
        trained.append(known)
        n_keypoints += int(one.visible.sum())
    instance = torch.stack(instances)
    positive = instance >= 0
    n_positive = int(positive.sum())
    terms = {
        "cls": masked_mean(
            focal_loss(cls, positive.float(), config.gamma, config.kappa),
            torch.stack(trained),
            n_positive + len(labels),
        )
    }
    target, use = torch.stack(heat_targets), torch.stack(heat_trained)
    if config.heat == "focal":
        raw = focal_loss(output.heat, target, config.gamma, config.kappa)
        terms["heat"] = masked_mean(raw, use, float((target > 0).sum()))
    else:
        # At least one animal a view: else the background of empty views would outweigh all.
        least = len(labels) * target.shape[1]
        terms["heat"] = masked_mean(
            quality_focal_loss(output.heat, target), use, max(n_keypoints, least)
        )
    image, cell = torch.nonzero(positive, as_tuple=True)
    if n_positive == 0:
        # The graph stays connected, and the terms are zero.
        nothing = 0.0 * sum(
            v.offsets.sum() + v.guesses.sum() + v.quality.sum() for v in output.levels
        )
        zero = torch.as_tensor(nothing)
        return terms | {"keypoints": zero, "quality": zero, "locator": zero}
    offsets = torch.cat([v.offsets.flatten(3) for v in output.levels], -1)[image, :, :, cell]
    guesses = torch.cat([v.guesses.flatten(3) for v in output.levels], -1)[image, :, :, cell]
    chosen = instance[image, cell]
    truth = torch.stack(
        [labels[b].keypoints[n] for b, n in zip(image.tolist(), chosen.tolist(), strict=True)]
    )
    seen = torch.stack(
        [labels[b].visible[n] for b, n in zip(image.tolist(), chosen.tolist(), strict=True)]
    )
    unit = units[cell].view(-1, 1, 1)
    wanted = (truth - points[cell].unsqueeze(1)) / unit
    c = torch.stack(centerness)[image, cell]
    if config.regression == "mse_box":
        terms["keypoints"] = keypoint_mse(offsets, wanted, seen).mean()
    elif config.regression == "l1_centerness":
        error = keypoint_l1(offsets, wanted, seen)
        terms["keypoints"] = (c * error).sum() / c.sum().clamp(min=1)
    else:
        terms["keypoints"] = keypoint_l1(offsets, wanted, seen).mean()
    if config.quality == "oks":
        with torch.no_grad():
            c = pose_quality(offsets * unit, wanted * unit, seen)
    terms["quality"] = F.binary_cross_entropy_with_logits(quality[image, cell], c)
    terms["locator"] = _locator_loss(guesses, wanted, seen, groups)
    return terms


def _locator_loss(
    guesses: Tensor, wanted: Tensor, seen: Tensor, groups: Sequence[Sequence[int]]
) -> Tensor:
    """L1 from each group's sampling position [P, G, 2] to the mean of its visible keypoints."""
    total = 0.0 * guesses.sum()
    for g, members in enumerate(groups):
        index = list(members)
        weight = seen[:, index].float()
        count = weight.sum(1)
        mean = (torch.where(seen[:, index, None], wanted[:, index], 0.0)).sum(1) / count.clamp(
            min=1
        ).unsqueeze(1)
        error = (guesses[:, g] - mean).abs().mean(1)
        total = total + (error * (count > 0)).sum() / (count > 0).sum().clamp(min=1)
    return total / max(len(groups), 1)


def term_weights(config: LossConfig) -> dict[str, float]:
    """Weights of the supervised terms."""
    return {
        "cls": 1.0,
        "heat": config.heat_weight,
        "keypoints": config.regression_weight,
        "quality": 1.0,
        "locator": config.locator_weight,
    }


def weighted_sum(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Sum of the terms times their weights; terms of weight 0 are left out."""
    parts = [weights[name] * value for name, value in terms.items() if weights[name] != 0]
    return torch.stack([p.reshape(()) for p in parts]).sum()


def fusion_weights(config: LossConfig, method: str, progress: float) -> tuple[float, float]:
    """Weights (alpha, beta) of the fusion losses at a share 0..1 of training.

    Each grows linearly over ``ramp`` from its start on; with ``ramp=0`` it is a step, as in the paper. From
    ``beta_stop`` on (but for 1), beta is 0.
    """

    def grown(weight: float, start: float) -> float:
        if progress < start:
            return 0.0
        return weight * min(1.0, (progress - start) / config.ramp) if config.ramp else weight

    alpha = grown(config.alpha, config.alpha_start) if method != "directpose" else 0.0
    acts = method == "semimultipose" and (progress < config.beta_stop or config.beta_stop == 1)
    beta = grown(config.beta, config.beta_start) if acts else 0.0
    return alpha, beta
