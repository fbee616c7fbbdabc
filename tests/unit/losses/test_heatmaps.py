"""Heat-map losses: their values, and what has no label."""

from __future__ import annotations

import math

import pytest
import torch

from napari_semimultipose.losses.heatmaps import gaussian_maps, heatmap_loss
from napari_semimultipose.models.peaks import HeatmapOutput, decode

SIZE, STRIDE, SIGMA = (20, 24), 4, 1.25


def maps(x: float, y: float, visible: bool = True) -> torch.Tensor:
    xy = torch.tensor([[[x, y]]])
    return gaussian_maps(xy, torch.tensor([[visible]]), SIZE, STRIDE, SIGMA)


def test_targets_sum_to_one_also_at_the_border() -> None:
    for x, y in ((40.0, 40.0), (1.0, 2.0), (94.0, 78.0)):
        assert maps(x, y).sum().item() == pytest.approx(1, abs=1e-5)
    # 41.5 px is the centre of a cell
    assert maps(41.5, 41.5).max().item() == pytest.approx(1 / (2 * math.pi * SIGMA**2), rel=0.02)


def test_missing_and_outside_keypoints_have_uniform_targets() -> None:
    uniform = torch.full((1, 1, *SIZE), 1 / (SIZE[0] * SIZE[1]))
    assert torch.allclose(maps(40, 40, visible=False), uniform)
    assert torch.allclose(maps(-3, 40), uniform)
    assert torch.allclose(maps(float("nan"), 40), uniform)


@pytest.mark.parametrize("kind", ["mse", "kl", "js"])
def test_a_loss_is_zero_at_its_target_and_grows_with_the_distance(kind: str) -> None:
    target = maps(40, 40)
    values = [
        heatmap_loss(maps(x, 40).clamp(min=1e-20).log(), target, torch.tensor([[True]]), kind)  # type: ignore[arg-type]
        for x in (40, 42, 46)
    ]
    assert values[0].item() == pytest.approx(0, abs=1e-5)
    assert 0 < values[1] < values[2]


def test_a_complete_miss_costs_what_the_formula_says() -> None:
    use = torch.tensor([[True]])
    flat = torch.zeros((1, 1, *SIZE))
    mse = heatmap_loss(flat, maps(40, 40), use, "mse")
    assert mse.item() == pytest.approx(1 / (4 * math.pi * SIGMA**2) - 1 / 480, rel=0.02)
    kl = heatmap_loss(flat, maps(40, 40), use, "kl")
    entropy = math.log(2 * math.pi * math.e * SIGMA**2)
    assert kl.item() == pytest.approx(math.log(480) - entropy, rel=0.02)


def test_unused_maps_have_no_gradient() -> None:
    logits = torch.randn((1, 2, *SIZE), requires_grad=True)
    target = torch.cat([maps(40, 40), maps(20, 30)], 1)
    heatmap_loss(logits, target, torch.tensor([[True, False]]), "kl").backward()
    assert logits.grad is not None
    assert logits.grad[0, 0].abs().sum() > 0
    assert logits.grad[0, 1].abs().sum() == 0
    assert heatmap_loss(logits, target, torch.zeros((1, 2), dtype=torch.bool), "mse") == 0


def test_a_hidden_keypoint_loses_its_confidence() -> None:
    """Following the gradient of a uniform target (acceptance test 3 of the specification)."""
    peak = maps(40, 40).clamp(min=1e-6).log()
    before = decode(HeatmapOutput(peak, STRIDE), SIGMA).mass.item()
    logits = peak.clone().requires_grad_()
    for _ in range(20):
        loss = heatmap_loss(logits, maps(40, 40, visible=False), torch.tensor([[True]]), "kl")
        (gradient,) = torch.autograd.grad(loss, logits)
        logits = (logits - 20 * gradient).detach().requires_grad_()
    after = decode(HeatmapOutput(logits.detach(), STRIDE), SIGMA).mass.item()
    assert before > 0.9
    assert after < 0.7 * before
